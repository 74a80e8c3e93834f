"""Fidelity and diversity as the distance and overlap of two feature distributions, with their intervals."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from genaug.evaluation.arrays import Interval, half_sample_intervals
from genaug.evaluation.fid import LEAST as FID_LEAST, frechet_distance
from genaug.evaluation.kid import LEAST as KID_LEAST, kernel_distance
from genaug.evaluation.prdc import LEAST as PRDC_LEAST, manifold_overlap
from genaug.randomness import derive_seed


@dataclass(frozen=True)
class Kind:
    """Properties of a measure: the fewest samples per side, the range of its values, and which end is better."""

    least: int
    bounds: tuple[float, float]
    higher_is_better: bool


_INF = float("inf")
_KID_SUBSETS_PER_HALF = 10  # fewer than for the value: KID takes longest, and its noise only widens the interval
KINDS = {
    "fid": Kind(FID_LEAST, (0.0, _INF), False),
    "kid": Kind(KID_LEAST, (-_INF, _INF), False),
    "precision": Kind(PRDC_LEAST, (0.0, 1.0), True),
    "density": Kind(PRDC_LEAST, (0.0, _INF), True),
    "recall": Kind(PRDC_LEAST, (0.0, 1.0), True),
    "coverage": Kind(PRDC_LEAST, (0.0, 1.0), True),
}


def measurable(real: int, fake: int) -> list[str]:
    """Measures that can be computed with this number of samples per side."""
    return [name for name, kind in KINDS.items() if min(real, fake) >= kind.least]


def compare(real: Tensor, fake: Tensor, names: Sequence[str], seed: int, *, kid_subsets: int = 50) -> dict[str, float]:
    """The named measures of checked features, (N, d) and (M, d)."""
    values: dict[str, float] = {}
    if "fid" in names:
        values["fid"] = frechet_distance(real, fake)
    if "kid" in names:
        values["kid"] = kernel_distance(real, fake, subsets=kid_subsets, seed=derive_seed(seed, "kid"))
    if set(names) - {"fid", "kid"}:
        overlap: Mapping[str, float] = manifold_overlap(real, fake)  # type: ignore[assignment]
        values |= {name: overlap[name] for name in names if name in overlap}
    return values


def intervals(
    real: Tensor,
    fake: Tensor,
    value: Mapping[str, float],
    *,
    replicates: int,
    seed: int,
    on_replicate: Callable[[], None] | None = None,
) -> dict[str, Interval]:
    """95% intervals of the values that ``compare`` returned."""
    return half_sample_intervals(
        lambda rows, fake_rows: compare(
            real[rows], fake[fake_rows], list(value), seed, kid_subsets=_KID_SUBSETS_PER_HALF
        ),
        value,
        (len(real), len(fake)),
        replicates=replicates,
        seed=seed,
        on_replicate=on_replicate,
    )
