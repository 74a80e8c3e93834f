"""The device and the number format that networks run in, and torch's global settings as this package needs them."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import lru_cache

import torch

from genaug.errors import InputError

PRECISIONS = ("auto", "float32", "bfloat16")


@lru_cache
def _gains_from_bfloat16(device_type: str) -> bool:
    """Whether bfloat16 arithmetic is faster: GPUs with native bf16, processors with AMX tiles."""
    if device_type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device_type == "cpu" and hasattr(torch.cpu, "get_capabilities"):
        return bool(torch.cpu.get_capabilities().get("amx_bf16", False))
    return False


def compute_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The dtype that ``precision`` ("auto", "float32" or "bfloat16") means on a device."""
    if precision not in PRECISIONS:
        raise InputError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}.")
    if precision == "bfloat16" or (precision == "auto" and _gains_from_bfloat16(device.type)):
        return torch.bfloat16
    return torch.float32


def autocast(dtype: torch.dtype, device: torch.device) -> AbstractContextManager[object]:
    """The context that networks run in; float32 switches autocast off, also inside another one."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16)


def pick_device(device: str | torch.device | None) -> torch.device:
    """The device asked for, or by default the GPU where there is one and else the CPU. Refuses one that is missing."""
    if device is None or device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        wanted = torch.device(device)
        if wanted.type == "meta":
            raise RuntimeError("it holds no values")
        torch.empty(1, device=wanted)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"device {device!r} can't be used here ({reason}). Use device='cpu' or leave it out."
        ) from error
    return wanted


@contextmanager
def torch_defaults() -> Iterator[None]:
    """Inside, new tensors are float32 and on the CPU, gradients are on and autocast is off, as when torch starts;
    afterwards the caller's settings hold again. Also a decorator: ``@torch_defaults()``.

    Around what builds or runs networks of ours and of the plugins, which rely on these settings. Not around the
    caller's own transforms and datasets, which rely on the caller's.
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
