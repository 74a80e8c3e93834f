"""The ``cogan`` backend, registered like that of any plugin."""

from genaug import hookimpl
from genaug.backends.hookspecs import Register


@hookimpl
def genaug_register_backends(register: Register) -> None:
    register("cogan", "genaug_cogan.backend:CoGAN", summary="pairs of images in two domains, and a classifier of both")
