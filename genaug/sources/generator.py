"""A trained generator: sample from it, decode latents with it, save it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL.Image import Image
from torch import Tensor, nn
from torch.backends import cudnn
from torch.utils._pytree import tree_map
from torch.utils.data import get_worker_info

from genaug.artifacts.manifest import write_generator
from genaug.artifacts.paths import reading_from
from genaug.backends import registry
from genaug.backends.backend import Backend, Inputs
from genaug.backends.calls import faults_of
from genaug.backends.latents import latent_rows, noise_rows
from genaug.backends.spec import Spec
from genaug.checks import as_whole, memory
from genaug.data.labels import as_labels
from genaug.device import autocast, compute_dtype, pick_device, torch_defaults
from genaug.errors import InputError, PluginError, is_out_of_memory
from genaug.modalities.base import Modality
from genaug.randomness import category_rows, check_seed

if TYPE_CHECKING:
    from genaug.hub.push import Publication

_CHUNK = {"cpu": (2**18, 256), "cuda": (2**22, 4096)}  # positions, and samples, that run at once at most


class Generator:
    """A source of samples: a backend's kept networks with its config and spec.

    Made by ``genaug.fit`` and ``genaug.load``. ``training`` is the record of how it was made; ``folder`` is the local
    folder it came from or went to, where its evaluation and its card are looked for, or None.
    """

    def __init__(
        self,
        backend_name: str,
        backend: Backend,
        config: Any,
        spec: Spec,
        nets: nn.ModuleDict,
        training: Mapping[str, Any],
    ) -> None:
        self.backend_name = backend_name
        self.config = config
        self.training = dict(training)
        self.folder: Path | None = None
        self._backend = backend
        self._spec = spec
        nets.to(memory_format=torch.channels_last)
        self._nets = nets.eval().requires_grad_(False)

    @property
    def spec(self) -> Spec:
        """Its samples, classes, latents and conditions."""
        return self._spec

    @property
    def device(self) -> torch.device:
        return next((t.device for t in self._nets.state_dict().values()), torch.device("cpu"))

    @property
    def network(self) -> nn.Module:
        """The network that samples, in evaluation mode; images come out of it in [-1, 1]."""
        return self._nets[self._backend.keeps[0]]

    @property
    def nets(self) -> nn.ModuleDict:
        """The networks that were kept, by role, in evaluation mode."""
        return self._nets

    def to(self, device: str | torch.device) -> "Generator":
        """Move to a device, in place."""
        self._nets.to(pick_device(device))
        return self

    def __repr__(self) -> str:
        size = sum(p.numel() for p in self._nets.parameters())
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
        if self.spec.conditions:
            names = ", ".join(condition.name for condition in self.spec.conditions)
            raise InputError(f"this generator makes samples from others ({names}): call translate(samples) instead.")
        wanted = self._wanted_labels(n, labels)
        count = len(wanted) if wanted is not None else self._count(n)
        seed = int(torch.randint(2**62, (1,), device="cpu")) if seed is None else check_seed(seed)
        fixed = self._fixed_latents(latents, count)
        if wanted is None and self.spec.takes_labels:
            wanted = category_rows(self.spec.num_classes, seed, "labels", 0, count)
        samples = self._generate(count, seed, fixed, wanted, {}, dtype, precision)
        return samples, None if wanted is None else wanted.to(self.device)

    def decode(
        self,
        z: Tensor | None = None,
        labels: Any = None,
        *,
        dtype: torch.dtype | None = None,
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
        known = {latent.name: latent for latent in self.spec.latents}
        if set(codes) != set(known):
            raise InputError(f"decode expects the latents {sorted(known)}, got {sorted(codes)}.")
        rows = {name: known[name].check(code) for name, code in codes.items()}
        counts = {len(code) for code in rows.values()}
        if len(counts) > 1:
            raise InputError(f"decode got latents of different lengths: {sorted(counts)}.")
        count = counts.pop() if counts else 0
        wanted = self._labels_for(count, labels, "decode")
        return self._generate(count, 0, rows, wanted, {}, dtype, precision)

    def translate(
        self,
        samples: Any,
        labels: Any = None,
        *,
        seed: int | None = None,
        dtype: torch.dtype | None = None,
        precision: str = "auto",
    ) -> Tensor:
        """Make a sample from each of ``samples``: for generators with one condition, such as a translator of images.

        ``samples`` are raw ones, (N, ...), as the spec's condition says (images: uint8), ``labels`` int64 (N,) for a
        generator that takes them. Returns raw samples (N, ...) as ``sample`` does. Raises ``InputError`` for a
        generator without a condition, and for samples or labels that don't fit it.
        """
        if len(self.spec.conditions) != 1:
            raise InputError(
                f"translate needs a generator with one condition; this one, of backend {self.backend_name!r}, has "
                f"{len(self.spec.conditions)}. Sample it, or train a backend for image-to-image translation."
            )
        condition = self.spec.conditions[0]
        samples = _checked(condition.sample, samples, "translate").cpu()
        count = len(samples)
        wanted = self._labels_for(count, labels, "translate")
        seed = int(torch.randint(2**62, (1,), device="cpu")) if seed is None else check_seed(seed)
        return self._generate(count, seed, {}, wanted, {condition.name: samples}, dtype, precision)

    def offers(self, method: str) -> bool:
        """Whether "encode", "classify" or "score" can be called."""
        return self._backend.offers(method)

    def encode(self, samples: Tensor, labels: Any = None) -> dict[str, Tensor]:
        """The latents, by name, of which this generator would make samples like these; for backends with an encoder.

        ``samples`` are raw ones (images: uint8 (N, C, H, W)), ``labels`` int64 (N,) for a generator that takes them.
        Returns values (N, ...) as ``decode`` takes them, without those that the backend can't read (``sample`` draws
        these). Raises ``InputError`` if the backend has no encoder, and for samples or labels that don't fit.
        """
        latents: dict[str, Tensor] = self._look("encode", samples, labels)
        return latents

    def classify(self, samples: Tensor) -> Tensor:
        """Logits, float32 (N, K), of samples' classes; of its first categorical latent for a generator without classes.

        Raises ``InputError`` if the backend doesn't classify, and for samples that don't fit.
        """
        logits: Tensor = self._look("classify", samples)
        return logits

    def score(self, samples: Tensor, labels: Any = None) -> Tensor:
        """How real samples look to the discriminator, float32 (N,): higher is more real.

        Raises ``InputError`` if the backend keeps no discriminator, and for samples or labels that don't fit.
        """
        scores: Tensor = self._look("score", samples, labels)
        return scores

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
        return write_generator(folder, self.manifest_fields(), self.nets.state_dict(), overwrite, also)

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

    def _generate(
        self,
        count: int,
        seed: int,
        fixed: Mapping[str, Tensor],
        labels: Tensor | None,
        conditions: Mapping[str, Tensor],
        dtype: torch.dtype | None,
        precision: str,
    ) -> Tensor:
        """``count`` samples, chunk by chunk: ``fixed`` holds some of the latents, the others are drawn."""
        samples = self._empty(count, self.spec.sample.dtype if dtype is None else dtype)
        chunk = chunk_size(self.spec, self.device)
        for start in range(0, count, chunk):
            part = slice(start, start + chunk)
            latents = {
                latent.name: _padded(fixed[latent.name][part], chunk)
                if latent.name in fixed
                else latent_rows(latent, seed, start, chunk)
                for latent in self.spec.latents
            }
            given = {c.name: c.sample.encode(_padded(conditions[c.name][part], chunk)) for c in self.spec.conditions}
            inputs = Inputs(
                {name: self._on_device(values) for name, values in latents.items()},
                None if labels is None else self._on_device(_padded(labels[part], chunk)),
                noise_rows(seed, start, chunk, self.device),
                {name: self._on_device(values) for name, values in given.items()},
            )
            self._generate_into(samples[part], inputs, precision)
        return samples

    def _on_device(self, values: Tensor) -> Tensor:
        dtype = torch.float32 if values.is_floating_point() else torch.int64
        return values.to(self.device, dtype, non_blocking=True)

    def _empty(self, count: int, dtype: torch.dtype) -> Tensor:
        sample = self.spec.sample
        if dtype != sample.dtype and dtype not in sample.float_dtypes:
            choices = f"{sample.dtype} or a float dtype" if sample.float_dtypes else str(sample.dtype)
            raise InputError(f"dtype must be {choices}, got {dtype}.")
        needed, most = count * prod(sample.shape) * dtype.itemsize, memory()
        try:
            if most is not None and needed > most and self.device.type == "cpu":
                raise MemoryError
            return torch.empty((count, *sample.shape), dtype=dtype, device=self.device)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise InputError(
                f"{count:,} {sample.noun} need {needed / 2**30:,.1f} GiB, more memory than there is. Sample fewer at a "
                "time, each time with another seed."
            ) from error

    def _generate_into(self, out: Tensor, inputs: Inputs, precision: str) -> None:
        """Generate one padded chunk and write its first ``len(out)`` samples."""
        with self._running("generate", precision):
            outputs: Any = self._backend.generate(self._nets, inputs)
            if not isinstance(outputs, Tensor):
                raise TypeError(f"expected a tensor, got {type(outputs).__name__}")
        if tuple(outputs.shape[1:]) != self.spec.shape:
            raise PluginError(
                f"backend {self.backend_name!r} made {self.spec.sample.noun} of shape {tuple(outputs.shape[1:])}; "
                f"its spec says {self.spec.shape}."
            )
        values = outputs[: len(out)].float()
        if not bool(values.sum().isfinite()) and not bool(values.isfinite().all()):  # the sum is the cheaper question
            raise InputError(
                f"the generator made {self.spec.sample.noun} with NaN or infinite values; expected finite ones. Use "
                "precision='float32' and latents of ordinary size; if it still does, train it again."
            )
        out.copy_(self.spec.sample.decode(values, out.dtype))

    @contextmanager
    def _running(self, what: str, precision: str) -> Iterator[None]:
        """Around a call of the backend: torch's settings are genaug's, and what the backend raises names it."""
        device = self.device
        if device.type == "cuda" and get_worker_info() is not None:
            raise InputError(
                "a generator on a GPU can't run inside a DataLoader worker. Give the worker a pool: "
                "genaug.SamplePool(generator, size=...), or use MixedDataset, which has one."
            )
        with (
            torch_defaults(),
            torch.inference_mode(),
            autocast(compute_dtype(precision, device), device),
            cudnn.flags(benchmark=False, deterministic=True),
            faults_of(self._backend, what, may_exit=True),
        ):
            yield

    def _look(self, method: str, samples: Any, *labels: Any) -> Any:
        """What an optional method of the backend returns for raw samples, chunk by chunk, in float32.

        ``labels`` are left out for a method that takes none.
        """
        if not self.offers(method):
            raise InputError(
                f"backend {self.backend_name!r} can't {method} samples. Of the installed backends these can: "
                f"{', '.join(registry.offering(method)) or 'none'}."
            )
        samples = _checked(self.spec.sample, samples, method)
        checked = [self._labels_for(len(samples), values, method) for values in labels]
        parts = []
        for rows in torch.arange(len(samples), device=samples.device).split(chunk_size(self.spec, self.device)):
            x = self._on_device(self.spec.sample.encode(samples[rows]))
            own = [None if wanted is None else self._on_device(wanted[rows.cpu()]) for wanted in checked]
            with self._running(method, "float32"):
                parts.append(getattr(self._backend, method)(self._nets, x, *own))
        return tree_map(lambda *values: torch.cat(values), *parts)

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
        for name in values:
            if name not in known:
                raise InputError(f"sample has no option or latent {name!r}; this generator's latents: {sorted(known)}.")
        return {name: known[name].check(known[name].expand(value, count)) for name, value in values.items()}

    def _labels_for(self, count: int, labels: Any, method: str) -> Tensor | None:
        """Labels for ``count`` samples that are there already."""
        wanted = self._wanted_labels(None, labels)
        if self.spec.takes_labels and wanted is None:
            raise InputError(f"{method} needs labels: this generator takes {self.spec.describe_classes()}.")
        if wanted is not None and len(wanted) != count:
            raise InputError(f"{method} got {len(wanted)} labels for {count} samples; it needs one for each.")
        return wanted


def chunk_size(spec: Spec, device: torch.device) -> int:
    """Samples that run through the network at once, a power of two: fixed, so that memory is flat and results don't
    depend on how many are asked for."""
    budget, most = _CHUNK["cpu" if device.type == "cpu" else "cuda"]
    fitting = max(1, budget // spec.sample.positions)
    return int(min(most, 2 ** (fitting.bit_length() - 1)))


def _checked(modality: Modality, samples: Any, method: str) -> Tensor:
    """Raw samples (N, ...) that somebody passed to a method. Raises ``InputError`` if they are something else."""
    count = len(samples) if isinstance(samples, Tensor) and samples.ndim else 1
    return modality.check(samples, count, f"{method} got")


def _padded(rows: Tensor, length: int) -> Tensor:
    """Rows filled up with copies of zero to a fixed length."""
    if len(rows) == length:
        return rows
    return torch.cat([rows, rows.new_zeros((length - len(rows), *rows.shape[1:]))])
