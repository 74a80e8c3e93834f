"""The questions of ``study_thesis.py``, and its recorded cells as tables and figures."""

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.common.console import markdown, plain
from benchmarks.common.figures import save
from benchmarks.common.record import Record
from genaug.studies.arms import CLASSIC, NONE, Arm
from genaug.studies.compare import Difference, holm, paired_difference
from genaug.studies.power import sensitivity

NAME = "study_thesis"
LOSSES = ("relativistic", "nonsaturating", "least_squares", "hinge", "minimax")
COUNTS = (1, 2, 3, 5, 10)
RATIO, RATIOS = 0.5, (0.1, 0.25, 0.5, 0.75, 0.9)
VANILLA, MANY, PAPER = "cgan-nonsaturating", "mad-gan-5", "mad-gan-paper"
IMAGES = {"kid": "KID", "agreement": "requested label recognized", "diversity": "within-class distance / real"}


@dataclass(frozen=True)
class Question:
    """Arms, pairs of them that are compared, and sources whose images are measured."""

    title: str
    arms: tuple[Arm, ...]
    pairs: tuple[tuple[Arm, Arm], ...]
    sources: tuple[str, ...] = ()


def with_images(source: str, ratio: float = RATIO) -> Arm:
    return Arm(source, ratio, classic=False)


def questions() -> dict[str, Question]:
    losses = (*(f"cgan-{loss}" for loss in LOSSES), PAPER)
    counts = tuple(f"mad-gan-{k}" for k in COUNTS)
    of_losses, of_counts = (tuple(map(with_images, names)) for names in (losses, counts))
    ratios = tuple(with_images(MANY, ratio) for ratio in RATIOS)
    vanilla, many = with_images(VANILLA), with_images(MANY)
    generated = (vanilla, many, with_images(PAPER))
    both = tuple(Arm(arm.source, arm.ratio, classic=True) for arm in generated)
    return {
        "loss": Question("The loss", (NONE, *of_losses), tuple((arm, NONE) for arm in of_losses), losses),
        "generators": Question(
            "The number of generators of a MAD-GAN",
            (NONE, *of_counts),
            tuple((arm, of_counts[0]) for arm in of_counts[1:]),
            counts,
        ),
        "ratio": Question("The generated share, MAD-GAN with k = 5", (NONE, *ratios), tuple((a, NONE) for a in ratios)),
        "against": Question(
            "MAD-GAN against classic augmentation and the vanilla GAN",
            (NONE, CLASSIC, *generated, *both),
            ((many, NONE), (many, vanilla), (many, CLASSIC), (both[1], CLASSIC), (both[1], both[0])),
        ),
    }


def cells_of(record: Record, data: str) -> list[dict[str, Any]]:
    """The recorded cells of a data set."""
    return [line for line in record.rows({"study": data}) if "seed" in line]


def figures(cells: list[dict[str, Any]], name: str, of: str, phase: str) -> dict[int, float]:
    """A figure by seed."""
    values = {c["seed"]: c[of] for c in cells if (c["phase"], c["name"]) == (phase, name) and of in c}
    return dict(sorted(values.items()))


def compared(cells: list[dict[str, Any]], arm: Arm, base: Arm) -> Difference | None:
    """The difference between two arms over their common seeds, None for fewer than two."""
    ours, bases = (figures(cells, a.name, "accuracy", "test") for a in (arm, base))
    both = [seed for seed in ours if seed in bases]
    return paired_difference([ours[s] for s in both], [bases[s] for s in both]) if len(both) > 1 else None


def comparisons(cells: list[dict[str, Any]], question: Question) -> list[tuple[Arm, Arm, Difference, float]]:
    """The pairs that share two seeds or more, with Holm's p-values for their number."""
    pairs = [(*pair, difference) for pair in question.pairs if (difference := compared(cells, *pair))]
    adjusted = holm([d.p if d.p is not None else 1.0 for _, _, d in pairs])
    return [(*pair, p) for pair, p in zip(pairs, adjusted, strict=True)]


def tables(cells: list[dict[str, Any]]) -> str:
    """Markdown: for each question the accuracies, the comparisons, and the images."""
    parts = [f"### {question.title}\n\n{table(cells, question)}" for question in questions().values()]
    return "\n\n".join([*parts, *([f"### Detectable gains\n\n{limits}"] if (limits := limit(cells)) else [])])


def gains(cells: list[dict[str, Any]]) -> dict[Arm, Difference]:
    """The gain of each arm with generated images over the same classifier without them, with at least two seeds."""
    arms = dict.fromkeys(arm for question in questions().values() for arm in question.arms if arm.source)
    differences = {arm: compared(cells, arm, CLASSIC if arm.classic else NONE) for arm in arms}
    return {arm: difference for arm, difference in differences.items() if difference}


def highest_end(of: dict[Arm, Difference]) -> float:
    """The highest upper end of their 95% intervals: no gain above it could be shown."""
    return max(difference.high for difference in of.values() if difference.high is not None)


def detectable_gain(of: dict[Arm, Difference]) -> float | None:
    """The gain that each of them would have shown with a probability of at least 80%; None if no gain below 1."""
    each = [sensitivity([difference]).gain for difference in of.values()]
    known = [gain for gain in each if gain is not None]
    return max(known) if len(known) == len(each) else None


def limit(cells: list[dict[str, Any]]) -> str:
    """The gain that the recorded seeds leave possible, and the one they would have shown; empty without seeds."""
    lines = []
    for classic, where in ((False, "Without classic augmentation"), (True, "On top of classic augmentation")):
        of = {arm: difference for arm, difference in gains(cells).items() if arm.classic == classic}
        if not of:
            continue
        above = sum(difference.verdict == "helps" for difference in of.values())
        gain = detectable_gain(of)
        power = "" if gain is None else f" A gain of {100 * gain:.1f} points would have been detected with 80% power."
        lines.append(
            f"{where}, {above} of the {len(of)} arms with generated images have a 95% interval above 0, without "
            f"correction for their number; the upper ends reach {100 * highest_end(of):+.1f} points.{power}"
        )
    return "\n\n".join(lines).replace("-", "−")


def table(cells: list[dict[str, Any]], question: Question) -> str:
    rows = []
    for arm in question.arms:
        values = [100 * value for value in figures(cells, arm.name, "accuracy", "test").values()]
        every = ", ".join(f"{value:.1f}" for value in values) or "not run yet"
        mean = f"{statistics.mean(values):.1f}" if values else "–"
        rows.append([arm.name, every, mean, f"{statistics.stdev(values):.1f}" if len(values) > 1 else "–"])
    parts = [markdown(["classifier trained with", "accuracy per seed (%)", "mean", "sd"], rows)]
    rows = []
    for arm, base, difference, p in comparisons(cells, question):
        points = f"{100 * difference.mean:+.1f} ({100 * difference.low:+.1f} to {100 * difference.high:+.1f})".replace(
            "-", "−"
        )
        rows.append([f"{arm.name} against {base.name}", points, f"{p:.3f}"])
    parts += [markdown(["compared", "points (95% interval)", "p (Holm)"], rows)] if rows else []
    rows = [
        [source, *(ranged(list(figures(cells, source, name, "images").values())) for name in IMAGES)]
        for source in question.sources
    ]
    parts += [markdown(["images, median (range)", *IMAGES.values()], rows)] if rows else []
    return "\n\n".join(parts)


def ranged(values: list[float]) -> str:
    if not values:
        return "not run yet"
    return f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})".replace("-", "−")


def summary(cells: list[dict[str, Any]]) -> dict[str, Any]:
    """One flat object."""
    result: dict[str, Any] = {"seeds": len(figures(cells, NONE.name, "accuracy", "test"))}
    for key, question in questions().items():
        for arm in question.arms:
            values = list(figures(cells, arm.name, "accuracy", "test").values())
            result[f"accuracy_{plain(arm.name)}"] = statistics.mean(values) if values else None
        for arm, base, difference, p in comparisons(cells, question):
            result[f"{key}_{plain(arm.name)}_against_{plain(base.name)}_points"] = 100 * difference.mean
            result[f"{key}_{plain(arm.name)}_against_{plain(base.name)}_holm"] = p
        for source in question.sources:
            for name in IMAGES:
                values = list(figures(cells, source, name, "images").values())
                result[f"{name}_{plain(source)}_median"] = statistics.median(values) if values else None
    for classic, where in ((False, "without_classic"), (True, "with_classic")):
        of = {arm: difference for arm, difference in gains(cells).items() if arm.classic == classic}
        gain = detectable_gain(of) if of else None
        result[f"no_gain_above_points_{where}"] = 100 * highest_end(of) if of else None
        result[f"gain_shown_with_80_percent_power_points_{where}"] = None if gain is None else 100 * gain
    return result


def draw(cells: list[dict[str, Any]], results: Path, data: str) -> None:
    """A figure for each question: every seed's accuracy and its mean, and KID where images are measured."""
    for key, question in questions().items():
        panels = [(question.arms, "accuracy", "test", "test accuracy")]
        if question.sources:
            panels.append((question.sources, "kid", "images", "KID"))
        figure = Figure(figsize=(5.5 * len(panels), 4), layout="constrained")
        for axis, (entries, of, phase, title) in zip(
            figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
        ):
            names = [arm if isinstance(arm, str) else arm.name for arm in entries]
            for place, name in enumerate(names):
                values = list(figures(cells, name, of, phase).values())
                axis.plot([place] * len(values), values, "o", color="#88aacc", markersize=4)
                if values:
                    axis.plot([place], [statistics.mean(values)], "_", color="#cc3311", markersize=18)
            axis.set_xticks(range(len(names)), names, rotation=60, ha="right", fontsize=7)
            axis.set_ylabel(title)
        figure.suptitle(f"{question.title}, {data}", wrap=True, fontsize=11)
        save(figure, results / f"{NAME}_{data}_{key}.png", dpi=110)
