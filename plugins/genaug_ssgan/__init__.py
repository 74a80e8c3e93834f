"""The ``ssgan`` backend, registered like that of any plugin."""

from genaug import hookimpl
from genaug.backends.hookspecs import Register


@hookimpl
def genaug_register_backends(register: Register) -> None:
    register("ssgan", "genaug_ssgan.backend:SSGAN", summary="GAN that learns to classify from few labels")
