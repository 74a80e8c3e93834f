"""The options of ``genaug.load("diffusers:...")``, checked, and as plain values for a recipe."""

import os
from collections.abc import Callable, Mapping, Set
from dataclasses import asdict, dataclass, fields
from typing import Any, SupportsFloat

from genaug.backends.spec import MAX_CLASSES, MAX_NAME
from genaug.checks import SIDE, as_whole
from genaug.errors import InputError

MAX_STEPS = 10_000
_MAX_TEXT = 2000
_MAX_PROMPTS = 1000
_MAX_SCALE = 10
_CLASSES = "a list of class names, such as ['cat', 'dog'], or a mapping of class name to the pipeline's number of it"
_PROMPT = "a template such as 'a photo of a {}', or a mapping of class name to a prompt or to a list of prompts"
_LORA = (
    "a folder, a .safetensors file or a Hub id (owner/name), or a mapping with source and, as needed, weight_name, "
    "revision and scale"
)

Prompts = dict[str, str | list[str]]


@dataclass(frozen=True)
class Lora:
    """LoRA weights: a folder, a file or a Hub id, the name of the file in it, and how strongly they are applied."""

    source: str
    weight_name: str | None = None
    revision: str | None = None
    scale: float = 1.0


@dataclass(frozen=True)
class Options:
    """What the user chose; None is the pipeline's own default. Names are those of diffusers where it has them."""

    classes: list[str] | dict[str, int] | None = None
    prompt: str | Prompts | None = None
    negative_prompt: str | None = None
    guidance_scale: float | None = None
    num_inference_steps: int | None = None
    image_size: int | None = None
    lora: Lora | None = None

    def plain(self) -> dict[str, Any]:
        """The options as JSON values, without those that weren't chosen."""
        values = {name: value for name, value in asdict(self).items() if value is not None}
        if self.lora is not None:
            values["lora"] = {name: value for name, value in values["lora"].items() if value is not None}
        return values


def parse_options(values: Mapping[str, Any]) -> Options:
    """The options with these values; None stands for one that wasn't chosen. Raises ``InputError`` for the first that
    is invalid."""
    return Options(**{name: None if value is None else _CHECKS[name](name, value) for name, value in values.items()})


def _classes(name: str, value: Any) -> list[str] | dict[str, int]:
    if isinstance(value, Mapping):
        names = list(value)
    elif isinstance(value, str | bytes | Set) or not hasattr(value, "__iter__"):
        raise _invalid(name, value, _CLASSES + ("; a set has no order" if isinstance(value, Set) else ""))
    else:
        names = value = list(value)
    if not names:
        raise InputError(f"{name}={value!r} names no class. Expected {_CLASSES}.")
    for class_name in names:
        if not isinstance(class_name, str) or not 1 <= len(class_name) <= MAX_NAME:
            raise InputError(
                f"{name}= contains {_short(class_name)}, which can't be the name of a class. Expected texts of 1 to "
                f"{MAX_NAME} characters."
            )
    repeated = [class_name for index, class_name in enumerate(names) if class_name in names[:index]]
    if repeated:
        raise InputError(f"{name}= names the class {repeated[0]!r} twice. Name each class once.")
    if not isinstance(value, Mapping):
        return [str(class_name) for class_name in names]
    return {key: as_whole(number, f"{name}[{key!r}]", 0, MAX_CLASSES - 1) for key, number in value.items()}


def _prompt(name: str, value: Any) -> str | Prompts:
    if isinstance(value, str):
        return _text(name, value)
    if not isinstance(value, Mapping):
        raise _invalid(name, value, _PROMPT)
    prompts: Prompts = {}
    for class_name, entry in value.items():
        if not isinstance(class_name, str):
            raise InputError(
                f"{name}= maps {_short(class_name)}, which can't be the name of a class. Expected {_PROMPT}."
            )
        place = f"{name}[{class_name[:100]!r}]"
        if isinstance(entry, list | tuple):
            if not 1 <= len(entry) <= _MAX_PROMPTS:
                raise InputError(f"{place} lists {len(entry):,} prompts. Expected 1 to {_MAX_PROMPTS:,}.")
            prompts[class_name] = [_text(f"{place}[{index}]", text) for index, text in enumerate(entry)]
        else:
            prompts[class_name] = _text(place, entry, "a prompt or a list of prompts")
    return prompts


def _text(name: str, value: Any, expected: str = "a text") -> str:
    if not isinstance(value, str):
        raise _invalid(name, value, expected)
    if len(value) > _MAX_TEXT:
        raise InputError(f"{name} has {len(value):,} characters, but the limit is {_MAX_TEXT:,}. Shorten it.")
    return value


def _number(name: str, value: Any, least: float, most: float) -> float:
    is_number = isinstance(value, SupportsFloat) and not isinstance(value, bool | str)
    if not is_number or not least <= float(value) <= most:  # NaN isn't
        raise _invalid(name, value, f"a number from {least:g} to {most:g}")
    return float(value)


def _lora(name: str, value: Any) -> Lora:
    if isinstance(value, str | os.PathLike):
        value = {"source": value}
    if not isinstance(value, Mapping):
        raise _invalid(name, value, _LORA)
    known = [field.name for field in fields(Lora)]
    unknown = [key for key in value if key not in known]
    if unknown:
        raise InputError(f"{name}= has no entry {_short(unknown[0])}. Expected {', '.join(known)}.")
    source = value.get("source")
    source = os.fspath(source) if isinstance(source, os.PathLike) else source
    if not isinstance(source, str) or not source.strip():
        problem = "has no source" if source is None else f"has the source {_short(source)}"
        raise InputError(f"{name}= {problem}. Expected {_LORA}.")
    names = {key: _text(f"{name}[{key!r}]", value[key]) for key in known[1:3] if value.get(key) is not None}
    scale = value.get("scale")
    number = 1.0 if scale is None else _number(f"{name}['scale']", scale, -_MAX_SCALE, _MAX_SCALE)
    return Lora(source, **names, scale=number)


def _invalid(name: str, value: Any, expected: str) -> InputError:
    return InputError(f"{name}={_short(value)} can't be used. Expected {expected}.")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "classes": _classes,
    "prompt": _prompt,
    "negative_prompt": _text,
    "guidance_scale": lambda name, value: _number(name, value, 0, 1000),
    "num_inference_steps": lambda name, value: as_whole(value, name, 1, MAX_STEPS),
    "image_size": lambda name, value: as_whole(value, name, 1, SIDE),
    "lora": _lora,
}
