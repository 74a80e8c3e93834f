"""What a generator's networks do with a user's own samples: encode, vary, classify, score, translate and complete."""

from typing import Any, cast

import torch
from torch import Tensor, nn

from genaug.backends import registry
from genaug.backends.backend import Backend
from genaug.backends.spec import Condition, Spec
from genaug.checks import as_whole
from genaug.data.classes import same_form
from genaug.errors import InputError
from genaug.modalities.base import Modality
from genaug.nn.erasing import erased
from genaug.sources import arguments
from genaug.sources.chunks import generate, observe
from genaug.sources.completion import checked_masks, searched
from genaug.sources.source import image_shape
from genaug.sources.varying import check_strength, varied_latents


class OwnSamples:
    """The methods of ``Generator`` that take samples."""

    backend_name: str
    spec: Spec
    nets: nn.ModuleDict
    _backend: Backend

    def translate(
        self,
        samples: Any,
        labels: Any = None,
        *,
        to: str | None = None,
        seed: int | None = None,
        dtype: torch.dtype | None = None,
        precision: str = "auto",
    ) -> Any:
        """Generate a sample from each of ``samples``, for generators with one condition, such as image translators.

        ``samples`` are raw samples (N, ...) of the other domain (images: uint8), ``labels`` int64 (N,) for a generator
        that takes them. ``to`` is the domain to translate into, one of ``domains``: by default the second one. Returns
        raw samples (N, ...) as ``sample`` does; sample i of a seed doesn't depend on the number of samples. Raises
        ``InputError`` unless the generator has exactly one condition, for a domain that it doesn't know or can't
        translate into, and for samples or labels that don't fit.
        """
        spec = self.translation(to)
        condition, method = spec.conditions[0], "generate" if spec is self.spec else "reverse"
        samples = arguments.raw_samples(samples, condition.sample, "translate").cpu()
        labels = arguments.labels_of_samples(labels, len(samples), spec, "translate")
        count, seed, conditions = len(samples), arguments.pick_seed(seed), {condition.name: samples}
        translated = generate(
            self._backend, spec, self.nets, count, seed, {}, labels, dtype, precision, conditions, method
        )
        return spec.sample.present(translated, labels)

    @property
    def domains(self) -> tuple[str, str] | None:
        """The names of the domains between which it translates; None for a generator without exactly one condition.

        It translates from the first into the second one and, if its backend can (``offers("reverse")``), back.
        """
        return self.spec.conditions[0].domains if len(self.spec.conditions) == 1 else None

    def translation(self, to: str | None = None) -> Spec:
        """The spec of ``translate(to=to)``: its samples, and as its condition those that it takes.

        Raises ``InputError`` as ``translate`` does for this argument.
        """
        if self.domains is None:
            raise InputError(
                f"translate needs a generator with one condition; this one, of backend {self.backend_name!r}, has "
                f"{len(self.spec.conditions)}. Sample it, or train a backend for image-to-image translation."
            )
        first, second = self.domains
        target = same_form(second if to is None else str(to))
        if target == same_form(second):
            return self.spec
        if target != same_form(first):
            directions = f"from {first!r} to {second!r}" + (" and back" if self.offers("reverse") else "")
            raise InputError(f"this generator doesn't know the domain {to!r}: it translates {directions}.")
        if not self.offers("reverse"):
            raise InputError(
                f"backend {self.backend_name!r} translates only from {first!r} to {second!r}, not back. Installed "
                f"backends that translate both ways: {', '.join(registry.offering('reverse')) or 'none'}."
            )
        condition = Condition(name=self.spec.conditions[0].name, sample=self.spec.sample, domains=(second, first))
        update = {"sample": self.spec.conditions[0].sample, "conditions": (condition,), "latents": ()}
        return self.spec.model_copy(update=update)

    def complete(
        self, images: Any, masks: Any, labels: Any = None, *, seed: int | None = None, steps: int = 300
    ) -> Tensor:
        """Fill in parts of images, so that they fit what surrounds them.

        A generator of ``context-encoder`` takes one pass. Any other one searches its latents for the image that is
        nearest to the known pixels (Yeh et al. 2017), in ``steps`` steps per 64 images, and can't fill in what it
        can't generate.

        ``images`` are uint8 (N, C, H, W), ``masks`` bool (N, H, W), or (H, W) for all images: True for the pixels to
        fill in. ``labels`` are int64 (N,), for a generator that takes them. Returns uint8 (N, C, H, W) on the CPU, in
        which all other pixels are as they were; image i of a seed doesn't depend on the number of images. Raises
        ``InputError`` for a generator of something else, or with other conditions, and for images, masks or labels
        that don't fit.
        """
        _, height, width = self.check_complete()
        images = arguments.raw_samples(images, self.spec.sample, "complete").cpu()
        unknown = checked_masks(masks, len(images), height, width)
        labels = arguments.labels_of_samples(labels, len(images), self.spec, "complete")
        steps, seed = as_whole(steps, "steps", 0), arguments.pick_seed(seed)
        if self._backend.fills_in:
            filled = self.translate(erased(images, unknown), labels, seed=seed).cpu()
        else:
            filled = searched(self._backend, self.spec, self.nets, images, unknown, labels, steps, seed)
        return torch.where(unknown[:, None], filled, images)

    def check_complete(self) -> tuple[int, int, int]:
        """The shape of the images that ``complete`` takes. Raises ``InputError`` if it can't be called."""
        shape = image_shape(self.spec, "complete")
        if self.spec.conditions and not self._backend.fills_in:
            raise InputError(
                f"backend {self.backend_name!r} makes images from others and can't fill in parts of them. Train "
                "context-encoder, or use a generator without conditions."
            )
        return shape

    def offers(self, method: str) -> bool:
        """Whether "encode", "classify" or "score" can be called, or "reverse": a translation back."""
        return self._backend.offers(method)

    def encode(self, samples: Any, labels: Any = None) -> dict[str, Tensor]:
        """The latents, by name, from which this generator makes similar samples; for backends with an encoder.

        ``samples`` are raw samples (images: uint8 (N, C, H, W)), ``labels`` int64 (N,) for a generator that takes them.
        Returns values (N, ...) as ``decode`` takes them, without the latents that the backend can't infer. Raises
        ``InputError`` if the backend has no encoder, and for samples or labels that don't fit.
        """
        return cast("dict[str, Tensor]", self._observe("encode", samples, labels))

    def vary(
        self,
        samples: Any,
        labels: Any = None,
        *,
        strength: float = 0.5,
        own_labels: Any = None,
        seed: int | None = None,
        dtype: torch.dtype | None = None,
    ) -> Any:
        """Generate a variation of each of ``samples``, for backends with an encoder.

        Latents move from those that ``encode`` returns to fresh draws: ``strength`` 0 gives the reconstruction,
        ``decode(**encode(samples))``, and 1 gives what ``sample(labels=labels, seed=seed)`` gives. In between, the
        fresh draw has the weight ``strength``, and the encoded latent sqrt(1 - strength²) for normal latents, which
        remain normal, or 1 - strength for others; a category is replaced by a drawn one with probability ``strength``.
        Latents that can't be encoded are always drawn.

        ``samples`` are raw samples (images: uint8 (N, C, H, W)). For a generator that takes labels, ``labels`` int64
        (N,) are those of the variations, and ``own_labels`` those of the samples, if they differ: the result is then a
        sample of another class with the same latents. Returns raw samples (N, ...) as ``sample`` does; variation i of a
        seed doesn't depend on the number of samples. Raises ``InputError`` if the backend has no encoder, for a
        strength outside [0, 1], and for samples or labels that don't fit.
        """
        strength, seed = check_strength(strength), arguments.pick_seed(seed)
        self._check_can_vary()
        samples = arguments.raw_samples(samples, self.spec.sample, "vary")
        labels = arguments.labels_of_samples(labels, len(samples), self.spec, "vary")
        own = labels if own_labels is None else arguments.labels_of_samples(own_labels, len(samples), self.spec, "vary")
        encoded = observe(self._backend, self.spec, self.nets, "encode", samples, [own], padded=True)
        latents = varied_latents(self.spec.latents, encoded, len(samples), strength, seed)
        noise_seed = seed if strength else 0  # that of decode
        count = len(samples)
        varied = generate(self._backend, self.spec, self.nets, count, noise_seed, latents, labels, dtype, "auto")
        return self.spec.sample.present(varied, labels)

    def check_vary(self, samples: Modality, strength: float) -> None:
        """Raises ``InputError`` if ``vary`` would reject samples of this modality, or this strength."""
        check_strength(strength)
        self._check_can_vary()
        if not self.spec.sample.fits(samples):
            raise InputError(
                f"the editor varies {self.spec.sample.describe()}, the dataset has {samples.describe()}. Convert them "
                "with a transform, or pass image_size= (--image-size or --set image_size=)."
            )

    def _check_can_vary(self) -> None:
        self.check_offers("encode", "vary")
        if self.spec.conditions:
            raise InputError("vary isn't possible for a generator that makes samples from others: call translate.")

    def classify(self, samples: Any) -> Tensor:
        """Class logits of samples, float32 (N, K), of the classes ``spec.recognized`` if there are any; without
        classes, logits of the first categorical latent.

        Raises ``InputError`` if the backend has no classifier, and for samples that don't fit.
        """
        return cast("Tensor", self._observe("classify", samples))

    def score(self, samples: Any, labels: Any = None) -> Tensor:
        """The discriminator's scores of samples, float32 (N,): higher is more realistic.

        ``labels`` are int64 (N,), for a generator that takes them and whose discriminator depends on them. Raises
        ``InputError`` if the backend keeps no discriminator, and for samples or labels that don't fit.
        """
        if labels is None and self._backend.scores_without_labels:
            self.check_offers("score", "score")
            samples = arguments.raw_samples(samples, self.spec.sample, "score")
            return cast("Tensor", observe(self._backend, self.spec, self.nets, "score", samples, [None]))
        return cast("Tensor", self._observe("score", samples, labels))

    def _observe(self, method: str, samples: Any, *labels: Any) -> Any:
        """What an optional method of the backend returns for raw samples, and for ``labels`` if it takes them."""
        self.check_offers(method, method)
        samples = arguments.raw_samples(samples, self.spec.sample, method)
        checked = [arguments.labels_of_samples(values, len(samples), self.spec, method) for values in labels]
        return observe(self._backend, self.spec, self.nets, method, samples, checked)

    def check_offers(self, method: str, verb: str) -> None:
        """Raises ``InputError``, which names the backends that can, if a method that ``verb`` needs isn't there."""
        if not self.offers(method):
            raise InputError(
                f"backend {self.backend_name!r} can't {verb} samples. Installed backends that can: "
                f"{', '.join(registry.offering(method, self._backend.modalities)) or 'none'}."
            )
