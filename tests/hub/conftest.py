"""A local Hub and its client as fixtures."""

import pytest


@pytest.fixture
def hub(tmp_path):
    """A fresh Hub, cache and client; "owner" is logged in. Nobody sleeps; ``hub.slept`` lists the pauses."""
    from helpers.client_at import local_hub

    with local_hub(tmp_path) as hub:
        yield hub


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
    """The generator, loaded from a folder."""
    import genaug

    return genaug.load(generator.save(tmp_path / "run"), device="cpu")
