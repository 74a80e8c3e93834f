"""A study's cells and judgement as the content of ``report.json``, with sentences for the reader."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import mean
from typing import Any

import torch

from genaug.progress import duration
from genaug.studies.arms import Arm
from genaug.studies.cells import Ledger
from genaug.studies.courses import label_of
from genaug.studies.decide import Judgement
from genaug.studies.diagnosis import describe_sensitivity, diagnose, reservations
from genaug.studies.jobs import trained
from genaug.studies.metrics import ACCURACY, metric_of
from genaug.studies.mixes import descriptions_in
from genaug.studies.power import Sensitivity, sensitivity
from genaug.studies.report import FORMAT_VERSION, arm_details
from genaug.version import __version__

FEW = 2  # baselines: of more, only the one over which an arm gained least is shown beside it


def findings(
    judgement: Judgement,
    ledger: Ledger,
    arms: Sequence[Arm],
    settings: Mapping[str, Any],
    statistics: Mapping[str, Any],
    *,
    examination: Mapping[str, Any] | None = None,
    origin: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Everything in a report except its pictures.

    ``examination`` is the result of ``diagnosis.examine``; ``origin`` names the data, the options that differ from
    their defaults, and the command that repeats the study.
    """
    seeds, chosen = settings["seeds"], judgement.chosen
    metric, noun = metric_of(settings)
    closest = min(judgement.decisive, key=lambda c: c.difference.mean, default=None)
    cost = _cost(judgement, ledger, settings["sources"])
    examination, worth = examination or {}, _sensitivity(judgement, statistics)
    tables = {
        phase: {arm.name: row for arm in arms if (row := ledger.scores(phase, arm.name, metric))}
        for phase in ("inner", "test")
    }
    return {
        "kind": "study",
        "format_version": FORMAT_VERSION,
        "verdict": judgement.verdict,
        "sentence": sentence(judgement, cost, worth, noun, statistics.get("samples", "images")),
        "ratio": (chosen.ratio or 0.0) if chosen is not None and judgement.verdict == "use" else 0.0,
        "source": None if chosen is None else chosen.source,
        "classic": judgement.classic,
        "method": None if judgement.advised is None else judgement.advised.without_samples.name,
        "metric": {"key": metric, "noun": noun},
        "chosen": arm_details(chosen),
        "baseline": None if closest is None else arm_details(closest.baseline),
        "difference": None if closest is None else asdict(closest.difference),
        "sensitivity": None if worth is None else asdict(worth),
        "reservations": reservations(ledger, settings, statistics, chosen),
        "warnings": diagnose(judgement, statistics, examination, worth, settings["sources"], noun),
        "examination": dict(examination),
        "origin": dict(origin or {}),
        "cost": cost,
        "statistics": dict(statistics),
        "comparisons": [
            {
                **(arm_details(c.arm) or {}),
                "baseline": c.baseline.name,
                **asdict(c.difference),
                "holm": c.holm,
                "role": c.role,
                "verdict": c.difference.verdict,
                "per_seed": [
                    tables["test"][c.arm.name][seed] - tables["test"][c.baseline.name][seed] for seed in seeds
                ],
            }
            for c in judgement.comparisons
        ],
        "arms": [arm_details(arm) for arm in arms],
        "baselines": [arm.name for arm in judgement.baselines],
        "scores": {
            phase: {name: {str(seed): row[seed] for seed in seeds if seed in row} for name, row in table.items()}
            for phase, table in tables.items()
        },
        "failures": [
            {"phase": c["phase"], "seed": c["seed"], "arm": c["name"], "error": c["error"]} for c in ledger.failures()
        ],
        "settings": dict(settings),
        "seconds": round(sum(c.get("seconds", 0) for phase in ("inner", "test") for c in ledger.of(phase)), 1),
        "versions": {"genaug": __version__, "torch": torch.__version__, "python": platform.python_version()},
    }


def _sensitivity(judgement: Judgement, statistics: Mapping[str, Any]) -> Sensitivity | None:
    """The gain that the study could have shown; None if the chosen arm or a baseline failed on the test set."""
    if len(judgement.decisive) < len(judgement.baselines):
        return None
    return sensitivity(
        [c.difference for c in judgement.decisive],
        correction=statistics["correction"],
        resolution=statistics.get("resolution", 1 / statistics["n_test"]),
    )


def sentence(
    judgement: Judgement,
    cost: Mapping[str, Any],
    worth: Sensitivity | None,
    metric: str = ACCURACY.noun,
    samples: str = "images",
) -> str:
    """The verdict in words, with its basis and the cost; ``metric`` and ``samples`` are what they are called."""
    chosen, decisive = judgement.chosen, judgement.decisive
    if chosen is None:
        return "No evidence: no source's arm finished on all seeds, so use ratio 0. See the failures."
    numbers = _numbers(judgement, metric)
    if chosen.ratio is None:
        return _classifier_sentence(judgement, numbers, cost, worth, samples)
    arm = f"{chosen.source} {label_of(chosen)}{_how(judgement)}"
    if not decisive:
        return (
            f"No evidence: {arm}, was chosen, but it or {_all_of(judgement)} failed on the test set, so use ratio 0. "
            "See the failures."
        )
    if judgement.verdict == "use":
        return f"Use {arm}: {numbers}. {cost['sentence']}"
    if judgement.verdict == "don't use":
        return f"Don't use {chosen.source}: at its best, {arm}, it hurts: {numbers}. {cost['sentence']}"
    against = len(judgement.baselines)
    if len(decisive) < against:
        compared = [c.baseline for c in decisive]
        failed = [repr(baseline.name) for baseline in judgement.baselines if baseline not in compared]
        return (
            f"No evidence that {chosen.source} helps: {' and '.join(failed)} failed on the test set, so {arm}, could "
            f"only be compared with {' and '.join(repr(baseline.name) for baseline in compared)} ({numbers}). Use "
            "ratio 0. See the failures."
        )
    return (
        f"No evidence that {chosen.source} helps: at its best, {arm}, {numbers}. "
        f"{describe_sensitivity(worth, against, metric)} Until there is evidence, leave it out: ratio 0. "
        f"{cost['sentence']}"
    )


def _numbers(judgement: Judgement, metric: str) -> str:
    """The decisive differences; of more than two, the smallest."""
    decisive = judgement.decisive
    if not decisive:
        return ""
    shown = decisive if len(decisive) <= FEW else [min(decisive, key=lambda c: c.difference.mean)]
    text = ", ".join(c.difference.summary(c.baseline.name) for c in shown)
    text = text if metric == ACCURACY.noun else f"in {metric}, {text}"
    least = f", the baseline over which it gained least of {len(decisive)}" if len(shown) < len(decisive) else ""
    return f"{text}{least}, {decisive[0].difference.n} seeds"


def _how(judgement: Judgement) -> str:
    """The chosen arm's augmentation and classifier, if the study tried several."""
    chosen = judgement.chosen
    assert chosen is not None
    parts = []
    if any(arm.classic for arm in judgement.baselines):
        parts.append(f"{'with' if chosen.classic else 'without'} classic augmentation")
    if any(arm.method == "smote" for arm in judgement.baselines):
        parts.append(f"{'with' if chosen.method else 'without'} SMOTE")
    if chosen.classifier is not None:
        parts.append(f"for {chosen.classifier}")
    return "".join(f", {part}" for part in parts)


def _all_of(judgement: Judgement) -> str:
    count = len(judgement.baselines)
    return {1: "the baseline", 2: "both baselines"}.get(count, "all baselines")


def _classifier_sentence(
    judgement: Judgement, numbers: str, cost: Mapping[str, Any], worth: Sensitivity | None, samples: str
) -> str:
    """The verdict on a classifier that was chosen instead of generated samples."""
    assert judgement.chosen is not None
    name, decisive = judgement.chosen.source, judgement.decisive
    if judgement.verdict == "use":
        return f"Use the classifier, not the samples: {name} gained {numbers}. {cost['sentence']}"
    if judgement.verdict == "don't use":
        return f"Don't use the classifier {name}: it is worse: {numbers}. {cost['sentence']}"
    if len(decisive) == len(judgement.baselines):
        return (
            f"No evidence that the classifier {name} is better: {numbers}. "
            f"{describe_sensitivity(worth, len(decisive))} Until there is evidence, train your own, without generated "
            f"{samples}. {cost['sentence']}"
        )
    compared = f" ({numbers})" if decisive else ""
    return (
        f"No evidence: the classifier {name} was chosen, but it or a baseline failed on the test set{compared}, so "
        f"train your own, without generated {samples}. See the failures."
    )


def inference(overlap: float, item: str = "image", samples: str = "images") -> str:
    """The t-test for seeds that share this part of their training samples, in words."""
    if overlap == 0:
        return f"paired t: no two seeds share a training {item}"
    if overlap < 1:
        return (
            f"paired t, widened because two seeds share {100 * overlap:.3g}% of their training {samples} on average: "
            "se² = s² (1/J + f / (1 − f))"
        )
    return (
        f"paired t: every seed trains on all {samples}, so the interval covers the noise of training only and says "
        "nothing about another training set"
    )


def _cost(judgement: Judgement, ledger: Ledger, sources: Mapping[str, Any]) -> dict[str, Any]:
    """Mean seconds per seed: for training the generator, and for training the classifier with its samples (or providing
    the chosen classifier) and without them, as it was otherwise or as is advised. Interrupted trainings don't count."""
    chosen = judgement.chosen
    plain = judgement.advised or judgement.baselines[0]
    if plain.ratio or plain.source:
        plain = plain.without_samples
    if chosen is None:
        return {"generator_seconds": None, "classifier_seconds": None, "baseline_seconds": None, "sentence": ""}
    seconds: dict[str, list[float]] = {}
    for cell in ledger.of("test"):
        if "seconds" in cell:
            seconds.setdefault(cell["name"], []).append(cell["seconds"])
    source = sources.get(str(chosen.source), {})
    parts = dict(descriptions_in({str(chosen.source): source}))
    trainings = [mean(seconds[trained(name)]) for name in parts if trained(name) in seconds]
    generator = sum(trainings) if trainings else None
    own, base = (mean(seconds[arm.name]) if arm.name in seconds else None for arm in (chosen, plain))
    what = "classifier" if chosen.ratio is None else "generator" if len(parts) == 1 else "generators"
    if generator is not None:
        text = f"It costs {duration(generator)} to train the {what}"
    elif any("backend" in part for part in parts.values()):
        text = f"The time to train the {what} isn't known, since every training was interrupted"
    elif chosen.ratio is None and "saw" not in source:  # its time includes the training
        text = "" if own is None else f"It costs {duration(own)} to train the classifier"
    else:
        text = f"The {what} {'are' if len(parts) > 1 else 'is'} trained already"
    if chosen.ratio is not None and own is not None and base is not None:
        text += f"; the classifier took {own:.1f} s instead of {base:.1f} s for {plain.name}"
    elif chosen.ratio is None and base is not None:
        text += f"; that of {plain.name} took {base:.1f} s"
    return {
        "generator_seconds": generator,
        "classifier_seconds": own,
        "baseline_seconds": base,
        "sentence": f"{text}.".removeprefix("."),
    }
