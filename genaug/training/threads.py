"""The number of threads for networks on a CPU: torch's, or fewer if other programs keep the cores busy.

An operation on several threads ends when the last of them does. If another program occupies one of the cores, that
thread waits for its turn in every operation, and fewer threads are several times as fast.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from genaug.progress import write_line

_SECONDS = 0.2  # of each measurement
_CLEARLY = 0.8


def pick_threads(threads: int | None, device: torch.device, show: bool) -> int:
    """``threads``; by default torch's number, lowered on a CPU if that is faster now. OMP_NUM_THREADS takes precedence.

    With ``show``, a line says so if the number is lowered.
    """
    if threads is not None:
        return int(threads)
    usual = torch.get_num_threads()
    if device.type != "cpu" or usual == 1 or "OMP_NUM_THREADS" in os.environ:
        return usual
    best = _fastest(usual)
    if show and best < usual:
        write_line(
            f"other programs keep the processor busy: using {best} of {usual} threads, which is faster now. "
            "--threads (threads=) sets another number."
        )
    return best


@contextmanager
def running_on(threads: int) -> Iterator[int]:
    """Run torch on this many threads; afterwards it has as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield threads
    finally:
        torch.set_num_threads(before)


def _fastest(threads: int) -> int:
    """Halve the number of threads for as long as that takes clearly less time.

    Clearly, so that an idle machine always gets the same number, and with it the same last bits of the weights.
    """
    seconds = _seconds_on(threads)
    while threads > 1:
        fewer = _seconds_on(threads // 2)
        if fewer > _CLEARLY * seconds:
            break
        threads, seconds = threads // 2, fewer
    return threads


def _seconds_on(threads: int) -> float:
    """The time that a small convolution takes. On an idle processor, more threads are faster."""
    from torch.utils.benchmark import Timer

    tensors = {"x": torch.zeros(32, 16, 32, 32), "weight": torch.zeros(16, 16, 3, 3)}
    timer = Timer("torch.nn.functional.conv2d(x, weight, padding=1)", globals=tensors, num_threads=threads)
    return float(timer.blocked_autorange(min_run_time=_SECONDS).mean)
