"""Redaction of credentials in messages: a server knows the token that it was sent, and may repeat it in any text."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import get_token

_REDACTED = "[redacted]"
_VALUE = r"[\w.~+/=-]*[\w~+/=-]"
_CREDENTIALS = (
    (re.compile(r"\b(hf|api_org)_[A-Za-z0-9]{20,}"), _REDACTED),  # tokens of other accounts
    (re.compile(rf"(?i)(\bauthorization[\s\"':=]{{1,5}})((basic|bearer|token)\s+)?{_VALUE}"), rf"\1{_REDACTED}"),
    (re.compile(rf"(?i)(\bbearer\s+)(?=\S*[\d_]){_VALUE}"), rf"\1{_REDACTED}"),
    (re.compile(r"(\w://)[^/\s@]+@"), rf"\1{_REDACTED}@"),  # in the URL of an HF_ENDPOINT or a proxy
)


def redact(text: str) -> str:
    """The text without credentials, such as the user's token or anything that begins with its first 8 characters."""
    token = get_token()
    if token and len(token) >= 4:
        text = re.sub(re.escape(token[:8]) + f"({_VALUE})?", _REDACTED, text)
    for pattern, replacement in _CREDENTIALS:
        text = pattern.sub(replacement, text)
    return text


@contextmanager
def credentials_redacted() -> Iterator[None]:
    """Redact errors raised in the block, and the errors that they were raised from, which a traceback prints too."""
    try:
        yield
    except Exception as error:
        _redact_chain(error)
        raise


def _redact_chain(error: BaseException) -> None:
    visited: set[int] = set()
    pending = [error]
    while pending:
        current = pending.pop()
        visited.add(id(current))
        _redact_error(current)
        if any(related is not None and _redact_error(related) for related in (current.__cause__, current.__context__)):
            current.__cause__ = current.__context__ = None  # the text can't be changed, so it is hidden
            current.__suppress_context__ = True
        pending += [e for e in (current.__cause__, current.__context__) if e is not None and id(e) not in visited]


def _redact_error(error: BaseException) -> bool:
    """Redact an error's message. Returns whether it still contains credentials."""
    if redact(str(error)) != str(error):
        error.args = tuple(redact(part) if isinstance(part, str) else part for part in error.args)
    if isinstance(getattr(error, "server_message", None), str):
        error.server_message = redact(error.server_message)  # type: ignore[attr-defined]
    if hasattr(error, "__notes__"):
        error.__notes__ = [redact(note) for note in error.__notes__]
    return redact(str(error)) != str(error)
