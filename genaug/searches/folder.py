"""The folder of a search: its settings, Optuna's journal, the runs of trials, and the best trial's generator."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genaug.artifacts.claimed_folder import ClaimedFolder
from genaug.artifacts.claims import discard
from genaug.artifacts.settings import check_same_settings
from genaug.sources.loading import load_folder

if TYPE_CHECKING:
    from optuna.storages import JournalStorage

SETTINGS_FILE, JOURNAL, RUNS, BEST = "settings.json", "journal.log", "runs", "best"


class SearchFolder(ClaimedFolder):
    """The folder of a search at ``path``, which need not exist yet."""

    kind = "search"

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
