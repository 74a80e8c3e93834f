"""Run by ``test_meeting.py`` under torchrun: what scripts do that have their own process group."""

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
started_by_torchrun = {name: os.environ.pop(name) for name in ("RANK", "WORLD_SIZE")}  # others don't set them


def train(where, steps=3, **settings):
    settings = {"seed": 0, **settings}
    small = {"config": {"width": 4, "max_width": 8}, "batch_size": 8, "device": "cpu", "progress": False}
    return genaug.fit("cgan", load_data("digits"), out=f"{out}/{where}", steps=steps, **small, **settings)


def are_alike(generator):
    mine = torch.cat([parameter.flatten() for parameter in generator.network.parameters()])
    both = [torch.zeros_like(mine) for _ in range(2)]
    dist.all_gather(both, mine)
    return torch.equal(*both)


if rank == 1:
    time.sleep(1.5)
assert are_alike(train("together")), "a process that comes later trains with the other"
with pytest.raises(InputError, match="seed is 0 there and 1 here"):
    train("together", seed=rank, overwrite=True)
dist.barrier()
assert genaug.load(f"{out}/together", device="cpu").training["steps"] == 3, "the refusal touched nothing"
assert not are_alike(train(f"apart-{rank}", seed=rank)), "each folder has a training of its own"
for _ in range(2):
    with pytest.raises(FileExistsError, match="together exists and is not empty"):  # rank 0 says so to all
        train("together", steps=2)
where = "together" if rank == 0 else "of-its-own"
with pytest.raises(FileExistsError) if rank == 0 else nullcontext():  # no concern of a training of one's own
    train(where)
assert are_alike(train("together", steps=4, resume=True)), "what ended before the meeting leaves no trace"
if rank == 0:
    rendezvous.ALONE_AFTER = 0.5
    train("alone")
dist.barrier()
assert genaug.load(f"{out}/alone", device="cpu").training["steps"] == 3
rendezvous.ALONE_AFTER = 60.0
assert are_alike(train("afterwards")), "they meet again"
Budget.has_timed_enough = lambda self: rank == 0
Budget.steps_that_fit = lambda self, *_: 5 + 100 * rank
planned = train("planned", steps=None, max_minutes=60)
assert planned.training["steps"] == 25, "all keep the plan of rank 0"
assert are_alike(planned)
assert dist.is_initialized()
dist.destroy_process_group()
os.environ.update(started_by_torchrun)
train("without-a-group")
assert not dist.is_initialized(), "the group that genaug made is gone"
print(f"process {rank} is done", flush=True)
