"""Batch-norm statistics of kept networks, recomputed for their averaged weights.

Networks with averaged weights have other activations than the networks that are trained, so the running statistics of
these don't describe them.

``torch.optim.swa_utils.update_bn`` isn't used: it normalizes by each batch's own statistics, so that all layers after
the first get other inputs than in sampling; it fails if a layer gets a single value per channel; and it leaves dropout
on.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from math import prod
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.backends import cudnn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.quasirandom import SobolEngine

from genaug.backends.backend import Backend, Inputs
from genaug.backends.latents import noise_rows
from genaug.backends.spec import Spec
from genaug.data.apportion import largest_remainder
from genaug.data.reading import Samples
from genaug.device import autocast
from genaug.randomness import derive_seed, seeded
from genaug.sources.chunks import chunk_size, device_of

SAMPLES = 4096  # a power of two, as Sobol's sequence and the chunks need
_FEW = 256  # enough for a first approximation
_SETTLED = 1e-3  # standard deviations


@torch.no_grad()
def recompute_statistics(
    backend: Backend,
    spec: Spec,
    nets: nn.ModuleDict,
    data: Samples,
    seed: int,
    quick: bool = False,
    frozen: Collection[str] = (),
    shares: Tensor | None = None,
) -> None:
    """Set the running mean and variance of the kept networks' batch-norm layers to those of their inputs, in place.

    For the network that samples they are taken over latents from the spec's prior, with labels as frequent as in
    training and conditions from the data; for the others over real samples, through those of ``encode``, ``classify``,
    ``score`` and ``reverse`` that the backend has. ``shares`` are the weights of the classes in training, (K,), if
    these aren't as frequent as in the data; all samples have labels then. Networks run in float32 with float64 sums.

    All layers normalize by the running statistics, as in sampling, so the first sweep is right for the first layer, the
    second for the second as well, and so on until nothing moves by a thousandth of a standard deviation: first sweeps
    of a few samples, then sweeps of ``SAMPLES`` (a quarter of them if ``quick``). Modules named in ``frozen`` keep
    their statistics. The result depends on the weights, the data, ``seed``, ``quick`` and ``shares`` only; modes and
    torch's global random state are left as they were.
    """
    sampler, *others = backend.keeps
    device = device_of(nets)

    def generate(count: int) -> None:
        for inputs in _draws(spec, data, seed, device, count, shares):
            backend.generate(nets, inputs)

    def observe(count: int) -> None:
        methods = [getattr(backend, name) for name in ("encode", "score") if backend.offers(name)]
        own = replace(data, labels=None) if data.unpaired else data  # the labels are those of the conditions
        for rows in _spread(min(count, len(data.x)), own, shares).split(chunk_size(spec, device)):
            x = spec.sample.encode(data.x[rows].to(device))
            labels = None
            if spec.takes_labels and data.labels is not None:  # unlabeled samples get the classes in turn
                known = torch.full((len(rows),), -1) if own.labels is None else own.labels[rows]
                labels = known.where(known >= 0, rows % spec.num_classes).to(device)
            for method in methods:
                method(nets, x, labels)
            if backend.offers("reverse"):
                noise = noise_rows(seed, 0, len(x), device)
                backend.reverse(nets, Inputs({}, labels, noise, {spec.conditions[0].name: x}))
            if not methods and backend.offers("classify"):
                backend.classify(nets, x)

    full = SAMPLES // 4 if quick else SAMPLES
    modules = {name: module for name, module in nets.named_modules() if name not in frozen}
    sampling = [module for name, module in modules.items() if name.partition(".")[0] == sampler]
    observing = [module for name, module in modules.items() if name.partition(".")[0] in others]
    _settle(sampling, generate, full, seed, device)
    _settle(observing, observe, full, seed, device)


def _spread(count: int, data: Samples, shares: Tensor | None = None) -> Tensor:
    """``count`` rows, evenly spread over the data, which may be sorted by class, or over each class by its share."""
    if shares is None or data.labels is None:
        return _spread_rows(count, len(data.x))
    members = [torch.nonzero(data.labels == label).flatten() for label in range(len(shares))]
    counts = largest_remainder(count, shares.tolist()).tolist()
    return torch.cat([rows[torch.arange(n) * len(rows) // n] for rows, n in zip(members, counts, strict=True) if n])


def _spread_rows(count: int, size: int) -> Tensor:
    """``count`` row numbers, evenly spread over the rows below ``size``."""
    return torch.arange(count) * size // count


def _settle(modules: list[nn.Module], run: Callable[[int], None], full: int, seed: int, device: torch.device) -> None:
    """Recompute the statistics of the norms among these modules; ``run(count)`` calls them on ``count`` samples."""
    norms = [module for module in modules if isinstance(module, _BatchNorm) and module.track_running_stats]
    if not norms:
        return
    modes = {module: module.training for module in modules}
    for module in modules:  # a MAD-GAN runs each of its generators once in training mode
        module.training = not isinstance(module, (_BatchNorm, _DropoutNd))
    moments = {norm: _Moments(norm) for norm in norms}
    hooks = [norm.register_forward_pre_hook(moments[norm].add, with_kwargs=True) for norm in norms]
    try:
        with (
            seeded(derive_seed(seed, "layers"), device),
            autocast(torch.float32, device),
            cudnn.flags(deterministic=True),
        ):
            for count in dict.fromkeys((min(_FEW, full), full)):
                for _ in norms:
                    run(count)
                    if max([moments[norm].store() for norm in norms]) <= _SETTLED:
                        break
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in modes.items():
            module.training = training


class _Moments:
    """Mean and variance per channel of a layer's inputs."""

    def __init__(self, norm: _BatchNorm) -> None:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        self.mean, self.variance, self._eps = norm.running_mean.zero_(), norm.running_var.fill_(1), norm.eps
        self._clear()

    def _clear(self) -> None:
        self._count = 0
        self._sum = torch.zeros_like(self.mean, dtype=torch.float64)
        self._squares = torch.zeros_like(self._sum)

    def add(self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        values: Tensor = args[0] if args else kwargs["input"]
        count = values.numel() // values.shape[1]
        if count == 0:
            return
        variance, mean = torch.var_mean(values.float(), [0, *range(2, values.ndim)], correction=0)
        self._count += count
        self._sum += count * mean.double()
        self._squares += count * (variance.double() + mean.double().square())

    def store(self) -> float:
        """Write the moments since the last call into the layer; returns the largest change, in standard deviations."""
        if self._count == 0:
            return 0.0  # the layer wasn't used
        mean = self._sum / self._count
        variance = self._squares / self._count - mean.square()
        scale = (variance + self._eps).sqrt()
        moved = (mean - self.mean).abs() / scale
        spread = ((self.variance + self._eps).sqrt() / scale - 1).abs()
        self.mean.copy_(mean)
        self.variance.copy_(variance)
        self._clear()
        return float(torch.maximum(moved, spread).max())


class _Columns:
    """Draws that take the columns of evenly spread points (N, width) in (0, 1) in turn."""

    def __init__(self, points: Tensor) -> None:
        self._points, self._next = points, 0

    def uniform(self, *shape: int) -> Tensor:
        width = prod(shape[1:])
        self._next += width
        return self._points[:, self._next - width : self._next].reshape(shape)

    def normal(self, *shape: int) -> Tensor:
        return cast("Tensor", torch.special.ndtri(self.uniform(*shape)))


def _draws(
    spec: Spec, data: Samples, seed: int, device: torch.device, count: int, shares: Tensor | None = None
) -> Iterator[Inputs]:
    """Inputs of ``count`` samples in chunks, from a scrambled Sobol sequence (Owen 1998).

    Its points cover the prior so evenly that 4,096 of them estimate mean and variance as well as over 100,000 random
    ones.
    """
    width = sum(prod(latent.shape) for latent in spec.latents) + spec.takes_labels
    points = SobolEngine(min(max(1, width), SobolEngine.MAXDIM), scramble=True, seed=derive_seed(seed, "statistics"))
    # for latents with more dimensions than Sobol's sequence has
    random = torch.Generator("cpu").manual_seed(derive_seed(seed, "further statistics"))
    if shares is None:
        known = torch.empty(0, dtype=torch.int64) if data.labels is None else data.labels[data.labels >= 0]
        shares = known.bincount(minlength=spec.num_classes) if len(known) else torch.ones(spec.num_classes)
    ends = shares.double().cumsum(0)  # of the classes' parts of an interval
    chunk = min(count, chunk_size(spec, device))
    for start in range(0, count, chunk):
        even = points.draw(chunk, dtype=torch.float64) + 2.0 ** -(SobolEngine.MAXBIT + 1)  # in (0, 1)
        more = max(0, width - points.dimension)
        rest = torch.rand(chunk, more, dtype=torch.float64, device="cpu", generator=random)
        columns = _Columns(torch.cat([even, rest], 1)[:, :width])
        labels = None
        if spec.takes_labels:
            labels = torch.searchsorted(ends, columns.uniform(chunk) * ends[-1], right=True)
            labels = labels.clamp(max=spec.num_classes - 1).to(device)
        latents = {latent.name: latent.draw(columns, chunk).to(device) for latent in spec.latents}
        conditions = {}
        for condition in spec.conditions:
            values = data.conditions[condition.name]
            rows = _spread_rows(count, len(values))[start : start + chunk]
            conditions[condition.name] = condition.sample.encode(values[rows].to(device))
        yield Inputs(latents, labels, noise_rows(seed, start, chunk, device), conditions)
