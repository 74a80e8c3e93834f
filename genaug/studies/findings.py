"""A study's cells and judgement as the dictionary that ``report.json`` holds, with the sentences people read."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import mean
from typing import Any

import torch

from genaug.progress import duration
from genaug.studies.arms import CLASSIC, NONE, Arm
from genaug.studies.cells import Ledger
from genaug.studies.decide import BASELINES, Comparison, Judgement
from genaug.studies.diagnosis import describe_sensitivity, diagnose, reservations
from genaug.studies.jobs import trained
from genaug.studies.power import Sensitivity, sensitivity
from genaug.studies.report import FORMAT_VERSION, arm_details
from genaug.version import __version__


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
    """Everything of a report but its pictures.

    ``examination`` is what ``diagnosis.examine`` gave; ``origin`` names the data, the options that differ from their
    defaults and the command that repeats the study.
    """
    seeds, use = settings["seeds"], judgement.verdict == "use"
    chosen, closest = judgement.chosen, closest_baseline(judgement)
    cost = _cost(judgement, ledger, settings["sources"])
    examination, worth = examination or {}, _sensitivity(judgement, statistics)
    tables = {
        phase: {arm.name: row for arm in arms if (row := ledger.accuracies(phase, arm.name))}
        for phase in ("inner", "test")
    }
    return {
        "kind": "study",
        "format_version": FORMAT_VERSION,
        "verdict": judgement.verdict,
        "sentence": sentence(judgement, cost, worth),
        "ratio": chosen.ratio if use and chosen is not None else 0.0,
        "source": None if chosen is None else chosen.source,
        "classic": judgement.classic,
        "chosen": arm_details(chosen),
        "baseline": None if closest is None else arm_details(closest.baseline),
        "difference": None if closest is None else asdict(closest.difference),
        "sensitivity": None if worth is None else asdict(worth),
        "reservations": reservations(ledger, settings, statistics, chosen),
        "warnings": diagnose(judgement, statistics, examination, worth),
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
        "accuracies": {
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


def closest_baseline(judgement: Judgement) -> Comparison | None:
    """The comparison with the baseline that the chosen arm gained least on; None if it or both baselines failed."""
    return min(judgement.decisive, key=lambda c: c.difference.mean, default=None)


def _sensitivity(judgement: Judgement, statistics: Mapping[str, Any]) -> Sensitivity | None:
    """What the study could have found; None if the chosen arm or a baseline failed on the test set."""
    if len(judgement.decisive) < len(BASELINES):
        return None
    differences = [c.difference for c in judgement.decisive]
    return sensitivity(differences, correction=statistics["correction"], resolution=1 / statistics["n_test"])


def sentence(judgement: Judgement, cost: Mapping[str, Any], worth: Sensitivity | None) -> str:
    """The verdict in words, with what it rests on and what it costs."""
    chosen, decisive = judgement.chosen, judgement.decisive
    if chosen is None:
        return "No evidence: no arm with generated images finished on all seeds, so use ratio 0. See the failures."
    how = f"{chosen.source} at ratio {chosen.ratio:g}, {'with' if chosen.classic else 'without'} classic augmentation"
    if not decisive:
        return (
            f"No evidence: {how}, was chosen, but it or both baselines failed on the test set, so use ratio 0. See the "
            "failures."
        )
    numbers = ", ".join(c.difference.summary(c.baseline.name) for c in decisive)
    numbers += f", {decisive[0].difference.n} seeds"
    if judgement.verdict == "use":
        return f"Use {how}: {numbers}. {cost['sentence']}"
    if judgement.verdict == "don't use":
        return f"Don't use {chosen.source}: at its best, {how}, it hurts: {numbers}. {cost['sentence']}"
    compared = {c.baseline for c in decisive}
    failed = [arm.name for arm in (NONE, CLASSIC) if arm not in compared]
    if failed:
        return (
            f"No evidence that {chosen.source} helps: {failed[0]!r} failed on the test set, so {how}, could be "
            f"compared with {decisive[0].baseline.name!r} only ({numbers}). Use ratio 0. See the failures."
        )
    return (
        f"No evidence that {chosen.source} helps: at its best, {how}, {numbers}. {describe_sensitivity(worth)} Until "
        f"there is evidence, leave it out: ratio 0. {cost['sentence']}"
    )


def _cost(judgement: Judgement, ledger: Ledger, sources: Mapping[str, Any]) -> dict[str, Any]:
    """Seconds per seed, on average: training the generator, and the classifier beside the one that is advised without
    generated images. A training that was interrupted doesn't count."""
    chosen, plain = judgement.chosen, CLASSIC if judgement.classic else NONE
    if chosen is None:
        return {"generator_seconds": None, "classifier_seconds": None, "baseline_seconds": None, "sentence": ""}
    seconds = {
        name: [c["seconds"] for c in ledger.of("test") if c["name"] == name and "seconds" in c]
        for name in (trained(str(chosen.source)), chosen.name, plain.name)
    }
    generator, own, base = (mean(found) if found else None for found in seconds.values())
    told = f"It costs {duration(generator)} to train the generator" if generator else "The generator is there already"
    if generator is None and "backend" in sources.get(str(chosen.source), {}):
        told = "How long the generator's training takes isn't known: every one was interrupted"
    if own is not None and base is not None:
        told += f"; the classifier took {own:.1f} s in place of {base:.1f} s for {plain.name}"
    return {
        "generator_seconds": generator,
        "classifier_seconds": own,
        "baseline_seconds": base,
        "sentence": f"{told}.",
    }
