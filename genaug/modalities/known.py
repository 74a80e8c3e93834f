"""The modalities by kind."""

from collections.abc import Mapping
from typing import Any

from genaug.modalities.base import Modality
from genaug.modalities.image import Image
from genaug.modalities.table import Table

MODALITIES: dict[str, type[Modality]] = {"image": Image, "table": Table}


def parse(value: Any) -> Any:
    """A mapping with a known ``kind`` as the modality it describes; anything else unchanged."""
    if not isinstance(value, Mapping):
        return value
    kind = value.get("kind")
    if not isinstance(kind, str) or kind not in MODALITIES:
        raise ValueError(f"unknown kind of sample {str(kind)[:100]!r}; known kinds: {', '.join(MODALITIES)}")
    return MODALITIES[kind].model_validate(value)


def modality_of(item: Any) -> type[Modality]:
    """The modality of an item of a user's dataset; ``Image`` if none accepts it, whose reader explains the problem."""
    return next((modality for modality in MODALITIES.values() if modality.accepts(item)), Image)
