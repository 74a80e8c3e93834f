"""A study's cells and judgement as the dictionary that ``report.json`` holds, with the sentences people read."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import mean
from typing import Any

import torch

import genaug
from genaug.progress import duration
from genaug.studies.arms import CLASSIC, NOISE, NONE, Arm
from genaug.studies.cells import Ledger
from genaug.studies.decide import Judgement
from genaug.studies.jobs import trained
from genaug.studies.report import FORMAT_VERSION, arm_details


def findings(
    judgement: Judgement,
    ledger: Ledger,
    arms: Sequence[Arm],
    settings: Mapping[str, Any],
    statistics: Mapping[str, Any],
) -> dict[str, Any]:
    """Everything of a report but its pictures."""
    seeds, used = settings["seeds"], judgement.verdict == "use"
    chosen, decisive = judgement.chosen, judgement.decisive
    cost = _cost(judgement, ledger, settings["sources"])
    tables = {
        phase: {arm.name: row for arm in arms if (row := ledger.accuracies(phase, arm.name))}
        for phase in ("inner", "test")
    }
    return {
        "kind": "study",
        "format_version": FORMAT_VERSION,
        "verdict": judgement.verdict,
        "sentence": sentence(judgement, cost),
        "ratio": chosen.ratio if used and chosen is not None else 0.0,
        "source": None if chosen is None else chosen.source,
        "classic": chosen.classic if used and chosen is not None else judgement.baseline.classic,
        "chosen": arm_details(chosen),
        "baseline": arm_details(judgement.baseline),
        "difference": None if decisive is None else asdict(decisive.difference),
        "warnings": warnings(judgement),
        "cost": cost,
        "statistics": dict(statistics),
        "comparisons": [
            {
                **(arm_details(c.arm) or {}),
                **asdict(c.difference),
                "holm": c.holm,
                "exploratory": c.exploratory,
                "verdict": c.difference.verdict,
                "per_seed": [
                    tables["test"][c.arm.name][seed] - tables["test"][judgement.baseline.name][seed] for seed in seeds
                ],
            }
            for c in judgement.comparisons
        ],
        "arms": [arm_details(arm) for arm in arms],
        "accuracies": {
            phase: {name: {str(seed): row[seed] for seed in seeds if seed in row} for name, row in table.items()}
            for phase, table in tables.items()
        },
        "failures": [
            {"phase": c["phase"], "seed": c["seed"], "arm": c["name"], "error": c["error"]} for c in ledger.failures()
        ],
        "settings": dict(settings),
        "seconds": round(sum(c.get("seconds", 0) for phase in ("inner", "test") for c in ledger.of(phase)), 1),
        "versions": {"genaug": genaug.__version__, "torch": torch.__version__, "python": platform.python_version()},
    }


def sentence(judgement: Judgement, cost: Mapping[str, Any]) -> str:
    """The verdict in words, with what it rests on and what it costs."""
    chosen, decisive = judgement.chosen, judgement.decisive
    if chosen is None:
        return "No evidence: no arm with generated images finished on all seeds, so ratio 0 it is. See the failures."
    how = f"{chosen.source} at ratio {chosen.ratio:g}, {'with' if chosen.classic else 'without'} classic augmentation"
    if decisive is None:
        failed = "it" if judgement.comparisons else f"the baseline, {judgement.baseline.name},"
        return f"No evidence: {how}, was chosen, but {failed} failed on the test set; ratio 0 it is. See the failures."
    found = f"{decisive.difference.told(judgement.baseline.name)}, Holm's p {_p(decisive.holm)}"
    if judgement.verdict == "use":
        return f"Use {how}: {found}. {cost['sentence']}"
    if judgement.verdict == "don't use":
        return f"Don't use {chosen.source}: at its best, {how}, it hurts ({found}). {cost['sentence']}"
    return (
        f"No evidence that {chosen.source} helps: at its best, {how}, {found}. Until there is, leave it out: ratio 0. "
        f"{cost['sentence']}"
    )


def warnings(judgement: Judgement) -> list[str]:
    """What a reader of the verdict should know besides."""
    by_arm = {c.arm: c.difference.mean for c in judgement.comparisons if not c.exploratory}
    chosen = judgement.chosen
    told: list[str] = []
    if chosen is None or chosen not in by_arm:
        return told
    other = CLASSIC if judgement.baseline == NONE else NONE
    plainly = any(c.arm == other and c.difference.verdict == "helps" for c in judgement.comparisons)
    if judgement.verdict != "use" and plainly:
        told.append(
            f"On the test set {other.name!r} was {100 * by_arm[other]:.1f} points better than "
            f"{judgement.baseline.name!r}, which the inner splits had taken for the better baseline. With few labels "
            "they err: run more seeds."
        )
    if judgement.verdict == "use" and by_arm.get(other, -1.0) > by_arm[chosen]:
        gain = 100 * (by_arm[other] - by_arm[chosen])
        told.append(
            f"On the test set {other.name!r} was {gain:.1f} points better than what was chosen; the inner splits had "
            f"taken {judgement.baseline.name!r} for the better baseline. With few labels they err: run more seeds."
        )
    noise = by_arm.get(Arm(NOISE, chosen.ratio))
    if judgement.verdict == "use" and noise is not None and noise >= by_arm[chosen]:
        told.append(
            f"Copies of real images with noise, as many, gained as much ({100 * noise:+.1f} points): it needn't be "
            "what was generated that helps."
        )
    return told


def _cost(judgement: Judgement, ledger: Ledger, sources: Mapping[str, Any]) -> dict[str, Any]:
    """Seconds a seed, on average: training the generator, and how much longer the classifier took. A training that was
    interrupted doesn't count."""
    chosen = judgement.chosen
    if chosen is None:
        return {"generator_seconds": None, "classifier_seconds": None, "baseline_seconds": None, "sentence": ""}
    seconds = {
        name: [c["seconds"] for c in ledger.of("test") if c["name"] == name and "seconds" in c]
        for name in (trained(str(chosen.source)), chosen.name, judgement.baseline.name)
    }
    generator, own, base = (mean(found) if found else None for found in seconds.values())
    told = f"It costs {duration(generator)} to train the generator" if generator else "The generator is there already"
    if generator is None and "backend" in sources.get(str(chosen.source), {}):
        told = "How long the generator's training takes isn't known: every one was interrupted"
    if own is not None and base is not None:
        told += f"; the classifier took {own:.1f} s in place of {base:.1f} s for {judgement.baseline.name}"
    return {
        "generator_seconds": generator,
        "classifier_seconds": own,
        "baseline_seconds": base,
        "sentence": f"{told}.",
    }


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.2g}"
