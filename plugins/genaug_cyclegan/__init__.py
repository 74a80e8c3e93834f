"""The ``cyclegan`` backend, registered like that of any plugin."""

from genaug import hookimpl
from genaug.backends.hookspecs import Register


@hookimpl
def genaug_register_backends(register: Register) -> None:
    register(
        "cyclegan", "genaug_cyclegan.backend:CycleGAN", summary="translation both ways, learned from unpaired images"
    )
