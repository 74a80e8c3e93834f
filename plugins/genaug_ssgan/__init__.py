"""The ``ssgan`` backend, registered like that of any plugin."""

from genaug import hookimpl
from genaug.backends.hookspecs import Register


@hookimpl
def genaug_register_backends(register: Register) -> None:
    register("ssgan", "genaug_ssgan.backend:SSGAN", summary="semi-supervised GAN: labels for some images, and a classifier")
