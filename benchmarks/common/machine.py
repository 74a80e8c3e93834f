"""The machine on which a measurement runs."""

import os
import platform
from importlib.metadata import version

import torch

from benchmarks.common.record import Row

PACKAGES = ("torch", "torchvision", "numpy", "pillow")


def machine() -> Row:
    """The processor and its load, torch's threads, and the versions of what decides the speed. Call it beforehand:
    the load is that of other programs then."""
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return {
        "processor": capabilities.get("cpu_name") or platform.processor(),
        "machine": platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }
