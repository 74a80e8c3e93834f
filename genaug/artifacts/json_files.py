"""Reading JSON that may be damaged or written by anyone: with a size limit, strict parsing, and a schema."""

import math
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from genaug.artifacts.paths import reading_from
from genaug.checks import first_problem
from genaug.errors import FormatError

MAX_BYTES = 2**28

T = TypeVar("T")


def read_json(path: Path, schema: TypeAdapter[T], remedy: str, *, limit: int = MAX_BYTES) -> T:
    """Read a JSON file and validate it with ``schema``; no more than ``limit`` bytes are read.

    Raises ``FormatError``, ending with ``remedy``, if the file is too large, isn't JSON or doesn't fit the schema, and
    ``ReadError`` if it can't be read.
    """
    return check(parse_json(read_bytes(path, limit), str(path), remedy), schema, str(path), remedy)


def read_json_lines(path: Path, schema: TypeAdapter[T], remedy: str) -> tuple[list[T], list[str]]:
    """The lines of a JSON Lines file that fit ``schema``, and a sentence for each damaged one, which is left out.

    A last line without a line break is incomplete, because the process that wrote it was killed: it is left out
    without a sentence. Raises ``FormatError`` for a file that is too large, ``ReadError`` if it can't be read.
    """
    entries, damage = [], []
    for number, line in enumerate(read_bytes(path, MAX_BYTES).split(b"\n")[:-1], 1):
        where = f"{path}, line {number}"
        try:
            entries.append(check(parse_json(line, where, remedy), schema, where, remedy))
        except FormatError as error:
            damage.append(str(error))
    return entries, damage


def read_bytes(path: Path, limit: int) -> bytes:
    """Read a file. Raises ``FormatError`` if it has more than ``limit`` bytes, ``ReadError`` if it can't be read."""
    with reading_from(path), open(path, "rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise FormatError(
            f"{path} is larger than {limit:,} bytes, which is the limit for this file. Choose another file."
        )
    return content


def parse_json(content: bytes, where: str, remedy: str, *, finite: bool = True) -> Any:
    """Parse strict JSON: UTF-8, no lone surrogates, at most 200 levels of nesting. Raises ``FormatError``.

    ``finite=False`` accepts NaN and infinities, for a schema that rejects them and names the field.
    """
    try:
        value = from_json(content, allow_inf_nan=not finite)
    except ValueError as error:
        raise FormatError(f"{where} is not valid JSON ({error}). {remedy}") from error
    if finite and _has_infinity(value):  # 1e309, which the parser reads as infinity
        raise FormatError(f"{where} contains a number that is too large for a float. {remedy}")
    return value


def parse_own(content: bytes, where: str, *, limit: int, version: int) -> dict[str, Any]:
    """The fields of a JSON file of genaug's own, up to a format version. Raises ``FormatError`` for a file that is
    larger than ``limit`` bytes, isn't JSON, isn't genaug's, or is of a later version."""
    if len(content) > limit:
        raise FormatError(f"{where} is larger than {limit:,} bytes, the limit for this file.")
    fields = parse_json(content, where, "Fetch or save it again.")
    if not isinstance(fields, dict) or fields.get("library") != "genaug":
        raise FormatError(f'{where} was not written by genaug (no "library": "genaug" in it).')
    actual = fields.get("format_version")
    if isinstance(actual, int) and actual > version:
        raise FormatError(
            f"{where} has format version {actual}; this genaug reads up to {version}. "
            "Update it: pip install --upgrade genaug"
        )
    return fields


def check(value: Any, schema: TypeAdapter[T], where: str, remedy: str) -> T:
    """Validate ``value`` with ``schema``. Raises ``FormatError`` naming the first invalid field."""
    try:
        return schema.validate_python(value)
    except ValidationError as error:
        raise FormatError(
            f"{where} is damaged or was not written by genaug: {first_problem(error)}. {remedy}"
        ) from error


def _has_infinity(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_infinity, value.values()))
    if isinstance(value, list):
        return any(map(_has_infinity, value))
    return isinstance(value, float) and not math.isfinite(value)
