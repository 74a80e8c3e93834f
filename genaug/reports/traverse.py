"""Sample grids over a generator's latents: the effect of each code and category, and the path between two samples.

These are the figures of InfoGAN (Chen et al. 2016, figure 2) for any generator, drawn from its spec alone.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor

from genaug.artifacts.claims import Claim, claim
from genaug.backends.latents import Categorical, Continuous, Uniform, latent_rows
from genaug.backends.spec import Spec
from genaug.checks import as_whole
from genaug.data.labels import as_labels
from genaug.errors import InputError
from genaug.randomness import check_seed
from genaug.reports.sheet import Block, draw_sheet, encode_png, sheet_labels

if TYPE_CHECKING:
    from genaug.sources.generator import Generator

_MOST_AXES = 6  # by default: 15 pairs
_MOST_CATEGORIES = 20
_ROWS = 10


@dataclass(frozen=True)
class Axis:
    """One dimension of a continuous latent, called ``u1``, or ``z.3`` if the latent has several."""

    latent: Continuous
    dimension: int = 0

    def __str__(self) -> str:
        return self.latent.name if self.latent.dimensions == 1 else f"{self.latent.name}.{self.dimension}"


def traverse(
    generator: "Generator",
    out: str | Path | None = None,
    *,
    axes: Sequence[str] | None = None,
    labels: Sequence[int] | Tensor | None = None,
    seed: int = 0,
    steps: int = 10,
    overwrite: bool = False,
) -> dict[str, Image.Image]:
    """RGB sample grids by name; see ``Generator.traverse``. With ``out``, either all files are written or none."""
    if out is None:
        return draw(generator, axes=axes, labels=labels, seed=seed, steps=steps)
    with claim_sheets(out, overwrite) as place:
        grids = draw(generator, axes=axes, labels=labels, seed=seed, steps=steps)
        write(place, grids)
    return grids


def claim_sheets(out: str | Path, overwrite: bool) -> AbstractContextManager[Claim]:
    """Claim a folder for sample grids."""
    return claim(
        out, "sheets", replace=overwrite, options="Choose another folder or pass overwrite=True (--overwrite)."
    )


def write(place: Claim, sheets: Mapping[str, Image.Image]) -> None:
    """Write sample grids as ``NAME.png``, replacing earlier ones."""
    with place.filling(keep=False) as new:
        for name, grid in sheets.items():
            (new / f"{name}.png").write_bytes(encode_png(grid))


def draw(
    generator: "Generator",
    *,
    axes: Sequence[str] | None = None,
    labels: Sequence[int] | Tensor | None = None,
    seed: int = 0,
    steps: int = 10,
) -> dict[str, Image.Image]:
    """RGB sample grids by name; the arguments are those of ``Generator.traverse``."""
    spec = generator.spec
    if not spec.sample.has_pictures:
        raise InputError(f"traverse works on samples that are shown as pictures, and these are {spec.sample.noun}.")
    if not spec.latents:
        raise InputError("this generator has no latents, so there is nothing to traverse. Sample it instead.")
    steps = as_whole(steps, "steps", 2, 50)
    selection = _default_axes(spec) if axes is None else _parse_axes(spec, axes)
    return dict(_grids(generator, selection, _labels(spec, labels), check_seed(seed), steps))


def _grids(
    generator: "Generator", axes: Sequence[Axis], labels: Tensor | None, seed: int, steps: int
) -> Iterator[tuple[str, Image.Image]]:
    for pair in itertools.combinations(axes, 2) if len(axes) != 1 else [(axes[0],)]:
        name = "_".join(["grid", *map(str, pair)])
        for label in [None] if labels is None else labels.tolist():
            yield name + ("" if label is None else f"_label_{label}"), _grid(generator, pair, seed, steps, label=label)
    for latent in generator.spec.latents:
        if isinstance(latent, Categorical):
            for category in sheet_labels(latent.size, 1, _MOST_CATEGORIES).tolist():
                name = f"category_{latent.name}_{category:0{len(str(latent.size - 1))}d}"
                yield name, _category(generator, axes, labels, seed, steps, latent.name, category)
    yield "interpolation", _interpolation(generator, labels, seed, steps)


def _grid(
    generator: "Generator",
    axes: Sequence[Axis],
    seed: int,
    steps: int,
    *,
    label: int | None = None,
    category: tuple[str, int] | None = None,
) -> Image.Image:
    """The first axis across and the second one down; with a single axis, one row for each of several samples.

    All else is that of sample 0 of the seed, with the uniform latents at 0.
    """
    spec, rows = generator.spec, steps if len(axes) == 1 else 1
    latents = _latents(spec, seed, torch.arange(rows).repeat_interleave(steps * steps // rows))
    for latent in spec.latents:
        if isinstance(latent, Uniform):
            latents[latent.name].zero_()
    heading = ", ".join(f"{axis} {direction}" for axis, direction in zip(axes, ("across", "down"), strict=False))
    values = axes[0].latent.axis(steps).repeat(steps), axes[-1].latent.axis(steps).repeat_interleave(steps)
    for axis, column in zip(axes, values, strict=False):
        latents[axis.latent.name].view(steps * steps, -1)[:, axis.dimension] = column
    if category is not None:
        latents[category[0]].fill_(category[1])
        heading = f"{category[0]} = {category[1]}: {heading}"
    if label is not None:
        heading = f"{spec.class_names[label] if spec.class_names else label}: {heading}"
    labels = None if label is None else torch.full((steps * steps,), label)
    images = generator.decode(labels=labels, **latents)
    return draw_sheet(Block(images.cpu(), heading=heading), columns=steps, sample=spec.sample)


def _category(
    generator: "Generator",
    axes: Sequence[Axis],
    labels: Tensor | None,
    seed: int,
    steps: int,
    name: str,
    category: int,
) -> Image.Image:
    """A grid over the first two axes if they are uniform and there are no labels; otherwise samples."""
    if labels is None and len(axes) >= 2 and all(isinstance(axis.latent, Uniform) for axis in axes[:2]):
        return _grid(generator, axes[:2], seed, steps, category=(name, category))
    fixed: dict[str, Any] = {name: category}
    if labels is None:
        images, _ = generator.sample(_ROWS * steps, seed=seed, **fixed)
    else:
        labels = labels.repeat_interleave(steps)
        images, _ = generator.sample(labels=labels, seed=seed, **fixed)
    block = Block(images.cpu(), labels, f"{name} = {category}")
    return draw_sheet(block, classes=generator.spec.class_names, columns=steps, sample=generator.spec.sample)


def _interpolation(generator: "Generator", labels: Tensor | None, seed: int, steps: int) -> Image.Image:
    """A row from sample 2r to sample 2r + 1 of the seed: along an arc for normal latents, a line for uniform ones.

    Categories, which have nothing between them, are those of the row's first sample; a row has one label.
    """
    spec = generator.spec
    rows = _ROWS if labels is None else len(labels)
    first = _latents(spec, seed, torch.arange(0, 2 * rows, 2).repeat_interleave(steps))
    second = _latents(spec, seed, torch.arange(1, 2 * rows, 2).repeat_interleave(steps))
    weight = torch.linspace(0, 1, steps).repeat(rows)
    latents: dict[str, Any] = {
        latent.name: latent.between(first[latent.name], second[latent.name], weight) for latent in spec.latents
    }
    labels = None if labels is None else labels.repeat_interleave(steps)
    images = generator.decode(labels=labels, **latents)
    block = Block(images.cpu(), labels, "from one sample to another")
    return draw_sheet(block, classes=spec.class_names, columns=steps, sample=spec.sample)


def _latents(spec: Spec, seed: int, indices: Tensor) -> dict[str, Any]:
    """The latents of samples ``indices`` of a seed, as ``Generator.sample`` draws them."""
    count = int(indices.max()) + 1
    return {latent.name: latent_rows(latent, seed, 0, count)[indices] for latent in spec.latents}


def _default_axes(spec: Spec) -> list[Axis]:
    """The dimensions of the uniform latents; if there are none, the first two of the others."""
    axes = [
        Axis(latent, i)
        for latent in spec.latents
        if not isinstance(latent, Categorical)
        for i in range(latent.dimensions)
    ]
    uniform = [axis for axis in axes if isinstance(axis.latent, Uniform)]
    return uniform[:_MOST_AXES] or axes[:2]


def _parse_axes(spec: Spec, names: Sequence[str]) -> list[Axis]:
    """Axes by name, such as "u1" or "z.3"."""
    if isinstance(names, str):
        raise InputError(f"axes must be a list of names such as ['u1', 'z.3'], got {names!r}.")
    known = {latent.name: latent for latent in spec.latents if not isinstance(latent, Categorical)}
    axes = []
    for name in map(str, names):
        head, dot, tail = name.partition(".")
        if head not in known:
            raise InputError(
                f"there is no axis {name[:100]!r}. Expected a dimension of one of these latents: "
                f"{', '.join(known) or 'none'}."
            )
        size = known[head].dimensions
        if not dot and size > 1:
            raise InputError(
                f"latent {head!r} has {size} dimensions. Name one of them, from {head}.0 to {head}.{size - 1}."
            )
        if dot and not (tail.isdecimal() and len(tail) < 10 and int(tail) < size):
            raise InputError(f"there is no axis {name[:100]!r}: the dimensions of {head!r} go from 0 to {size - 1}.")
        axes.append(Axis(known[head], int(tail or 0)))
    if len(set(axes)) < len(axes):
        raise InputError(f"an axis is repeated in {', '.join(map(str, names))}. Name each axis once.")
    return axes


def _labels(spec: Spec, labels: Sequence[int] | Tensor | None) -> Tensor | None:
    """The labels to show: by default all, or ten of them if there are more; None for a generator without classes."""
    if labels is None:
        return sheet_labels(spec.num_classes, 1, _ROWS) if spec.takes_labels else None
    if not spec.takes_labels:
        raise InputError("this generator takes no labels, since it was trained without. Leave labels out.")
    unique: Tensor = as_labels(labels).unique()
    if not len(unique) or int(unique.max()) >= spec.num_classes:
        raise InputError(f"labels must be some of {spec.describe_classes()}, counted from 0; got {list(labels)}.")
    return unique
