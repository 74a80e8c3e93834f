"""What is published: a generator, or a recipe for another library's generator."""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import Any

from torch import Tensor

from genaug.artifacts.manifest import CONFIG_FILE, encode_generator, encode_manifest, parse_manifest
from genaug.artifacts.recipe import RECIPE_FILE, encode_recipe, is_recipe, read_recipe
from genaug.errors import InputError
from genaug.escaping import escaped
from genaug.hub.load import Located, is_source_name, load_located, locate
from genaug.hub.pull import SHEET_FILE
from genaug.hub.sections import Subject, generator_subject, recipe_subject
from genaug.reports.sheet import Block, draw_sheet, encode_png, sheet_labels
from genaug.sources.generator import Generator
from genaug.sources.source import Source
from genaug.training.tuning import further_tensors, weights_digest

_GRID_PIXELS = 2**25  # of all samples on a grid
_SLOW_SAMPLES = 16  # on the grid of a recipe, whose samples may take a minute each


@dataclass(frozen=True)
class Contents:
    """``encode`` returns the files by name for a training record and a license, ``draw`` the sample grid as PNG, by
    name; none for a translator, whose samples would show the images of others."""

    subject: Subject
    folder: Path | None
    license: str | None
    encode: Callable[[Mapping[str, Any], str | None], dict[str, bytes]]
    draw: Callable[[], dict[str, bytes]]


def contents_of(what: Any, device: Any = None, keep: Sequence[str] = ()) -> Contents:
    """A generator, or the generator or recipe in a folder or in a repo on the Hub.

    ``keep`` names further networks of a generator to publish with it. Raises the errors of ``genaug.load``, and
    ``InputError`` for a recipe that can't be published.
    """
    if not isinstance(what, (Generator, str, Path)):
        raise InputError(
            f"{type(what).__name__} can't be published. Expected a generator, or the folder of a generator or a "
            "recipe: genaug.save_recipe(source, FOLDER) writes one."
        )
    if isinstance(what, Generator):
        return _generator(what, keep)
    if is_source_name(what):
        raise InputError(
            f"{what} can't be published itself. Save it as a recipe first (genaug.save_recipe, or `genaug recipe "
            f"{what} --out FOLDER`), and push that folder."
        )
    place = locate(what)
    if not is_recipe(place.folder):
        return _generator(load_located(place, device or "cpu"), keep)
    if keep:
        raise InputError(f"keep= can't be used with {what}, a recipe, which has no weights. Leave it out.")
    return _recipe(place, device)


def _generator(generator: Generator, keep: Sequence[str]) -> Contents:
    digest = weights_digest(generator)
    generator = _with_extras(generator, keep, digest)
    files = encode_generator(generator.manifest_fields(), generator.tensors())
    manifest = parse_manifest(files[CONFIG_FILE], CONFIG_FILE)

    def encode(training: Mapping[str, Any], license: str | None) -> dict[str, bytes]:
        return {**files, CONFIG_FILE: encode_manifest(manifest.model_copy(update={"training": dict(training)}))}

    subject = generator_subject(generator, manifest, (digest,))

    def draw() -> dict[str, bytes]:
        return {} if generator.spec.conditions else {SHEET_FILE: draw_samples(generator)}

    return Contents(subject, generator.folder, None, encode, draw)


def _with_extras(generator: Generator, keep: Sequence[str], digest: str) -> Generator:
    """The generator with the tensors of the further networks ``keep``, which its folder has to hold."""
    if isinstance(keep, str):
        raise InputError(f"keep must be a sequence of names such as ('discriminator',), got {keep!r}.")
    names = [name for name in dict.fromkeys(keep) if name not in generator.nets]
    if not names:
        return generator
    tensors = further_tensors(generator, digest)
    available = {name.partition(".")[0] for name in tensors}
    if missing := [name for name in names if name not in available]:
        held = f"it holds {', '.join(sorted(available))}" if available else "it holds none"
        raise InputError(
            f"keep names {', '.join(map(repr, missing))}, but of the networks that sampling doesn't need, {held}. "
            "Expected networks in the last checkpoint of this generator's run folder: push that folder."
        )
    extras = {name: tensor for name, tensor in tensors.items() if name.partition(".")[0] in names}
    extended = copy(generator)
    extended.extras = {**generator.extras, **extras}
    return extended


def _recipe(place: Located, device: Any) -> Contents:
    folder = place.folder
    manifest = read_recipe(folder)
    if manifest.revision is None:
        raise InputError(
            f"{folder / RECIPE_FILE} isn't published: it names no commit of {manifest.source}, so nobody else could "
            "build the same source. Load it from a repo on the Hub, and save the recipe again."
        )
    if local := _local_path(manifest.options):
        raise InputError(
            f"{folder / RECIPE_FILE} isn't published: its options name the local path {escaped(local)}, which nobody "
            "else has. Publish that on the Hub first, and save the recipe again."
        )

    def encode(training: Mapping[str, Any], license: str | None) -> dict[str, bytes]:
        published = manifest.model_copy(update={"training": dict(training), "license": license})
        return {RECIPE_FILE: encode_recipe(published)}

    def draw() -> dict[str, bytes]:
        return {SHEET_FILE: draw_samples(load_located(place, device), _SLOW_SAMPLES)}

    card_folder = folder if place.repo is None else None
    return Contents(recipe_subject(manifest), card_folder, manifest.license, encode, draw)


def _local_path(options: Any) -> str | None:
    """The first absolute path in a recipe's options, which plugins write local files as; None if there is none."""
    if isinstance(options, str):
        return options if Path(options).is_absolute() else None
    inner = options.values() if isinstance(options, Mapping) else options if isinstance(options, list) else ()
    return next(filter(None, map(_local_path, inner)), None)


def draw_samples(source: Source, most: int = 200) -> bytes:
    """A PNG of a sample grid with a row per class: the first samples of seed 0, without selection; ``most`` at most."""
    spec = source.spec
    most = max(1, min(most, _GRID_PIXELS // spec.sample.positions))
    rows = min(spec.num_classes or min(10, isqrt(most)), 20, most)
    columns = min(10, max(1, most // rows))
    labels = sheet_labels(spec.num_classes, columns, rows) if spec.takes_labels else None
    samples, labels = source.sample(rows * columns if labels is None else None, labels=labels, seed=0)
    if not isinstance(samples, Tensor):
        samples = spec.sample.check(samples, len(samples), f"{type(source).__name__}.sample returned")
    block = Block(samples.cpu(), None if labels is None else labels.cpu())
    return encode_png(draw_sheet(block, classes=spec.class_names, columns=columns, sample=spec.sample))
