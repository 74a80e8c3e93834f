"""Writing shards on Ray Data: actors that hold the source write one shard after another."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from genaug.checks import SHARDS, as_whole
from genaug.errors import InputError


def run(write: Callable[[int], int], shards: Sequence[int], workers: int | None) -> Iterator[int]:
    """What ``write`` returns for each shard, as one of ``workers`` processes has done it.

    They run in the Ray cluster to which this process is connected, or which the environment (RAY_ADDRESS) names, and
    otherwise in a new one on this machine, which ends with the block. Ray Data needs one logical CPU besides theirs.
    Raises ``InputError`` if the cluster has too few CPUs.
    """
    ray = check_ray()
    workers = None if workers is None else as_whole(workers, "workers", 1, SHARDS)
    starts = not ray.is_initialized()
    if starts:
        _start(ray, workers)
    try:
        cpus = int(ray.cluster_resources().get("CPU", 0))
        actors = max(1, cpus - 1) if workers is None else workers
        if actors + 1 > cpus:
            raise InputError(
                f"{actors} workers need {actors + 1} CPUs in the Ray cluster, since Ray Data takes one itself, and it "
                f"has {cpus}. Pass workers={cpus - 1} (--workers), or add machines."
            )
        ray.data.DataContext.get_current().enable_progress_bars = False  # the caller shows one
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        tasks = ray.data.from_items([{"shard": shard} for shard in shards], override_num_blocks=len(shards))
        counts = tasks.map_batches(
            _Actor,
            fn_constructor_args=(write,),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=min(actors, len(shards))),
            num_cpus=1,
        )
        for row in counts.iter_rows():
            yield int(row["result"])
    finally:
        if starts:
            ray.shutdown()


def check_ray() -> Any:
    """The package. Raises ``InputError`` if it isn't installed."""
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise InputError("engine='ray' (--engine ray) needs Ray: pip install 'genaug[ray]'.") from error
    return ray


class _Actor:
    """A process of the cluster, with the source in its memory."""

    def __init__(self, write: Callable[[int], int]) -> None:
        import torch

        torch.set_num_threads(1)
        self._write = write

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {"result": [self._write(int(shard)) for shard in batch["shard"]]}


def _start(ray: Any, workers: int | None) -> None:
    """Connect to the cluster that the environment names, or start one here, with logical CPUs for the workers."""
    quiet = {"logging_level": logging.WARNING, "log_to_driver": False, "include_dashboard": False}
    if os.environ.get("RAY_ADDRESS"):
        ray.init(logging_level=logging.WARNING, log_to_driver=False)
    else:
        ray.init(num_cpus=(workers or max(1, os.cpu_count() or 1)) + 1, **quiet)
