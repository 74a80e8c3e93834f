"""What ``genaug.evaluate`` is called with, for the evaluation of a modality."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch
from torch import nn

from genaug.evaluation.features import Features
from genaug.sources.source import Source
from genaug.version import __version__


@dataclass(frozen=True)
class Request:
    """The arguments of ``genaug.evaluate``, checked as far as they don't depend on the modality.

    ``features``, ``image_size`` and ``updates`` are None unless they are passed, since not every modality has them.
    """

    source: Source
    real_set: Any
    held_out: Any
    features: str | nn.Module | Features | None
    n: int | None
    image_size: int | None
    seed: int
    classifiers: int
    updates: int | None
    replicates: int
    device: str | torch.device | None
    data: str
    progress: bool

    def header(self, *, samples: int, real: int, held_out: int) -> dict[str, Any]:
        """The beginning of a report's header: the data, the source, the seed, and the numbers of samples compared."""
        spec, backend = self.source.spec, getattr(self.source, "backend_name", None)
        return {
            "data": self.data,
            "source": type(self.source).__name__ + (f" ({backend})" if backend else ""),
            "shape": list(spec.shape),
            "seed": self.seed,
            "samples": samples,
            f"real_{spec.sample.noun}": real,
            f"held_out_{spec.sample.noun}": held_out,
        }


def versions(*packages: str) -> Mapping[str, str]:
    """The versions of genaug, of these packages, and of Python, for a report's header."""
    return {"genaug": __version__, **{name: version(name) for name in packages}, "python": platform.python_version()}
