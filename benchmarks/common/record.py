"""Finished runs of a script, one JSON object per line of a tracked file, from which a later run continues."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "results"  # tracked: the records and their figures
Row = dict[str, Any]
TUNING = 100  # seeds from here on are for tuning


class Record:
    """A file of finished runs. A run's key is the settings it was run with; its line holds the key and the result."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def done(self, key: Row) -> Row | None:
        """The last line of the run with these settings, or None."""
        return next(reversed(self.rows(key)), None)

    def add(self, key: Row, result: Row) -> None:
        """Append a finished run."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = self._text()
        with self.path.open("a", encoding="utf-8") as file:  # on its own line, even after a line that was cut off
            file.write("\n" * (text != "" and not text.endswith("\n")) + json.dumps({**key, **result}) + "\n")

    def finish(self, keys: Iterable[Row], run: Callable[[Row], Row]) -> list[Row]:
        """The lines of the runs with these settings, in order. Runs that aren't recorded are run and added."""
        rows = []
        for key in keys:
            if self.done(key) is None:
                self.add(key, run(key))
            rows += self.rows(key)[-1:]
        return rows

    def rows(self, match: Row) -> list[Row]:
        """The lines with all of these settings, in order, without any that a crash cut off."""
        return self._split(match)[0]

    def replace(self, match: Row, rows: Iterable[Row]) -> None:
        """Atomically replace the lines with all of the settings ``match`` by ``rows``, at the end."""
        lines = [*self._split(match)[1], *({**match, **row} for row in rows)]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_suffix(".new")
        new.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        new.replace(self.path)

    def _split(self, match: Row) -> tuple[list[Row], list[Row]]:
        """The lines with all of these settings, and the others."""
        settings = json.loads(json.dumps(match)).items()  # as in the file, where a tuple is a list
        rows = [row for line in self._text().splitlines() if (row := _parsed(line))]
        return [row for row in rows if settings <= row.items()], [row for row in rows if not settings <= row.items()]

    def _text(self) -> str:
        return self.path.read_text(encoding="utf-8") if self.path.is_file() else ""


def _parsed(line: str) -> Row | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None
