"""Registers the ``vanilla-gan`` backend."""

from genaug import hookimpl
from genaug.hookspecs import Register


@hookimpl
def genaug_register_backends(register: Register) -> None:
    register("vanilla-gan", "genaug_vanilla_gan.backend:VanillaGAN", summary="the GAN of 2014, fully connected")
