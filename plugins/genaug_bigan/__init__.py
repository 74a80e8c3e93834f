"""The ``bigan`` backend, registered like that of any plugin."""

from genaug import hookimpl
from genaug.backends.hookspecs import Register


@hookimpl
def genaug_register_backends(register: Register) -> None:
    register("bigan", "genaug_bigan.backend:BiGAN", summary="bidirectional GAN: learns an encoder with the generator")
