"""The measures, with targets, of scripts about series."""

from benchmarks.papers import (
    rcgan_mnist_rows as digit_rows,
    rcgan_waves as waves,
    series_sines as sines,
)
from benchmarks.papers.measures import Bound, Measure, Row, by_seed


def rcgan_waves(rows: list[Row]) -> list[Measure]:
    limits = waves.TARGETS
    recognition, latents = (
        "requested shape recognized by a classifier of real waves",
        "two latents, 10 nearest neighbors",
    )
    measures = [
        Measure(recognition, by_seed(rows, "recognition"), ".2%", _at_least(limits["recognition"]), "a picture")
    ]
    for name in waves.FACTORS:
        label = f"KS, {name} of real and of generated waves"
        measures.append(Measure(label, by_seed(rows, f"ks_{name}"), bound=Bound("<=", limits["ks"], "mean")))
    for name in waves.FACTORS:
        bound = None if name == "offset" else _at_least(limits["r2"])
        label = f"R² of the {name} as explained by {latents}"
        measures.append(Measure(label, by_seed(rows, f"r2_{name}"), bound=bound, paper="a picture"))
    for name in ("tstr", "trts"):
        label = f"{name.upper()}, accuracy divided by that of real waves"
        measures.append(Measure(label, by_seed(rows, name), bound=_at_least(limits[name])))
    limit = Bound("<=", limits["cpu_seconds"], "mean")
    return [*measures, Measure("seconds of training, one core", by_seed(rows, "cpu_seconds"), ".0f", limit)]


def _at_least(limit: float) -> Bound:
    """A target for the mean over the seeds."""
    return Bound(">=", limit, "mean")


def series_sines(rows: list[Row]) -> list[Measure]:
    limits = sines.TARGETS
    target, paper = Bound("<=", limits["discriminative"], "mean"), f"{limits['discriminative']} (RCGAN), "
    paper += f"{limits['stretch']} (TimeGAN), as quoted by Yoon et al. 2019"
    labels = {
        "discriminative": f"discriminative score of the published judge (stretch goal {limits['stretch']:g})",
        "discriminative_gru": "the same of a larger GRU",
        "discriminative_cnn": "the same of a CNN",
        "predictive": "predictive score",
    }
    measures = []
    for backend in (*sines.BACKENDS, None):
        for frequencies in sines.FREQUENCIES:
            subject = f"{backend or 'new real series'}, frequencies of the {frequencies}"
            for name, label in labels.items():
                values = by_seed(rows, name, backend=backend, frequencies=frequencies)
                judged = backend is not None and name == "discriminative"
                ours = (target, paper) if judged else (None, "–")
                measures.append(Measure(f"{subject}: {label}", values, ".3f", *ours))
    return measures


def rcgan_mnist_rows(rows: list[Row]) -> list[Measure]:
    labels = {
        "tstr": "TSTR: trained on generated digits, tested on real ones",
        "trts": "TRTS: trained on real digits, tested on generated ones",
        "real": "trained and tested on real digits",
    }
    bounds = {"tstr": _at_least(digit_rows.TARGET)}
    return [
        Measure(label, by_seed(rows, f"{name}_accuracy"), ".2%", bounds.get(name), f"{digit_rows.PAPER[name]:.1%}")
        for name, label in labels.items()
    ]
