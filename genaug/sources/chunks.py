"""Running a backend's networks chunk by chunk, with flat memory and results that are independent of the count."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor, nn
from torch.backends import cudnn
from torch.utils._pytree import tree_map
from torch.utils.data import get_worker_info

from genaug.backends.backend import Backend, Inputs
from genaug.backends.calls import faults_of
from genaug.backends.latents import latent_rows, noise_rows
from genaug.backends.spec import Spec
from genaug.checks import memory
from genaug.device import autocast, compute_dtype, torch_defaults
from genaug.errors import InputError, is_out_of_memory
from genaug.modalities.base import Modality

# At most this many positions, and samples, at once. On a CPU the features of more positions leave its caches (measured:
# 256 images of 32x32 at once take 1.4 times as long as 64), and a batch is padded to a complete chunk.
_CHUNK = {"cpu": (2**16, 256), "cuda": (2**22, 4096)}


def device_of(nets: nn.Module) -> torch.device:
    """The device of a module's tensors; the CPU if it has none."""
    return next((tensor.device for tensor in nets.state_dict().values()), torch.device("cpu"))


def chunk_size(spec: Spec, device: torch.device) -> int:
    """The number of samples that run through the networks at once, a power of two.

    It is fixed, so that memory is flat and results don't depend on the number of samples.
    """
    budget, most = _CHUNK["cpu" if device.type == "cpu" else "cuda"]
    fitting = max(1, budget // spec.sample.positions)
    return int(min(most, 2 ** (fitting.bit_length() - 1)))


def generate(
    backend: Backend,
    spec: Spec,
    nets: nn.ModuleDict,
    count: int,
    seed: int,
    latents: Mapping[str, Tensor],
    labels: Tensor | None,
    dtype: torch.dtype | None,
    precision: str,
    conditions: Mapping[str, Tensor] | None = None,
    method: str = "generate",
) -> Tensor:
    """``count`` raw samples on the networks' device; latents that aren't passed are drawn from ``seed``.

    ``method`` is the backend's method that makes them: "generate", or "reverse" for a spec of the opposite direction.

    Raises ``InputError`` for a dtype that the modality doesn't have, for more samples than fit into memory, and if a
    sample isn't finite; ``PluginError`` if the backend fails or returns something of another shape.
    """
    device, conditions = device_of(nets), conditions or {}
    samples = _allocate(spec.sample, count, spec.sample.dtype if dtype is None else dtype, device)
    compute = compute_dtype(precision, device, spec.sample.in_bfloat16)
    chunk = chunk_size(spec, device)
    for start in range(0, count, chunk):
        rows = slice(start, start + chunk)
        values = {
            latent.name: _padded(latents[latent.name][rows], chunk)
            if latent.name in latents
            else latent_rows(latent, seed, start, chunk)
            for latent in spec.latents
        }
        others = {c.name: c.sample.encode(_padded(conditions[c.name][rows], chunk)) for c in spec.conditions}
        inputs = Inputs(
            {name: _move(value, device) for name, value in values.items()},
            None if labels is None else _move(_padded(labels[rows], chunk), device),
            noise_rows(seed, start, chunk, device),
            {name: _move(value, device) for name, value in others.items()},
        )
        with _running(backend, method, device, compute):
            outputs: Any = getattr(backend, method)(nets, inputs)
            if not isinstance(outputs, Tensor):
                raise TypeError(f"expected a tensor, got {type(outputs).__name__}")
            if outputs.shape[1:] != spec.sample.encoded_shape:
                raise ValueError(
                    f"expected {spec.sample.noun} of the spec's shape {spec.sample.encoded_shape}, got "
                    f"{tuple(outputs.shape[1:])}"
                )
        _write(samples[rows], outputs, spec.sample)
    return samples


def observe(
    backend: Backend,
    spec: Spec,
    nets: nn.ModuleDict,
    method: str,
    samples: Tensor,
    labels: list[Tensor | None],
    *,
    padded: bool = False,
) -> Any:
    """What an optional method of the backend returns for raw samples, in float32.

    ``labels`` is empty for a method that takes none. If ``padded``, all chunks are equally long, so that results don't
    depend on the number of samples, to the last bit. Raises ``PluginError`` if the backend fails.
    """
    device, parts = device_of(nets), []
    chunk = chunk_size(spec, device)
    for rows in torch.arange(len(samples), device=samples.device).split(chunk):
        length = chunk if padded else len(rows)
        x = _move(spec.sample.encode(_padded(samples[rows], length)), device)
        arguments = [
            None if values is None else _move(_padded(values[rows.cpu()], length), device) for values in labels
        ]
        with _running(backend, method, device, torch.float32):
            outputs = getattr(backend, method)(nets, x, *arguments)
        parts.append(tree_map(itemgetter(slice(len(rows))), outputs) if length > len(rows) else outputs)
    return tree_map(lambda *values: torch.cat(values), *parts)


@contextmanager
def _running(backend: Backend, doing: str, device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """Around a call of the backend: with genaug's settings of torch, and errors that name the backend."""
    if device.type == "cuda" and get_worker_info() is not None:
        raise InputError(
            "a generator on a GPU can't run inside a DataLoader worker. Give the worker a pool: "
            "genaug.SamplePool(generator, size=...), or use MixedDataset, which has one."
        )
    with (
        torch_defaults(),
        torch.inference_mode(),
        autocast(dtype, device),
        cudnn.flags(benchmark=False, deterministic=True),
        faults_of(backend, doing, may_exit=True),
    ):
        yield


def _allocate(sample: Modality, count: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    if dtype != sample.dtype and dtype not in sample.float_dtypes:
        choices = f"{sample.dtype} or a float dtype" if sample.float_dtypes else str(sample.dtype)
        raise InputError(f"dtype must be {choices}, got {dtype}.")
    check_memory(sample, count, dtype, device)
    try:
        return torch.empty((count, *sample.shape), dtype=dtype, device=device)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise _too_many(sample, count, dtype) from error


def check_memory(sample: Modality, count: int, dtype: torch.dtype | None, device: torch.device) -> None:
    """Raises ``InputError`` for more samples on the CPU than its memory could hold, before anything is drawn."""
    dtype, available = sample.dtype if dtype is None else dtype, memory()
    if available is not None and device.type == "cpu" and _bytes(sample, count, dtype) > available:
        raise _too_many(sample, count, dtype)


def _too_many(sample: Modality, count: int, dtype: torch.dtype) -> InputError:
    return InputError(
        f"{count:,} {sample.noun} need {_bytes(sample, count, dtype) / 2**30:,.1f} GiB, more memory than there is. "
        "Sample fewer at a time, each time with another seed."
    )


def _bytes(sample: Modality, count: int, dtype: torch.dtype) -> int:
    return count * prod(sample.shape) * dtype.itemsize


def _write(samples: Tensor, outputs: Tensor, modality: Modality) -> None:
    """Decode the first ``len(samples)`` rows of a padded chunk into ``samples``."""
    values = outputs[: len(samples)].float()
    if not bool(values.sum().isfinite()) and not bool(values.isfinite().all()):  # the sum is faster to check
        raise InputError(
            f"the generator made {modality.noun} with NaN or infinite values; expected finite ones. Use "
            "precision='float32' and latents of ordinary size; if that doesn't help, train it again."
        )
    samples.copy_(modality.decode(values, samples.dtype))


def _move(values: Tensor, device: torch.device) -> Tensor:
    return values.to(device, torch.float32 if values.is_floating_point() else torch.int64, non_blocking=True)


def _padded(rows: Tensor, length: int) -> Tensor:
    """Rows padded with zeros to a fixed length."""
    return torch.cat([rows, rows.new_zeros((length - len(rows), *rows.shape[1:]))])
