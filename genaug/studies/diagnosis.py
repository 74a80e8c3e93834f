"""Why a study may have failed to show a gain, as far as its own cells and samples can tell."""

import math
from collections.abc import Mapping
from dataclasses import replace
from statistics import mean
from typing import Any

from genaug.modalities.distance import distance_ratio, first_per_class
from genaug.randomness import derive_seed
from genaug.studies.arms import CLASSIC, NONE, Arm
from genaug.studies.blending import class_counts, generate
from genaug.studies.cells import Ledger
from genaug.studies.decide import Judgement
from genaug.studies.jobs import Job, Work, one_thread, seed_samples, source_of
from genaug.studies.learners import Fitted
from genaug.studies.metrics import ACCURACY
from genaug.studies.power import Sensitivity
from genaug.studies.splits import LabelledSamples

_SAMPLES, _SEEDS, _PER_CLASS = 1_000, 3, 100
_FALL = 0.05  # of the loss of guessing, log(classes): a larger late decrease means that training wasn't finished
_BARELY = 2 / 3  # of the loss of guessing: a classifier with a larger loss has hardly begun to learn
_RECOGNIZED = 0.8  # of the share of real images that the same classifier recognizes
_REPETITIVE, _REPEATED = 0.5, 0.05  # distance within a class relative to real images; share of exact duplicates


def examine(work: Work, chosen: Arm | None, advised: Arm | None) -> dict[str, Any]:
    """Examine samples of the chosen source: whether a classifier recognizes them, and how much they repeat.

    The classifier is the study's, trained like those of the baseline ``advised`` on the complete training set. From
    1,000 samples for each of up to three seeds: the share with the predicted label equal to the requested one
    (``recognized``, and ``recognized_real`` for the test samples; means over classes, whose shares may differ between
    the two), the distance between samples of a class over that between the seed's real ones (``distance_ratio``, None
    if no class has two), and the share of samples that are identical to an earlier one (``repeated``). Empty if no
    source of samples was chosen. Only an ``error`` if the samples or the classifier fail, since the examination must
    not cost the verdict.
    """
    if chosen is None or chosen.source is None or chosen.ratio is None:
        return {}
    try:
        with one_thread():
            batches = [_samples(work, chosen.source, seed) for seed in list(work.rows)[:_SEEDS]]
            plain = replace((advised or NONE).without_samples, classifier=chosen.classifier)
            judge = work.learner.fit(plain, work.train, (), work.spec, 0)
            ratios = [ratio for pair in batches if not math.isnan(ratio := _distance_ratio(work, *pair))]
            return {
                "samples": sum(len(samples) for samples, _ in batches),
                "seeds": len(batches),
                "recognized": mean(_recall(judge, samples) for samples, _ in batches),
                "recognized_real": _recall(judge, work.test),
                "distance_ratio": mean(ratios) if ratios else None,
                "repeated": mean(1 - len(s.samples.flatten(1).unique(dim=0)) / len(s) for s, _ in batches),
            }
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def _samples(work: Work, name: str, seed: int) -> tuple[LabelledSamples, LabelledSamples]:
    """Samples for a seed, with the class shares of the training samples, and the seed's real ones."""
    real, _ = seed_samples(work, Job("test", seed, ()))
    source, sampling_seed = source_of(work, name, seed), derive_seed(seed, "generated", name)
    counts = class_counts(real.labels, 0.5, min(_SAMPLES, work.most_generated), fill=False)
    return generate(source, real, counts, sampling_seed, work.spec), real


def _recall(judge: Fitted, samples: LabelledSamples) -> float:
    """The share of the samples that a classifier labels correctly, averaged over classes."""
    right = (judge.predict(samples.samples).labels == samples.labels).double()
    return mean(float(right[samples.labels == label].mean()) for label in samples.labels.unique())


def _distance_ratio(work: Work, samples: LabelledSamples, real: LabelledSamples) -> float:
    per_class = max(2, min(_PER_CLASS, _SAMPLES // len(real.labels.unique())))
    real, samples = (part.part(first_per_class(part.labels, per_class)) for part in (real, samples))
    vectors = (work.spec.sample.flatten(part.samples) for part in (real, samples))
    real_vectors, vectors_of_samples = vectors
    return distance_ratio(real_vectors, real.labels, vectors_of_samples, samples.labels)


def reservations(
    ledger: Ledger, settings: Mapping[str, Any], statistics: Mapping[str, Any], chosen: Arm | None
) -> list[str]:
    """Sentences to read before the verdict: that the classifiers had too few updates for it to mean much."""
    updates, sentences = settings["updates"], []
    if updates is None:  # the classifiers aren't trained in updates
        return []
    guessing = math.log(max(2, statistics.get("classes", 2)))
    for name in (CLASSIC.name, NONE.name):
        losses = [c["loss"] for c in ledger.of("test") if c["name"] == name and "loss" in c]
        if not losses:
            continue
        earlier, last = (mean(values) for values in zip(*losses, strict=True))
        falls = earlier - last > _FALL * guessing
        if falls or last > _BARELY * guessing:
            state = "were still improving at the last of" if falls else "had learned little after"
            sentences.append(
                f"The classifiers {state} {updates:,} updates (training loss of {name!r}: {earlier:.2f} after 60% of "
                f"them, {last:.2f} at the end; guessing gives {guessing:.2f}), so the verdict is about classifiers "
                "that aren't fully trained. Use 5 to 10 times as many updates."
            )
            break
    ratio = 0 if chosen is None or chosen.ratio is None else chosen.ratio
    noun = statistics.get("samples", "images")
    seen = updates * settings["batch_size"] * (1 - ratio)
    if seen < statistics["n_train"]:
        mean_of = "" if chosen is None or chosen.schedule is None else "mean "
        among = f" at {mean_of}ratio {ratio:g}" if ratio else ""
        sentences.append(
            f"{updates:,} updates{among} show {seen:,.0f} real {noun}, fewer than the {statistics['n_train']:,} "
            f"training {noun}, so some were never seen. Use more updates."
        )
    return sentences


def diagnose(
    judgement: Judgement,
    statistics: Mapping[str, Any],
    examination: Mapping[str, Any],
    worth: Sensitivity | None,
    sources: Mapping[str, Any] | None = None,
    metric: str = ACCURACY.noun,
) -> list[str]:
    """A sentence or two for everything remarkable that a reader of the verdict should also know. ``sources`` are the
    recorded descriptions of the study's sources, and ``metric`` is what it is called."""
    sentences = []
    of_metric = "" if metric == ACCURACY.noun else f" of {metric}"
    samples = statistics.get("samples", "images")
    classic = judgement.find(CLASSIC, NONE)
    if classic is not None and classic.difference.verdict == "hurts":
        sentences.append(
            f"Classic augmentation is worse than none here{of_metric and f' in {metric}'}: "
            f"{classic.difference.summary(NONE.name)}. It may change the "
            f"features that distinguish the classes; pass one that suits these {samples} as classic=."
        )
    sentences += _remarks_on_samples(examination, samples)
    chosen = judgement.chosen
    if chosen is not None and chosen.ratio is not None and judgement.verdict == "use":
        plain = chosen.without_methods
        control = judgement.find(plain, chosen.control)
        if control is not None and control.difference.verdict != "helps":
            sentences.append(
                f"The same number of noisy copies of real {samples} may help as much: "
                f"{plain.name!r} gained {control.difference.summary(control.baseline.name)}. So the gain may not be "
                f"due to the generated {samples}."
            )
    if chosen is not None and chosen.ratio is None and "saw" in (sources or {}).get(str(chosen.source), {}):
        sentences.append(
            f"The classifier {chosen.source} was trained before the study and is the same for every seed, so the "
            f"intervals don't cover the effect of training it again, on other {samples}."
        )
    if judgement.verdict == "no evidence" and worth is not None and judgement.decisive:
        seeds = judgement.decisive[0].difference.n
        if worth.seeds is None:
            sentences.append(
                f"No number of seeds would show a gain of {100 * worth.of:g} points{of_metric} here, because the "
                f"seeds share too many training {samples}. Use fewer labels per class or more {samples}."
            )
        elif worth.seeds > seeds:
            sentences.append(
                f"{seeds} seeds are too few to show a gain of {100 * worth.of:g} points{of_metric} at this spread: "
                f"that takes about {worth.seeds:,}."
            )
    if statistics.get("overlap") == 1:
        sentences.append(
            f"Every seed trained on the same {samples}, so the intervals cover the noise of training only, not the "
            "effect of another training set. Pass labels_per_class (--labels-per-class) to draw a subset for each seed."
        )
    return sentences


def _remarks_on_samples(examination: Mapping[str, Any], noun: str) -> list[str]:
    if "error" in examination:
        return [f"The samples could not be examined ({examination['error']})."]
    if not examination:
        return []
    sentences = []
    recognized, real = examination["recognized"], examination["recognized_real"]
    if recognized < _RECOGNIZED * real:
        sentences.append(
            f"A classifier trained on all training {noun}, which recognizes {real:.0%} of the real test {noun}, sees "
            f"the requested class in only {recognized:.0%} of the samples. The generator needs longer training or more "
            f"{noun}, or its labels are wrong."
        )
    ratio, repeated = examination["distance_ratio"], examination["repeated"]
    if repeated > _REPEATED:
        sentences.append(f"{repeated:.0%} of the samples are identical to another one: the source repeats itself.")
    elif ratio is not None and ratio < _REPETITIVE:
        sentences.append(
            f"Samples of the same class differ only {ratio:.0%} as much as real {noun} do: the generator repeats "
            "itself, and such samples add little."
        )
    return sentences


def describe_sensitivity(worth: Sensitivity | None, baselines: int = 2, metric: str = ACCURACY.noun) -> str:
    """How much a "no evidence" against so many baselines means, in a sentence; empty if that isn't known."""
    if worth is None:
        return ""
    power = f"{100 * worth.power:.0f}%"
    if worth.gain is None:
        return f"No gain would have been detected with {power} probability at this spread."
    over = {1: "it", 2: "both"}.get(baselines, "all")
    points = "points" if metric == ACCURACY.noun else f"points of {metric}"
    gain = f"A gain of {100 * worth.gain:.1f} {points} over {over} would have been detected with {power} probability; "
    if worth.seeds is None:
        return f"{gain}no number of seeds would detect one of {100 * worth.of:g} points."
    return f"{gain}detecting one of {100 * worth.of:g} points takes about {worth.seeds:,} seeds."
