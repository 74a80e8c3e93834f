"""What the commands print, on whatever console there is: no name can command it, and no sign is too much for it."""

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

# What stands in for signs of ours where a console's encoding (cp1252, ASCII, …) lacks them; "?" for any other.
_SIGNS = {"–": "-", "—": "-", "−": "-", "×": "x", "·": "*", "…": "...", "±": "+-", "≥": ">=", "≤": "<=", "→": "->"}
_SIGNS |= {"‘": "'", "’": "'", "“": '"', "”": '"', "≈": "~", "\xa0": " ", "━": "-", "╸": "-", "╺": "-", "•": "*"}


def say(text: object, *, err: bool = False, nl: bool = True) -> None:
    """Print lines on stdout, or stderr, without a control character, a mark of direction or an ANSI sequence."""
    stream = sys.stderr if err else sys.stdout
    if stream is not None:  # as under pythonw
        print(escaped_lines(text), end="\n" if nl else "", file=stream, flush=True)


def console() -> "Console":
    """A console on stdout that takes text as it is: no markup, no emoji, no colouring of numbers."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> "Table":
    """A table with its first column to the left and the others to the right."""
    from rich.table import Table

    shown = Table(title=escaped_lines(title))
    for number, name in enumerate(head):
        shown.add_column(escaped_lines(name), justify="right" if number else "left")
    for row in rows:
        shown.add_row(*map(escaped_lines, row))
    return shown


def use_any_console() -> None:
    """Let stdout and stderr replace what their encoding lacks, in place of ending the command with an error.

    Under pythonw or with ``>&-`` there are none: they are opened on the null device, so that no file that is opened
    later gets their place.
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
    signs = "".join(_SIGNS.get(sign, sign) for sign in error.object[error.start : error.end])
    letters = unicodedata.normalize("NFKD", signs)  # é as e and its accent
    return "".join(s if s.isascii() else "?" for s in letters if not unicodedata.combining(s)), error.end


def give_up_stdout() -> None:
    """If stdout can't be written (a closed pipe, a full disk), keep Python from trying again as it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (AttributeError, ValueError):  # None, or closed
        pass
