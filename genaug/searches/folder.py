"""The folder of a search: its settings, Optuna's journal, the runs of trials, and the best trial's generator."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genaug.artifacts.claims import Claim, claim, discard
from genaug.artifacts.folders import resolve
from genaug.artifacts.settings import check_same_settings
from genaug.errors import InputError
from genaug.sources.loading import load_folder

if TYPE_CHECKING:
    from optuna.storages import JournalStorage

SETTINGS_FILE, JOURNAL, RUNS, BEST = "settings.json", "journal.log", "runs", "best"
_OPTIONS = (
    "Choose another folder, or pass resume=True (--resume) to continue the search in it or overwrite=True "
    "(--overwrite) to replace it."
)


class SearchFolder:
    """The folder of a search at ``path``, which need not exist yet."""

    def __init__(self, path: str | Path) -> None:
        self.path = resolve(path)
        self._claim: Claim | None = None

    @contextmanager
    def claimed(self, *, resume: bool, overwrite: bool) -> Iterator[None]:
        """Claim the folder within the block. Nothing in it changes until ``open``.

        Raises ``OutputExistsError`` if the folder contains anything else, if it contains a search and neither
        ``resume`` nor ``overwrite`` is true, and if another process writes to it.
        """
        with claim(self.path, "search", replace=resume or overwrite, options=_OPTIONS) as self._claim:
            yield

    @property
    def _claimed(self) -> Claim:
        if self._claim is None:
            raise InputError(f"{self.path} isn't claimed by this process. Write to it within claimed().")
        return self._claim

    def open(self, settings: Mapping[str, Any], *, resume: bool) -> None:
        """Start a search, removing an older one, or continue the existing one.

        Raises ``InputError`` if the search to resume was started with other settings or data.
        """
        file = self.path / SETTINGS_FILE
        if resume and file.exists():
            check_same_settings(file, settings, "search")
        else:  # also with ``resume``, if the search was killed before it had written anything
            self._claimed.clear()
        self._claimed.declare([JOURNAL, f"{BEST}/"])
        self._claimed.write({SETTINGS_FILE: (json.dumps(settings, indent=2) + "\n").encode()})

    def journal(self) -> "JournalStorage":
        """Optuna's storage in the folder."""
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        lock = self.path / f"{JOURNAL}.lock"
        lock.unlink(missing_ok=True)  # of a killed process: this one has the folder to itself
        return JournalStorage(JournalFileBackend(str(self.path / JOURNAL)))

    def run(self, options: Mapping[str, Any]) -> Path:
        """The folder of the training with these options."""
        digest = hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()[:12]
        self._claimed.declare([f"{RUNS}/{digest}/"])
        return self.path / RUNS / digest

    def keep(self, run: Path) -> None:
        """Save the generator of a run as the best one."""
        load_folder(run).save(self.path / BEST, overwrite=True)

    def finish(self, contents: Mapping[str, bytes]) -> None:
        """Write the report, all files or none, and remove what is left of the runs."""
        self._claimed.write(contents)
        discard(self.path / RUNS)
