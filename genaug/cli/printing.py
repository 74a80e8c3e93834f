"""Output of the commands on any console: names can't control it, and characters it lacks are replaced."""

import codecs
import os
import sys
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from genaug.escaping import escaped_lines

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# Replacements for characters that a console's encoding (cp1252, ASCII, …) may lack; "?" for any other.
_SIGNS = {"–": "-", "—": "-", "−": "-", "×": "x", "·": "*", "…": "...", "±": "+-", "≥": ">=", "≤": "<=", "→": "->"}
_SIGNS |= {"‘": "'", "’": "'", "“": '"', "”": '"', "≈": "~", "\xa0": " ", "━": "-", "╸": "-", "╺": "-", "•": "*"}


def say(text: object, *, err: bool = False, nl: bool = True) -> None:
    """Print lines on stdout or stderr, with control characters, direction marks and ANSI sequences escaped."""
    stream = sys.stderr if err else sys.stdout
    if stream is not None:  # None under pythonw
        print(escaped_lines(text), end="\n" if nl else "", file=stream, flush=True)


def console() -> "Console":
    """A console on stdout that prints text literally: no markup, no emoji, no colored numbers."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> "Table":
    """A table with the first column left-aligned and the others right-aligned."""
    from rich.table import Table

    result = Table(title=escaped_lines(title))
    for number, name in enumerate(head):
        result.add_column(escaped_lines(name), justify="right" if number else "left")
    for row in rows:
        result.add_row(*map(escaped_lines, row))
    return result


def use_any_console() -> None:
    """Let stdout and stderr replace characters that their encoding lacks, instead of raising an error.

    Streams that don't exist, as under pythonw or with ``>&-``, are opened on the null device, so that no file opened
    later gets their descriptor.
    """
    codecs.register_error("genaug", _replaced)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
        elif name != "stdin":
            with suppress(AttributeError, ValueError, OSError):  # closed, or somebody's own
                stream.reconfigure(errors="genaug")


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = "".join(_SIGNS.get(c, c) for c in error.object[error.start : error.end])
    letters = unicodedata.normalize("NFKD", text)  # é as e and its accent
    return "".join(c if c.isascii() else "?" for c in letters if not unicodedata.combining(c)), error.end


def give_up_stdout() -> None:
    """If stdout can't be written (a closed pipe, a full disk), keep Python from trying again at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
    except (AttributeError, ValueError):  # None, or closed
        pass
