"""What the commands print on: streams that take every character, also in cp1252, and also if there is no console."""

import codecs
import io
import os
import sys
import unicodedata

_PLAIN = str.maketrans(
    {"−": "-", "–": "-", "—": "-", "…": "...", "×": "x", "≥": ">=", "≤": "<=", "→": "->", "√": "sqrt"}
)
_HANDLER = "genaug.plain"


def prepare_streams() -> None:
    """Let stdout and stderr print another sign for one that their encoding doesn't have; open those that are missing.

    Under pythonw or with ``>&-`` there are none. They are opened on the null device, so that no file that is written
    later gets their place.
    """
    codecs.register_error(_HANDLER, _plain_signs)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
        elif name != "stdin" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)


def _plain_signs(error: UnicodeError) -> tuple[str, int]:
    """An encoding error's handler: "-" for a minus sign, letters without their accents, "?" for the rest."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(_PLAIN)
    parts = unicodedata.normalize("NFKD", text)
    plain = "".join(sign if sign.isascii() else "?" for sign in parts if not unicodedata.combining(sign))
    return plain, error.end
