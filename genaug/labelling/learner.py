"""Training of the small classifiers that give the labels."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from genaug.errors import InputError
from genaug.nn import diffaugment
from genaug.nn.classifier import as_unit, batches, train_classifier
from genaug.randomness import derive_seed

BATCH = 32
_CHUNK = 256

# Builds a network from (image shape, number of outputs, seed); it maps floats (N, C, H, W) in [0, 1] to logits.
Build = Callable[[tuple[int, ...], int, int], nn.Module]


class FewImagesCNN(nn.Module):
    """For ten images per class: a convolution, then pairs of them that each halve the side, until it is at most 7.

    With group normalization, and dropout before the only linear layer; small, since several networks classify every
    candidate. Takes float images (N, C, H, W) in [0, 1] and returns logits (N, outputs).
    """

    def __init__(self, shape: tuple[int, ...], outputs: int, seed: int, width: int = 16) -> None:
        super().__init__()
        side, most = max(shape[1:]), 8 * width
        layers = _block(shape[0], width, 1)
        while side > 7:
            wider = min(2 * width, most)
            layers += [*_block(width, wider, 2), *_block(wider, wider, 1)]
            side, width = -(-side // 2), wider
        cells = min(side, 4)
        head = [nn.AdaptiveAvgPool2d(cells), nn.Flatten(), nn.Dropout(0.5), nn.Linear(width * cells**2, outputs)]
        self.layers = nn.Sequential(*layers, *head)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images * 2 - 1)
        return logits


def _block(channels: int, width: int, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, width, 3, stride, 1), nn.GroupNorm(8, width), nn.ReLU()]


@dataclass(frozen=True)
class Learner:
    """How and where classifiers are built and trained. The same seed and salt give the same classifier on a CPU."""

    build: Build
    updates: int
    augment: tuple[str, ...]
    seed: int
    device: torch.device

    def learn(
        self, data: Iterator[tuple[Tensor, Tensor]], shape: tuple[int, ...], outputs: int, salt: int
    ) -> nn.Module:
        """A classifier trained on batches of uint8 images (N, C, H, W) and int64 labels (N,), in evaluation mode.

        Doesn't change torch's global RNG. Raises ``InputError`` if ``build`` doesn't return such a classifier.
        """
        seed = derive_seed(self.seed, "labels", salt)
        augment = self._augment if self.augment else None
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(seed)
            model = self.build(shape, outputs, seed)
            _check(model, shape, outputs)
            train_classifier(model.to(self.device), data, updates=self.updates, seed=seed, augment=augment)
        return model.requires_grad_(False)

    def learn_from(self, images: Tensor, labels: Tensor, outputs: int, salt: int) -> nn.Module:
        """A classifier trained on a fixed set of images: full batches, reshuffled in every epoch."""
        order = torch.Generator().manual_seed(derive_seed(self.seed, "order", salt))
        size = min(BATCH, len(images))
        loader = DataLoader(TensorDataset(images, labels), size, shuffle=True, drop_last=True, generator=order)
        channels, height, width = images.shape[1:]
        return self.learn(batches(loader), (channels, height, width), outputs, salt)

    def _augment(self, images: Tensor, draws: torch.Generator) -> Tensor:
        def draw(count: int, width: int) -> Tensor:
            return torch.rand(count, width, generator=draws).to(images.device)

        return (diffaugment.augment(images * 2 - 1, self.augment, draw) / 2 + 0.5).clamp(0, 1)


@torch.inference_mode()
def logits_of(model: nn.Module, images: Tensor) -> Tensor:
    """Logits (N, outputs), float32, for uint8 images (N, C, H, W) on the model's device."""
    return torch.cat([model(as_unit(part)).float() for part in images.split(_CHUNK)])


def _check(model: nn.Module, shape: tuple[int, ...], outputs: int) -> None:
    if not isinstance(model, nn.Module) or not any(True for _ in model.parameters()):
        raise InputError(f"classifier= must build a torch network with parameters, got {type(model).__name__}.")
    with torch.no_grad():
        logits = model.eval()(torch.zeros(2, *shape))
    if not isinstance(logits, Tensor) or tuple(logits.shape) != (2, outputs):
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise InputError(f"classifier='s network gave {got} for 2 images; expected logits of shape (2, {outputs}).")
