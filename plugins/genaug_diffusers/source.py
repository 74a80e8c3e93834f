"""A diffusers pipeline as a source: one seed per image, chunks of a fixed size, and a recipe that rebuilds it."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, Protocol

import torch
from pydantic import ValidationError
from torch import Tensor
from torch.utils.data import get_worker_info

from genaug.backends.discovery import brief
from genaug.backends.spec import Spec
from genaug.checks import first_problem
from genaug.device import pick_device
from genaug.errors import FormatError, GenaugError, InputError, PluginError, is_out_of_memory
from genaug.modalities.base import Modality
from genaug.modalities.image import Image
from genaug.progress import Progress
from genaug.randomness import category_rows, derive_seed
from genaug.sources import arguments
from genaug_diffusers.images import to_input, to_uint8
from genaug_diffusers.networks import precision_for
from genaug_diffusers.quiet import quiet

REDRAWS = 10  # of one image that the safety checker rejected
_SUFFIXES = (".json", ".txt", ".safetensors")
_LONG = 10.0  # seconds from which on progress is shown
_CHUNK = {"cpu": (2**16, 16), "cuda": (2**21, 64)}  # at most this many pixels, and images, at once

Drawn = tuple[Tensor, list[bool]]


class Sampler(Protocol):
    """A loaded pipeline. ``shape`` is (channels, height, width) of its images; ``num_classes`` is 0 without classes."""

    shape: tuple[int, int, int]
    num_classes: int
    steps: int

    @property
    def guidance_scale(self) -> float | None: ...

    def draw(self, classes: Sequence[int] | None, seeds: Sequence[int]) -> Drawn: ...


class DiffusersSource:
    """Samples of a diffusers pipeline, as ``genaug.load("diffusers:...")`` returns it.

    ``spec`` describes the images and classes. ``recipe`` is a dict of JSON values from which ``genaug.load`` rebuilds
    the source: ``load(recipe["source"], revision=recipe["revision"], **recipe["options"])``; its revision is a commit,
    or None for a local folder. ``training`` names the pipeline, its commit and its license, as a record of where
    samples come from. ``redrawn`` counts the images that the pipeline's safety checker rejected and that were drawn
    again with another seed.
    """

    def __init__(
        self,
        sampler: Sampler,
        build: Callable[[torch.device], Sampler],
        device: torch.device,
        classes: Sequence[str] | int,
        class_ids: Sequence[int] | None,
        image_size: int | None,
        recipe: dict[str, Any],
        training: dict[str, Any],
    ) -> None:
        self._build, self._device, self._class_ids = build, device, class_ids
        self._sampler = sampler
        channels, height, width = self._sampler.shape
        size = (height, width) if image_size is None else (image_size, image_size)
        try:
            self.spec = Spec(sample=Image(channels, *size), classes=classes)
        except ValidationError as error:
            raise FormatError(f"{recipe['source']} makes images that can't be used: {first_problem(error)}.") from error
        self.recipe, self.training, self.redrawn = recipe, training, 0

    @property
    def device(self) -> torch.device:
        return self._device

    def to(self, device: str | torch.device) -> "DiffusersSource":
        """Move to a device, in place. The weights are read again, since a GPU has them in half precision."""
        device = pick_device(device)
        if device != self._device:
            self._sampler = self._build(device)
            self._device = device
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_sampler": None}  # another process reads the weights from their folder

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._sampler = self._build(self._device)

    def __repr__(self) -> str:
        samples, classes = self.spec.sample.describe(), self.spec.describe_classes()
        precision = str(precision_for(self._device)).removeprefix("torch.")
        return f"DiffusersSource({self.recipe['source']}, {samples}, {classes}, {precision} on {self._device})"

    def sample(
        self, n: int | None = None, *, labels: Any = None, seed: int | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Draw ``n`` images with uniformly drawn labels, or one for each of ``labels``.

        Returns uint8 images (N, C, H, W) and int64 labels (N,), or None for a pipeline without classes, both on the
        source's device. Sample i of a seed doesn't depend on the number of samples, bit for bit on the same machine.
        ``seed=None`` draws a seed from torch's RNG. Raises ``InputError`` for labels that the source doesn't know or
        can't take, for both or neither of ``n`` and ``labels``, if an image isn't finite, and if the pipeline's safety
        checker keeps rejecting one.
        """
        count, labels = arguments.count_and_labels(n, labels)
        if labels is not None:
            arguments.check_known(labels, self.spec)
        seed = arguments.pick_seed(seed)
        if labels is None and self.spec.takes_labels:
            labels = category_rows(self.spec.num_classes, seed, "labels", 0, count)
        samples = self._draw(count, labels, seed, lambda rows, classes, seeds: self._sampler.draw(classes, seeds))
        return samples, None if labels is None else labels.to(self._device)

    def vary(self, samples: Any, labels: Any = None, *, strength: float = 0.5, seed: int | None = None) -> Tensor:
        """An image-to-image variation of each of ``samples``, guided by the prompt of its class.

        ``samples`` are uint8 images (N, C, H, W) with 1 or 3 channels and of any size, ``labels`` int64 (N,), their
        classes. ``strength`` in (0, 1] is the share of the denoising steps that are run: 1 leaves nothing of an image.
        Returns uint8 images as ``sample`` does; image i of a seed doesn't depend on those after it. Raises
        ``InputError`` for a pipeline that isn't conditioned on text, for labels that don't fit, for a strength outside
        (0, 1], and for one that leaves no step.
        """
        strength = self._checked_strength(strength)
        sampler: Any = self._sampler
        images = _checked_images(samples, self.spec.shape[0])
        labels = arguments.labels_of_samples(labels, len(images), self.spec, "vary")
        channels, *size = sampler.shape

        def run(rows: list[int], classes: Sequence[int], seeds: Sequence[int]) -> Drawn:
            inputs = to_input(images[rows].to(self._device), channels, (size[0], size[1]))
            drawn: Drawn = sampler.vary(inputs, classes, seeds, strength)
            return drawn

        return self._draw(len(images), labels, arguments.pick_seed(seed), run)

    def check_vary(self, samples: Modality, strength: float) -> None:
        """Raises ``InputError`` if ``vary`` would reject samples of this modality, or this strength."""
        self._checked_strength(strength)
        channels = self.spec.shape[0]
        if not isinstance(samples, Image) or samples.channels not in (1, channels):
            raise InputError(
                f"this pipeline varies images with 1 or {channels} channels, the dataset has {samples.describe()}. "
                "Convert them with a transform."
            )

    def _checked_strength(self, strength: Any) -> float:
        """Raises ``InputError`` if the pipeline can't vary images, or not by this much."""
        sampler: Any = self._sampler
        if not hasattr(sampler, "vary"):
            raise InputError(
                "vary needs a text-to-image pipeline, such as Stable Diffusion; this one generates images from noise "
                "only. Use sample instead."
            )
        checked: float = sampler.check_strength(strength)
        return checked

    def _draw(self, count: int, labels: Tensor | None, seed: int, run: Callable[..., Drawn]) -> Tensor:
        """``count`` images in chunks of a fixed size; the last one is filled up with further seeds and dropped images.

        ``run`` gets the indices of inputs, classes and seeds, all of a chunk's length, in which images that don't exist
        have the last one's input and class.
        """
        if self._device.type == "cuda" and get_worker_info() is not None:
            raise InputError(
                "a pipeline on a GPU can't run inside a DataLoader worker. Give the worker a pool: "
                "genaug.SamplePool(source, size=...), or use MixedDataset, which has one."
            )
        chunk = self.batch_size
        samples = torch.empty((count, *self.spec.shape), dtype=torch.uint8, device=self._device)
        with ExitStack() as stack:
            bar, started = None, time.monotonic()
            for start in range(0, count, chunk):
                rows = [min(row, count - 1) for row in range(start, start + chunk)]
                classes = None if labels is None else [self._class_id(int(labels[row])) for row in rows]
                kept = min(chunk, count - start)
                samples[start : start + kept] = self._chunk_of(run, rows, classes, seed, start, kept)
                done = start + kept
                if bar is not None:
                    bar.advance(kept)
                    bar.tell(f"{done:,} of {count:,} images")
                elif done < count and (time.monotonic() - started) * count > _LONG * done:
                    bar = stack.enter_context(Progress("sampling", count, line_every=10))
                    bar.start_at(done)
        return samples

    def _chunk_of(
        self,
        run: Callable[..., Drawn],
        rows: list[int],
        classes: list[int] | None,
        seed: int,
        start: int,
        kept: int,
    ) -> Tensor:
        """The first ``kept`` images of a chunk, (kept, C, H, W), uint8; black ones are drawn again."""
        size = (self.spec.shape[1], self.spec.shape[2])
        samples, pending = None, list(range(kept))
        for attempt in range(REDRAWS + 1):
            seeds = [derive_seed(seed, "diffusers", start + i, attempt) for i in range(len(rows))]
            with quiet(self._device, derive_seed(seed, "scheduler", start, attempt)), torch.inference_mode():
                images, flags = _run(run, rows, classes, seeds)
                drawn = to_uint8(images, size)
            samples = torch.empty_like(drawn[:kept]) if samples is None else samples
            for row in pending:
                if not flags[row]:
                    samples[row] = drawn[row]
            pending = [row for row in pending if flags[row]]
            if not pending:
                return samples
            self.redrawn += len(pending)
        raise InputError(
            f"the pipeline's safety checker rejected {len(pending)} of {kept} images with each of {REDRAWS + 1} seeds. "
            "Change the prompt of their classes, or use another pipeline."
        )

    @property
    def identity(self) -> dict[str, str] | None:
        """The hashes of a local pipeline's and local LoRA weights' files; None if commits identify them."""
        lora = self.recipe["options"].get("lora") or {}
        places = [] if self.recipe["revision"] is not None else [self.recipe["source"].partition(":")[2]]
        places += [lora["source"]] if lora and Path(lora["source"]).is_absolute() else []
        return {place: _files_sha256(Path(place)) for place in places} or None

    @property
    def batch_size(self) -> int:
        """The number of images that run at once: fixed, so that results don't depend on the number of samples."""
        pixels, most = _CHUNK["cpu" if self._device.type == "cpu" else "cuda"]
        _, height, width = self._sampler.shape
        return int(min(most, 2 ** (max(1, pixels // (height * width)).bit_length() - 1)))

    def _class_id(self, label: int) -> int:
        """The pipeline's own number of a class."""
        return label if self._class_ids is None else self._class_ids[label]


def _files_sha256(place: Path) -> str:
    """A hash of the names and contents of a file, or of the JSON, text and safetensors files in a folder."""
    total = sha256()
    files = [place] if place.is_file() else sorted(p for p in place.rglob("*") if p.suffix in _SUFFIXES)
    for path in files:
        with open(path, "rb") as file:
            total.update(f"{path.name} {file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def _run(run: Callable[..., Drawn], *inputs: Any) -> Drawn:
    """What a sampler returns. Raises ``PluginError`` if diffusers fails, which is then the pipeline's fault."""
    try:
        return run(*inputs)
    except Exception as error:
        if isinstance(error, GenaugError) or is_out_of_memory(error):
            raise
        raise PluginError(
            f"diffusers failed while sampling ({brief(error)}). The parts of the pipeline may not fit each other: try "
            "it with diffusers alone, or choose another."
        ) from error


def _checked_images(samples: Any, channels: int) -> Tensor:
    """uint8 images (N, C, H, W) on the CPU. Raises ``InputError`` for anything else."""
    fits = isinstance(samples, Tensor) and samples.dtype == torch.uint8 and samples.ndim == 4
    if not fits or samples.shape[1] not in (1, channels) or 0 in samples.shape[1:]:
        got = f"{samples.dtype} {tuple(samples.shape)}" if isinstance(samples, Tensor) else type(samples).__name__
        raise InputError(f"vary expects uint8 images (N, {channels}, H, W) or (N, 1, H, W), got {got}.")
    checked: Tensor = samples.cpu()
    return checked
