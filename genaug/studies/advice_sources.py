"""The source of a study as an expression of Python: how it is trained, loaded or filtered."""

import keyword
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from genaug.artifacts.recipe import recipe_of
from genaug.backends import registry
from genaug.data.reading import fingerprint
from genaug.errors import PluginError
from genaug.sources.filtered import MAX_TRIES, Filtered
from genaug.sources.generator import Generator
from genaug.sources.source import Source
from genaug.studies.own_variations import own_variations
from genaug.studies.recipes import Recipe

TRAIN_SET = "train_set"
_USED = ("genaug", "v2", "DataLoader", "epochs", "real", "batches", TRAIN_SET)  # names of the code itself


class Needs:
    """The names of what an advice needs and the study doesn't know how to make."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {}

    def name(self, wish: str, what: Any) -> str:
        """A name for an object, like ``wish``; another one if the code already uses this for something else."""
        base = re.sub(r"\W", "_", wish)
        free = base.isidentifier() and not keyword.iskeyword(base) and (base not in _USED or what is TRAIN_SET)
        base = base if free else f"source_{base}"
        name, number = base, 2
        while name in self.names and self.names[name] is not what:
            name, number = f"{base}_{number}", number + 1
        self.names[name] = what
        return name

    def train_set(self) -> str:
        """The name of the training set."""
        return self.name(TRAIN_SET, TRAIN_SET)


def source_code(name: str, plan: Any, settings: Mapping[str, Any], needs: Needs) -> str:
    """An expression for the source called ``name``, "generator" or, as a part of a mix, a name of its own if it isn't
    known how to create it."""
    part = name.partition("+")[2]
    if isinstance(plan, Recipe):
        needs.train_set()
        names = ("backend", "steps", "batch_size", "augment", "config", "balance")
        description = {field: getattr(plan, field) for field in names}
        if plan.unlabelled is not None:
            description["unlabelled"] = needs.name("unlabeled_images", plan.unlabelled)
        return fit_code(description, f"runs/{name.replace('+', '-')}", settings["image_size"])
    if isinstance(plan, Source):
        return _object_code(plan, part or "generator", settings, needs)
    if isinstance(plan, partial) and plan.func is own_variations:
        editor = _object_code(plan.args[0], "editor", settings, needs)
        options = "".join(f", {option}={value!r}" for option, value in plan.keywords.items())
        return f"genaug.variations({editor}, {needs.train_set()}{options})"
    function = getattr(plan, "__name__", "function")
    function = needs.name(function if function.isidentifier() else "function", plan)
    return f"{function}({needs.train_set()}, 0)"


def fit_code(source: Mapping[str, Any], out: str, image_size: int | None = None) -> str:
    """The call of ``genaug.fit`` for the recipe with this description; options that a backend has by default are left
    out."""
    data = "train_set, unlabelled=unlabeled_images" if source.get("unlabelled") else "train_set"
    options = [f"steps={source['steps']}", f"batch_size={source['batch_size']}"]
    options += [f"augment={list(source['augment'])!r}"] if source["augment"] else []
    options += [f"balance={source['balance']!r}"] if source.get("balance") else []
    options += [f"image_size={image_size}"] if image_size is not None else []
    if config := _changed(source["backend"], source["config"]):
        options.append(f"config={config!r}")
    return f'genaug.fit("{source["backend"]}", {data}, out="{out}", {", ".join(options)})'


def _changed(backend: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The options that differ from a backend's defaults."""
    try:
        defaults = registry.resolve(backend).Config().model_dump(mode="json")
    except PluginError:
        return dict(config)
    return {key: value for key, value in config.items() if key not in defaults or defaults[key] != value}


def _object_code(source: Any, name: str, settings: Mapping[str, Any], needs: Needs) -> str:
    """An expression for a pretrained source."""
    if isinstance(source, Filtered):
        inner = _object_code(source.inner, name, settings, needs)
        return f"genaug.filtered({', '.join([inner, *_filters(source, settings, needs)])})"
    if isinstance(source, Generator) and isinstance(source.folder, Path):
        return f"genaug.load({str(source.folder)!r})"
    recipe = recipe_of(source)
    if recipe is not None:
        options = {**({"revision": recipe.revision} if recipe.revision else {}), **recipe.options}
        return f"genaug.load({', '.join([repr(recipe.source), *(f'{k}={v!r}' for k, v in options.items())])})"
    return needs.name(name, source)


def _filters(source: Filtered, settings: Mapping[str, Any], needs: Needs) -> list[str]:
    """The arguments of ``genaug.filtered``."""
    options = []
    for key, value in source.options.items():
        if key == "agree":
            folder = value.folder if isinstance(value, Generator) else None
            options.append(
                f"agree=genaug.load({str(folder)!r})" if folder else f"agree={needs.name('classifier', value)}"
            )
        elif key == "no_copies_of":
            same = fingerprint(value) == settings["train"]["sha256"]
            options.append(f"no_copies_of={needs.train_set() if same else needs.name('reference_set', value)}")
        elif key != "max_tries" or value != MAX_TRIES:
            options.append(f"{key}={value!r}")
    return options
