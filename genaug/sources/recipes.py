"""Saving how a plugin's source is built, and building it again."""

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, metadata, version
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from genaug.artifacts.recipe import RECIPE_FILE, RecipeManifest, read_recipe, recipe_of, write_recipe
from genaug.backends.discovery import DISABLE, normalize
from genaug.backends.registry import call, discover
from genaug.checks import check_license, first_problem
from genaug.errors import FormatError, InputError, PluginError
from genaug.escaping import escaped
from genaug.sources.loading import is_older, pip_command
from genaug.sources.source import Source, check_source


def save_recipe(source: Source, folder: str | Path, *, license: str | None = None, overwrite: bool = False) -> Path:
    """Write ``recipe.json`` into a folder, from which ``genaug.load`` builds the same source again: the name, commit
    and options of another library's generator, and its spec, without weights.

    ``source`` is one that ``genaug.load("SCHEME:REST", ...)`` returned; ``license`` is the identifier of its license,
    such as "apache-2.0". Figures that ``genaug evaluate FOLDER --card`` records are stored beside the recipe, and
    ``genaug.push(folder, "owner/name")`` publishes both.

    ``overwrite`` replaces a recipe that genaug wrote there before. Raises ``InputError`` for a source without a recipe,
    ``OutputExistsError`` if the folder contains anything else, ``SaveError`` if writing fails. Returns the folder.
    """
    return write_recipe(folder, manifest_of(source, license), overwrite)


def manifest_of(source: Source, license: str | None = None) -> RecipeManifest:
    """The content of ``recipe.json`` for a source. Raises ``InputError`` if it has no recipe."""
    spec, recipe = check_source(source), recipe_of(source)
    if recipe is None:
        raise InputError(
            f"{type(source).__name__} has no recipe to save. Expected a source of a plugin, such as "
            'genaug.load("SCHEME:…"), that says how it was built; a generator has save().'
        )
    info = discover().sources.get(recipe.scheme)
    if info is None:
        raise PluginError(
            f"no installed plugin provides the sources {recipe.scheme}:…, so {recipe.source} isn't saved."
        )
    record = getattr(source, "training", None)
    try:
        return RecipeManifest(
            **recipe.model_dump(),
            spec=spec,
            distribution=info.distribution,
            distribution_version=info.version,
            license=check_license(license),
            training=dict(record) if isinstance(record, Mapping) else {},
        )
    except ValidationError as error:
        raise InputError(f"the recipe of {recipe.source} can't be saved: {first_problem(error)}.") from error


def load_recipe(folder: Path, device: str | torch.device | None = None) -> Any:
    """Build the source that a folder's ``recipe.json`` describes, by the plugin that provides its scheme.

    Raises ``FormatError`` if the file is damaged or the source has another spec than it records, ``PluginError`` if the
    plugin isn't installed or fails.
    """
    manifest = read_recipe(folder)
    where, source_name = folder / RECIPE_FILE, escaped(manifest.source)
    info = discover().sources.get(manifest.scheme)
    origin = f"It was written with {manifest.distribution} {manifest.distribution_version}"
    if info is None:
        raise PluginError(
            f"{where} is a recipe for {source_name}, and no installed plugin provides {manifest.scheme}:…. {origin}"
            f"{_what_is_missing(manifest)}"
        )
    if info.distribution != manifest.distribution:
        raise PluginError(
            f"{where} is a recipe for {source_name}. {origin}; installed is {info.distribution} {info.version}, which "
            "has different sources of this name. Install the package that wrote it instead, if you trust it: "
            f"{_pip_command(manifest)}"
        )
    pin = {} if manifest.revision is None else {"revision": manifest.revision}
    source = call(info, manifest.rest, device=device, **pin, **manifest.options)
    if check_source(source) != manifest.spec:
        raise FormatError(
            f"{where} records samples that are {_described(manifest.spec)}, but {source_name} now makes samples that "
            f"are {_described(source.spec)}. {origin}; installed is {info.version}. Save the recipe again."
        )
    return source


def requirement(manifest: RecipeManifest) -> str:
    """What pip installs for a recipe: the plugin, or genaug's own extra for it, such as "genaug[diffusers]"."""
    extras = metadata("genaug").get_all("Provides-Extra") or ()
    own = manifest.distribution == "genaug" and manifest.scheme in extras
    return f"genaug[{manifest.scheme}]" if own else manifest.distribution


def _what_is_missing(manifest: RecipeManifest) -> str:
    """The rest of a sentence: why no plugin provides a recipe's scheme, and what to do."""
    names = {normalize(name) for name in (manifest.distribution, manifest.scheme)}
    blocked = [item for item in discover().blocked if {normalize(item.name), normalize(item.distribution)} & names]
    if blocked:
        return f", whose plugin is blocked: {DISABLE} contains {blocked[0]}. Remove it there to use it."
    try:
        installed = version(manifest.distribution)
    except PackageNotFoundError:
        return f", so `{_pip_command(manifest)}` installs what is missing, if you trust that package."
    if is_older(installed, manifest.distribution_version):
        return f"; installed is {installed}, which is too old: {_pip_command(manifest)}"
    return (
        f"; installed is {installed}, which doesn't provide it. Either its plugin doesn't work, which `genaug plugins` "
        "shows, or the file was changed, or a later version has dropped it."
    )


def _pip_command(manifest: RecipeManifest) -> str:
    return pip_command(requirement(manifest), manifest.distribution_version)


def _described(spec: Any) -> str:
    return f"{spec.sample.describe()}, {spec.describe_classes()}, {len(spec.latents)} latents"
