"""The ``simgan`` backend, registered like that of any plugin."""

from genaug import hookimpl
from genaug.backends.hookspecs import Register


@hookimpl
def genaug_register_backends(register: Register) -> None:
    register(
        "simgan", "genaug_simgan.backend:SimGAN", summary="makes rendered images look real, and keeps their labels"
    )
