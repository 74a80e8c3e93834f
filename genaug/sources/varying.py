"""Varying samples by their latents: between what a sample's encoder says and fresh draws."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from genaug.backends.latents import Latent, latent_rows
from genaug.errors import InputError
from genaug.randomness import uniform_rows


def check_strength(strength: Any) -> float:
    """``strength`` as a float. Raises ``InputError`` if it isn't a number in [0, 1]."""
    try:
        value = float(strength)
    except (TypeError, ValueError):
        value = -1.0
    if isinstance(strength, bool | str | bytes) or not 0 <= value <= 1:
        raise InputError(
            f"strength must be a number from 0 (the reconstruction) to 1 (a new sample), got {strength!r}."
        )
    return value


def varied_latents(
    latents: tuple[Latent, ...], encoded: Mapping[str, Tensor], count: int, strength: float, seed: int
) -> dict[str, Tensor]:
    """The latents of ``count`` varied samples: from ``encoded`` (strength 0) to fresh draws (strength 1).

    Latents that aren't encoded are drawn, and a category is replaced by a drawn one with probability ``strength``.
    """
    values = {}
    for latent in latents:
        fresh = latent_rows(latent, seed, 0, count)
        own = encoded.get(latent.name)
        if own is None or strength == 1:
            values[latent.name] = fresh
        elif strength == 0:
            values[latent.name] = own.cpu()
        elif latent.is_float:
            values[latent.name] = latent.varied(own.cpu().float(), fresh, strength)
        else:
            draws = torch.from_numpy(uniform_rows(seed, f"vary:{latent.name}", 0, count, 1)[:, 0])
            values[latent.name] = torch.where(draws < strength, fresh, own.cpu())
    return values
