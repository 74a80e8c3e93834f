"""A local Hub with ``huggingface_hub``'s client pointed at it, as ``HF_ENDPOINT`` and its companions would."""

from contextlib import contextmanager

import pytest
from helpers.local_hub import LocalHub


@contextmanager
def local_hub(folder):
    """A fresh Hub, client, and cache in ``folder``; "owner" is logged in. Nobody sleeps: ``hub.slept`` tells how long
    one would."""
    from huggingface_hub import close_session, constants
    from huggingface_hub.utils import disable_progress_bars, enable_progress_bars

    from genaug.hub import client

    hub = LocalHub()
    hub.slept = []
    close_session()
    with pytest.MonkeyPatch.context() as patch:

        def point():
            """Point the client at this Hub, as its environment would."""
            for name, value in {
                "ENDPOINT": hub.url,
                "HUGGINGFACE_CO_URL_TEMPLATE": hub.url + "/{repo_id}/resolve/{revision}/{filename}",
                "HF_HUB_CACHE": str(folder / "cache"),
                "HF_TOKEN_PATH": str(folder / "token"),
                "HF_HUB_OFFLINE": False,
                "HF_HUB_DISABLE_XET": False,
                "HF_HUB_ETAG_TIMEOUT": 0.25,
                "HF_HUB_DOWNLOAD_TIMEOUT": 0.25,
            }.items():
                patch.setattr(constants, name, value)
            patch.setenv("HF_TOKEN", "hf_owner")

        hub.point = point
        point()
        patch.setattr(client.time, "sleep", hub.slept.append)
        disable_progress_bars()
        yield hub
        enable_progress_bars()
    close_session()
    hub.close()
