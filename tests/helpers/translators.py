"""Translators that take no training: they change brightness, so that every translation can be computed."""

import torch
from torch import nn

from genaug.backends import Backend, BackendConfig, Condition, Spec
from genaug.modalities import Image
from genaug.sources.generator import Generator


class Shift(nn.Module):
    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = nn.Parameter(torch.tensor(by))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.by / 127.5


class Brighter(Backend):
    """Adds 40 to images, and takes 10 away on the way back."""

    Config = BackendConfig
    conditions = ("source",)
    takes_unpaired = True
    keeps = ("generator", "backward")

    def describe(self, config, data):
        return data.model_copy(update={"latents": (), "classes": None})

    def build(self, config, spec):
        return nn.ModuleDict({"generator": Shift(40.0), "backward": Shift(-10.0)})

    def generate(self, nets, inputs):
        return nets["generator"](inputs.conditions["source"])

    def reverse(self, nets, inputs):
        return nets["backward"](inputs.conditions["source"])


def brighter(shape=(1, 8, 8), domains=("dim", "bright"), training=None):
    """A generator of the backend "brighter", which has to be added while it is saved or loaded."""
    backend, config = Brighter(), BackendConfig()
    condition = Condition(name="source", sample=Image(*shape), domains=domains)
    spec = backend.describe(config, Spec(sample=Image(*shape), conditions=(condition,)))
    return Generator("brighter", backend, config, spec, backend.build(config, spec), training or {})
