"""diffusers and transformers without warnings, log lines and progress bars, and without effects on global RNGs."""

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import Any

import torch

from genaug.device import torch_defaults
from genaug.errors import InputError
from genaug.randomness import seeded


def require(*packages: str) -> None:
    """Raises ``InputError`` with the command that installs them unless all of these packages are installed."""
    for package in packages:
        if find_spec(package) is None:
            raise InputError(f'diffusers:… needs {package}, which isn\'t installed: pip install "genaug[diffusers]"')


@contextmanager
def quiet(device: torch.device, seed: int | None = None) -> Iterator[None]:
    """Around calls of the two libraries. Python's, NumPy's and torch's global RNGs are the same afterwards.

    Within the block they start from ``seed``, for schedulers that draw without the generators they are given.
    """
    with ExitStack() as stack:
        for library in _installed_loggers():
            stack.callback(library.set_verbosity, library.get_verbosity())
            library.set_verbosity_error()
            if library.is_progress_bar_enabled():
                stack.callback(library.enable_progress_bar)
                library.disable_progress_bar()
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(torch_defaults())
        stack.enter_context(seeded(seed, device))
        yield


def _installed_loggers() -> list[Any]:
    from diffusers.utils import logging

    loggers = [logging]
    if find_spec("transformers") is not None:
        from transformers.utils import logging as other

        loggers.append(other)
    return loggers
