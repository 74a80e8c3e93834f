"""Sources that consist of others, by name, such as ``genaug.load("refined:SOURCE", refiner=...)``."""

from typing import TYPE_CHECKING, Any

from genaug.backends.hookspecs import Register, hookimpl

if TYPE_CHECKING:
    from genaug.sources.refined import Refined
    from genaug.sources.variations import Variations


@hookimpl
def genaug_register_sources(register: Register) -> None:
    register(
        "refined", "genaug.hub.schemes:load_refined", summary="a source's samples, refined by a generator (refiner=)"
    )
    register(
        "variations",
        "genaug.hub.schemes:load_variations",
        summary="samples of your own, varied by an encoder or a translator (data=, strength=, to=)",
    )


def load_refined(source: str, *, refiner: str, device: Any = None) -> "Refined":
    """``genaug.refined`` of a source and a refiner, each a folder, a Hub id or another SCHEME:REST."""
    from genaug.hub.load import load
    from genaug.sources.refined import refined

    return refined(load(source, device=device), load(refiner, device=device))


def load_variations(
    editor: str,
    *,
    data: str | None = None,
    strength: float = 0.5,
    to: str | None = None,
    image_size: int | None = None,
    root: str | None = None,
    device: Any = None,
    **options: Any,
) -> "Variations":
    """``genaug.variations`` of a dataset, named as ``--data`` names one, by an editor: a folder, a Hub id or another
    SCHEME:REST with these ``options``."""
    from genaug.data.datasets import load_data
    from genaug.errors import InputError
    from genaug.hub.load import load
    from genaug.sources.variations import variations

    if data is None:
        raise InputError(
            f"variations:{editor} needs the samples to vary: pass data=, such as data=folder:PATH (--set data=... on "
            "the command line). In a study, they are every seed's own training samples."
        )
    dataset = load_data(str(data), root=root)
    return variations(load(editor, device=device, **options), dataset, strength, to, image_size=image_size)
