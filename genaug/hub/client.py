"""Requests to the Hub that always end, either with an answer or with a ``HubError`` that says what to do.

huggingface_hub sets no timeout on most of its calls, sleeps for as long as any Retry-After header says, and retries
only some calls. Here one policy applies to all: a few attempts, at most ``SILENCE`` seconds without a byte, and at
least ``pace.LEAST_RATE`` bytes per second over that time.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
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

SILENCE = 60.0  # seconds without a byte before giving up, and the longest Retry-After that is followed
PAUSES = (1.0, 2.0, 4.0)  # seconds between attempts, unless the server asks for another pause
MAX_ANSWER_BYTES = 2**25  # per JSON answer; each file in a repo takes about 200
MAX_REDIRECTS = 20
MAX_ERROR_BYTES = 2**20  # per error response
PASSING = (408, 429, 500, 502, 503, 504)  # statuses of temporary failures

T = TypeVar("T")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_+-]*([./][A-Za-z0-9_+-]+)*")
_one_push_at_a_time = Lock()


class InterruptionError(Exception):
    """A request failed in a way that may be temporary. ``heard``: the server sent something. ``wait``: the pause in
    seconds that it asked for."""

    def __init__(self, cause: str, *, heard: bool, status: int | None = None, wait: float | None = None) -> None:
        super().__init__(cause)
        self.heard, self.status, self.wait = heard, status, wait


class SlowTransferError(InterruptionError):
    """A transfer was slower than the minimum rate. It isn't retried, since that would take as long."""


class NotAHubError(InterruptionError):
    """The answer can't come from a Hub: a proxy's login page, a wrong HF_ENDPOINT."""

    def __init__(self, error: Exception) -> None:
        super().__init__(f"{type(error).__name__}: {one_line(error)}", heard=True)


def api() -> HfApi:
    return HfApi(library_name="genaug", library_version=__version__)


def headers() -> dict[str, str]:
    plain = {"Accept-Encoding": "identity"}  # otherwise sizes would be those of compressed files
    return build_hf_headers(library_name="genaug", library_version=__version__) | plain


def check_token() -> None:
    """Raise ``HubError`` for a token that no request can carry; later errors would blame the Hub instead."""
    token = get_token()
    if token is not None and not (token.isascii() and token.isprintable()):
        raise HubError(
            "the token has invalid characters, so no request was sent. Log in again with `hf auth login`, or correct "
            "or unset HF_TOKEN."
        )


def check_repo_id(repo: str) -> None:
    """Raise ``InputError`` if ``repo`` isn't "owner/name"."""
    try:
        validate_repo_id(repo)
        if "/" not in repo:
            raise ValueError("the owner is missing")
    except ValueError as error:
        raise InputError(f"{repo!r} is not a Hub id ({error}). Expected owner/name.") from error


def check_revision(revision: str, what: str = "revision") -> None:
    """Raise ``InputError`` if this can't be the name of a branch or tag, or the hash of a commit."""
    if (
        not isinstance(revision, str)
        or len(revision) > 200
        or not _REVISION.fullmatch(revision)
        or revision.endswith(".lock")
    ):
        raise InputError(
            f"{revision!r} is not a valid {what}. Expected letters, digits and '_+-', with '.' or '/' between them, "
            "such as v1.0."
        )


def persistently(call: Callable[[], T], timeout: float, *, once: bool = False) -> T:
    """The result of ``call``, retried after interruptions as the module's policy allows, unless ``once``.

    ``timeout`` is how long one attempt may go without a byte. Raises the last ``InterruptionError``, and any other
    error immediately.
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
    """The interruption that an error is or was caused by; None for an error that a retry wouldn't change."""
    for cause in causes(error):
        if isinstance(cause, InterruptionError):
            return cause
        if isinstance(cause, TooSlowError):
            return SlowTransferError(str(cause), heard=True)
        if isinstance(cause, httpx.TimeoutException):
            return InterruptionError("no answer in time", heard=False)
        if isinstance(cause, (httpx.NetworkError, httpx.RemoteProtocolError, httpx.ProxyError)):
            unreachable = isinstance(cause, (httpx.ConnectError, httpx.ProxyError))
            return InterruptionError(one_line(cause), heard=not unreachable)
        if isinstance(cause, HfHubHTTPError) and cause.response.status_code in PASSING:
            return _interruption_of(cause.response)
    return None


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error and the errors that it was raised from: huggingface_hub wraps errors of uploads."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


@contextmanager
def answer_to(
    url: str, headers: Mapping[str, str], timeout: float, *, window: float, limit: int | None = None
) -> Iterator[Any]:
    """The answer to a GET request. Pass it to ``check_answer`` first, then read it with ``iter_raw``.

    ``timeout`` bounds the wait for each byte. Raises ``TooSlowError`` if a window of ``window`` seconds has fewer than
    ``pace.LEAST_RATE`` bytes per second, ``TooLongError`` for an answer of more than ``limit`` bytes.
    """
    client = get_session()
    request = client.build_request("GET", url, headers=headers, timeout=timeout)
    for _ in range(MAX_REDIRECTS + 1):  # httpx would read the bodies of redirects, regardless of their size
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
    """Raise ``InterruptionError`` for a temporary failure, one of huggingface_hub's errors for any other."""
    _redact_headers(response)
    if response.is_error:
        response.stream.limit = MAX_ERROR_BYTES
    if response.status_code in PASSING:
        raise _interruption_of(response)
    hf_raise_for_status(response)


@contextmanager
def limited_session() -> Iterator[None]:
    """Within the block, every request of huggingface_hub in this process follows the policy of this module.

    Uploads need calls that accept no timeout, and that retry and sleep by themselves. Here they get a timeout, and
    temporary failures are raised as ``InterruptionError``, which they don't catch. Files are sent over plain HTTP,
    since the Xet client makes requests of its own that never time out.
    """
    with _one_push_at_a_time:
        client: Any = get_session()
        send, xet_was_off = client.send, constants.HF_HUB_DISABLE_XET

        def limited_send(request: Any, **options: Any) -> Any:
            timeout = request.extensions.get("timeout") or httpx.Timeout(None).as_dict()
            bounded = {name: SILENCE if limit is None else min(limit, SILENCE) for name, limit in timeout.items()}
            request.extensions = {**request.extensions, "timeout": bounded}
            try:
                limit = None if options.get("stream") else MAX_ANSWER_BYTES
                response = paced_send(send, request, SILENCE, limit, **options)
                _redact_headers(response)
                if not options.get("stream"):
                    with closing(response):
                        response.read()
            except (httpx.TransportError, TooSlowError) as error:
                interruption = find_interruption(error)
                if interruption is None:
                    raise
                # Not the ConnectError itself: huggingface_hub would continue with a new client, which has no limits.
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
    """Redact the headers, since huggingface_hub prints some of them, such as X-Error-Message."""
    for name, value in list(response.headers.items()):
        if redact(value) != value:
            response.headers[name] = redact(value)


def _is_busy(response: Any) -> bool:
    """Whether the repo is being created by somebody else; huggingface_hub would retry this immediately and forever."""
    return response.status_code == 409 and "conflicting operation is in progress" in response.text


def _interruption_of(response: Any) -> InterruptionError:
    status = response.status_code
    return InterruptionError(f"HTTP {status}", heard=True, status=status, wait=_retry_after(status, response.headers))


def _retry_after(status: int, answer: Mapping[str, str]) -> float | None:
    """The pause in seconds that an answer asks for; None if it doesn't, or not in a valid form."""
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
    if date.tzinfo is None:  # "-0000": UTC, without a known time zone of the server
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())


def one_line(error: BaseException) -> str:
    """An error's message as one short line without control characters and credentials."""
    message = "".join(c for c in " ".join(str(error).split()) if c.isprintable())
    return redact(message)[:200] or type(error).__name__
