"""Escaping of untrusted names and messages, so that they are safe on a terminal, in a report and on a model card."""

import html

_JOINERS = "\u200c\u200d"  # harmless; used within words of several scripts and within emoji


def escaped(text: object) -> str:
    """``text`` on one line, with unprintable characters as Python escapes, such as ``\\x1b`` or ``\\u202e``.

    This covers line breaks, control characters, ANSI sequences, marks that change the direction of text, and lone
    surrogates (undecodable bytes of a file name), which can't be written to a file or console.
    """
    return "".join(c if c.isprintable() or c in _JOINERS else repr(c)[1:-1] for c in str(text))


def one_line(text: object) -> str:
    """``text`` on one line: any run of white space becomes a single space, and the rest is ``escaped``."""
    return escaped(" ".join(str(text).split()))


def in_html(text: object) -> str:
    """``text`` escaped for HTML, between tags or within an attribute; line breaks are kept."""
    return html.escape(escaped_lines(text))


def escaped_lines(text: object) -> str:
    """``text`` with every line ``escaped`` and its line breaks kept."""
    return "\n".join(map(escaped, str(text).split("\n")))
