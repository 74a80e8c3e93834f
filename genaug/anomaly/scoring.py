"""The anomaly scores of images by one of three methods; for all of them, higher is more anomalous."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genaug.anomaly.encoder import LatentEncoder, generated
from genaug.anomaly.judging import Features, distances, no_features
from genaug.device import autocast, torch_defaults
from genaug.errors import InputError
from genaug.sources.chunks import chunk_size
from genaug.sources.generator import Generator
from genaug.sources.source import image_shape

METHODS = ("reconstruction", "encoder", "discriminator")


@dataclass(frozen=True)
class Scorer:
    """Scores images by ``method``. ``encoder`` is a trained one if the method is "encoder", otherwise None."""

    generator: Generator
    method: str
    encoder: LatentEncoder | None = None

    def scores(self, images: Tensor, on_images: Callable[[int], None] | None = None) -> Tensor:
        """Anomaly scores, float32 (N,) on the CPU, of uint8 images (N, C, H, W).

        An image's score doesn't depend on the other images. ``on_images(k)`` is called after every k images.
        """
        return torch.cat([scores for scores, _ in self._parts(images, on_images)])

    def reconstruct(self, images: Tensor) -> Tensor | None:
        """Reconstructions, uint8 (N, C, H, W) on the CPU; None if the method has none."""
        if self.method == "discriminator":
            return None
        return torch.cat([images for _, images in self._parts(images, None) if images is not None])

    def _parts(self, images: Tensor, on_images: Callable[[int], None] | None) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Scores and reconstructions of consecutive parts, which are padded to equal lengths for the networks."""
        generator = self.generator
        size = chunk_size(generator.spec, generator.device)
        method = {"reconstruction": self._by_own_encoder, "encoder": self._by_encoder}.get(
            self.method, self._by_discriminator
        )
        for part in images.split(size):
            count = len(part)
            padded = torch.cat([part, part.new_zeros((size - count, *part.shape[1:]))])
            with torch_defaults(), torch.inference_mode(), autocast(torch.float32, generator.device):
                scores, reconstructions = method(padded)
                scores = scores[:count].float().cpu()
                if reconstructions is not None:
                    reconstructions = generator.spec.sample.decode(reconstructions[:count], torch.uint8).cpu()
            if not bool(scores.isfinite().all()):
                raise InputError(
                    f"the generator's networks give scores that are NaN or infinite (method {self.method!r}); expected "
                    "finite ones. Train the generator again."
                )
            yield scores, reconstructions
            if on_images is not None:
                on_images(count)

    def _by_own_encoder(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The mean squared error of a pixel, black to white being 1; with labels, that of the class with the least."""
        generator = self.generator
        x = generator.spec.sample.encode(images).to(generator.device)
        best: tuple[Tensor, Tensor] | None = None
        for labels in self._labels(len(images)):
            latents = {name: values.to(generator.device) for name, values in generator.encode(images, labels).items()}
            candidates = generated(generator, latents, None if labels is None else labels.to(generator.device))
            errors = distances(None, x, candidates, None) / 4
            if best is None:
                best = errors, candidates
            else:
                closer = errors < best[0]
                best = (
                    torch.where(closer, errors, best[0]),
                    torch.where(closer.view(-1, 1, 1, 1), candidates, best[1]),
                )
        assert best is not None
        return best

    def _by_encoder(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """A(x) of Schlegl et al. 2019."""
        assert self.encoder is not None
        generator = self.generator
        self.encoder.to(generator.device)  # which may have moved
        x = generator.spec.sample.encode(images).to(generator.device)
        latents, labels = self.encoder.inputs(self.encoder(x))
        reconstructions = generated(generator, latents, labels)
        with Features(generator) if Features.available(generator) else no_features() as features:
            return distances(features, x, reconstructions, labels), reconstructions

    def _by_discriminator(self, images: Tensor) -> tuple[Tensor, None]:
        """The discriminator's negative score; if it needs labels, that for the class that it finds most realistic."""
        generator = self.generator
        if generator.backend.scores_without_labels:
            return -generator.score(images), None
        per_class = torch.stack([generator.score(images, labels) for labels in self._labels(len(images))])
        return -per_class.amax(0), None

    def _labels(self, count: int) -> Iterator[Tensor | None]:
        """``count`` labels of each class in turn; None for a generator without labels."""
        classes = self.generator.spec.num_classes
        if not classes:
            yield None
        for label in range(classes):
            yield torch.full((count,), label, dtype=torch.int64)


def as_array(scores: Tensor) -> NDArray[np.float64]:
    """Scores as float64 (N,)."""
    array: NDArray[np.float64] = scores.double().numpy()
    return array


def choose_method(generator: Any, method: str | None) -> str:
    """The method for a generator: ``method`` if it can be used, and by default what the generator offers.

    That is "reconstruction" if it has an encoder for all of its latents, else "encoder". Raises ``InputError`` for
    anything but a generator of images, and for a method that is unknown or that this generator doesn't offer.
    """
    if not isinstance(generator, Generator):
        raise InputError(
            f"anomaly scores need a Generator, as genaug.load and genaug.fit return it, got {type(generator).__name__}."
        )
    image_shape(generator.spec, "anomaly scores")
    if generator.spec.conditions:
        raise InputError("anomaly scores aren't possible with a generator that makes its images from others.")
    if method is not None and method not in METHODS:
        raise InputError(f"method must be one of {', '.join(METHODS)}, got {str(method)[:80]!r}.")
    if method == "discriminator":
        generator.check_offers("score", "score")
    if method == "encoder" or (method is None and not generator.offers("encode")):
        return "encoder"
    if method == "discriminator":
        return method
    if not generator.offers("encode"):
        raise InputError(
            f"method 'reconstruction' needs a generator with an encoder, and backend {generator.backend_name!r} has "
            "none. Use method='encoder', which trains one, or train a backend such as vae."
        )
    missing = _missing_latents(generator)
    if missing and method is not None:
        raise InputError(
            f"method 'reconstruction' needs an encoder for all latents, but that of backend "
            f"{generator.backend_name!r} doesn't recover {', '.join(missing)}. Use method='encoder', which trains one."
        )
    return "encoder" if missing else "reconstruction"


def _missing_latents(generator: Generator) -> list[str]:
    """The latents that the generator's encoder doesn't recover."""
    image = torch.zeros(1, *generator.spec.shape, dtype=torch.uint8)
    labels = torch.zeros(1, dtype=torch.int64) if generator.spec.takes_labels else None
    known = generator.encode(image, labels)
    return [latent.name for latent in generator.spec.latents if latent.name not in known]
