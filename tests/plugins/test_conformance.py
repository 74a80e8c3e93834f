"""Every backend that ships with genaug passes the checks that third parties' do."""

import pytest
import torch

from genaug.backends import Condition, Spec
from genaug.backends.registry import discover, resolve
from genaug.modalities.known import MODALITIES
from genaug.testing import parametrize_with_checks

OURS = [name for name, info in discover().backends.items() if info.distribution == "genaug"]


def test_backends_are_installed():
    assert "cgan" in OURS


@parametrize_with_checks(OURS)
def test_ours(backend, check):
    check(backend)


@pytest.mark.parametrize("name", OURS)
def test_the_checks_run_on_small_networks(name):
    backend = resolve(name)
    sample, _ = MODALITIES[backend.modalities[0]].example(torch.arange(3), (1, 8, 8))
    conditions = tuple(Condition(name=condition, sample=sample) for condition in backend.conditions)
    data = Spec(sample=sample, classes=3, conditions=conditions)

    def weights(config):
        return sum(p.numel() for p in backend.build(config, backend.describe(config, data)).parameters())

    assert weights(backend.Config(**backend.tiny)) < weights(backend.Config()) / 10
