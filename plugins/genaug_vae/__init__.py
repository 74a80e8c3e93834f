"""The ``vae`` and ``autoencoder`` backends, registered like those of any plugin."""

from genaug import hookimpl
from genaug.backends.hookspecs import Register


@hookimpl
def genaug_register_backends(register: Register) -> None:
    register("vae", "genaug_vae.vae:VAE", summary="variational autoencoder, class-conditional if there are labels")
    register(
        "autoencoder", "genaug_vae.autoencoder:Autoencoder", summary="plain or denoising autoencoder, without labels"
    )
