"""Drawing latents."""

import numpy as np
import torch
from torch import Tensor

from genaug.backends.spec import Latent
from genaug.randomness import category_rows, normal_rows, uniform_rows


def latent_rows(latent: Latent, seed: int, start: int, count: int) -> Tensor:
    """Draws of one latent for samples ``start`` to ``start + count``: (count, size) float32, or (count,) int64."""
    stream = f"latent:{latent.name}"
    if latent.kind == "normal":
        return torch.from_numpy(normal_rows(seed, stream, start, count, latent.size).astype(np.float32))
    if latent.kind == "uniform":
        return torch.from_numpy((uniform_rows(seed, stream, start, count, latent.size) * 2 - 1).astype(np.float32))
    return category_rows(latent.size, seed, stream, start, count)
