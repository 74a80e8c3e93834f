"""The option for the number of CPU threads, which commands that run networks share."""

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from genaug import checks

if TYPE_CHECKING:
    from collections.abc import Iterator

Threads = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=checks.THREADS,
        help="CPU threads.  [default: all cores, or fewer if other programs keep them busy]",
    ),
]


@contextmanager
def running_on(threads: int | None, device: str | None) -> "Iterator[None]":
    """Run torch on this many threads, or by default on as many as are fastest now; afterwards on as many as before."""
    from genaug.device import pick_device
    from genaug.training import threads as torch_threads

    number = torch_threads.pick_threads(threads, pick_device(device), show=True)
    with torch_threads.running_on(number):
        yield
