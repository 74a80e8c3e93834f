"""Random numbers that depend only on (seed, index), so that sample i is the same for any number of samples.

``torch.randn(5, 10)`` isn't a prefix of ``torch.randn(10, 10)``, whereas a counter-based generator (Philox, Salmon et
al. 2011) can jump to any row.
"""

import math
import random
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genaug.errors import InputError

_WORDS = 4  # 64-bit words per value of Philox4x64's counter


def check_seed(seed: int) -> int:
    """``seed`` as an int. Raises ``InputError`` if it isn't an integer in [0, 2^63)."""
    if isinstance(seed, bool) or not isinstance(seed, Integral) or not 0 <= seed < 2**63:
        raise InputError(f"seed must be an integer in [0, 2^63), got {seed!r}.")
    return int(seed)


def derive_seed(seed: int, *salts: int | str) -> int:
    """A 63-bit seed derived from a seed and salts that say what it is for; different salts give unrelated streams."""
    words = [zlib.crc32(salt.encode()) if isinstance(salt, str) else salt for salt in salts]
    # SeedSequence pads with zeros and splits large numbers: without the length, (1, 0) would equal (1,).
    entropy = [len(words), seed & 0xFFFFFFFF, seed >> 32, *words]
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1))


@contextmanager
def seeded(seed: int | None, device: torch.device | None = None) -> Iterator[None]:
    """Run third-party code, such as a transform, with the global random states of torch, NumPy and Python seeded.

    Without a seed they continue as they are. Afterwards the states are restored, that of a GPU ``device`` included.
    """
    states = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng([device] if device is not None and device.type == "cuda" else []):
            if seed is not None:
                torch.manual_seed(seed)
                random.seed(seed)
                np.random.seed(seed % 2**32)
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


def uniform_rows(seed: int, stream: str, start: int, count: int, width: int) -> NDArray[np.float64]:
    """Rows ``start`` to ``start + count`` of an infinite table of U[0, 1) numbers, shape (count, width)."""
    blocks = -(-width // _WORDS)
    bits = np.random.Philox(key=derive_seed(seed, stream))
    bits.advance(start * blocks)
    return np.random.Generator(bits).random((count, blocks * _WORDS))[:, :width]


def normal_rows(seed: int, stream: str, start: int, count: int, width: int) -> NDArray[np.float64]:
    """Rows of an infinite table of N(0, 1) numbers, shape (count, width), by the Box-Muller transform."""
    pairs = -(-width // 2)
    uniform = uniform_rows(seed, stream, start, count, 2 * pairs)
    radius = np.sqrt(-2 * np.log1p(-uniform[:, :pairs]))
    angle = 2 * math.pi * uniform[:, pairs:]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)[:, :width]


def category_rows(categories: int, seed: int, stream: str, start: int, count: int) -> Tensor:
    """Uniform draws from ``categories`` categories, (count,) int64."""
    return torch.from_numpy((uniform_rows(seed, stream, start, count, 1)[:, 0] * categories).astype(np.int64))


def stream(seed: int, *salts: int | str) -> np.random.Generator:
    """A NumPy generator of its own for a seed and salts (purpose, epoch)."""
    return np.random.Generator(np.random.Philox(key=derive_seed(seed, *salts)))
