"""The ``srgan`` backend, registered like that of any plugin."""

from genaug import hookimpl
from genaug.backends.hookspecs import Register


@hookimpl
def genaug_register_backends(register: Register) -> None:
    register("srgan", "genaug_srgan.backend:SRGAN", summary="upscales images by 2 or 4, with a discriminator's help")
