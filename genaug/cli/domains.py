"""The other domain of a translation, which ``--to`` of ``genaug train`` names."""

from pathlib import Path
from typing import Any

from genaug.cli.reading import read_data


def with_domain(images: Any, command: dict[str, Any], backend: str | None, seed: int) -> Any:
    """The images together with those of the other domain, as pairs unless the backend takes unpaired sets."""
    from genaug.artifacts.paths import user_path
    from genaug.backends.registry import resolve
    from genaug.data.datasets import few_per_class
    from genaug.data.domains import Pairs, Unpaired, check_same_files
    from genaug.errors import InputError

    if backend is None:
        raise InputError("name the backend to train: --to is read as pairs or as an unpaired set, as it needs.")
    recipe = resolve(backend)
    if not recipe.conditions and not recipe.takes_unpaired:
        raise InputError(f"backend {backend!r} doesn't learn from two domains: leave --to out.")
    root = None if command["root"] is None else Path(command["root"])
    split = {"root": root, "test_share": command["test_share"], "group_by": command["group_by"]}
    is_folder = command["to"].startswith("folder:")
    others = read_data(command["to"], **(split if is_folder else {"root": root}))
    folders = [user_path(command[name].partition(":")[2]).name for name in ("data", "to")]
    names = {"names": folders} if len({*folders, ""}) == 3 else {}
    if recipe.takes_unpaired:
        return Unpaired(images, others, **names)
    if command["labels_per_class"] is not None:  # of the same labels the same ones
        others = few_per_class(others, command["labels_per_class"], seed)
    pairs = Pairs(images, others, **names)
    check_same_files(pairs)
    return pairs
