"""Every backend that ships with genaug passes the checks that third parties' do."""

import pytest

from genaug.backends.registry import discover, resolve
from genaug.testing import parametrize_with_checks
from genaug.testing.subject import Subject

OURS = [name for name, info in discover().backends.items() if info.distribution == "genaug"]


def test_backends_are_installed():
    assert "cgan" in OURS


@parametrize_with_checks(OURS)
def test_ours(backend, check):
    check(backend)


@pytest.mark.parametrize("name", OURS)
def test_the_checks_run_on_small_networks(name):
    backend, data = resolve(name), Subject(name, {}).case().data.spec

    def weights(config):
        return sum(p.numel() for p in backend.build(config, backend.describe(config, data)).parameters())

    assert weights(backend.Config(**backend.tiny)) < weights(backend.Config()) / 10
