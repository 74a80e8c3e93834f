"""torch's global settings as this package needs them, whatever the caller has set."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch


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
