"""Explanations of failed requests to the Hub, in a sentence or two that say what to do."""

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
from genaug.hub.pace import LEAST_RATE

_LOG_IN = "`hf auth login` (or set HF_TOKEN)"


def explain(error: Exception, repo: str, revision: str | None = None) -> HubError:
    """The error to raise instead of any error of a request about ``repo``; a ``HubError`` stays as it is."""
    if isinstance(error, HubError):
        return error
    interruption = client.find_interruption(error)
    if interruption is not None:
        return HubError(_interrupted(interruption))
    for cause in client.causes(error):
        if isinstance(cause, OfflineModeIsEnabled):
            return HubError(f"{repo} needs the Hub, but HF_HUB_OFFLINE=1 forbids requests to it. Unset it.")
        if isinstance(cause, HfHubHTTPError):
            missing = isinstance(cause, RepositoryNotFoundError) and not isinstance(cause, GatedRepoError)
            return (NotOnHubError if missing else HubError)(_rejected(cause, repo, revision))
    return HubError(_interrupted(client.NotAHubError(error)))


def _interrupted(interruption: client.InterruptionError) -> str:
    host = constants.ENDPOINT
    if isinstance(interruption, client.NotAHubError):
        return (
            f"{host} doesn't answer like a Hub ({interruption}). Check HF_ENDPOINT, and whether a proxy or a login "
            "page answers instead."
        )
    if isinstance(interruption, client.SlowTransferError):
        return (
            f"{host} is too slow ({interruption}). Transfers below {LEAST_RATE:,} bytes per second are aborted: try "
            "again later, or from another network."
        )
    if interruption.wait is not None and interruption.wait > client.SILENCE:
        return (
            f"{host} asks to wait for {interruption.wait:.0f} s; genaug waits for at most {client.SILENCE:.0f} s. Try "
            f"again after that time; logged-in users have higher limits: {_LOG_IN}."
        )
    if interruption.status is not None:
        return (
            f"{host} failed several times (HTTP {interruption.status}). The problem is on the server: try again later."
        )
    if interruption.heard:
        return f"the connection to {host} was lost several times ({interruption}). Try again."
    return (
        f"{host} can't be reached ({interruption}). Check the connection, the proxy, and HF_ENDPOINT if it is set. "
        "Generators in the cache still load; HF_HUB_OFFLINE=1 loads them without a request."
    )


def _rejected(error: HfHubHTTPError, repo: str, revision: str | None) -> str:
    host, status = constants.ENDPOINT, error.response.status_code
    if isinstance(error, GatedRepoError):  # before its parent, RepositoryNotFoundError
        return f"{repo} is gated: request access on {host}/{repo}, then log in with {_LOG_IN}."
    if status == 401 and not isinstance(error, RepositoryNotFoundError):
        if get_token() is None:
            return f"{host} requires authentication. Log in with {_LOG_IN}."
        return f"{host} rejected the token. Log in again with `hf auth login`, or correct or unset HF_TOKEN."
    if isinstance(error, RepositoryNotFoundError):
        return (
            f"{host} has no model {repo}, or it is private and you have no access. Check the name; for a private one, "
            f"log in with {_LOG_IN}."
        )
    if isinstance(error, RevisionNotFoundError):
        return (
            f"{repo} has no revision {revision!r}; it may have been deleted. Leave the revision out for the newest, or "
            f"choose one of those listed on {host}/{repo}/tree/main."
        )
    if status == 403:
        return f"{host} forbids this for {repo} ({_brief(error)}). Log in with a token that allows it: {_LOG_IN}."
    return f"{host} rejected the request for {repo} ({_brief(error)}). Try again, or ask the owner of the repo."


def _brief(error: HfHubHTTPError) -> str:
    """The server's own message, if it sent one."""
    return client.one_line(Exception(error.server_message)) if error.server_message else client.one_line(error)
