"""Sample grids of translations: samples beside their translations."""

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from genaug.data.reading import Samples
from genaug.escaping import one_line
from genaug.modalities.base import Modality
from genaug.reports.sheet import Block, draw_sheet
from genaug.sources.generator import Generator

COLUMNS = 4
MOST = 40  # samples, if there are no classes
_LONGEST = 20


def translation_blocks(
    generator: Generator,
    samples: Tensor,
    *,
    to: str | None = None,
    labels: Tensor | None = None,
    rows: Tensor | None = None,
    targets: Tensor | None = None,
) -> list[Block]:
    """Raw samples (N, ...), their translations into the domain ``to`` and, if there are any, the true ones.

    ``labels`` are for a generator that takes them, ``rows`` are the labels of the grid's rows, if it has any.
    """
    own, target = (_heading(name) for name in generator.translation(to).conditions[0].domains)
    outputs = generator.translate(samples, labels, to=to, seed=0).cpu()
    blocks = [Block(samples.cpu(), rows, own), Block(outputs, rows, f"to {target}")]
    return blocks if targets is None else [*blocks, Block(targets.cpu(), rows, f"real {target}")]


def draw_translations(blocks: Sequence[Block], modality: Modality, classes: Sequence[str] | None = None) -> Image.Image:
    """The blocks side by side: the same place in each is the same sample."""
    return draw_sheet(*blocks, classes=classes, columns=COLUMNS, sample=modality)


def draw_training_translations(generator: Generator, data: Samples) -> Image.Image:
    """Translations of some of the training samples, in both directions if the generator has both."""
    condition = generator.spec.conditions[0]
    sources = data.conditions[condition.name]
    rows = _some(len(sources))
    labels = data.labels[rows] if generator.spec.takes_labels and data.labels is not None else None
    targets = None if data.unpaired else data.x[rows]
    blocks = translation_blocks(generator, sources[rows], labels=labels, targets=targets)
    if generator.offers("reverse"):
        rows = _some(len(data.x))
        labels = rows % generator.spec.num_classes if generator.spec.takes_labels else None
        blocks += translation_blocks(generator, data.x[rows], to=condition.domains[0], labels=labels)
    return draw_translations(blocks, generator.spec.sample)


def _some(size: int) -> Tensor:
    """Rows that fill the grid, evenly spread over ``size`` samples."""
    count = min(size, MOST)
    return torch.arange(count) * size // count


def _heading(name: str) -> str:
    name = one_line(name)
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"
