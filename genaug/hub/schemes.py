"""Sources that consist of others, by name, such as ``genaug.load("refined:SOURCE", refiner=...)``."""

from typing import TYPE_CHECKING, Any

from genaug.backends.hookspecs import Register, hookimpl

if TYPE_CHECKING:
    from genaug.sources.refined import Refined


@hookimpl
def genaug_register_sources(register: Register) -> None:
    register(
        "refined", "genaug.hub.schemes:load_refined", summary="a source's samples, refined by a generator (refiner=)"
    )


def load_refined(source: str, *, refiner: str, device: Any = None) -> "Refined":
    """``genaug.refined`` of a source and a refiner, each a folder, a Hub id or another SCHEME:REST."""
    from genaug.hub.load import load
    from genaug.sources.refined import refined

    return refined(load(source, device=device), load(refiner, device=device))
