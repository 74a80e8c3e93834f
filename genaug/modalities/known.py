"""The modalities by kind."""

from collections.abc import Mapping, Sequence
from typing import Any

from genaug.modalities.base import Modality
from genaug.modalities.image import Image
from genaug.modalities.series import Series
from genaug.modalities.table import Table

MODALITIES: dict[str, type[Modality]] = {"image": Image, "series": Series, "table": Table}


def parse(value: Any) -> Any:
    """A mapping with a known ``kind`` as the modality it describes; anything else unchanged."""
    if not isinstance(value, Mapping):
        return value
    kind = value.get("kind")
    if not isinstance(kind, str) or kind not in MODALITIES:
        raise ValueError(f"unknown kind of sample {str(kind)[:100]!r}; known kinds: {', '.join(MODALITIES)}")
    return MODALITIES[kind].model_validate(value)


def modality_of(item: Any, preferred: Sequence[str] = ()) -> type[Modality]:
    """The modality of an item of a user's dataset: the first of the ``preferred`` kinds that accepts it, or else the
    first of all; without any, one whose reader explains the problem."""
    kinds = [kind for kind in preferred if kind in MODALITIES]
    kinds += [kind for kind in MODALITIES if kind not in kinds]
    accepting = [MODALITIES[kind] for kind in kinds if MODALITIES[kind].accepts(item)]
    return accepting[0] if accepting else MODALITIES[kinds[0]]
