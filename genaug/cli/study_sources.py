"""The sources that ``genaug study`` compares, from their names."""

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from genaug.cli.settings import parse_settings
from genaug.cli.sources import source_named
from genaug.escaping import escaped

if TYPE_CHECKING:
    from functools import partial

    from genaug.sources.variations import Variations

VARIATIONS = "variations:"  # before the name of an editor: it varies every seed's own training samples


@dataclass(frozen=True)
class Context:
    """What sources are loaded with: the options in ``--set``, the training set, and the size and device for them."""

    setting: list[str]
    train: Any
    image_size: int | None
    device: str | None


def sources_of(names: list[str], steps: int, balance: str | None, context: Context) -> dict[str, Any]:
    """The sources by name: backends to train for so many steps, and pretrained ones."""
    from genaug.errors import InputError
    from genaug.studies.recipes import Recipe
    from genaug.training.balance import check_balance

    pretrained = {name: _pretrained_name(name) for name in names}
    settings_are_for_backends = None in pretrained.values()
    if balance is not None and not settings_are_for_backends:
        raise InputError("--balance is for backends to train, and all sources are pretrained. Leave it out.")
    sources: dict[str, Any] = {}
    for name in names:
        key = pretrained[name] or name
        if key in sources:
            raise InputError(f"two sources are called {key!r}. Rename one of the folders, or leave one out.")
        if pretrained[name] is None:
            sources[key] = Recipe(name, steps, balance=check_balance(balance), config=parse_settings(context.setting))
            continue
        takes_settings = ":" in name and not name.startswith("folder:") and not settings_are_for_backends
        own = context if takes_settings else replace(context, setting=[])
        if name.startswith(VARIATIONS) and "data" not in parse_settings(own.setting):
            sources[key] = _variations(name.removeprefix(VARIATIONS), own)
        else:
            sources[key] = source_named(name, own.device, own.setting, like=own.train, image_size=own.image_size)
    return sources


def _variations(name: str, context: Context) -> "partial[Variations]":
    """Variations of every seed's own training samples by the editor with this name; options other than those of
    ``genaug.variations`` are the editor's."""
    from functools import partial

    from genaug.errors import InputError
    from genaug.sources.variations import variations
    from genaug.studies.own_variations import own_variations

    if not name.strip():
        raise InputError(f"{VARIATIONS} lacks the generator that varies, such as {VARIATIONS}runs/vae.")
    own = {key: value for key, value in parse_settings(context.setting).items() if key in ("strength", "to")}
    others = [each for each in context.setting if each.partition("=")[0] not in own]
    editor = source_named(name, context.device, others)
    if 0 in (variations(editor, context.train, **own, image_size=context.image_size).supply or []):
        raise InputError(
            f"variations:{name} has no sample of some classes, and a study needs samples of all of them. Leave out "
            "to=, or the classes without training samples."
        )
    return partial(own_variations, editor, **own)


def _pretrained_name(name: str) -> str | None:
    """The name of a pretrained source in the study: that of its folder or repo; None for a backend to train."""
    from genaug.artifacts.paths import user_path

    if name.startswith(VARIATIONS):
        editor = _pretrained_name(name.removeprefix(VARIATIONS))
        return f"variations-{editor}" if editor else None
    folder = user_path(name.removeprefix("folder:"))
    if name.startswith("folder:") or folder.is_dir():
        return escaped(folder.resolve().name)
    if ":" in name or "/" in name:
        last = name.rstrip("/").rpartition("/")[2].rpartition(":")[2]
        return re.sub(r"[^A-Za-z0-9._-]", "-", last).lstrip("._-") or "source"
    return None
