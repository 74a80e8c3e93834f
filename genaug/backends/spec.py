"""The description of a source: its samples, classes, latents and conditions."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from genaug.backends.latents import AnyLatent, Latent
from genaug.escaping import escaped
from genaug.modalities.base import Modality
from genaug.modalities.known import parse

MAX_CLASSES = 100_000
MAX_NAME = 200

DOMAINS = ("a", "b")  # the names of domains that have no others

DomainName = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
Sample = Annotated[SerializeAsAny[Modality], BeforeValidator(parse)]


class Classes(BaseModel):
    """The classes of a source: ``count`` of them, labeled from 0, and their names in order, if any."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: Annotated[int, Field(ge=1, le=MAX_CLASSES)]
    names: tuple[Annotated[str, Field(max_length=MAX_NAME)], ...] | None = None

    @model_validator(mode="after")
    def _names_fit(self) -> "Classes":
        if self.names is not None and len(self.names) != self.count:
            raise ValueError(f"{len(self.names)} class names for {self.count} classes")
        if self.names is not None and len(set(self.names)) != len(self.names):
            raise ValueError("class names repeat")
        return self


def _as_classes(value: Any) -> Any:
    """A count (0: none) or names as ``Classes``; anything else unchanged."""
    if isinstance(value, int) and not isinstance(value, bool):
        return Classes(count=value) if value else None
    if isinstance(value, Sequence) and not isinstance(value, str):
        return Classes(count=len(value), names=tuple(value))
    return value


class Condition(BaseModel):
    """A named sample that ``generate`` also needs: the source image of a translation, the small image to upscale.

    ``domains`` are the names of the two domains of a translation: that of the condition, and that of the samples.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    sample: Sample
    domains: tuple[DomainName, DomainName] = DOMAINS

    @model_validator(mode="after")
    def _domains_differ(self) -> "Condition":
        if self.domains[0] == self.domains[1]:
            raise ValueError("both domains have the same name")
        return self

    @model_serializer(mode="wrap")
    def _without_default_names(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = serialize(self)
        return {name: value for name, value in fields.items() if name != "domains" or tuple(value) != DOMAINS}


class Spec(BaseModel):
    """The samples of a source, and its ``classes`` if it takes labels, which are int64 in [0, count).

    ``classes`` may be passed as a number or as names: ``Spec(sample=Image(3, 32, 32), classes=("cat", "dog"))``.
    ``recognized`` are the classes that the backend's ``classify`` tells apart, if those aren't ``classes``: with
    domains as the classes, for instance, those of the objects in the images.
    Bounds are checked before anything is allocated, so that a hostile config can't exceed them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sample: Sample
    classes: Annotated[Classes | None, BeforeValidator(_as_classes)] = None
    latents: Annotated[tuple[AnyLatent, ...], Field(max_length=64)] = ()
    conditions: Annotated[tuple[Condition, ...], Field(max_length=8)] = ()
    recognized: Annotated[Classes | None, BeforeValidator(_as_classes)] = None

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            sample: Modality | Mapping[str, Any],
            classes: Classes | Sequence[str] | int | None = None,
            latents: Sequence[Latent] = (),
            conditions: Sequence[Condition] = (),
            recognized: Classes | Sequence[str] | int | None = None,
        ) -> None: ...

    @model_validator(mode="after")
    def _names_differ(self) -> "Spec":
        for what, items in (("latent", self.latents), ("condition", self.conditions)):
            if len({item.name for item in items}) != len(items):
                raise ValueError(f"{what} names repeat")
        return self

    @model_serializer(mode="wrap")
    def _without_empty_recognized(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = serialize(self)
        return {name: value for name, value in fields.items() if name != "recognized" or value is not None}

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample: (channels, height, width) of an image."""
        return self.sample.shape

    @property
    def num_classes(self) -> int:
        """0 if the source takes no labels."""
        return 0 if self.classes is None else self.classes.count

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The classes' names in label order; None if they have none."""
        return None if self.classes is None else self.classes.names

    @property
    def of_classifier(self) -> "Spec":
        """This spec with the classes of the logits of ``classify`` as its classes."""
        return self if self.recognized is None else self.model_copy(update={"classes": self.recognized})

    @property
    def takes_labels(self) -> bool:
        return self.classes is not None

    def describe_classes(self) -> str:
        """For messages: "no labels", "10 classes", "3 classes (cat, dog, owl)"; control characters are escaped."""
        if self.classes is None:
            return "no labels"
        if self.classes.names is None:
            return count_of_classes(self.num_classes)
        names = ", ".join(map(escaped, self.classes.names[:12])) + (", …" if self.num_classes > 12 else "")
        return f"{count_of_classes(self.num_classes)} ({names})"


def count_of_classes(count: int) -> str:
    """For messages: "1 class", "1,000 classes"."""
    return f"{count:,} class{'' if count == 1 else 'es'}"
