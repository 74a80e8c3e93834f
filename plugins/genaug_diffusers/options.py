"""The options of ``genaug.load("diffusers:...")``, validated, and as plain values for a recipe."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, ValidationError, model_validator

from genaug.backends.spec import MAX_CLASSES, MAX_NAME
from genaug.checks import SIDE, first_problem
from genaug.errors import InputError

MAX_STEPS = 10_000

Whole = Annotated[int, Strict()]
Text = Annotated[str, Field(max_length=2000)]
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
Prompts = Annotated[list[Text], Field(min_length=1, max_length=1000)]


def _as_lora(value: Any) -> Any:
    return {"source": value} if isinstance(value, str) else value


def _as_classes(value: Any) -> Any:
    return list(value) if hasattr(value, "__array__") else value


class Lora(BaseModel):
    """LoRA weights: a folder, a file or a Hub id, the name of the file in it, and how strongly they are applied."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Annotated[str, Field(min_length=1)]
    weight_name: str | None = None
    revision: str | None = None
    scale: Annotated[float, Field(ge=-10, le=10, allow_inf_nan=False)] = 1.0


class Options(BaseModel):
    """What the user chose; None is the pipeline's own default. Names are those of diffusers where it has them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    classes: Annotated[
        list[Name] | dict[Name, Annotated[Whole, Field(ge=0, lt=MAX_CLASSES)]] | None, BeforeValidator(_as_classes)
    ] = None
    prompt: Text | dict[str, Text | Prompts] | None = None
    negative_prompt: Text | None = None
    guidance_scale: Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)] | None = None
    num_inference_steps: Annotated[Whole, Field(ge=1, le=MAX_STEPS)] | None = None
    image_size: Annotated[Whole, Field(ge=1, le=SIDE)] | None = None
    lora: Annotated[Lora | None, BeforeValidator(_as_lora)] = None

    @model_validator(mode="after")
    def _classes_are_usable(self) -> "Options":
        if self.classes is not None and not self.classes:
            raise ValueError("classes= is empty: name at least one class")
        if self.classes is not None and len(set(self.classes)) != len(self.classes):
            raise ValueError("classes= names a class twice")
        return self

    def plain(self) -> dict[str, Any]:
        """The options as JSON values, without those that weren't chosen."""
        return self.model_dump(mode="json", exclude_none=True)


def parse_options(values: Mapping[str, Any]) -> Options:
    """Raises ``InputError`` naming the first invalid option."""
    try:
        return Options.model_validate(dict(values))
    except ValidationError as error:
        raise InputError(f"diffusers:… got an invalid option: {first_problem(error)}.") from error
