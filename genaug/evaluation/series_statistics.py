"""How values, their order in time and complete series are distributed, in generated series and in real ones."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genaug.evaluation.aligned_series import AlignedSeries
from genaug.evaluation.arrays import half_sample_intervals
from genaug.evaluation.mmd import bandwidth_of, kernel_matrix, squared_mmd
from genaug.evaluation.report import Findings, PageTable, measure
from genaug.evaluation.subject import Subject
from genaug.modalities.series_values import lengths_of
from genaug.randomness import derive_seed

LEAST = 20  # series per side, overall and of a class
_MOST_VALUES = 100_000  # of a channel, whose distributions are compared: evenly spaced steps if there are more
_MOST_LAGS = 50
_MOST_COMPARED = 2_000  # series per side, in the kernel matrices
_LENGTH = "length"

Floats = NDArray[np.float64]


def compare_series(subject: Subject, aligned: AlignedSeries, findings: Findings, *, replicates: int, seed: int) -> None:
    """``marginals``, ``autocorrelation`` and, also per class, ``mmd``: real series at ``subject.rows`` against
    generated ones. The reference is held-out series against real ones."""
    real, fake, unseen = aligned.sides["real"][subject.rows], aligned.sides["generated"], aligned.sides.get("held_out")
    if min(len(real), len(fake)) < LEAST:
        reason = f"needs {LEAST} series on each side, there are {len(real):,} real and {len(fake):,} generated ones"
        findings.missing.update(dict.fromkeys(("marginals", "autocorrelation", "mmd"), reason))
        return
    size = 0 if unseen is None else min(len(unseen), len(fake), len(real))
    held_out = None if unseen is None or size < LEAST or size < len(fake) // 2 else unseen[:size]
    _compare_marginals(aligned, (real, fake, held_out), findings, replicates=replicates, seed=seed)
    _compare_autocorrelations((real, fake, held_out), findings, replicates=replicates, seed=seed)
    _compare_kernels(subject, aligned, findings, replicates=replicates, seed=seed)


def values_of(raw: Tensor) -> dict[str, Floats]:
    """The values of each channel, at all steps up to the end of each series, and the lengths. Missing values are below
    all others."""
    lengths, steps = lengths_of(raw), raw.shape[2]
    count = max(8, _MOST_VALUES // max(len(raw), 1))
    shown = torch.arange(steps) if steps <= count else torch.linspace(0, steps - 1, count).round().long()
    present = shown < lengths[:, None]
    result = {}
    for channel in range(raw.shape[1]):
        values = raw[:, channel][:, shown][present].double()
        result[str(channel)] = values.masked_fill(values.isnan(), -torch.inf).numpy()
    result[_LENGTH] = lengths.double().numpy()
    return result


def marginal_distances(real: Mapping[str, Floats], other: Mapping[str, Floats]) -> dict[str, float]:
    """The Kolmogorov-Smirnov statistic of each channel's values, and of the lengths, in [0, 1]."""
    from scipy.stats import ks_2samp

    return {name: float(ks_2samp(real[name], other[name], method="asymp").statistic) for name in real}


def autocorrelations(raw: Tensor) -> Floats:
    """The autocorrelation of each series and channel at lags from 1 to half of the steps, or 50, float64 (N, channels,
    lags) in [-1, 1]: NaN for a channel that is constant in a series, and if less than two pairs of values are that far
    apart."""
    series = raw.double()
    observed = ~series.isnan()
    counts = observed.sum(2).clamp(min=1)
    centered = torch.where(observed, series - (series.nansum(2) / counts)[..., None], 0.0)
    variance = centered.square().sum(2) / counts
    lags = []
    for lag in range(1, max(1, min(_MOST_LAGS, raw.shape[2] // 2)) + 1):
        pairs = (observed[..., lag:] & observed[..., :-lag]).sum(2)
        product = (centered[..., lag:] * centered[..., :-lag]).sum(2) / pairs.clamp(min=1)
        usable = (pairs >= 2) & (variance > 0)
        lags.append(torch.where(usable, (product / variance.clamp(min=1e-300)).clamp(-1, 1), torch.nan))
    return torch.stack(lags, 2).numpy()


def autocorrelation_distance(real: Floats, other: Floats) -> float:
    """The mean absolute difference of the mean autocorrelations, over all lags and channels that both sides have."""
    gaps = np.abs(_means(real) - _means(other))
    return float(np.nanmean(gaps)) if not np.isnan(gaps).all() else float("nan")


def _means(correlations: Floats) -> Floats:
    counts = (~np.isnan(correlations)).sum(0)
    means: Floats = np.where(counts > 0, np.nansum(correlations, 0) / np.maximum(counts, 1), np.nan)
    return means


def _compare_marginals(
    aligned: AlignedSeries,
    sides: tuple[Tensor, Tensor, Tensor | None],
    findings: Findings,
    *,
    replicates: int,
    seed: int,
) -> None:
    real, fake, unseen = sides
    names = [name for name in values_of(real[:1]) if name != _LENGTH or aligned.is_ragged]

    def distances(one: Tensor, other: Tensor) -> dict[str, float]:
        values = marginal_distances(values_of(one), values_of(other))
        return {name: values[name] for name in names}

    def mean(values: Mapping[str, float]) -> float:
        return float(np.mean(list(values.values())))

    values = distances(real, fake)
    references = None if unseen is None else distances(real[: len(unseen)], unseen)
    _add(
        "marginals",
        mean(values),
        lambda a, b: {"marginals": mean(distances(real[a], fake[b]))},
        findings,
        sides=(real, fake),
        bounds=(0.0, 1.0),
        reference=None if references is None else mean(references),
        features="Kolmogorov-Smirnov statistic of each channel's values"
        + (" and of the lengths" if aligned.is_ragged else "")
        + "; the mean",
        replicates=replicates,
        seed=seed,
        details={"channels": values},
    )
    rows = []
    for name in sorted(names, key=lambda name: -values[name])[:20]:
        reference = "–" if references is None else f"{references[name]:.3f}"
        rows.append([name if name == _LENGTH else f"channel {name}", f"{values[name]:.3f}", reference])
    text = "Kolmogorov-Smirnov statistic, 0 to 1, largest first; missing values count as below all others."
    findings.tables.append(PageTable("Distributions of values", ["", "generated", "held-out series"], rows, text))


def _compare_autocorrelations(
    sides: tuple[Tensor, Tensor, Tensor | None], findings: Findings, *, replicates: int, seed: int
) -> None:
    real, fake, unseen = sides
    of_real, of_fake = autocorrelations(real), autocorrelations(fake)
    value = autocorrelation_distance(of_real, of_fake)
    if np.isnan(value):
        findings.missing["autocorrelation"] = "needs series of several steps whose values vary, on both sides"
        return
    _add(
        "autocorrelation",
        value,
        lambda a, b: {"autocorrelation": autocorrelation_distance(of_real[a.numpy()], of_fake[b.numpy()])},
        findings,
        sides=(real, fake),
        bounds=(0.0, 2.0),
        reference=None
        if unseen is None
        else autocorrelation_distance(of_real[: len(unseen)], autocorrelations(unseen)),
        features=f"autocorrelation of each channel at lags 1 to {of_real.shape[2]}, averaged over series",
        replicates=replicates,
        seed=seed,
    )
    shown = sorted({1, 2, 3, 5, 10, 20, 50} & set(range(1, of_real.shape[2] + 1)))
    means = _means(of_real), _means(of_fake)
    rows = [
        [f"channel {channel}, lag {lag}", *(_number(side[channel, lag - 1]) for side in means)]
        for channel in range(min(of_real.shape[1], 6))
        for lag in shown
    ]
    findings.tables.append(PageTable("Autocorrelation", ["", "real", "generated"], rows, "Averaged over series."))


def _compare_kernels(
    subject: Subject, aligned: AlignedSeries, findings: Findings, *, replicates: int, seed: int
) -> None:
    real = aligned.vectors(aligned.sides["real"][subject.rows])
    fake, unseen = aligned.vectors(aligned.sides["generated"]), aligned.sides.get("held_out")
    bandwidth = bandwidth_of(real[:_MOST_COMPARED])
    if bandwidth == 0:
        findings.missing["mmd"] = "needs real series that differ"
        return
    for class_name, real_rows, fake_rows in subject.parts():
        rows, others = real_rows[:_MOST_COMPARED], fake_rows[:_MOST_COMPARED]
        if min(len(rows), len(others)) < LEAST:
            continue
        matrix, count = kernel_matrix(torch.cat([real[rows], fake[others]]), bandwidth), len(rows)
        reference = None
        held_out_rows = subject.held_out_rows(class_name)[:_MOST_COMPARED]
        if unseen is not None and len(held_out_rows) >= LEAST:
            both = torch.cat([real[rows], aligned.vectors(unseen[held_out_rows])])
            reference = _mmd(kernel_matrix(both, bandwidth), count)
        _add(
            "mmd",
            _mmd(matrix, count),
            lambda a, b, matrix=matrix, count=count: {"mmd": squared_mmd(matrix, a, b + count)},
            findings,
            sides=(real[rows], fake[others]),
            bounds=(-float("inf"), float("inf")),
            reference=reference,
            features="squared MMD of series in standard deviations of each channel, with Gaussian kernels of half, one "
            "and two times the median distance of real series",
            replicates=replicates,
            seed=seed,
            class_name=class_name,
        )


def _mmd(matrix: Tensor, count: int) -> float:
    return squared_mmd(matrix, torch.arange(count), torch.arange(count, len(matrix)))


def _add(
    name: str,
    value: float,
    compare: Any,
    findings: Findings,
    *,
    sides: tuple[Tensor, Tensor],
    bounds: tuple[float, float],
    replicates: int,
    seed: int,
    class_name: str | None = None,
    **fields: Any,
) -> None:
    """A measure of which less is better, with the interval of ``half_sample_intervals``."""
    real, fake = sides
    intervals = half_sample_intervals(
        compare, {name: value}, (len(real), len(fake)), replicates=replicates, seed=derive_seed(seed, name)
    )
    findings.measures(class_name)[name] = measure(
        value,
        intervals[name],
        bounds,
        samples=len(fake),
        real_samples=len(real),
        higher_is_better=False,
        **fields,
    )


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.3f}"
