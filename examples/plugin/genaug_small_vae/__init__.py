"""Registers the ``small-vae`` backend."""

from genaug import hookimpl
from genaug.backends.hookspecs import Register


@hookimpl
def genaug_register_backends(register: Register) -> None:
    register("small-vae", "genaug_small_vae.backend:SmallVAE", summary="conditional variational autoencoder")
