"""Filling in parts of images by a search in a generator's latents, without training anything (Yeh et al. 2017)."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, softplus

from genaug.backends.backend import Backend, Inputs
from genaug.backends.calls import faults_of
from genaug.backends.latents import Uniform, latent_rows, noise_rows
from genaug.backends.spec import Spec
from genaug.device import torch_defaults
from genaug.errors import InputError
from genaug.randomness import derive_seed
from genaug.sources.chunks import chunk_size, device_of

CANDIDATES = 32  # latents per image, of which the search starts from the best
_LR = 0.05
_REALISM = 0.003  # weight of the discriminator's score
_WINDOW = 7  # side of the surroundings in which erased pixels are counted
_CHUNK = 64  # images at once, so that results don't depend on the number of images


def checked_masks(masks: Any, count: int, height: int, width: int) -> Tensor:
    """Masks as bool (N, H, W) on the CPU; one (H, W) is for all images. Raises ``InputError`` for anything else."""
    values = masks.detach().cpu() if isinstance(masks, Tensor) else torch.as_tensor(masks)
    if values.dtype != torch.bool or tuple(values.shape) not in ((height, width), (count, height, width)):
        raise InputError(
            f"complete got masks of {values.dtype}, shape {tuple(values.shape)}; expected bool of shape "
            f"{(count, height, width)} or {(height, width)}, True for the pixels to fill in."
        )
    return values.expand(count, height, width)


@torch_defaults()
def searched(
    backend: Backend,
    spec: Spec,
    nets: nn.ModuleDict,
    images: Tensor,
    masks: Tensor,
    labels: Tensor | None,
    steps: int,
    seed: int,
) -> Tensor:
    """The generator's images that are nearest to the known pixels of ``images``, raw (N, C, H, W) on the CPU.

    ``masks`` are bool (N, H, W), True for unknown pixels, all on the CPU. From the best of ``CANDIDATES`` draws, Adam
    minimizes the contextual loss (eq. 3), in which known pixels count the more, the more unknown ones surround them
    (eq. 2), and the loss of the discriminator if it is kept (eq. 4). Categories stay those of the best draw.
    """
    size, parts = min(_CHUNK, chunk_size(spec, device_of(nets))), []
    for start in range(0, len(images), size):
        rows = torch.arange(start, start + size).clamp(max=len(images) - 1)  # a last chunk is filled up
        own = None if labels is None else labels[rows]
        search = _Search(backend, spec, nets, images[rows], masks[rows], own)
        latents = search.run(steps, seed, start)
        with torch.no_grad():
            outputs = search.generate(latents).cpu()
        parts.append(spec.sample.decode(outputs, spec.sample.dtype)[: len(images) - start])
    return torch.cat(parts) if parts else images


class _Search:
    def __init__(
        self, backend: Backend, spec: Spec, nets: nn.ModuleDict, images: Tensor, masks: Tensor, labels: Tensor | None
    ) -> None:
        self._backend, self._spec, self._nets, self._device = backend, spec, nets, device_of(nets)
        self._target = spec.sample.encode(images).to(self._device)
        self._labels = None if labels is None else labels.to(self._device)
        unknown = masks[:, None].float().to(self._device)
        near = avg_pool2d(unknown, _WINDOW, 1, _WINDOW // 2)
        self._weights = (near + 1e-3) * (1 - unknown)  # far from the mask, pixels still count a little
        self._weights /= self._weights.sum((1, 2, 3), keepdim=True).clamp_min(1e-6)

    def generate(self, latents: Mapping[str, Tensor]) -> Tensor:
        count, noise = len(self._target), noise_rows(0, 0, 1, self._device)
        inputs = Inputs(latents, self._labels, lambda *shape: noise(*shape).expand(count, *shape))
        with faults_of(self._backend, "generate"):
            return self._backend.generate(self._nets, inputs).float()

    def losses(self, latents: Mapping[str, Tensor]) -> Tensor:
        """The loss of each image, (N,)."""
        images = self.generate(latents)
        losses = ((images - self._target).abs() * self._weights).sum((1, 2, 3))
        if self._backend.offers("score"):
            with faults_of(self._backend, "score"):
                losses = losses + _REALISM * softplus(-self._backend.score(self._nets, images, self._labels).float())
        return losses

    def run(self, steps: int, seed: int, start: int) -> dict[str, Tensor]:
        latents = self._best_draws(seed, start)
        free = [latents[latent.name].requires_grad_() for latent in self._spec.latents if latent.is_float]
        if not free:
            return latents
        optimizer = torch.optim.Adam(free, lr=_LR)
        with torch.enable_grad():
            for _ in range(steps):
                optimizer.zero_grad(set_to_none=True)
                self.losses(latents).sum().backward()
                optimizer.step()
                for latent in self._spec.latents:
                    if isinstance(latent, Uniform):
                        latents[latent.name].data.clamp_(-1, 1)
        return {name: values.detach() for name, values in latents.items()}

    def _best_draws(self, seed: int, start: int) -> dict[str, Tensor]:
        count, best = len(self._target), torch.full((len(self._target),), torch.inf, device=self._device)
        latents: dict[str, Tensor] = {}
        for number in range(CANDIDATES):
            part = derive_seed(seed, "candidate", number)
            draws = {
                latent.name: latent_rows(latent, part, start, count).to(self._device) for latent in self._spec.latents
            }
            with torch.no_grad():
                losses = self.losses(draws)
            better = losses < best
            best = torch.where(better, losses, best)
            for name, values in draws.items():
                chosen = better.view(-1, *[1] * (values.ndim - 1))
                latents[name] = torch.where(chosen, values, latents[name]) if number else values
        return latents
