"""The ``cgan`` backend, registered like that of any plugin."""

from genaug import hookimpl
from genaug.backends.hookspecs import Register


@hookimpl
def genaug_register_backends(register: Register) -> None:
    register("cgan", "genaug_cgan.backend:CGAN", summary="class-conditional convolutional GAN")
