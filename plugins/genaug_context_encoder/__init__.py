"""The ``context-encoder`` backend, registered like that of any plugin."""

from genaug import hookimpl
from genaug.backends.hookspecs import Register


@hookimpl
def genaug_register_backends(register: Register) -> None:
    register(
        "context-encoder", "genaug_context_encoder.backend:ContextEncoder", summary="fills in erased parts of images"
    )
