"""f-AnoGAN (Schlegl et al. 2019): an encoder that is trained for a generator whose weights don't change."""

from collections.abc import Callable
from itertools import accumulate, pairwise
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from genaug.anomaly.judging import Features, distances, no_features
from genaug.backends.backend import Inputs
from genaug.backends.calls import faults_of
from genaug.backends.latents import Categorical, Uniform, latent_rows, noise_rows
from genaug.backends.spec import Spec
from genaug.device import torch_defaults
from genaug.errors import TrainingError
from genaug.nn.blocks import ConvFeatures
from genaug.randomness import category_rows, derive_seed
from genaug.sources.generator import Generator

WIDTH, MAX_WIDTH = 32, 256
LEARNING_RATE = 1e-3
_LABEL = ""  # no latent has this name


class LatentEncoder(nn.Module):
    """Images in [-1, 1], (N, C, H, W), to the inputs from which a generator with this spec makes similar images."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec = spec
        sizes = {
            latent.name: latent.size if isinstance(latent, Categorical) else prod(latent.shape)
            for latent in spec.latents
        }
        if spec.num_classes:
            sizes[_LABEL] = spec.num_classes
        self._parts = dict(zip(sizes, pairwise(accumulate(sizes.values(), initial=0)), strict=True))
        self.body = ConvFeatures(spec.shape, WIDTH, MAX_WIDTH)
        self.head = nn.Linear(self.body.width, sum(sizes.values()))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """The last layer's values by the input's name, each (N, size): values of continuous latents, and logits."""
        values = self.head(self.body(x)).float()
        return {name: values[:, start:end] for name, (start, end) in self._parts.items()}

    def inputs(self, values: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor | None]:
        """Latents by name and labels (N,), or None without classes, from what ``forward`` returns.

        Uniform latents are limited to [-1, 1] by tanh; categories and labels are the most likely ones.
        """
        latents = {}
        for latent in self.spec.latents:
            value = values[latent.name]
            if isinstance(latent, Categorical):
                value = value.argmax(1)
            elif isinstance(latent, Uniform):
                value = value.tanh()
            latents[latent.name] = value.reshape(len(value), *latent.shape)
        return latents, values[_LABEL].argmax(1) if _LABEL in values else None


@torch_defaults()
def train_encoder(
    generator: Generator,
    images: Tensor,
    *,
    steps: int,
    batch_size: int,
    seed: int,
    on_step: Callable[[float], None] | None = None,
) -> LatentEncoder:
    """Train an encoder for a generator on normal images, uint8 (N, C, H, W), which may be on the CPU.

    The loss compares images with their reconstructions, in pixels and, if the generator keeps a discriminator, in its
    features: izi_f, or izi without features (Schlegl et al. 2019, section 2.2). Classes and categorical latents have
    no gradient, so they are learned from generated images, for which they are known. ``on_step(loss)`` is called after
    each step. Adam, with a cosine schedule to zero. Raises ``TrainingError`` if the loss isn't finite at the end.
    """
    device, spec = generator.device, generator.spec
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "encoder"))
        encoder = LatentEncoder(spec)
    encoder.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(encoder.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    rng = torch.Generator().manual_seed(derive_seed(seed, "order"))
    size = min(batch_size, len(images))
    order = torch.empty(0, dtype=torch.int64)
    loss = torch.zeros(())
    with Features(generator) if Features.available(generator) else no_features() as features:
        for step in range(steps):
            if len(order) < size:
                order = torch.randperm(len(images), generator=rng)
            rows, order = order[:size], order[size:]
            x = spec.sample.encode(images[rows]).to(device)
            latents, labels = encoder.inputs(encoder(x))
            loss = distances(features, x, generated(generator, latents, labels), labels).mean()
            loss = loss + _discrete_loss(encoder, generator, step, size, derive_seed(seed, "prior"))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            if on_step is not None:
                on_step(float(loss.detach()))
    if not bool(loss.isfinite()):
        raise TrainingError(
            f"the encoder's training diverged: after {steps:,} steps its loss is {float(loss)}. Check whether the "
            "generator makes ordinary images, and train the encoder for fewer steps."
        )
    return encoder.eval().requires_grad_(False)


def generated(generator: Generator, latents: dict[str, Tensor], labels: Tensor | None) -> Tensor:
    """The generator's images in [-1, 1] of these inputs, with gradients; further noise is the same for every image."""
    count, noise = len(next(iter(latents.values()))), noise_rows(0, 0, 1, generator.device)
    with faults_of(generator.backend, "generate"):
        images = generator.backend.generate(
            generator.nets, Inputs(latents, labels, lambda *shape: noise(*shape).expand(count, *shape))
        )
    return images.float()


def _discrete_loss(encoder: LatentEncoder, generator: Generator, step: int, size: int, seed: int) -> Tensor:
    """The cross-entropy of classes and categories on generated images; 0 if the generator has neither."""
    spec, device, start = generator.spec, generator.device, step * size
    names = [latent.name for latent in spec.latents if isinstance(latent, Categorical)]
    if not names and not spec.num_classes:
        return torch.zeros((), device=device)
    latents = {latent.name: latent_rows(latent, seed, start, size).to(device) for latent in spec.latents}
    labels = category_rows(spec.num_classes, seed, "labels", start, size).to(device) if spec.num_classes else None
    with torch.no_grad(), faults_of(generator.backend, "generate"):
        noise = noise_rows(seed, start, size, device)
        images = generator.backend.generate(generator.nets, Inputs(latents, labels, noise)).float()
    values = encoder(images)
    known = {name: latents[name] for name in names} | ({} if labels is None else {_LABEL: labels})
    return torch.stack([cross_entropy(values[name], target) for name, target in known.items()]).sum()
