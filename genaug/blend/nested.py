"""Blends of blends."""

from typing import Any

from genaug.data.items import parts_of
from genaug.errors import InputError


def blends_in(real: Any) -> list[Any]:
    """The blends that a real set consists of, through Subset and ConcatDataset."""
    if hasattr(real, "generated_mask"):
        return [real]
    return [inner for part in parts_of(real) for inner in blends_in(part)]


def check_blends_in(real: Any) -> None:
    """Raises ``InputError`` if a real set consists of blends that change so much that another can't build on them."""
    for inner in blends_in(real):
        if inner.changes == "labels":
            raise InputError(
                "the real set is a blend whose labels change with every epoch (mode='replace' with balance="
                f"{inner.balance!r}), which another blend can't build on. Make it the outer one."
            )
        if inner.changes == "length":
            raise InputError(
                "the real set is a blend whose number of items changes with the epoch (mode='expand' with a schedule), "
                "which another blend can't build on. Make it the outer one, or use mode='replace'."
            )
