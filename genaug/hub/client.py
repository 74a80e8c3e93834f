"""Requests to the Hub that end: with an answer, or with one ``HubError`` that says what to do.

huggingface_hub sets no timeout on most of its calls, sleeps as long as any Retry-After says, and retries some calls and
not others. Here one policy holds for all: a few attempts, never more than ``SILENCE`` seconds without a byte, and never
less than ``pace.LEAST_RATE`` bytes per second over as long.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from threading import Lock
from typing import Any, TypeVar

from huggingface_hub import HfApi, constants, get_session, get_token
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import (
    build_hf_headers,
    hf_raise_for_status,
    httpx,
    parse_ratelimit_headers,
    validate_repo_id,
)

from genaug.errors import HubError, InputError
from genaug.hub.pace import TooLongError, TooSlowError, paced_send
from genaug.hub.redaction import redact
from genaug.version import __version__

SILENCE = 60.0  # seconds without a byte after which we give up, and the longest Retry-After that we wait for
PAUSES = (1.0, 2.0, 4.0)  # seconds between attempts where the server asks for no other
MAX_ANSWER_BYTES = 2**25  # of an answer in JSON; a file in a repo takes some 200 of it
MAX_REDIRECTS = 20
MAX_ERROR_BYTES = 2**20  # of an answer that is an error
PASSING = (408, 429, 500, 502, 503, 504)  # states that may be over at the next attempt

T = TypeVar("T")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_+-]*([./][A-Za-z0-9_+-]+)*")
_one_push_at_a_time = Lock()


class InterruptionError(Exception):
    """A request that failed in a way that may pass. ``heard``: something came from the server. ``wait``: seconds that
    it asked us to wait for."""

    def __init__(self, cause: str, *, heard: bool, status: int | None = None, wait: float | None = None) -> None:
        super().__init__(cause)
        self.heard, self.status, self.wait = heard, status, wait


class SlowTransferError(InterruptionError):
    """A transfer below the least rate. It isn't tried again: that would take as long."""


class NotAHubError(InterruptionError):
    """An answer that no Hub gives: a proxy's log-in page, a wrong HF_ENDPOINT."""

    def __init__(self, error: Exception) -> None:
        super().__init__(f"{type(error).__name__}: {one_line(error)}", heard=True)


def api() -> HfApi:
    return HfApi(library_name="genaug", library_version=__version__)


def headers() -> dict[str, str]:
    built = build_hf_headers(library_name="genaug", library_version=__version__)
    return {**built, "Accept-Encoding": "identity"}  # or sizes would be those of the compressed files


def check_token() -> None:
    """Raise ``HubError`` for a token that no request can carry: what else comes of it speaks of the Hub, not of it."""
    token = get_token()
    if token is not None and not (token.isascii() and token.isprintable()):
        raise HubError(
            "the token holds characters that no token has, so nothing was asked. Log in again with `hf auth login`, or "
            "correct or unset HF_TOKEN."
        )


def is_offline() -> bool:
    return constants.is_offline_mode()


def patience() -> float:
    """Seconds to wait for the next byte of an answer: huggingface_hub's HF_HUB_DOWNLOAD_TIMEOUT, within our bound."""
    return min(float(constants.HF_HUB_DOWNLOAD_TIMEOUT), SILENCE)


def check_repo_id(repo: str) -> None:
    """Raise ``InputError`` where ``repo`` isn't "owner/name"."""
    try:
        validate_repo_id(repo)
    except ValueError as error:
        raise InputError(f"{repo!r} is no Hub id ({error}). Expected owner/name.") from error
    if "/" not in repo:
        raise InputError(f"{repo!r} is no Hub id: the owner is missing. Expected owner/name.")


def check_revision(revision: str, what: str = "revision") -> None:
    """Raise ``InputError`` where this can't be the name of a branch or tag, or a commit's hash."""
    if len(revision) > 200 or not _REVISION.fullmatch(revision) or revision.endswith(".lock"):
        raise InputError(
            f"{revision!r} is no {what}. Expected letters, digits and '_+-' with '.' or '/' between them, such as v1.0."
        )


def persistently(call: Callable[[], T], timeout: float, *, once: bool = False) -> T:
    """What ``call`` returns, called again where it was interrupted, unless ``once``, as long as that can be worth it.

    ``timeout`` is how long one attempt may be silent. Raises the last ``InterruptionError``; anything else at once.
    """
    silent_since = time.monotonic()
    for pause in (None,) if once else (*PAUSES, None):
        try:
            return call()
        except Exception as error:
            interruption = find_interruption(error)
            if interruption is None:
                raise
            if interruption.heard:
                silent_since = time.monotonic()
            wait = pause if interruption.wait is None else interruption.wait
            silence = 0.0 if interruption.heard else time.monotonic() - silent_since + timeout
            final = pause is None or isinstance(interruption, SlowTransferError)
            if final or wait is None or wait > SILENCE or silence + wait > SILENCE:
                raise interruption from error
            time.sleep(wait)
    raise AssertionError


def find_interruption(error: BaseException) -> InterruptionError | None:
    """The interruption that an error is, or that caused it; None for an error that would come again."""
    for seen in causes(error):
        if isinstance(seen, InterruptionError):
            return seen
        if isinstance(seen, TooSlowError):
            return SlowTransferError(str(seen), heard=True)
        if isinstance(seen, httpx.TimeoutException):
            return InterruptionError("no answer in time", heard=False)
        if isinstance(seen, (httpx.NetworkError, httpx.RemoteProtocolError, httpx.ProxyError)):
            return InterruptionError(one_line(seen), heard=not isinstance(seen, (httpx.ConnectError, httpx.ProxyError)))
        if isinstance(seen, HfHubHTTPError) and seen.response.status_code in PASSING:
            return _interruption_of(seen.response)
    return None


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what it was raised from: huggingface_hub wraps what goes wrong in an upload."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__


@contextmanager
def answer_to(
    url: str, headers: Mapping[str, str], timeout: float, *, window: float, limit: int | None = None
) -> Iterator[Any]:
    """The answer to a GET, to be read by its ``iter_raw``; ``check_answer`` has to see it first.

    ``timeout`` bounds the wait for each byte. Each ``window`` seconds have to bring ``pace.LEAST_RATE`` bytes per
    second, or ``TooSlowError`` is raised; an answer of more than ``limit`` bytes raises ``TooLongError``.
    """
    client = get_session()
    request = client.build_request("GET", url, headers=headers, timeout=timeout)
    for _ in range(MAX_REDIRECTS + 1):  # httpx would read the bodies of redirects, whatever their size
        response = paced_send(client.send, request, window, limit, follow_redirects=False)
        try:
            if response.next_request is None:
                yield response
                return
            request = response.next_request
        finally:
            response.close()
    raise TooLongError(f"more than {MAX_REDIRECTS} redirects")


def check_answer(response: Any) -> None:
    """Raise ``InterruptionError`` for a state that may pass, one of huggingface_hub's errors for any other failure."""
    _redact_headers(response)
    if response.is_error:
        response.stream.limit = MAX_ERROR_BYTES
    if response.status_code in PASSING:
        raise _interruption_of(response)
    hf_raise_for_status(response)


@contextmanager
def limited_session() -> Iterator[None]:
    """Within the block, every request of huggingface_hub in this process keeps to the policy of this module.

    Uploading takes calls that can't be given a timeout, and that retry and sleep by themselves: here they get one, and
    failures that may pass are raised as ``InterruptionError``, which they don't catch. Files go by plain HTTP: the Xet
    client has requests of its own that never time out.
    """
    with _one_push_at_a_time:
        client: Any = get_session()
        send, xet_was_off = client.send, constants.HF_HUB_DISABLE_XET

        def limited_send(request: Any, **options: Any) -> Any:
            asked = request.extensions.get("timeout") or httpx.Timeout(None).as_dict()
            timeout = {name: SILENCE if seconds is None else min(seconds, SILENCE) for name, seconds in asked.items()}
            request.extensions = {**request.extensions, "timeout": timeout}
            try:
                limit = None if options.get("stream") else MAX_ANSWER_BYTES
                response = paced_send(send, request, SILENCE, limit, **options)
                _redact_headers(response)
                if not options.get("stream"):
                    try:
                        response.read()
                    finally:
                        response.close()
            except (httpx.TransportError, TooSlowError) as error:
                interruption = find_interruption(error)
                if interruption is None:
                    raise
                # Ours, as after a ConnectError huggingface_hub would go on with a new client, which has no limits.
                raise interruption from error
            if response.status_code in PASSING or (not options.get("stream") and _is_busy(response)):
                response.close()
                raise _interruption_of(response)
            return response

        client.send = limited_send
        constants.HF_HUB_DISABLE_XET = True
        try:
            yield
        finally:
            constants.HF_HUB_DISABLE_XET = xet_was_off
            del client.send


def _redact_headers(response: Any) -> None:
    """huggingface_hub prints some of them, such as X-Error-Message."""
    for name, value in list(response.headers.items()):
        if redact(value) != value:
            response.headers[name] = redact(value)


def _is_busy(response: Any) -> bool:
    """Where a repo is being made by somebody else at this moment, huggingface_hub asks again at once and for ever."""
    return response.status_code == 409 and "conflicting operation is in progress" in response.text


def _interruption_of(response: Any) -> InterruptionError:
    status = response.status_code
    return InterruptionError(f"HTTP {status}", heard=True, status=status, wait=_retry_after(status, response.headers))


def _retry_after(status: int, answer: Mapping[str, str]) -> float | None:
    """Seconds that an answer asks to wait for; None where it says nothing (that can be understood)."""
    limits = parse_ratelimit_headers(answer) if status == 429 else None
    if limits is not None and limits.remaining == 0:
        return float(min(limits.reset_in_seconds, 10**9))
    text = answer.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]*)?", text):
        return min(float(text), 1e9)
    try:
        date = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    if date.tzinfo is None:  # "-0000": in UTC, from a server that doesn't know where it is
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())


def one_line(error: BaseException) -> str:
    """An error's message for a sentence of ours: one short line without control characters and credentials."""
    words = "".join(c for c in " ".join(str(error).split()) if c.isprintable())
    return redact(words)[:200] or type(error).__name__
