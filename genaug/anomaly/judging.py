"""How far images are from their reconstructions: in pixels, and in the features of a kept discriminator."""

from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from genaug.backends.calls import faults_of
from genaug.sources.generator import Generator

KAPPA = 1.0  # weight of the features' distance (Schlegl et al. 2019, eq. 7)


class Features:
    """The output of a kept discriminator's last block, before the layers that give the scores: a context manager.

    Within the block it is a function of images in [-1, 1], (N, C, H, W), and labels, (N,) or None, with gradients.
    """

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._outputs: list[Tensor] = []
        self._handles: list[RemovableHandle] = []

    @staticmethod
    def available(generator: Generator) -> bool:
        """Whether the generator keeps a discriminator that gives scores and declares its blocks."""
        backend = generator.backend
        return backend.offers("score") and backend.offers("discriminator_blocks")

    def __enter__(self) -> "Features":
        backend = self._generator.backend
        with faults_of(backend, "discriminator_blocks"):
            last = backend.discriminator_blocks(self._generator.nets)[-1]
        self._handles = [module.register_forward_hook(self._keep) for module in last.modules()]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()

    def __call__(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """(N, features)."""
        self._outputs.clear()
        backend = self._generator.backend
        with faults_of(backend, "score"):
            backend.score(self._generator.nets, images, labels)
            if not self._outputs:
                raise TypeError("none of the modules in the discriminator's last block was called")
        return self._outputs[-1].float().flatten(1)

    def _keep(self, module: nn.Module, arguments: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            self._outputs.append(output)


def no_features() -> AbstractContextManager[None]:
    return nullcontext()


def distances(features: Features | None, x: Tensor, reconstructions: Tensor, labels: Tensor | None) -> Tensor:
    """The anomaly score A(x) of Schlegl et al. 2019, eq. 7, for images in [-1, 1] and their reconstructions, (N,).

    The mean squared difference of pixels plus ``KAPPA`` times that of the discriminator's features, if there are any.
    """
    residual = (x - reconstructions).square().flatten(1).mean(1)
    if features is None:
        return residual
    return residual + KAPPA * (features(x, labels) - features(reconstructions, labels)).square().mean(1)
