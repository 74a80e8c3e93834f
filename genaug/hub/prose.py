"""A card has two authors: the parts between marks are written by genaug, and all other text is kept as people wrote it.

<!-- genaug:begin figures weights=0123… -->
…
<!-- genaug:end figures -->
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from genaug.errors import InputError

_MARK = re.compile(r"<!-- genaug:(?P<kind>begin|end) (?P<name>[a-z]+)(?P<notes>[^\n]{0,500}?) -->\n?")
_NOTE = re.compile(r"([a-z]+)=([0-9a-f]+)")
_FIRST = "summary"  # the part at the top of a new card; its mark also identifies the prose at that time


@dataclass(frozen=True)
class Part:
    """A generated part with the notes in its mark."""

    name: str
    text: str
    notes: Mapping[str, str]


def split(text: str) -> list[str | Part]:
    """Prose and generated parts in order. Unpaired marks are dropped, and the text around them is prose."""
    pieces: list[str | Part] = []
    start = 0
    for begin, end in pairwise(_MARK.finditer(text)):
        if (begin["kind"], end["kind"], begin["name"]) == ("begin", "end", end["name"]):
            pieces.append(_MARK.sub("", text[start : begin.start()]))
            pieces.append(Part(begin["name"], text[begin.end() : end.start()], dict(_NOTE.findall(begin["notes"]))))
            start = end.end()
    return [*pieces, _MARK.sub("", text[start:])]


def parts(text: str) -> dict[str, Part]:
    return {piece.name: piece for piece in split(text) if isinstance(piece, Part)}


def prose(text: str) -> str:
    """The words that people wrote, separated by single spaces."""
    return " ".join(word for piece in split(text) if isinstance(piece, str) for word in piece.split())


def merge(text: str, new: Mapping[str, Part], local: str) -> str:
    """A card's text with its generated parts replaced by new ones; missing ones are added at its top or its end.

    ``local`` is the prose of the generator's own card, which the next push needs for ``choose``.
    """
    missing = dict(new)
    pieces: list[str | Part] = []
    for piece in split(text):
        if isinstance(piece, str) or piece.name not in new:  # a part of a later version of genaug is kept
            pieces.append(piece)
        elif piece.name in missing:
            pieces.append(missing.pop(piece.name))
    if _FIRST in missing:
        pieces[:0] = [missing.pop(_FIRST), "\n"]
    for part in missing.values():
        pieces += ["\n", part]
    notes = {"prose": identity("".join(piece for piece in pieces if isinstance(piece, str))), "ours": identity(local)}
    merged = ""
    for piece in pieces:
        if isinstance(piece, Part):
            merged += _marked(piece, notes) if merged.endswith("\n") else "\n" + _marked(piece, notes)
        else:
            merged += piece
    return merged.strip("\n") + "\n"


def _marked(part: Part, notes: Mapping[str, str]) -> str:
    all_notes = {**part.notes, **notes} if part.name == _FIRST else part.notes
    mark = "".join(f" {name}={value}" for name, value in all_notes.items())
    return f"<!-- genaug:begin {part.name}{mark} -->\n{part.text.strip(chr(10))}\n<!-- genaug:end {part.name} -->\n"


def identity(text: str) -> str:
    """A hash of the prose of a text, which is the same if only generated parts and white space differ."""
    return hashlib.sha256(prose(text).encode()).hexdigest()[:16]


def choose(remote: str, local: str, force: bool) -> str:
    """The text to continue with: the one of ``remote`` (the Hub) and ``local`` that people changed since the last push.

    Raises ``InputError`` if both were changed, unless ``force``, which selects ``local``.
    """
    if not prose(remote):
        return local
    summary = parts(remote).get(_FIRST)
    notes = summary.notes if summary is not None else {}
    remote_prose, local_prose, last_local = identity(remote), identity(local), notes.get("ours")
    if local_prose in (remote_prose, last_local):
        return remote
    if force or remote_prose == notes.get("prose") == last_local:
        return local
    raise InputError(
        "the card's text was changed both on the Hub and in the generator's README.md since the last push. Copy the "
        "Hub's changes into README.md, delete README.md to keep the Hub's text, or pass force (--force) to replace it."
    )
