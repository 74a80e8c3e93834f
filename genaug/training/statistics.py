"""Batch-norm statistics of a generator, recomputed for the weights that it has.

An average of weights has activations of its own: the running statistics of the live generator, which an exponential
moving average is taken of, don't describe them.

``torch.optim.swa_utils.update_bn`` isn't used: it normalises by each batch's own statistics, so that layers behind the
first see something else than they do in sampling, fails where a layer gets a single value per channel, and leaves
dropout on.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.backends import cudnn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.quasirandom import SobolEngine

from genaug.backends.backend import Backend
from genaug.backends.spec import Spec
from genaug.device import autocast
from genaug.randomness import mix, seeded
from genaug.sources.generator import chunk_size

SAMPLES = 4096  # a power of two, as Sobol's sequence and the chunks need
_FEW = 256  # enough to find about the right place
_SETTLED = 1e-3  # standard deviations


@torch.no_grad()
def recompute_statistics(
    backend: Backend, spec: Spec, network: nn.Module, labels: Tensor | None, seed: int, quick: bool = False
) -> None:
    """Set the running mean and variance of every batch-norm layer of ``network`` to those of its inputs, in place.

    They are taken over latents from the spec's prior, and over labels that are as frequent as in ``labels`` (int64
    (N,); all classes are equally likely if it is None), in float32 with float64 sums. All layers normalise by the
    running statistics meanwhile, as in sampling, so the first sweep is right for the first layer, the second for the
    second as well, and so on until nothing moves by a thousandth of a standard deviation: sweeps of few samples find
    about the right place, sweeps of ``SAMPLES`` (a quarter of them if ``quick``) the right one. The result depends on
    the weights, the labels, ``seed`` and ``quick`` only; modes and torch's global random state are left as they were.
    """
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    if not norms:
        return
    modes = {module: module.training for module in network.modules()}
    network.train()  # a MAD-GAN's generators then see their samples once each
    for module in modes:
        if isinstance(module, (_BatchNorm, _DropoutNd)):
            module.eval()
    moments = {norm: _Moments(norm) for norm in norms}
    hooks = [norm.register_forward_pre_hook(moments[norm].add, with_kwargs=True) for norm in norms]
    device = moments[norms[0]].mean.device
    try:
        with seeded(mix(seed, "layers"), device), autocast(torch.float32, device), cudnn.flags(deterministic=True):
            full = SAMPLES // 4 if quick else SAMPLES
            for count in dict.fromkeys((min(_FEW, full), full)):
                for _ in norms:
                    for latents, part in _draws(spec, labels, seed, device, count):
                        backend.generate(nn.ModuleDict({"generator": network}), latents, part)
                    if max([moments[norm].store() for norm in norms]) <= _SETTLED:
                        break
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in modes.items():
            module.training = training


class _Moments:
    """Mean and variance per channel of what a layer is given."""

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
        """Put what was added since the last time into the layer; the largest change, in standard deviations."""
        if self._count == 0:
            return 0.0  # never used
        mean = self._sum / self._count
        variance = self._squares / self._count - mean.square()
        scale = (variance + self._eps).sqrt()
        moved = (mean - self.mean).abs() / scale
        spread = ((self.variance + self._eps).sqrt() / scale - 1).abs()
        self.mean.copy_(mean)
        self.variance.copy_(variance)
        self._clear()
        return float(torch.maximum(moved, spread).max())


def _draws(
    spec: Spec, labels: Tensor | None, seed: int, device: torch.device, count: int
) -> Iterator[tuple[dict[str, Tensor], Tensor | None]]:
    """``count`` latents and labels in chunks, from a scrambled Sobol sequence (Owen 1998).

    Its points fill the prior so evenly that 4,096 give a mean and a variance that take 100,000 random ones and more.
    """
    widths = [1 if latent.kind == "categorical" else latent.size for latent in spec.latents]
    width = sum(widths) + spec.takes_labels
    points = SobolEngine(min(max(1, width), SobolEngine.MAXDIM), scramble=True, seed=mix(seed, "statistics"))
    others = torch.Generator("cpu").manual_seed(mix(seed, "further statistics"))  # no sequence has more dimensions
    frequent = torch.arange(spec.num_classes) if labels is None else labels.cpu().sort().values
    chunk = min(count, chunk_size(spec, device))
    for _ in range(0, count, chunk):
        even = points.draw(chunk, dtype=torch.float64) + 2.0 ** -(SobolEngine.MAXBIT + 1)  # in (0, 1)
        more = max(0, width - points.dimension)
        rest = torch.rand(chunk, more, dtype=torch.float64, device="cpu", generator=others)
        first, *columns = torch.cat([even, rest], 1)[:, :width].split([int(spec.takes_labels), *widths], 1)
        drawn = {}
        for latent, column in zip(spec.latents, columns, strict=True):
            if latent.kind == "normal":
                drawn[latent.name] = torch.special.ndtri(column).float()
            elif latent.kind == "uniform":
                drawn[latent.name] = (2 * column - 1).float()
            else:
                drawn[latent.name] = (column[:, 0] * latent.size).long()
        part = frequent[(first[:, 0] * len(frequent)).long()].to(device) if spec.takes_labels else None
        yield {name: code.to(device) for name, code in drawn.items()}, part
