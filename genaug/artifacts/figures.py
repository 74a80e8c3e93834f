"""``evaluation.json``: the measurements of a source, in its own folder or beside a generator's ``config.json``.

    {"weights_sha256": "…", "metrics": {"fid": {"value": 12.3, "uncertainty": 0.4, "samples": 10000, …}, …}}

Beside a generator, ``weights_sha256`` says which weights were measured, and beside a recipe ``recipe_sha256`` which
recipe, so that figures are never taken for those of others.
"""

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from genaug.artifacts.claims import Claim, claim
from genaug.artifacts.json_files import parse_json, read_bytes
from genaug.artifacts.manifest import read_manifest
from genaug.artifacts.paths import reading_from
from genaug.artifacts.recipe import is_recipe, read_recipe
from genaug.checks import first_problem
from genaug.errors import FormatError

EVALUATION_FILE = "evaluation.json"
MAX_EVALUATION_BYTES = 2**22
MAX_CLASSES = 1000  # with figures per class
_PER_CLASS = ("value", "low", "high", "samples", "reference")  # the fields of a figure per class that are written

Words = Annotated[str, Field(max_length=300)]
MetricName = Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,63}$")]


class Figure(BaseModel):
    """One measured figure. Unknown fields are None.

    ``uncertainty`` is one standard deviation, ``low`` and ``high`` bound a 95% interval; ``samples`` is the number of
    generated samples, ``seeds`` the number of independent runs; ``features`` names the features in which distances were
    measured; ``dataset`` and ``split`` are what it was measured against; ``reference`` is the score of real images;
    ``passed`` is the verdict of a check, such as of copying, and ``rule`` the criterion.

    Other fields are kept if they are finite numbers, as ``details``, and ignored otherwise.
    """

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    value: FiniteFloat | None = None
    uncertainty: Annotated[FiniteFloat, Field(ge=0)] | None = None
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None
    unit: Words | None = None
    samples: Annotated[int, Field(ge=1)] | None = None
    seeds: Annotated[int, Field(ge=1)] | None = None
    features: Words | None = None
    dataset: Words | None = None
    split: Words | None = None
    reference: FiniteFloat | None = None
    passed: bool | None = None
    rule: Annotated[str, Field(max_length=1000)] | None = None
    note: Words | None = None

    @model_validator(mode="before")
    @classmethod
    def _drop_other_fields(cls, fields: Any) -> Any:
        if not isinstance(fields, Mapping):
            return fields
        return {name: value for name, value in fields.items() if name in cls.model_fields or _is_detail(name, value)}

    @property
    def details(self) -> dict[str, float]:
        """Additional numbers of this figure by name, such as the shares that decide a check."""
        return dict(self.model_extra or {})


def _is_detail(name: Any, value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300 and isfinite(value)
    return number and isinstance(name, str) and name.isidentifier() and name.isascii() and len(name) <= 64


class Figures(BaseModel):
    """The content of ``evaluation.json``: figures by the metric's name ("fid", "copying", "gain", …).

    ``per_class`` has the same per class, by the class's name.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    weights_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    recipe_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    metrics: Annotated[dict[MetricName, Figure], Field(max_length=200)] = {}
    per_class: Annotated[
        dict[Words, Annotated[dict[MetricName, Figure], Field(max_length=50)]], Field(max_length=MAX_CLASSES)
    ] = {}

    @property
    def copying_failed(self) -> bool:
        """Whether any check of copying ran and failed."""
        return any(is_about_copying(name) and figure.passed is False for name, figure in self.metrics.items())


def is_about_copying(name: str) -> bool:
    """Whether a metric is about copies of training images, by its name: "copying", "near_duplicates"."""
    return any(word in name for word in ("copy", "copi", "duplicate"))


def parse_evaluation(content: Any, where: str) -> Figures:
    """Validate content that was read from JSON. Raises ``FormatError`` naming the first invalid field."""
    try:
        return Figures.model_validate(content)
    except ValidationError as error:
        raise FormatError(
            f"{where} is not a valid evaluation: {first_problem(error)}. Measure again, or correct it: each "
            'metric is an object such as {"value": 12.3, "uncertainty": 0.4, "samples": 10000}.'
        ) from error


def read_evaluation(folder: Path) -> Figures | None:
    """The evaluation in a generator's folder; None if there is none. Raises ``FormatError`` if it is invalid, and
    ``ReadError`` if it can't be read."""
    path = folder / EVALUATION_FILE
    with reading_from(path):
        if not path.is_file():
            return None
    content = read_bytes(path, MAX_EVALUATION_BYTES)
    return parse_evaluation(parse_json(content, str(path), "Measure again, or remove it.", finite=False), str(path))


def write_evaluation(
    folder: Path,
    metrics: Mapping[str, Mapping[str, Any]],
    per_class: Mapping[str, Mapping[str, Mapping[str, Any]]] | None = None,
) -> Path:
    """Write ``evaluation.json`` beside a generator's ``config.json``, with the hash of the weights that this describes,
    or beside a ``recipe.json``, with the recipe's hash.

    ``metrics`` are figures by name, each with the fields of ``Figure`` and any others;
    ``per_class`` are figures by class and name, left out above 1,000 classes. Raises ``FormatError`` for a folder
    without either and for invalid figures, ``SaveError`` if writing fails.
    """
    content: dict[str, Any] = {**measured_subject(folder), "metrics": metrics}
    if per_class and len(per_class) <= MAX_CLASSES:
        content["per_class"] = {
            label[:300]: {
                name: {field: figure[field] for field in _PER_CLASS if figure.get(field) is not None}
                for name, figure in figures.items()
            }
            for label, figures in per_class.items()
        }
    parse_evaluation(content, "what was measured")
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with claim_generator(folder, "the figures of an evaluation") as place:
        place.write({EVALUATION_FILE: text.encode()})
    return place.path / EVALUATION_FILE


def measured_subject(folder: Path) -> dict[str, str]:
    """The field of ``Figures`` that says what was measured, for a folder of a generator or a recipe."""
    if is_recipe(folder):
        return {"recipe_sha256": read_recipe(folder).sha256}
    return {"weights_sha256": read_manifest(folder).weights.sha256}


def claim_generator(folder: str | Path, what: str) -> AbstractContextManager[Claim]:
    """Claim the folder of a generator or a recipe, of any origin, to write something beside it."""
    return claim(folder, None, what=what, replace=True, join=True)
