"""The ``mad-gan`` backend, registered like that of any plugin."""

from genaug import hookimpl
from genaug.backends.hookspecs import Register


@hookimpl
def genaug_register_backends(register: Register) -> None:
    register("mad-gan", "genaug_mad_gan.backend:MADGAN", summary="k diverse generators that share a trunk, conditional")
