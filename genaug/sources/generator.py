"""A trained generator: sample from it, decode latents with it, save it."""

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL.Image import Image
from torch import Tensor, nn
from torch.backends import cudnn
from torch.utils.data import get_worker_info

from genaug.artifacts.manifest import write_generator
from genaug.artifacts.paths import reading_from
from genaug.backends import registry
from genaug.backends.backend import Backend
from genaug.backends.latents import latent_rows
from genaug.backends.spec import Spec
from genaug.checks import as_whole, memory
from genaug.data.labels import as_labels
from genaug.device import autocast, compute_dtype, pick_device, torch_defaults
from genaug.errors import InputError, PluginError, is_out_of_memory
from genaug.modalities.image import native_order
from genaug.randomness import category_rows, check_seed

if TYPE_CHECKING:
    from genaug.hub.push import Publication

_SAMPLE_DTYPES = (torch.uint8, torch.float32, torch.float16, torch.bfloat16, torch.float64)
_CHUNK_PIXELS = {"cpu": (2**18, 256), "cuda": (2**22, 4096)}  # pixels, and images, that run at once at most


class Generator:
    """A source of samples: a backend's generator network with its config and spec.

    Made by ``genaug.fit`` and ``genaug.load``. ``training`` is the record of how it was made; ``folder`` is the local
    folder it came from or went to, where its evaluation and its card are looked for, or None.
    """

    def __init__(
        self,
        backend_name: str,
        backend: Backend,
        config: Any,
        spec: Spec,
        network: nn.Module,
        training: Mapping[str, Any],
    ) -> None:
        self.backend_name = backend_name
        self.config = config
        self.training = dict(training)
        self.folder: Path | None = None
        self._backend = backend
        self._spec = spec
        network.to(memory_format=torch.channels_last)
        self._nets = nn.ModuleDict({"generator": network}).eval().requires_grad_(False)

    @property
    def spec(self) -> Spec:
        """Image shape, classes and their names, latent layout, whether it takes labels."""
        return self._spec

    @property
    def device(self) -> torch.device:
        return next((t.device for t in self._nets.state_dict().values()), torch.device("cpu"))

    @property
    def network(self) -> nn.Module:
        """The generator network, in evaluation mode; it makes images in [-1, 1]."""
        return self._nets["generator"]

    def to(self, device: str | torch.device) -> "Generator":
        """Move to a device, in place."""
        self._nets.to(pick_device(device))
        return self

    def __repr__(self) -> str:
        size = sum(p.numel() for p in self._nets.parameters())
        shape = "x".join(map(str, self.spec.shape))
        classes = self.spec.describe_classes()
        return f"Generator({self.backend_name}, {shape}, {classes}, {size:,} parameters, {self.device})"

    def sample(
        self,
        n: int | None = None,
        *,
        labels: Any = None,
        seed: int | None = None,
        dtype: torch.dtype = torch.uint8,
        precision: str = "auto",
        **latents: Any,
    ) -> tuple[Tensor, Tensor | None]:
        """Draw ``n`` samples with uniformly drawn labels, or one for each of ``labels``.

        ``latents`` fixes latents of the spec by name, for all samples or one by one, and leaves the others drawn as
        ever: ``sample(64, member=2)``, ``sample(64, c1=0.5)``. A category is an integer or int64 (N,); any other
        latent is a number, (size,) or (N, size), or (N,) where its size is 1.

        Returns images of shape (N, C, H, W), uint8 in [0, 255] or floats in [0, 1], and int64 labels (N,), or None
        for a generator without labels, both on the generator's device. Sample i of a seed is the same however many
        are asked for: bit for bit on the same machine, torch and thread count. ``seed=None`` draws a seed from
        torch's RNG. ``precision`` is "auto" (bfloat16 where it is faster), "float32" (the reference) or "bfloat16".

        Raises ``InputError`` for labels the generator doesn't know or can't take, for both or neither of ``n`` and
        ``labels``, for latents that the spec doesn't have or that don't fit it, and if an image isn't finite.
        """
        wanted = self._wanted_labels(n, labels)
        count = len(wanted) if wanted is not None else self._count(n)
        images = self._empty(count, dtype)
        seed = int(torch.randint(2**62, (1,), device="cpu")) if seed is None else check_seed(seed)
        chunk = chunk_size(self.spec, self.device)
        fixed = self._fixed_latents(latents, count)
        all_labels = wanted
        if wanted is None and self.spec.takes_labels:
            all_labels = category_rows(self.spec.num_classes, seed, "labels", 0, count)
        for start in range(0, count, chunk):
            drawn = {
                latent.name: _padded(fixed[latent.name][start : start + chunk], chunk)
                if latent.name in fixed
                else latent_rows(latent, seed, start, chunk)
                for latent in self.spec.latents
            }
            part = None if all_labels is None else _padded(all_labels[start : start + chunk], chunk)
            self._generate_into(images[start : start + chunk], drawn, part, precision)
        return images, None if all_labels is None else all_labels.to(self.device)

    def decode(
        self,
        z: Tensor | None = None,
        labels: Any = None,
        *,
        dtype: torch.dtype = torch.uint8,
        precision: str = "auto",
        **codes: Tensor,
    ) -> Tensor:
        """Latents in, images out: for traversals and interpolation.

        ``z`` and ``codes`` name the spec's latents: float (N, size), or (N,) where the size is 1; int64 (N,) for a
        categorical one. ``labels`` are int64 (N,) and required where the generator takes them. Returns (N, C, H, W) as
        ``sample`` does, and raises ``InputError`` as it does.
        """
        if z is not None:
            codes = {"z": z, **codes}
        single = {latent.name for latent in self.spec.latents if latent.kind != "categorical" and latent.size == 1}
        codes = {name: _column(code) if name in single else code for name, code in codes.items()}
        count = self._check_codes(codes)
        wanted = self._wanted_labels(None, labels) if labels is not None else None
        if self.spec.takes_labels and wanted is None:
            raise InputError(f"decode needs labels: this generator takes {self.spec.describe_classes()}.")
        if wanted is not None and len(wanted) != count:
            raise InputError(f"decode got {count} latents and {len(wanted)} labels; they must be as many.")
        chunk = chunk_size(self.spec, self.device)
        images = self._empty(count, dtype)
        for start in range(0, count, chunk):
            part = {name: _padded(code[start : start + chunk], chunk) for name, code in codes.items()}
            part_labels = None if wanted is None else _padded(wanted[start : start + chunk], chunk)
            self._generate_into(images[start : start + chunk], part, part_labels, precision)
        return images

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
        """Sheets over the latents, as RGB images by name; with ``out`` also written there, as ``NAME.png``.

        * ``grid_A_B``: ``steps`` x ``steps`` images for each pair of ``axes``, A across and B down. By default the axes
          are the uniform latents (up to 6), else two dimensions of a normal one; ``axes=["u1", "z.3"]`` chooses.
        * ``category_C_k``: for each category of a categorical latent (up to 20) the grid of the first two axes where
          these are uniform and there are no labels, else samples: an InfoGAN's categories, a MAD-GAN's generators.
        * ``interpolation``: rows from one sample to another, spherical in normal latents (White 2016).

        What a sheet doesn't vary is drawn from ``seed``; uniform latents rest at 0. A generator that takes labels gives
        a grid for each of ``labels`` (by default up to 10), and a row for each on the other sheets.

        Raises ``InputError`` for axes or labels that the spec doesn't have, ``OutputExistsError`` where ``out`` holds
        something and ``overwrite`` is false or it isn't sheets alone, ``SaveError`` where writing fails.
        """
        from genaug.reports.traverse import traverse

        return traverse(self, out, axes=axes, labels=labels, seed=seed, steps=steps, overwrite=overwrite)

    def save(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Write ``config.json`` and ``model.safetensors`` into a folder, both or neither.

        What ``genaug evaluate --card`` measured of the folder that this generator was loaded from goes along.

        ``overwrite`` replaces what genaug wrote there before, and leaves other files alone. Raises
        ``OutputExistsError`` if the folder is not empty and ``overwrite`` is false, if files of these names are there
        that genaug didn't write, or if another process writes to it; ``SaveError`` if writing fails or a weight isn't
        finite. What was there is then unchanged.
        """
        from genaug.artifacts.figures import EVALUATION_FILE

        measured = None if self.folder is None else self.folder / EVALUATION_FILE
        also = {}
        if measured is not None:
            with reading_from(measured):
                also = {EVALUATION_FILE: measured.read_bytes()} if measured.is_file() else {}
        return write_generator(folder, self.manifest_fields(), self.network.state_dict(), overwrite, also)

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
    ) -> "Publication":
        """Publish on the Hub as ``repo`` ("owner/name"), in one commit, with a card and a sheet of samples.

        ``license`` is an identifier such as "apache-2.0"; it may stand in the folder's README.md instead. ``private``
        makes a new repo private, ``tag`` names the commit. ``dry_run`` sends nothing: print the result to see the
        commit. What people wrote in the card on the Hub stays.

        ``dataset_name``, ``dataset_url`` (a URL, or the id "owner/name" of a data set on the Hub) and
        ``dataset_license`` describe the training data. They are asked for once: the card on the Hub, ``config.json``
        and ``training`` keep them. Well-known data sets are described without them, by the name in ``training``.

        Raises ``InputError``, before anything is sent, without a licence or after a failed copying check (``force``
        publishes all the same, and the card says so); ``HubError`` where the Hub can't be reached or refuses.
        """
        from genaug.hub.push import push

        return push(
            self,
            repo,
            license=license,
            private=private,
            tag=tag,
            message=commit_message,
            dry_run=dry_run,
            force=force,
            dataset_name=dataset_name,
            dataset_url=dataset_url,
            dataset_license=dataset_license,
        )

    def manifest_fields(self) -> dict[str, Any]:
        """What ``config.json`` says of this generator, the weights' size and hash aside."""
        info = registry.discover().backends.get(self.backend_name)
        if info is None:
            raise PluginError(f"backend {self.backend_name!r} is not installed (any more), so it can't be recorded.")
        return {
            "backend": self.backend_name,
            "distribution": info.distribution,
            "distribution_version": info.version,
            "config": self.config.model_dump(mode="json"),
            "spec": self.spec,
            "training": self.training,
        }

    def _empty(self, count: int, dtype: torch.dtype) -> Tensor:
        if dtype not in _SAMPLE_DTYPES:
            raise InputError(f"dtype must be torch.uint8 or a float dtype, got {dtype}.")
        needed, most = count * prod(self.spec.shape) * dtype.itemsize, memory()
        try:
            if most is not None and needed > most and self.device.type == "cpu":
                raise MemoryError
            return torch.empty((count, *self.spec.shape), dtype=dtype, device=self.device)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise InputError(
                f"{count:,} images need {needed / 2**30:,.1f} GiB, more memory than there is. Sample fewer at a time, "
                "each time with another seed."
            ) from error

    def _generate_into(self, out: Tensor, latents: Mapping[str, Tensor], labels: Tensor | None, precision: str) -> None:
        """Generate one padded chunk and write its first ``len(out)`` images."""
        device = self.device
        if device.type == "cuda" and get_worker_info() is not None:
            raise InputError(
                "a generator on a GPU can't run inside a DataLoader worker. Give the worker a pool: "
                "genaug.SamplePool(generator, size=...), or use MixedDataset, which has one."
            )
        on_device = {
            name: code.to(device, torch.float32 if code.is_floating_point() else torch.int64, non_blocking=True)
            for name, code in latents.items()
        }
        with (
            torch_defaults(),
            torch.inference_mode(),
            autocast(compute_dtype(precision, device), device),
            cudnn.flags(benchmark=False, deterministic=True),
            registry.faults_of(self._backend, "generate", may_exit=True),
        ):
            made = self._backend.generate(self._nets, on_device, None if labels is None else labels.to(device))
            if not isinstance(made, Tensor):
                raise TypeError(f"expected a tensor, got {type(made).__name__}")
        if tuple(made.shape[1:]) != self.spec.shape:
            raise PluginError(
                f"backend {self.backend_name!r} made images of shape {tuple(made.shape[1:])}; "
                f"its spec says {self.spec.shape}."
            )
        images = made[: len(out)].float()
        if not bool(images.sum().isfinite()) and not bool(images.isfinite().all()):  # the sum is the cheaper question
            raise InputError(
                "the generator made images with NaN or infinite values; expected finite ones in [-1, 1]. Use "
                "precision='float32' and latents of ordinary size; if it still does, train it again."
            )
        unit = images.add(1).mul(0.5).clamp(0, 1)
        out.copy_(unit.mul(255).round() if out.dtype == torch.uint8 else unit)

    def _count(self, n: int | None) -> int:
        if n is None:
            raise InputError("sample needs n= (how many) or labels= (one for each sample).")
        return as_whole(n, "n", 0)

    def _wanted_labels(self, n: int | None, labels: Any) -> Tensor | None:
        if labels is None:
            return None
        if n is not None:
            raise InputError("sample takes n= or labels=, not both.")
        if not self.spec.takes_labels:
            raise InputError("this generator takes no labels: it was trained without. Sample it with n=.")
        wanted = as_labels(labels).cpu()
        unknown = wanted[wanted >= self.spec.num_classes]
        if len(unknown):
            raise InputError(
                f"label {int(unknown[0])} is unknown: the generator has {self.spec.describe_classes()}, from 0."
            )
        return wanted

    def _fixed_latents(self, values: Mapping[str, Any], count: int) -> dict[str, Tensor]:
        """The latents that ``sample`` was given, as (count, size) floats or (count,) int64."""
        known = {latent.name: latent for latent in self.spec.latents}
        fixed = {}
        for name, value in values.items():
            if name not in known:
                raise InputError(f"sample has no option or latent {name!r}; this generator's latents: {sorted(known)}.")
            latent = known[name]
            shape = (count,) if latent.kind == "categorical" else (count, latent.size)
            try:
                given = value if isinstance(value, Tensor) else torch.as_tensor(native_order(value), device="cpu")
                if latent.kind != "categorical":
                    given = _column(given.float()) if latent.size == 1 else given.float()
                fixed[name] = given.expand(shape)
            except (RuntimeError, TypeError, ValueError) as error:
                raise InputError(f"latent {name!r} must be a number or a tensor that fits {shape}: {error}.") from error
        self._check_latents(fixed)
        return fixed

    def _check_codes(self, codes: Mapping[str, Tensor]) -> int:
        expected = {latent.name for latent in self.spec.latents}
        if set(codes) != expected:
            raise InputError(f"decode expects the latents {sorted(expected)}, got {sorted(codes)}.")
        return self._check_latents(codes)

    def _check_latents(self, codes: Mapping[str, Tensor]) -> int:
        """Raise where a latent doesn't fit the spec; their common length."""
        expected = {latent.name: latent for latent in self.spec.latents}
        counts = set()
        for name, code in codes.items():
            latent = expected[name]
            if not isinstance(code, Tensor) or code.is_floating_point() == (latent.kind == "categorical"):
                want = "an int64" if latent.kind == "categorical" else "a float"
                got = code.dtype if isinstance(code, Tensor) else type(code).__name__
                raise InputError(f"latent {name!r} must be {want} tensor, got {got}.")
            good = code.ndim == 1 if latent.kind == "categorical" else code.ndim == 2 and code.shape[1] == latent.size
            if not good:
                want = "(N,) int64" if latent.kind == "categorical" else f"(N, {latent.size})"
                raise InputError(f"latent {name!r} must have shape {want}, got {tuple(code.shape)}.")
            if latent.kind == "categorical" and len(code) and not 0 <= int(code.min()) <= int(code.max()) < latent.size:
                raise InputError(f"latent {name!r} must hold categories in [0, {latent.size}).")
            if code.is_floating_point() and not bool(code.isfinite().all()):
                raise InputError(f"latent {name!r} holds NaN or infinite values; expected finite numbers.")
            counts.add(len(code))
        if len(counts) > 1:
            raise InputError(f"decode got latents of different lengths: {sorted(counts)}.")
        return counts.pop() if counts else 0


def chunk_size(spec: Spec, device: torch.device) -> int:
    """Samples that run through the network at once, a power of two: fixed, so that memory is flat and results don't
    depend on how many are asked for."""
    _, height, width = spec.shape
    budget, most = _CHUNK_PIXELS["cpu" if device.type == "cpu" else "cuda"]
    fitting = max(1, budget // (height * width))
    return int(min(most, 2 ** (fitting.bit_length() - 1)))


def _column(values: Tensor) -> Tensor:
    """(N,) as (N, 1); anything else as it is."""
    return values[:, None] if isinstance(values, Tensor) and values.ndim == 1 else values


def _padded(rows: Tensor, length: int) -> Tensor:
    """Rows filled up with copies of zero to a fixed length."""
    if len(rows) == length:
        return rows
    return torch.cat([rows, rows.new_zeros((length - len(rows), *rows.shape[1:]))])
