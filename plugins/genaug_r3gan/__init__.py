"""The ``r3gan`` backend, registered like that of any plugin."""

from genaug import hookimpl
from genaug.backends.hookspecs import Register


@hookimpl
def genaug_register_backends(register: Register) -> None:
    register("r3gan", "genaug_r3gan.backend:R3GAN", summary="residual GAN without normalization, for harder images")
