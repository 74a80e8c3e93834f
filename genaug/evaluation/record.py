"""``evaluation.json``: what was measured of a generator, beside its ``config.json``.

    {"weights_sha256": "…", "metrics": {"fid": {"value": 12.3, "uncertainty": 0.4, "samples": 10000, …}, …}}

``weights_sha256`` says which weights were measured, so that figures never outlive them.
"""

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from genaug import storage
from genaug.claims import Claim, claim
from genaug.errors import FormatError

EVALUATION_FILE = "evaluation.json"
MAX_EVALUATION_BYTES = 2**20

Words = Annotated[str, Field(max_length=300)]


class Figure(BaseModel):
    """One measured figure. What isn't known is left out; what this version doesn't know is ignored.

    ``uncertainty`` is one standard deviation, ``low`` and ``high`` bound a 95 % interval; ``samples`` is how many
    generated samples, ``seeds`` how many independent runs it rests on; ``features`` is in which features distances were
    taken; ``dataset`` and ``split`` are what it was measured against; ``passed`` is the verdict of a check, such as of
    copying.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

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
    passed: bool | None = None
    note: Words | None = None


class Evaluation(BaseModel):
    """The content of ``evaluation.json``: figures by the metric's name ("fid", "copying", "gain", …)."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    weights_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    metrics: Annotated[
        dict[Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,63}$")], Figure], Field(max_length=200)
    ] = {}

    @property
    def copying_failed(self) -> bool:
        """Whether any check of copying ran and failed."""
        return any(name.startswith("copying") and figure.passed is False for name, figure in self.metrics.items())


def parse_evaluation(content: Any, where: str) -> Evaluation:
    """Validate what was read from JSON. Raises ``FormatError`` naming the first thing that is wrong."""
    try:
        return Evaluation.model_validate(content)
    except ValidationError as error:
        raise FormatError(
            f"{where} is no valid evaluation: {storage.first_problem(error)}. Measure again, or correct it: each "
            'metric is an object such as {"value": 12.3, "uncertainty": 0.4, "samples": 10000}.'
        ) from error


def read_evaluation(folder: Path) -> Evaluation | None:
    """The evaluation that lies in a generator's folder; None where there is none. Raises ``FormatError``."""
    path = folder / EVALUATION_FILE
    if not path.is_file():
        return None
    with open(path, "rb") as file:
        content = file.read(MAX_EVALUATION_BYTES + 1)
    if len(content) > MAX_EVALUATION_BYTES:
        raise FormatError(f"{path} is larger than {MAX_EVALUATION_BYTES} bytes; no {EVALUATION_FILE} of genaug is.")
    try:
        return parse_evaluation(json.loads(content), str(path))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path} is not valid JSON ({error}). Measure again, or remove it.") from error


def write_evaluation(folder: Path, metrics: Mapping[str, Mapping[str, Any]]) -> Path:
    """Write ``evaluation.json`` beside a generator's ``config.json``, bound to the weights that this describes.

    ``metrics`` are figures by name, each with the fields of ``Figure`` and whatever else its reader may want. Raises
    ``FormatError`` for a folder without a generator and for invalid figures, ``SaveError`` where writing fails.
    """
    content = {"weights_sha256": storage.read_manifest(folder).weights.sha256, "metrics": metrics}
    parse_evaluation(content, "what was measured")
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with claim_generator(folder, "the figures of an evaluation") as place:
        place.write({EVALUATION_FILE: text.encode()})
    return place.path / EVALUATION_FILE


def claim_generator(folder: str | Path, what: str) -> AbstractContextManager[Claim]:
    """Claim the folder of a generator to write something beside it: a run's, a saved one, or one from anywhere."""
    return claim(folder, None, what=what, replace=True, join=True)
