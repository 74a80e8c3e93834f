"""The ``wgan-gp`` backend, registered like that of any plugin."""

from genaug import hookimpl
from genaug.backends.hookspecs import Register


@hookimpl
def genaug_register_backends(register: Register) -> None:
    register("wgan-gp", "genaug_wgan_gp.backend:WGANGP", summary="Wasserstein GAN with a gradient penalty")
