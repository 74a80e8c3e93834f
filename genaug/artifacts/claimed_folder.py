"""The folder of a work that is claimed while it runs, such as a study or a search, and may be resumed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from genaug.artifacts.claims import Claim, claim
from genaug.artifacts.folders import resolve
from genaug.errors import InputError


class ClaimedFolder:
    """The folder at ``path``, which need not exist yet. Subclasses name the ``kind`` of work."""

    kind: ClassVar[str]

    def __init__(self, path: str | Path) -> None:
        self.path = resolve(path)
        self._claim: Claim | None = None

    @contextmanager
    def claimed(self, *, resume: bool, overwrite: bool) -> Iterator[None]:
        """Claim the folder within the block. Nothing in it changes until it is opened.

        Raises ``OutputExistsError`` if the folder contains anything else, if it contains work of this kind and neither
        ``resume`` nor ``overwrite`` is true, and if another process writes to it.
        """
        options = (
            f"Choose another folder, or pass resume=True (--resume) to go on with the {self.kind} in it or "
            "overwrite=True (--overwrite) to replace it."
        )
        with claim(self.path, self.kind, replace=resume or overwrite, options=options) as self._claim:
            yield

    @property
    def _claimed(self) -> Claim:
        if self._claim is None:
            raise InputError(f"{self.path} isn't claimed by this process. Write to it within claimed().")
        return self._claim
