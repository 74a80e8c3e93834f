"""Why a study may have failed to show a gain: what its own cells and samples say about it."""

import math
from collections.abc import Mapping
from statistics import mean
from typing import Any

import torch
from torch import nn

from genaug.modalities.distance import distance_ratio, first_per_class
from genaug.nn.classifier import predict, train_classifier
from genaug.randomness import derive_seed, seeded
from genaug.sources.loading import load_folder
from genaug.studies.arms import CLASSIC, NOISE, NONE, Arm
from genaug.studies.blending import blended, generate
from genaug.studies.cells import Ledger
from genaug.studies.classic import augmented
from genaug.studies.decide import Judgement
from genaug.studies.jobs import Job, Work, one_thread, seed_images
from genaug.studies.models import make_classifier
from genaug.studies.power import Sensitivity
from genaug.studies.sources import Recipe
from genaug.studies.splits import Images

_SAMPLES, _SEEDS, _PER_CLASS = 1_000, 3, 100
_FALL = 0.05  # of the loss of guessing, log(classes): a training loss that falls by more late on is still falling
_BARELY = 2 / 3  # of the same: a classifier with more than this has hardly begun to learn
_RECOGNISED = 0.8  # of the share of real images that the same classifier recognises
_REPETITIVE, _REPEATED = 0.5, 0.05  # distance within a class over that of real images; exact repeats


def examine(work: Work, chosen: Arm | None, classic: bool) -> dict[str, Any]:
    """Samples of the chosen source as a classifier of all training images sees them, and how much they repeat.

    The classifier is the study's, trained for as many updates on the whole training set, with classic augmentation if
    ``classic``. Of up to three seeds 1,000 samples each: the share that it labels as asked for (``recognised``, beside
    that of the test images, ``recognised_real``; means over classes, whose shares may differ between the two), the
    distance between samples of a class over that between the seed's real images (``distance_ratio``, None if no class
    has two), and the share of samples that are identical to an earlier one (``repeated``). Empty if there is no chosen
    source; an ``error`` if the samples or the classifier fail, since the report must not fail because of what is said
    beside the verdict.
    """
    if chosen is None or chosen.source is None:
        return {}
    device = torch.device(work.device)
    try:
        with one_thread():
            batches = [_samples(work, chosen.source, seed) for seed in list(work.rows)[:_SEEDS]]
            with seeded(derive_seed(0, "examination"), device):
                judge = make_classifier(work.classifier, work.spec.shape, work.spec.num_classes, 0).to(device)
                data = blended(work.train, None, 0, work.batch_size, 0)
                images = augmented(data, work.classic, 0) if classic else data
                train_classifier(judge, images, updates=work.updates, seed=0, lr=work.lr)
            recognised = [_recall(judge, samples) for samples, _ in batches]
            real = _recall(judge, work.test)
        ratios = [ratio for pair in batches if not math.isnan(ratio := _distance_ratio(*pair))]
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
    return {
        "samples": sum(len(samples) for samples, _ in batches),
        "seeds": len(batches),
        "recognised": mean(recognised),
        "recognised_real": real,
        "distance_ratio": mean(ratios) if ratios else None,
        "repeated": mean(1 - len(samples.images.flatten(1).unique(dim=0)) / len(samples) for samples, _ in batches),
    }


def _samples(work: Work, name: str, seed: int) -> tuple[Images, Images]:
    """Samples for a seed, and the real images that they are to be like."""
    real, _ = seed_images(work, Job("test", seed, ()))
    source = work.sources[name]
    if isinstance(source, Recipe):
        source = load_folder(work.folder.generator(name, "test", seed), device=work.device)
    return generate(source, real, min(_SAMPLES, work.pool), derive_seed(seed, "generated", name)), real


def _recall(judge: nn.Module, images: Images) -> float:
    """The share of the images that a classifier labels rightly, of each class, averaged over classes."""
    right = (predict(judge, images.images) == images.labels).to(torch.float64)
    return mean(float(right[images.labels == label].mean()) for label in images.labels.unique())


def _distance_ratio(samples: Images, real: Images) -> float:
    most = max(2, min(_PER_CLASS, _SAMPLES // len(real.labels.unique())))  # of all together no more than samples
    of_real, of_samples = (first_per_class(images.labels, most) for images in (real, samples))
    return distance_ratio(
        real.images[of_real], real.labels[of_real], samples.images[of_samples], samples.labels[of_samples]
    )


def reservations(
    ledger: Ledger, settings: Mapping[str, Any], statistics: Mapping[str, Any], chosen: Arm | None
) -> list[str]:
    """What must be read before the verdict: that the classifiers had too few updates for it to mean much."""
    updates, sentences = settings["updates"], []
    guessing = math.log(max(2, statistics.get("classes", 2)))
    for name in (CLASSIC.name, NONE.name):
        losses = [c["loss"] for c in ledger.of("test") if c["name"] == name and "loss" in c]
        if not losses:
            continue
        earlier, last = (mean(values) for values in zip(*losses, strict=True))
        falls = earlier - last > _FALL * guessing
        if falls or last > _BARELY * guessing:
            how = "were still improving at the last of" if falls else "had learned little after"
            sentences.append(
                f"The classifiers {how} {updates:,} updates (training loss of {name!r}: {earlier:.2f} after 60 % of "
                f"them, {last:.2f} at the end; guessing gives {guessing:.2f}), so the verdict is about classifiers "
                "that aren't trained yet. Use 5 to 10 times as many."
            )
            break
    ratio = 0 if chosen is None else chosen.ratio
    seen = updates * settings["batch_size"] * (1 - ratio)
    if seen < statistics["n_train"]:
        among = f" at ratio {ratio:g}" if ratio else ""
        sentences.append(
            f"{updates:,} updates{among} show {seen:,.0f} real images, fewer than the {statistics['n_train']:,} that "
            "there are: not every image was seen once. Use more updates."
        )
    return sentences


def diagnose(
    judgement: Judgement, statistics: Mapping[str, Any], examination: Mapping[str, Any], worth: Sensitivity | None
) -> list[str]:
    """What a reader of the verdict should know besides: a sentence or two for each thing that stands out."""
    sentences = [
        *_classic(judgement),
        *_samples_stand_out(examination),
        *_control(judgement),
        *_too_few_seeds(judgement, worth),
    ]
    if statistics.get("overlap") == 1:
        sentences.append(
            "Every seed trained on the same images: the intervals cover the noise of training only, not what another "
            "training set would give. Pass labels_per_class (--labels-per-class) to draw a part for each seed."
        )
    return sentences


def _classic(judgement: Judgement) -> list[str]:
    comparison = judgement.find(CLASSIC, NONE)
    if comparison is None or comparison.difference.verdict != "hurts":
        return []
    return [
        f"Classic augmentation is worse than none here: {comparison.difference.summary(NONE.name)}. It may change what "
        "tells the classes apart; pass one that suits these images as classic=."
    ]


def _samples_stand_out(examination: Mapping[str, Any]) -> list[str]:
    if "error" in examination:
        return [f"The samples could not be examined ({examination['error']})."]
    if not examination:
        return []
    sentences = []
    recognised, real = examination["recognised"], examination["recognised_real"]
    if recognised < _RECOGNISED * real:
        sentences.append(
            f"A classifier of all training images, which recognises {real:.0%} of the real test images, sees the "
            f"requested class in only {recognised:.0%} of the samples. The generator needs longer training, more "
            "images, or its labels are wrong."
        )
    ratio, repeated = examination["distance_ratio"], examination["repeated"]
    if repeated > _REPEATED:
        sentences.append(f"{repeated:.0%} of the samples are identical to another one: the source repeats itself.")
    elif ratio is not None and ratio < _REPETITIVE:
        sentences.append(
            f"Samples of one class differ {ratio:.0%} as much as real images do: the generator repeats itself, and "
            "such samples add little."
        )
    return sentences


def _control(judgement: Judgement) -> list[str]:
    chosen = judgement.chosen
    if chosen is None or judgement.verdict != "use":
        return []
    plain = Arm(chosen.source, chosen.ratio)
    comparison = judgement.find(plain, Arm(NOISE, chosen.ratio))
    if comparison is None or comparison.difference.verdict == "helps":
        return []
    return [
        "As many copies of real images with noise may be worth as much: "
        f"{plain.name!r} gained {comparison.difference.summary(comparison.baseline.name)}. It needn't be what was "
        "generated that helps."
    ]


def _too_few_seeds(judgement: Judgement, spread: Sensitivity | None) -> list[str]:
    seeds = [c.difference.n for c in judgement.decisive]
    if judgement.verdict != "no evidence" or spread is None or not seeds:
        return []
    if spread.seeds is None:
        return [
            f"No number of seeds would show a gain of {100 * spread.of:g} points here, because the seeds share too "
            "many training images. Use fewer labels per class or more images."
        ]
    if spread.seeds <= seeds[0]:
        return []
    return [
        f"{seeds[0]} seeds are too few to show a gain of {100 * spread.of:g} points at this spread: that takes about "
        f"{spread.seeds:,}."
    ]


def describe_sensitivity(spread: Sensitivity | None) -> str:
    """What a "no evidence" is worth, in a sentence; empty if it isn't known."""
    if spread is None:
        return ""
    power = f"{100 * spread.power:g} %"
    if spread.gain is None:
        return f"No gain would have been found with {power} probability at this spread."
    found = f"A gain of {100 * spread.gain:.1f} points over both would have been found with {power} probability; "
    if spread.seeds is None:
        return f"{found}no number of seeds would find one of {100 * spread.of:g} points."
    return f"{found}to find one of {100 * spread.of:g} points takes about {spread.seeds:,} seeds."
