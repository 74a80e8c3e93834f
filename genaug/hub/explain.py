"""What went wrong between us and the Hub, as one sentence or two that say what to do."""

from huggingface_hub import constants, get_token
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from genaug.errors import HubError, NotOnHubError
from genaug.hub import client
from genaug.hub.client import (
    InterruptionError,
    NotAHubError,
    SlowTransferError,
    causes,
    find_interruption,
    one_line,
)
from genaug.hub.pace import LEAST_RATE

_LOG_IN = "`hf auth login` (or set HF_TOKEN)"


def explain(error: Exception, repo: str, revision: str | None = None) -> HubError:
    """The error to raise in place of any that came out of a request about ``repo``; a ``HubError`` stays as it is."""
    if isinstance(error, HubError):
        return error
    interruption = find_interruption(error)
    if interruption is not None:
        return HubError(_interrupted(interruption))
    for seen in causes(error):
        if isinstance(seen, OfflineModeIsEnabled):
            return HubError(f"{repo} needs the Hub, and HF_HUB_OFFLINE=1 forbids asking it. Unset it.")
        if isinstance(seen, HfHubHTTPError):
            missing = isinstance(seen, RepositoryNotFoundError) and not isinstance(seen, GatedRepoError)
            return (NotOnHubError if missing else HubError)(_refused(seen, repo, revision))
    return HubError(_interrupted(NotAHubError(error)))


def _interrupted(interruption: InterruptionError) -> str:
    host = constants.ENDPOINT
    if isinstance(interruption, NotAHubError):
        return (
            f"{host} doesn't answer as a Hub does ({interruption}). Check HF_ENDPOINT, and whether a proxy or a log-in "
            "page answers in its place."
        )
    if isinstance(interruption, SlowTransferError):
        return (
            f"{host} sends too slowly ({interruption}). Transfers below {LEAST_RATE:,} bytes per second are given "
            "up: try again later, or from another network."
        )
    if interruption.wait is not None and interruption.wait > client.SILENCE:
        return (
            f"{host} asks to wait {interruption.wait:.0f} s, more than the {client.SILENCE:.0f} s that genaug waits at "
            f"most. Try again after that time; logged-in users have higher limits: {_LOG_IN}."
        )
    if interruption.status is not None:
        return (
            f"{host} failed several times (HTTP {interruption.status}). Nothing is wrong on your side: try again later."
        )
    if interruption.heard:
        return f"the connection to {host} broke off several times ({interruption}). Try again."
    return (
        f"{host} can't be reached ({interruption}). Check the connection, the proxy, and HF_ENDPOINT if it is set. "
        "What was pulled before still loads, with HF_HUB_OFFLINE=1 without asking."
    )


def _refused(error: HfHubHTTPError, repo: str, revision: str | None) -> str:
    host, status = constants.ENDPOINT, error.response.status_code
    if isinstance(error, GatedRepoError):  # before its parent, RepositoryNotFoundError
        return f"{repo} is gated: ask for access on {host}/{repo}, then log in with {_LOG_IN}."
    if status == 401 and not isinstance(error, RepositoryNotFoundError):
        if get_token() is None:
            return f"{host} requires authentication. Log in with {_LOG_IN}."
        return f"{host} refused the token. Log in again with `hf auth login`, or correct or unset HF_TOKEN."
    if isinstance(error, RepositoryNotFoundError):
        return (
            f"{host} has no model {repo}, or it is private and not yours to see. Check the name; for a private one, "
            f"log in with {_LOG_IN}."
        )
    if isinstance(error, RevisionNotFoundError):
        return (
            f"{repo} has no revision {revision!r}: it never had, or it was deleted. Leave the revision out for the "
            f"newest; those there are stand on {host}/{repo}/tree/main."
        )
    if status == 403:
        return f"{host} forbids this for {repo} ({_brief(error)}). Log in with a token that may do it: {_LOG_IN}."
    return f"{host} refused the request about {repo} ({_brief(error)}). Try again; if it stays, ask the repo's owner."


def _brief(error: HfHubHTTPError) -> str:
    """The server's own words, where it had some."""
    return one_line(Exception(error.server_message)) if error.server_message else one_line(error)
