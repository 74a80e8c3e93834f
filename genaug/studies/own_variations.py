"""Variations of every seed's own training samples, as a source of a study."""

from typing import Any

from genaug.sources.variations import Variations, variations


def own_variations(
    editor: Any, dataset: Any, seed: int, *, strength: float = 0.5, to: str | int | None = None
) -> Variations:
    """``genaug.variations`` of a seed's training set. With ``editor`` bound by ``functools.partial``, it is a source of
    ``genaug.study``."""
    return variations(editor, dataset, strength, to)
