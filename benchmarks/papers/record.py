"""Finished runs of a script, one flat JSON object a line in a tracked file, so that a second run goes on from there."""

import json
import sys
from pathlib import Path
from typing import Any

TUNING = 100  # seeds from here on were for tuning


class Record:
    """A file of finished runs. A run's key is the settings it was run with; its line holds the key and the result."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def done(self, key: dict[str, Any]) -> dict[str, Any] | None:
        """The line of the run with these settings, the last one if it was run again, or None."""
        return next(reversed(self.rows(key)), None)

    def add(self, key: dict[str, Any], result: dict[str, Any]) -> None:
        """Append a finished run."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = self._text()
        with self.path.open("a", encoding="utf-8") as file:  # on a line of its own, whatever was cut off before it
            file.write("\n" * (text != "" and not text.endswith("\n")) + json.dumps({**key, **result}) + "\n")

    def rows(self, match: dict[str, Any]) -> list[dict[str, Any]]:
        """The lines with all of these settings, in order. What was cut off by a crash is passed over."""
        wanted = json.loads(json.dumps(match))  # as it reads in the file: a tuple is a list there
        found = (_parsed(line) for line in self._text().splitlines())
        return [row for row in found if row and all(name in row and row[name] == wanted[name] for name in wanted)]

    def _text(self) -> str:
        return self.path.read_text(encoding="utf-8") if self.path.is_file() else ""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def cost(seconds_per_unit: float, units: float) -> str:
    """How long so many units of work take, in hours."""
    return f"{seconds_per_unit * units / 3600:.1f} h"


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None
