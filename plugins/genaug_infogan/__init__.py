"""The ``infogan`` backend, registered the way every plugin registers its own."""

from genaug import hookimpl
from genaug.backends.hookspecs import Register


@hookimpl
def genaug_register_backends(register: Register) -> None:
    register("infogan", "genaug_infogan.backend:InfoGAN", summary="GAN with codes that it finds without labels")
