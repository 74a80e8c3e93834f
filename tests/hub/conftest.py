"""A local Hub, with huggingface_hub's client pointed at it as HF_ENDPOINT and its companions would."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for local_hub and the like


@pytest.fixture
def hub(tmp_path):
    """A fresh Hub, cache and client; "owner" is logged in. Nobody sleeps: ``hub.slept`` tells how long one would."""
    from huggingface_hub import close_session, constants
    from huggingface_hub.utils import disable_progress_bars, enable_progress_bars
    from local_hub import LocalHub

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
                "HF_HUB_CACHE": str(tmp_path / "cache"),
                "HF_TOKEN_PATH": str(tmp_path / "token"),
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


@pytest.fixture
def anonymous(monkeypatch):
    monkeypatch.delenv("HF_TOKEN")


@pytest.fixture
def offline(monkeypatch):
    from huggingface_hub import constants

    return lambda: monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def generator(make_generator):
    return make_generator(classes=("zero", "one", "two", "three"))


@pytest.fixture
def saved(generator, tmp_path):
    """The generator in a folder, as a run leaves it."""
    import genaug

    return genaug.load(generator.save(tmp_path / "run"), device="cpu")
