"""The settings that a study or a search was started with, compared with those of the call that resumes it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from genaug.artifacts.json_files import read_json
from genaug.errors import FormatError, InputError

_SETTINGS = TypeAdapter(dict[str, Any])


def check_same_settings(file: Path, settings: Mapping[str, Any], what: str) -> None:
    """Raises ``InputError`` if ``settings`` differ from those in a file, or if that is damaged; ``what`` is resumed."""
    try:
        before = read_json(file, _SETTINGS, "")
    except FormatError as error:
        raise InputError(
            f"{file} is damaged, so the {what} can't be resumed. Start again in another folder. ({error})"
        ) from error
    if difference := _first_difference(before, json.loads(json.dumps(settings))):
        name, old, new = difference
        raise InputError(
            f"the {what} in {file.parent} can't be resumed: {name} was {_short(old)}, now it is {_short(new)}. "
            "Results of different settings can't be combined: use the same settings, or another folder."
        )


def _first_difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, Any, Any] | None:
    """The dotted name of the first setting that differs, and its two values; a missing one is the same as null."""
    for name in sorted(set(before) | set(now)):
        old, new = before.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            if difference := _first_difference(old, new):
                return f"{name}.{difference[0]}", *difference[1:]
        elif old != new:
            return name, old, new
    return None


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 200 else text[:199] + "…"
