"""Device and precision that networks run with, and torch's global settings as this package needs them."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import lru_cache

import torch

from genaug.errors import InputError

PRECISIONS = ("auto", "float32", "bfloat16")


@lru_cache
def _gains_from_bfloat16(device_type: str) -> bool:
    """Whether bfloat16 arithmetic is faster: on GPUs with native bf16, and on CPUs with AMX."""
    if device_type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device_type == "cpu" and hasattr(torch.cpu, "get_capabilities"):
        return bool(torch.cpu.get_capabilities().get("amx_bf16", False))
    return False


def check_precision(precision: str) -> str:
    """Raises ``InputError`` for an unknown precision."""
    if precision not in PRECISIONS:
        raise InputError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}.")
    return precision


def compute_dtype(precision: str, device: torch.device, in_bfloat16: bool) -> torch.dtype:
    """The dtype of networks for a precision ("auto", "float32" or "bfloat16") on a device.

    ``in_bfloat16`` says whether "auto" may be bfloat16 (``Modality.in_bfloat16``). Raises ``InputError`` for any other
    precision.
    """
    if check_precision(precision) == "bfloat16":
        return torch.bfloat16
    return (
        torch.bfloat16 if precision == "auto" and in_bfloat16 and _gains_from_bfloat16(device.type) else torch.float32
    )


def autocast(dtype: torch.dtype, device: torch.device) -> AbstractContextManager[object]:
    """The autocast context to run networks in; float32 turns autocast off, even within another autocast context."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16)


def pick_device(device: str | torch.device | None) -> torch.device:
    """``device`` as a ``torch.device``; None or "auto" is the GPU if there is one, otherwise the CPU.

    Raises ``InputError`` if this machine can't use it.
    """
    if device is None or device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(device)
        if device.type == "meta":
            raise RuntimeError("it holds no values")
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"device {str(device)!r} can't be used here ({reason}). Use device='cpu' or leave it out."
        ) from error
    return device


@contextmanager
def torch_defaults() -> Iterator[None]:
    """Torch's initial settings: new tensors are float32 on the CPU, gradients are enabled, and autocast is off.

    The caller's settings are restored afterwards. Also a decorator: ``@torch_defaults()``. Use it around code that
    builds or runs networks, which relies on these settings, but not around the caller's transforms and datasets,
    which rely on the caller's settings.
    """
    dtype = torch.get_default_dtype()
    with ExitStack() as stack:
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        if dtype != torch.float32:
            stack.callback(torch.set_default_dtype, dtype)
            torch.set_default_dtype(torch.float32)
        for device_type in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device_type):
                stack.enter_context(torch.autocast(device_type, enabled=False))
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        yield
