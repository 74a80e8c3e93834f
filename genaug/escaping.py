"""Names and messages that may come from anywhere, made safe to print: on a terminal, in a report, on a card."""

import html

_JOINERS = "\u200c\u200d"  # inside words of several scripts and inside emoji; they hide nothing


def escaped(text: object) -> str:
    """``text`` on one line: what isn't printable is written as Python writes it, such as ``\\x1b`` or ``\\u202e``.

    That covers line breaks, control characters and ANSI sequences, marks that change the direction of writing, and
    halves of characters (undecodable bytes of a file name), which no file or console takes.
    """
    plain = str(text)
    return plain if plain.isprintable() else "".join(map(_shown, plain))


def one_line(text: object) -> str:
    """A message as one line: white space of any kind becomes a single space, the rest is ``escaped``."""
    return escaped(" ".join(str(text).split()))


def in_html(text: object) -> str:
    """Lines for between tags or inside an attribute."""
    return html.escape(escaped_lines(text))


def escaped_lines(text: object) -> str:
    """``text`` with every line ``escaped``, for what is meant to have several."""
    return "\n".join(map(escaped, str(text).split("\n")))


def _shown(letter: str) -> str:
    return letter if letter.isprintable() or letter in _JOINERS else repr(letter)[1:-1]
