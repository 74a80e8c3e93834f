"""Conditions that a backend derives from the training samples, so that ordinary datasets are enough."""

import json
from typing import ClassVar

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import genaug
from genaug.backends import Backend, BackendConfig, Loss, Player, adam
from genaug.data.reading import fingerprint, read_samples
from genaug.errors import InputError, PluginError
from genaug.training.data import with_conditions


class Negative(Backend):
    """Learns to invert the negative of an image."""

    class Config(BackendConfig):
        pass

    conditions: ClassVar[tuple[str, ...]] = ("negative",)

    def derive_conditions(self, config, samples, data):
        return {"negative": 255 - samples}

    def describe(self, config, data):
        return data.model_copy(update={"classes": None})

    def build(self, config, spec):
        return nn.ModuleDict({"generator": nn.Conv2d(1, 1, 1)})

    def generate(self, nets, inputs):
        return nets["generator"](inputs.conditions["negative"]).tanh()

    def loss(self, nets, batch, step):
        assert torch.allclose(batch.conditions["negative"], -batch.x, atol=1e-6)
        return Loss((self.generate(nets, step.inputs(batch)) - batch.x).square().mean())

    def players(self, config, nets):
        return [Player("generator", nets["generator"].parameters(), self.loss, adam(1e-2))]


@pytest.fixture
def fit(register_backend, tiny_set, tmp_path):
    def run(backend, dataset=tiny_set, **arguments):
        register_backend("derived", backend)
        arguments = {"steps": 2, "batch_size": 8, "progress": False, "device": "cpu", **arguments}
        return genaug.fit("derived", dataset, out=tmp_path / "run", **arguments)

    return run


def test_ordinary_images_are_enough(fit, tiny_set, tmp_path):
    generator = fit(Negative)
    (condition,) = generator.spec.conditions
    assert (condition.name, condition.sample) == ("negative", generator.spec.sample)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["data_sha256"] == fingerprint(read_samples(tiny_set)), "the hash is that of the user's data"


def test_what_follows_the_image_is_not_read_as_a_condition(fit):
    fit(Negative, [(torch.zeros(1, 8, 8), 0, {"negative": "something else"})] * 8)


@pytest.mark.parametrize(
    "values",
    [lambda samples: {"other": samples}, lambda samples: {}, lambda samples: {"negative": samples[:3]}],
    ids=["another name", "none", "too few"],
)
def test_conditions_that_do_not_fit_are_the_plugins_fault(fit, values, tmp_path):
    class Broken(Negative):
        def derive_conditions(self, config, samples, data):
            return values(samples)

    with pytest.raises(PluginError, match=r"derive_conditions failed \(ValueError: expected 40 samples of each of"):
        fit(Broken)
    assert not (tmp_path / "run").exists()


def test_a_backend_can_reject_samples(fit, tmp_path):
    class Picky(Negative):
        def derive_conditions(self, config, samples, data):
            raise InputError(f"no negatives of {data.sample.describe()}")

    with pytest.raises(InputError, match="no negatives of 1x8x8"):
        fit(Picky)
    assert not (tmp_path / "run").exists()


def test_data_of_other_backends_stay_as_they_are(tiny_set):
    class Plain(Negative):
        derive_conditions = Backend.derive_conditions

    data = read_samples(tiny_set)
    assert with_conditions(Plain(), Plain.Config(), data) is data


def test_two_domains_are_an_error(fit):
    images = TensorDataset(torch.zeros(8, 1, 8, 8, dtype=torch.uint8))
    with pytest.raises(InputError, match="has two domains"):
        fit(Negative, genaug.data.Unpaired(images, images))
