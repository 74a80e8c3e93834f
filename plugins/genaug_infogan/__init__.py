"""The ``infogan`` backend, registered like that of any plugin."""

from genaug import hookimpl
from genaug.backends.hookspecs import Register


@hookimpl
def genaug_register_backends(register: Register) -> None:
    register("infogan", "genaug_infogan.backend:InfoGAN", summary="GAN that finds codes without labels")
