"""Checks of side effects: on global random streams, memory and devices."""

import gc
import random
from collections.abc import Callable, Mapping
from textwrap import shorten
from typing import Any
from unittest import SkipTest
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

from genaug.backends.backend import Batch, Inputs
from genaug.testing.listing import check
from genaug.testing.subject import CPU, Case, ConformanceError, Subject, require
from genaug.testing.watching import LiveBytes, OneDevice
from genaug.training.distributed import World
from genaug.training.streams import TrainingStep


@check()
def check_global_rng_is_untouched(subject: Subject) -> None:
    """``generate`` and losses draw nothing from global random streams, and ``build`` only from torch's.

    A loss draws from ``step``, whose streams don't depend on processes or interruptions. Networks run in evaluation
    mode here, so that dropout draws nothing.
    """
    case = subject.case()
    before = _streams()
    nets = case.build().eval()
    _check_streams(before, "build", ("numpy", "Python"))
    before = _streams()
    case.samples(nets)
    _check_streams(before, "generate")
    if case.is_trainable:
        step = case.step(nets)
        before = _streams()
        list(case.losses(nets, step, case.batch()))
        _check_streams(before, "loss")


def _streams() -> dict[str, object]:
    numpy: Any = np.random.get_state(legacy=True)
    return {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": (numpy[1].tobytes(), *numpy[2:]),
        "Python": random.getstate(),
    }


def _check_streams(
    before: dict[str, object], doing: str, names: tuple[str, ...] = ("torch", "numpy", "Python")
) -> None:
    after = _streams()
    for name in names:
        require(
            after[name] == before[name],
            f"{doing} draws from {name}'s global random stream, or seeds it. In a loss, draw from step.normal, "
            "step.uniform or step.latents; in generate, use only its inputs.",
        )


@check()
def check_memory_is_flat(subject: Subject) -> None:
    """Memory in use doesn't grow from step to step, nor from one ``generate`` to the next."""
    case = subject.case()
    nets = case.networks
    _check_flat("generate", lambda _: case.samples(nets))
    if case.is_trainable:
        trainer = case.trainer()
        _check_flat("a training step", lambda index: case.train(trainer, range(index, index + 1)))


def _check_flat(what: str, action: Callable[[int], object], times: int = 12) -> None:
    """Compare the last third with the rest, which also finds tensors that are kept only every few steps."""
    with LiveBytes() as live:
        sizes = []
        for index in range(times):
            action(index)
            sizes.append(live.count())
        if min(sizes[-4:]) <= max(sizes[:-4]):
            return
        gc.collect()  # unreachable objects that refer to each other don't count
        require(
            live.count() <= max(sizes[:-4]),
            f"{what} uses more memory each time: {sizes[0]:,} bytes after the first, {sizes[-1]:,} after the last of "
            f"{times}. Keep no tensors, and detach what is logged.",
        )


class _MetaStep(TrainingStep):
    """A step whose draws are tensors on the meta device, which have no values."""

    def normal(self, *shape: int) -> Tensor:
        return torch.empty(shape, device="meta")

    uniform = normal


@check()
def check_one_device(subject: Subject) -> None:
    """All tensors are on the device of the networks and latents: none is created elsewhere.

    Run on the meta device, so that it needs no GPU.
    """
    case = subject.case()
    nets = case.build().to("meta")
    inputs = case.inputs(6)
    inputs = Inputs(
        _to_meta(inputs.latents),
        None if inputs.labels is None else inputs.labels.to("meta"),
        lambda *shape: torch.empty((6, *shape), device="meta"),
        _to_meta(inputs.conditions),
    )
    try:
        with OneDevice(), _without_autocast():
            _check_meta("generate returns images", case.backend.generate(nets, inputs))
            if case.is_trainable:
                _check_losses_on_meta(case, nets)
    except (NotImplementedError, RuntimeError) as error:
        if isinstance(error, NotImplementedError) or "meta tensors" in str(error):  # it looks at values
            reason = shorten(str(error), 100, placeholder=" …")
            raise SkipTest(f"can't be checked without a GPU: {reason}") from error
        raise ConformanceError(f"an operation has tensors on two devices: {error}") from error


def _check_losses_on_meta(case: Case, nets: nn.ModuleDict) -> None:
    parameters = list(nets.parameters())
    step = _MetaStep(
        case.config, case.spec, parameters, seed=0, device=CPU, dtype=torch.float32, world=World(), policy=()
    )
    step.begin(0)
    batch = case.batch()
    labels = None if batch.labels is None else batch.labels.to("meta")
    targets = None if batch.targets is None else batch.targets.to("meta")
    batch = Batch(batch.x.to("meta"), labels, _to_meta(batch.conditions), targets)
    for name, loss, _ in case.losses(nets, step, batch):
        _check_meta(f"the loss of player {name!r} is", loss.value)


def _to_meta(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.to("meta") for name, tensor in tensors.items()}


def _check_meta(what: str, tensor: Tensor) -> None:
    require(tensor.device.type == "meta", f"{what} on {tensor.device}, but latents and networks are on another device.")


def _without_autocast() -> Any:
    """``torch.autocast(x.device.type)``, which a gradient penalty may use, doesn't support the meta device."""
    nothing: Any = dict.fromkeys(("__init__", "__enter__", "__exit__"), lambda *args, **kwargs: None)
    return patch.multiple(torch.autocast, **nothing)
