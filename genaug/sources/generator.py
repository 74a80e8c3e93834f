"""A trained generator: sample from it, decode latents with it, save it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from PIL.Image import Image
from torch import Tensor, nn

from genaug.artifacts.figures import EVALUATION_FILE
from genaug.artifacts.manifest import write_generator
from genaug.artifacts.paths import reading_from
from genaug.backends import registry
from genaug.backends.backend import Backend
from genaug.backends.spec import Condition, Spec
from genaug.checks import as_whole
from genaug.data.classes import same_form
from genaug.device import pick_device
from genaug.errors import InputError, PluginError
from genaug.modalities.base import Modality
from genaug.nn.erasing import erased
from genaug.randomness import category_rows, uniform_rows
from genaug.sources import arguments
from genaug.sources.chunks import device_of, generate, observe
from genaug.sources.completion import checked_masks, searched
from genaug.sources.source import image_shape
from genaug.sources.varying import check_strength, varied_latents

if TYPE_CHECKING:
    from genaug.hub.push import Publication

BATCH_SIZE = 1024  # never change this: exported samples of a seed depend on it


class Generator:
    """A source of samples: a backend's kept networks with its config and spec.

    Returned by ``genaug.fit`` and ``genaug.load``. ``spec`` describes its samples, classes, latents and conditions;
    ``nets`` are the kept networks by role, in evaluation mode; ``training`` is the record of the training; ``folder``
    is the local folder that it was loaded from or that ``fit`` wrote, with its evaluation and its card, or None;
    ``repo`` is the Hub id that it was loaded from, or None. ``extras`` are the tensors, by name, of further networks
    that were saved or published with it, such as a discriminator for fine-tuning: sampling doesn't use them.
    """

    batch_size = BATCH_SIZE  # of ``write_samples``

    def __init__(
        self,
        backend_name: str,
        backend: Backend,
        config: Any,
        spec: Spec,
        nets: nn.ModuleDict,
        training: Mapping[str, Any],
    ) -> None:
        self.backend_name, self.config, self.spec = backend_name, config, spec
        self.training = dict(training)
        self.folder: Path | None = None
        self.repo: str | None = None
        self.extras: dict[str, Tensor] = {}
        self._backend = backend
        nets.to(memory_format=torch.channels_last)
        self.nets = nets.eval().requires_grad_(False)

    @property
    def backend(self) -> Backend:
        """The recipe that its networks were made by."""
        return self._backend

    @property
    def device(self) -> torch.device:
        return device_of(self.nets)

    @property
    def network(self) -> nn.Module:
        """The network that samples, in evaluation mode; its images are in [-1, 1]."""
        return self.nets[self._backend.keeps[0]]

    def to(self, device: str | torch.device) -> "Generator":
        """Move to a device, in place."""
        self.nets.to(pick_device(device))
        return self

    def __repr__(self) -> str:
        size = sum(p.numel() for p in self.nets.parameters())
        samples, classes = self.spec.sample.describe(), self.spec.describe_classes()
        return f"Generator({self.backend_name}, {samples}, {classes}, {size:,} parameters, {self.device})"

    def sample(
        self,
        n: int | None = None,
        *,
        labels: Any = None,
        seed: int | None = None,
        dtype: torch.dtype | None = None,
        precision: str = "auto",
        **latents: Any,
    ) -> tuple[Any, Tensor | None]:
        """Draw ``n`` samples with uniformly drawn labels, or one for each of ``labels``.

        ``latents`` fixes latents of the spec by name, for all samples or one by one, without changing how the others
        are drawn: ``sample(64, member=2)``, ``sample(64, c1=0.5)``. A category is an integer or int64 (N,); any other
        latent is a number, (size,) or (N, size), or (N,) if its size is 1.

        Returns images of shape (N, C, H, W), uint8 in [0, 255] or floats in [0, 1], and int64 labels (N,), or None
        for a generator without labels, both on the generator's device. Rows of a table are a pandas DataFrame with the
        columns of the training data, the target among them; without ``labels``, its classes are as frequent as in the
        training data. Sample i of a seed doesn't depend on the number
        of samples: bit for bit on the same machine, torch and thread count. ``seed=None`` draws a seed from torch's
        RNG. ``precision`` is "auto" (bfloat16 if it is faster), "float32" (the reference) or "bfloat16".

        Raises ``InputError`` for labels the generator doesn't know or can't take, for both or neither of ``n`` and
        ``labels``, for latents that the spec doesn't have or that don't fit it, and if an image isn't finite.
        """
        self._check_needs_no_samples()
        count, labels = arguments.count_and_labels(n, labels)
        if labels is not None:
            arguments.check_known(labels, self.spec)
        seed = arguments.pick_seed(seed)
        fixed = arguments.fixed_latents(latents, self.spec, count)
        if labels is None and self.spec.takes_labels:
            labels = self._drawn_labels(seed, count)
        samples = generate(self._backend, self.spec, self.nets, count, seed, fixed, labels, dtype, precision)
        shown = self.spec.sample.present(samples, labels)
        return shown, None if labels is None else labels.to(self.device)

    def _check_needs_no_samples(self) -> None:
        """Raises ``InputError`` for a generator with conditions."""
        if self.spec.conditions:
            names = ", ".join(condition.name for condition in self.spec.conditions)
            raise InputError(
                f"this generator makes samples from others ({names}): call translate(samples), or pass "
                "genaug.variations(generator, dataset) as a source."
            )

    def _drawn_labels(self, seed: int, count: int) -> Tensor:
        draws = torch.from_numpy(uniform_rows(seed, "labels", 0, count, 1)[:, 0].copy())
        labels = self.spec.sample.draw_labels(draws)
        return category_rows(self.spec.num_classes, seed, "labels", 0, count) if labels is None else labels

    def decode(
        self,
        z: Tensor | None = None,
        labels: Any = None,
        *,
        dtype: torch.dtype | None = None,
        precision: str = "auto",
        **codes: Tensor,
    ) -> Any:
        """Generate the images of given latents, for traversals and interpolation.

        ``z`` and ``codes`` are the spec's latents by name: float (N, size), or (N,) if the size is 1; int64 (N,) for a
        categorical one. ``labels`` are int64 (N,), required if the generator takes them. Returns (N, C, H, W) as
        ``sample`` does, and raises ``InputError`` as it does.
        """
        self._check_needs_no_samples()
        latents, count = arguments.complete_latents(codes if z is None else {"z": z, **codes}, self.spec)
        labels = arguments.labels_of_samples(labels, count, self.spec, "decode")
        samples = generate(self._backend, self.spec, self.nets, count, 0, latents, labels, dtype, precision)
        return self.spec.sample.present(samples, labels)

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
        ``decode(**encode(samples))``, and 1 gives what ``sample(labels=labels, seed=seed)`` gives. In between, normal
        latents follow the great circle, uniform ones a straight line, and a category is replaced by a drawn one with
        probability ``strength``. Latents that can't be encoded are always drawn.

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
                "with a transform, or pass image_size=."
            )

    def _check_can_vary(self) -> None:
        self.check_offers("encode", "vary")
        if self.spec.conditions:
            raise InputError("vary isn't possible for a generator that makes samples from others: call translate.")

    def classify(self, samples: Any) -> Tensor:
        """Class logits of samples, float32 (N, K); without classes, logits of the first categorical latent.

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

    def traverse(
        self,
        out: str | Path | None = None,
        *,
        axes: Sequence[str] | None = None,
        labels: Sequence[int] | Tensor | None = None,
        seed: int = 0,
        steps: int = 10,
        overwrite: bool = False,
    ) -> dict[str, Image]:
        """Traverse the latents: grids of samples as RGB images by name, also written to ``out`` as ``NAME.png``.

        * ``grid_A_B``: ``steps`` x ``steps`` images for each pair of ``axes``, A across and B down. By default the axes
          are the uniform latents (up to 6), else two dimensions of a normal one; ``axes=["u1", "z.3"]`` chooses.
        * ``category_C_k``: for each category of a categorical latent (up to 20) the grid of the first two axes if
          these are uniform and there are no labels, else samples: an InfoGAN's categories, a MAD-GAN's generators.
        * ``interpolation``: rows from one sample to another, spherical in normal latents (White 2016).

        Latents that a grid doesn't vary are drawn from ``seed``, except uniform ones, which are 0. For a generator that
        takes labels there is a grid for each of ``labels`` (by default up to 10), and a row for each in the others.

        Raises ``InputError`` for axes or labels that the spec doesn't have, ``OutputExistsError`` if ``out`` isn't
        empty and ``overwrite`` is false or it contains anything but grids, ``SaveError`` if writing fails.
        """
        from genaug.reports.traverse import traverse

        return traverse(self, out, axes=axes, labels=labels, seed=seed, steps=steps, overwrite=overwrite)

    def save(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Write ``config.json`` and ``model.safetensors`` into a folder, both or neither.

        Figures that ``genaug evaluate --card`` recorded in the folder of this generator are copied with it.

        ``overwrite`` replaces what genaug wrote there before, and leaves other files alone. Raises
        ``OutputExistsError`` if the folder is not empty and ``overwrite`` is false, if it contains only files of others
        or files of these names that genaug didn't write, or if another process writes to it; ``SaveError`` if writing
        fails or a weight isn't finite. The folder is then unchanged.
        """
        figures = {}
        if self.folder is not None:
            path = self.folder / EVALUATION_FILE
            with reading_from(path):
                figures = {EVALUATION_FILE: path.read_bytes()} if path.is_file() else {}
        return write_generator(folder, self.manifest_fields(), self.tensors(), overwrite, figures)

    def push(
        self,
        repo: str,
        *,
        license: str | None = None,
        private: bool = False,
        tag: str | None = None,
        commit_message: str | None = None,
        dry_run: bool = False,
        force: bool = False,
        dataset_name: str | None = None,
        dataset_url: str | None = None,
        dataset_license: str | None = None,
        keep: Sequence[str] = (),
    ) -> "Publication":
        """Publish on the Hub as ``repo`` ("owner/name"), in one commit, with a model card and a grid of samples.

        ``license`` is an identifier such as "apache-2.0"; the folder's README.md may contain it instead. ``private``
        makes a new repo private, ``tag`` names the commit. ``dry_run`` uploads nothing: print the result to see the
        commit. Text that people wrote in the card on the Hub is kept.

        ``dataset_name``, ``dataset_url`` (a URL, or the id "owner/name" of a dataset on the Hub) and
        ``dataset_license`` describe the training data. They are needed only once: the card on the Hub, ``config.json``
        and ``training`` keep them. Well-known datasets are described without them, by the name in ``training``.

        ``keep=("discriminator",)`` also publishes the weights of networks that sampling doesn't need, from the run's
        last checkpoint, so that others can fine-tune this generator with its discriminator.

        Raises ``InputError``, before anything is uploaded, without a license or after a failed copying check (``force``
        publishes nevertheless, and the card says so), and for a network to keep that isn't there; ``HubError`` if the
        Hub can't be reached or rejects the upload.
        """
        from genaug.hub.push import push

        return push(
            self,
            repo,
            license=license,
            private=private,
            tag=tag,
            commit_message=commit_message,
            dry_run=dry_run,
            force=force,
            dataset_name=dataset_name,
            dataset_url=dataset_url,
            dataset_license=dataset_license,
            keep=keep,
        )

    def tensors(self) -> dict[str, Tensor]:
        """The content of ``model.safetensors`` for this generator: the kept networks and the extras, by name."""
        return {**self.nets.state_dict(), **self.extras}

    def manifest_fields(self) -> dict[str, Any]:
        """The content of ``config.json`` for this generator, without the weights' size and hash."""
        info = registry.discover().backends.get(self.backend_name)
        if info is None:
            raise PluginError(
                f"backend {self.backend_name!r} is no longer installed, so the generator can't be saved. Install the "
                "plugin that provides it."
            )
        return {
            "backend": self.backend_name,
            "distribution": info.distribution,
            "distribution_version": info.version,
            "config": self.config.model_dump(mode="json"),
            "spec": self.spec,
            "training": self.training,
            "extras": sorted({name.partition(".")[0] for name in self.extras}) or None,
        }

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
