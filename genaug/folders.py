"""Folders that appear whole, and take the place of what was there without a moment in which either could be lost."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genaug.errors import OutputExistsError, SaveError


def check_replaceable(out: Path) -> None:
    """Refuse a file, and a folder that can't be renamed: the current one, one around it, a mount."""
    if not out.exists():
        return
    if not out.is_dir():
        raise OutputExistsError(f"{out} is a file. Name a folder.")
    if os.path.ismount(out.resolve()) or Path.cwd().is_relative_to(out.resolve()):
        raise OutputExistsError(f"{out} is the current folder or a mount, which can't be replaced. Name one inside it.")


@contextmanager
def replaced_folder(out: Path) -> Iterator[Path]:
    """An empty folder to fill, which becomes ``out`` where the block ends without an error.

    What ``out`` held before goes with all its files: look beforehand whether it may. Until the new folder has its
    place, whatever fails or interrupts, the old one is put back.
    """
    out = out.resolve()  # a link stays, what it leads to is replaced
    out.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    new, old = staging / "new", staging / "old"
    try:
        new.mkdir()
        yield new
        _swap(new, out, old)
    finally:
        if out.exists() or not old.exists():
            shutil.rmtree(staging, ignore_errors=True)


def _swap(new: Path, out: Path, old: Path) -> None:
    try:
        if out.exists():
            os.replace(out, old)
        os.replace(new, out)
    except BaseException as error:
        if old.exists() and not out.exists():
            try:
                os.replace(old, out)
            except OSError:
                raise SaveError(
                    f"could not replace {out} ({error}). What it held lies in {old}: move it back."
                ) from error
        raise
