"""What a source of samples makes and what it takes: the contract between generators and everybody else."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from genaug.checks import SIDE
from genaug.escaping import escaped

MAX_CLASSES = 100_000
MAX_NAME = 200

Side = Annotated[int, Field(ge=1, le=SIDE)]


class Latent(BaseModel):
    """One named group of latent inputs.

    ``normal`` is N(0, 1) in ``size`` dimensions, ``uniform`` is U(-1, 1) in ``size`` dimensions,
    ``categorical`` is one of ``size`` equally likely categories (passed as int64 indices, shape (N,)).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")] = "z"
    kind: Literal["normal", "uniform", "categorical"] = "normal"
    size: Annotated[int, Field(ge=1, le=65536)]


class Spec(BaseModel):
    """Shape, classes and latent layout of what a source makes.

    ``shape`` is (channels, height, width). ``num_classes`` is 0 where the source takes no labels; labels are
    int64 in [0, num_classes). ``classes`` are the classes' names in label order, or None where they have none.
    The bounds are checked before anything is allocated, so a hostile config can't ask for more.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["image"] = "image"
    shape: tuple[Annotated[int, Field(ge=1, le=4)], Side, Side]
    num_classes: Annotated[int, Field(ge=0, le=MAX_CLASSES)] = 0
    classes: tuple[Annotated[str, Field(max_length=MAX_NAME)], ...] | None = None
    latents: Annotated[tuple[Latent, ...], Field(max_length=64)] = ()

    @model_validator(mode="after")
    def _names_fit(self) -> "Spec":
        if self.classes is not None and len(self.classes) != self.num_classes:
            raise ValueError(f"{len(self.classes)} class names for {self.num_classes} classes")
        if self.classes is not None and len(set(self.classes)) != len(self.classes):
            raise ValueError("class names repeat")
        if len({latent.name for latent in self.latents}) != len(self.latents):
            raise ValueError("latent names repeat")
        return self

    @property
    def takes_labels(self) -> bool:
        return self.num_classes > 0

    def describe_classes(self) -> str:
        """For messages: "no labels", "10 classes", "3 classes (cat, dog, owl)"; control characters are escaped."""
        if not self.takes_labels:
            return "no labels"
        if self.classes is None:
            return f"{self.num_classes} classes"
        names = ", ".join(map(escaped, self.classes[:12])) + (", …" if len(self.classes) > 12 else "")
        return f"{self.num_classes} classes ({names})"
