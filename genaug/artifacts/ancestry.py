"""The ancestors of a fine-tuned generator, as its training record lists them."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

KEY = "init"  # in the training record
_MOST = 32


class Ancestor(BaseModel):
    """A generator that another one was fine-tuned from: its Hub id or the name of its folder, and its weights' hash."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=200)]
    on_hub: bool = False
    weights_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Origin(Ancestor):
    """The nearest ancestor: ``networks`` are those whose weights were taken from it, ``ancestors`` are its own."""

    networks: tuple[Annotated[str, Field(max_length=64)], ...] = ()
    ancestors: Annotated[tuple[Ancestor, ...], Field(max_length=_MOST)] = ()

    def lineage(self) -> tuple[Ancestor, ...]:
        """This ancestor and its own, the nearest first."""
        nearest = Ancestor(name=self.name, on_hub=self.on_hub, weights_sha256=self.weights_sha256)
        return (nearest, *self.ancestors)[:_MOST]


def origin_of(training: Mapping[str, Any]) -> Origin | None:
    """The origin in a training record; None if there is none, or if genaug didn't write it."""
    try:
        return Origin.model_validate(training[KEY]) if training.get(KEY) is not None else None
    except ValidationError:
        return None
