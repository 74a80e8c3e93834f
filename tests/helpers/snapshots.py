"""Files with the structure of R3GAN's snapshots: live modules, pickled with or without their source.

The modules are stand-ins of our own with the published names of packages, classes and parameters. They exist in
``sys.modules`` only while a file is written.
"""

import contextlib
import io
import math
import pickle
import sys
import types
from itertools import pairwise

import torch
from torch import nn
from torch.nn.functional import conv_transpose2d, leaky_relu

WIDTHS, CARDINALITIES, BLOCKS, EXPANSION, NOISE = (12, 12, 6), (6, 6, 3), (2, 2, 2), 2, 8


class Convolution(nn.Module):
    def __init__(self, before, after, kernel, groups=1):
        super().__init__()
        self.Layer = nn.Conv2d(before, after, kernel, padding=kernel // 2, groups=groups, bias=False)

    def forward(self, x):
        return self.Layer(x)


class BiasedActivationCUDA(nn.Module):
    def __init__(self, units):
        super().__init__()
        self.Bias = nn.Parameter(torch.randn(units))

    def forward(self, x):
        return leaky_relu(x + self.Bias.view(1, -1, 1, 1), 0.2)


class ResidualBlock(nn.Module):
    def __init__(self, width, cardinality, expansion):
        super().__init__()
        inner = width * expansion
        self.LinearLayer1 = Convolution(width, inner, 1)
        self.LinearLayer2 = Convolution(inner, inner, 3, cardinality)
        self.LinearLayer3 = Convolution(inner, width, 1)
        self.NonLinearity1 = BiasedActivationCUDA(inner)
        self.NonLinearity2 = BiasedActivationCUDA(inner)

    def forward(self, x):
        y = self.LinearLayer2(self.NonLinearity1(self.LinearLayer1(x)))
        return x + self.LinearLayer3(self.NonLinearity2(y))


class InterpolativeUpsamplerCUDA(nn.Module):
    def __init__(self):
        super().__init__()
        line = torch.tensor([1.0, 3.0, 3.0, 1.0])
        self.register_buffer("Kernel", line[:, None] * line / 64)

    def forward(self, x):
        kernel = 4 * self.Kernel.expand(x.shape[1], 1, 4, 4)
        return conv_transpose2d(x, kernel, stride=2, padding=1, groups=x.shape[1])


class UpsampleLayer(nn.Module):
    def __init__(self, before, after):
        super().__init__()
        self.Resampler = InterpolativeUpsamplerCUDA()
        if before != after:
            self.LinearLayer = Convolution(before, after, 1)

    def forward(self, x):
        return self.Resampler(self.LinearLayer(x) if hasattr(self, "LinearLayer") else x)


class GenerativeBasis(nn.Module):
    def __init__(self, inputs, width):
        super().__init__()
        self.Basis = nn.Parameter(torch.randn(width, 4, 4))
        self.LinearLayer = nn.Linear(inputs, width, bias=False)

    def forward(self, x):
        return self.Basis * self.LinearLayer(x)[:, :, None, None]


class GeneratorStage(nn.Module):
    def __init__(self, transition, width, cardinality, blocks, expansion):
        super().__init__()
        self.Layers = nn.ModuleList(
            [transition, *(ResidualBlock(width, cardinality, expansion) for _ in range(blocks))]
        )
        self.DataType = torch.bfloat16

    def forward(self, x):
        for layer in self.Layers:
            x = layer(x)
        return x


class InnerGenerator(nn.Module):
    def __init__(self, widths, cardinalities, blocks, expansion, noise, classes):
        super().__init__()
        inputs = noise * 2 if classes else noise
        firsts = [GenerativeBasis(inputs, widths[0])]
        firsts += [UpsampleLayer(before, after) for before, after in pairwise(widths)]
        self.MainLayers = nn.ModuleList(
            GeneratorStage(first, *sizes, expansion)
            for first, *sizes in zip(firsts, widths, cardinalities, blocks, strict=True)
        )
        self.AggregationLayer = Convolution(widths[-1], 3, 1)
        if classes:
            self.EmbeddingLayer = nn.Linear(classes, noise, bias=False)

    def forward(self, x, y=None):
        x = torch.cat([x, self.EmbeddingLayer(y)], 1) if hasattr(self, "EmbeddingLayer") else x
        for stage in self.MainLayers:
            x = stage(x)
        return self.AggregationLayer(x)


class Generator(nn.Module):
    """``training.networks.Generator``: the module around the network."""

    def __init__(self, classes=4, widths=WIDTHS, cardinalities=CARDINALITIES, blocks=BLOCKS, expansion=EXPANSION):
        super().__init__()
        self.Model = InnerGenerator(widths, cardinalities, blocks, expansion, NOISE, classes)
        self.z_dim, self.c_dim, self.img_resolution = NOISE, classes, 4 * 2 ** (len(widths) - 1)
        self._init_args = ()
        self._init_kwargs = {
            "NoiseDimension": NOISE,
            "WidthPerStage": list(widths),
            "CardinalityPerStage": list(cardinalities),
            "BlocksPerStage": list(blocks),
            "ExpansionFactor": expansion,
            "c_dim": classes,
        }

    def forward(self, z, labels=None):
        return self.Model(z, labels)


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.Model = Convolution(3, 4, 1)


class EasyDict(dict):
    pass


HOMES = {
    "R3GAN.Networks": (Convolution, ResidualBlock, UpsampleLayer, GenerativeBasis, GeneratorStage, InnerGenerator),
    "R3GAN.FusedOperators": (BiasedActivationCUDA,),
    "R3GAN.Resamplers": (InterpolativeUpsamplerCUDA,),
    "training.networks": (Generator, Discriminator),
    "dnnlib.util": (EasyDict,),
}


@contextlib.contextmanager
def published_names():
    """The classes are where the published code has them, so that a pickle refers to them there."""
    old = {}
    try:
        for module, classes in HOMES.items():
            fake = types.ModuleType(module)
            sys.modules[module.partition(".")[0]] = types.ModuleType(module.partition(".")[0])
            sys.modules[module] = fake
            for cls in classes:
                old[cls] = cls.__module__
                cls.__module__ = module
                setattr(fake, cls.__name__, cls)
        yield
    finally:
        for cls, module in old.items():
            cls.__module__ = module
        for module in HOMES:
            sys.modules.pop(module, None)
            sys.modules.pop(module.partition(".")[0], None)


def _reconstruct_persistent_obj(meta):
    raise AssertionError("nothing may be unpickled")


class PersistentPickler(pickle.Pickler):
    """Pickles modules as StyleGAN's ``persistence`` does: with the source of their class, which runs on loading."""

    def __init__(self, file, source, protocol=4):
        super().__init__(file, protocol)
        self.source = source

    def reducer_override(self, value):
        if type(value) in (Generator, Discriminator):
            meta = {"type": "class", "version": 6, "module_src": self.source, "class_name": type(value).__name__}
            return _reconstruct_persistent_obj, ({**meta, "state": value.__dict__},)
        return NotImplemented


def snapshot(generator, average=None, source=None, protocol=4):
    """The bytes of a snapshot with ``generator`` as G and ``average`` (by default the same) as G_ema.

    ``source``: code that comes with the modules, and that the original loader would execute.
    """
    discriminator = Discriminator()
    optimizer = torch.optim.Adam(discriminator.parameters())
    sum(p.sum() for p in discriminator.parameters()).backward()
    optimizer.step()
    for parameter in discriminator.parameters():
        parameter.grad = None
    content = {
        "G": generator,
        "D": discriminator,
        "G_ema": generator if average is None else average,
        "training_set_kwargs": EasyDict(path="x.zip", use_labels=True),
        "cur_nimg": 1000,
        "D_opt_state": optimizer.state_dict(),
    }
    file = io.BytesIO()
    with published_names():
        if source is None:
            pickle.Pickler(file, protocol).dump(content)
        else:
            persistence = types.ModuleType("torch_utils.persistence")
            persistence._reconstruct_persistent_obj = _reconstruct_persistent_obj
            sys.modules |= {"torch_utils": types.ModuleType("torch_utils"), "torch_utils.persistence": persistence}
            home, _reconstruct_persistent_obj.__module__ = _reconstruct_persistent_obj.__module__, persistence.__name__
            try:
                PersistentPickler(file, source, protocol).dump(content)
            finally:
                _reconstruct_persistent_obj.__module__ = home
                del sys.modules["torch_utils"], sys.modules["torch_utils.persistence"]
    return file.getvalue()


def make_generator(seed=0, **options):
    """A generator with random weights of a size that keeps values near 1."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator = Generator(**options).eval().requires_grad_(False)
        for parameter in generator.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=1 / math.sqrt(parameter[0].numel()))
    return generator


def images_of(generator, z, labels):
    """What the published network draws: images (N, 3, H, W), which may lie outside of [-1, 1]."""
    classes = generator.c_dim
    return generator(z, torch.eye(classes)[labels] if classes else None)
