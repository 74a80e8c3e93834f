"""Run by ``test_rendezvous.py`` in two processes: a script with its own process group."""

import os
import sys
import time
from contextlib import nullcontext

import pytest
import torch
import torch.distributed as dist

import genaug
from genaug.data.datasets import load_data
from genaug.errors import InputError
from genaug.training import rendezvous
from genaug.training.plan import Budget

out = sys.argv[1]
torch.set_num_threads(1)
dist.init_process_group("gloo")
rank = dist.get_rank()
started_by_torchrun = {name: os.environ.pop(name) for name in ("RANK", "WORLD_SIZE")}  # other launchers don't set them


def train(where, steps=3, **settings):
    settings = {"seed": 0, **settings}
    small = {"config": {"width": 4, "max_width": 8}, "batch_size": 8, "device": "cpu", "progress": False}
    return genaug.fit("cgan", load_data("digits"), out=f"{out}/{where}", steps=steps, **small, **settings)


def is_shared(generator):
    """Whether both processes have the same generator."""
    weights = torch.cat([parameter.flatten() for parameter in generator.network.parameters()])
    both = [torch.zeros_like(weights) for _ in range(2)]
    dist.all_gather(both, weights)
    return torch.equal(*both)


if rank == 1:
    time.sleep(1.5)
assert is_shared(train("together")), "a late process trains with the other"
with pytest.raises(InputError, match="seed is 0 there and 1 here"):
    train("together", seed=rank, overwrite=True)
dist.barrier()
assert genaug.load(f"{out}/together", device="cpu").training["steps"] == 3, "the error changed nothing"
assert not is_shared(train(f"apart-{rank}", seed=rank)), "each folder has a separate training"
for _ in range(2):
    with pytest.raises(FileExistsError, match="together exists and is not empty"):  # rank 0 reports it to all
        train("together", steps=2)
where = "together" if rank == 0 else "of-its-own"
with pytest.raises(FileExistsError) if rank == 0 else nullcontext():  # doesn't affect a separate training
    train(where)
assert is_shared(train("together", steps=4, resume=True)), "a call that failed before the meeting has no effect"
if rank == 0:
    rendezvous.ALONE_AFTER = 0.5
    train("alone")
dist.barrier()
assert genaug.load(f"{out}/alone", device="cpu").training["steps"] == 3
rendezvous.ALONE_AFTER = 60.0
assert is_shared(train("afterwards")), "they train together again"
Budget.has_timed_enough = lambda self: rank == 0
Budget.steps_that_fit = lambda self, *_: 5 + 100 * rank
planned = train("planned", steps=None, max_minutes=60)
assert planned.training["steps"] == 25, "all use the plan of rank 0"
assert is_shared(planned)
assert dist.is_initialized()
dist.destroy_process_group()
os.environ.update(started_by_torchrun)
train("without-a-group")
assert not dist.is_initialized(), "the group that genaug created is destroyed"
print(f"process {rank} is done", flush=True)
