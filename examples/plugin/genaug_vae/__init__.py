"""Registers the ``vae`` backend."""

from genaug import hookimpl
from genaug.backends.hookspecs import Register


@hookimpl
def genaug_register_backends(register: Register) -> None:
    register("vae", "genaug_vae.backend:VAE", summary="conditional variational autoencoder")
