"""The ``pix2pix`` backend, registered like that of any plugin."""

from genaug import hookimpl
from genaug.backends.hookspecs import Register


@hookimpl
def genaug_register_backends(register: Register) -> None:
    register("pix2pix", "genaug_pix2pix.backend:Pix2Pix", summary="image-to-image translation, learned from pairs")
