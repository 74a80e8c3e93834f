"""The training engine without the folder that ``genaug.fit`` keeps around it: a script plays the steps one by one."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from genaug.backends import Backend, Spec
from genaug.data.reading import Samples
from genaug.device import compute_dtype
from genaug.sources.generator import Generator
from genaug.training.distributed import Share
from genaug.training.game import Game
from genaug.training.plan import Plan
from genaug.training.run import TrainingRun
from genaug.training.run_folder import RunFolder
from genaug.training.streams import BatchStream, TrainingStep

CPU = torch.device("cpu")


class Training:
    """A backend's training on batches of any kind, in one process: ``stream.batch(index)`` gives a ``Batch``.

    ``steps`` is the length of the run, by which learning rates fall; without it they stay as they are.
    """

    def __init__(
        self,
        backend: Backend,
        config: Any,
        data: Spec,
        stream: Any,
        *,
        seed: int,
        device: torch.device = CPU,
        dtype: torch.dtype = torch.float32,
        steps: int | None = None,
    ) -> None:
        self.config, self.spec = config, backend.describe(config, data)
        self.game = Game(backend, config, self.spec, seed, device, Share(), steps)
        self.step = TrainingStep(config, self.spec, seed=seed, device=device, dtype=dtype, share=Share(), policy=())
        self.stream = stream

    def play(self, index: int) -> dict[str, Tensor]:
        """One training step. Returns what the losses log."""
        self.step.begin(index)
        return self.game.play(self.step, self.stream)

    def generator(self, name: str, network: nn.Module) -> Generator:
        """A network of the training as the generator of a backend with this name."""
        return Generator(name, self.game.backend, self.config, self.spec, network, {})


def on_images(
    backend: Backend,
    config: Any,
    data: Samples,
    batch_size: int,
    *,
    seed: int,
    device: torch.device = CPU,
    **how: Any,
) -> Training:
    """A training on images in memory."""
    stream = BatchStream(data, batch_size, seed, device, Share())
    return Training(backend, config, data.spec, stream, seed=seed, device=device, **how)


def run_in(
    folder: Path,
    name: str,
    backend: Backend,
    data: Samples,
    batch_size: int,
    *,
    steps: int,
    precision: str = "auto",
    device: torch.device = CPU,
) -> TrainingRun:
    """The run that ``genaug.fit`` starts in a folder, with the backend's defaults: ``play(index)`` makes a step."""
    settings: dict[str, Any] = {"backend": name, "seed": 0, "batch_size": batch_size, "steps": steps}
    return TrainingRun(
        backend,
        backend.Config(),
        data,
        RunFolder(folder),
        settings,
        plan=Plan(steps),
        private={},
        policy=(),
        device=device,
        dtype=compute_dtype(precision, device),
        share=Share(),
        show_progress=False,
    )
