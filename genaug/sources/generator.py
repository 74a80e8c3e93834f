"""A trained generator: sample from it, decode latents with it, save it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL.Image import Image
from torch import Tensor, nn

from genaug.artifacts.figures import EVALUATION_FILE
from genaug.artifacts.manifest import write_generator
from genaug.artifacts.paths import reading_from
from genaug.backends import registry
from genaug.backends.backend import Backend
from genaug.backends.spec import Spec
from genaug.device import pick_device
from genaug.errors import InputError, PluginError
from genaug.randomness import category_rows, uniform_rows
from genaug.sources import arguments
from genaug.sources.chunks import check_memory, device_of, generate
from genaug.sources.own_samples import OwnSamples

if TYPE_CHECKING:
    from genaug.hub.push import Publication

BATCH_SIZE = 1024  # never change this: exported samples of a seed depend on it


class Generator(OwnSamples):
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
        RNG. ``precision`` is "auto" (bfloat16 for images, if it is faster), "float32" (the reference) or "bfloat16".

        Raises ``InputError`` for labels the generator doesn't know or can't take, for both or neither of ``n`` and
        ``labels``, for latents that the spec doesn't have or that don't fit it, and if an image isn't finite.
        """
        self._check_needs_no_samples()
        count, labels = arguments.count_and_labels(n, labels)
        if labels is not None:
            arguments.check_known(labels, self.spec)
        seed = arguments.pick_seed(seed)
        fixed = arguments.fixed_latents(latents, self.spec, count)
        check_memory(self.spec.sample, count, dtype, self.device)
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
