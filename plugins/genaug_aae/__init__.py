"""The ``aae`` backend, registered like that of any plugin."""

from genaug import hookimpl
from genaug.backends.hookspecs import Register


@hookimpl
def genaug_register_backends(register: Register) -> None:
    register("aae", "genaug_aae.backend:AAE", summary="adversarial autoencoder, which can learn from few labels")
