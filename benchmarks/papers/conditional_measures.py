"""What ``conditional.py`` measures of a generator that takes labels, and of the k generators of a MAD-GAN."""

import argparse
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_model, save_model
from torch import Tensor

from benchmarks.common.console import say
from benchmarks.common.judge import Judge, judge_of, labelled, train_judge
from genaug.data.reading import Samples, fingerprint
from genaug.evaluation import fid, kid, module_features
from genaug.evaluation.scores import WIDTH
from genaug.modalities.distance import distance_ratio, first_per_class
from genaug.nn.classifier import accuracy, new_classifier
from genaug.sources.generator import Generator
from genaug.studies.classic import classic_augmentation
from genaug.studies.jobs import one_thread

JUDGE_SEED, DISTANCE_PER_CLASS = 1000, 200
Targets = Mapping[str, Mapping[str, float]]
TARGETS: Targets = {"agreement": {"cgan": 0.98, "mad": 0.97}, "synthetic_only": {"cgan": 0.98, "mad": 0.97}}
MOST_FID_RATIO = 1.5


def fixed_judge(
    train: Samples, test: Samples, options: argparse.Namespace, folder: Path
) -> tuple[Judge, dict[str, Any]]:
    """The same for all methods, seeds and machines, so that their FID can be compared; and its part of every row.

    Its weights are kept in ``folder`` under the name of its training images, since other processors train others.
    """
    weights = folder / f"conditional_judge_{fingerprint(train)[:12]}_{options.judge_updates}.safetensors"
    (images, labels), classes = labelled(train), train.spec.num_classes
    if weights.is_file():
        model = new_classifier(train.spec.shape, classes, JUDGE_SEED, WIDTH)
        load_model(model, weights)
    else:
        say(f"the fixed classifier is trained: {options.judge_updates:,} updates, some minutes")
        with one_thread():
            model = train_judge(images, labels, classes, updates=options.judge_updates, seed=JUDGE_SEED)
        unfinished = weights.with_suffix(".part")
        folder.mkdir(parents=True, exist_ok=True)
        save_model(model, str(unfinished))
        unfinished.replace(weights)
    judge = judge_of(model, images, *labelled(test))
    some = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[: options.samples]
    of_judge = {
        "judge": module_features(model).description,
        "judge_accuracy": judge.accuracy,
        "fid_of_real": fid(judge.real, judge.features.of(images[some])),
    }
    say(f"the fixed classifier labels {judge.accuracy:.2%} of the real test set correctly")
    return judge, of_judge


def members_of(generator: Generator) -> int:
    """The number of generators: k of a MAD-GAN, otherwise 1."""
    return next((latent.size for latent in generator.spec.latents if latent.name == "member"), 1)


def member_latents(generator: Generator, members: Tensor) -> dict[str, Tensor]:
    """Which generator makes which sample, as ``sample`` takes it; numbers beyond k start again."""
    k = members_of(generator)
    return {} if k == 1 else {"member": members % k}


def draw_samples(generator: Generator, count: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Images, labels and generators: of each class and generator equally many."""
    classes = generator.spec.num_classes
    labels = torch.arange(count) % classes
    members = torch.arange(count) // classes % members_of(generator)
    images, _ = generator.sample(labels=labels, seed=seed, **member_latents(generator, members))
    return images.cpu(), labels, members


def measure(generator: Generator, judge: Judge, test: Samples, options: argparse.Namespace) -> dict[str, Any]:
    """All measures of one generator."""
    k, classes, updates = members_of(generator), generator.spec.num_classes, options.updates
    images, requested, members = draw_samples(generator, options.samples, seed=1)
    features = judge.features.of(images)
    of_members = [accuracy(judge.model, images[members == m], requested[members == m]) for m in range(k)]
    test_images, test_labels = labelled(test)
    some = first_per_class(test_labels, DISTANCE_PER_CLASS)
    like = test_labels[some]
    pool, pool_labels, pool_members = draw_samples(generator, options.pool, seed=3)
    learner, augmented = (
        train_judge(pool, pool_labels, classes, updates=updates, seed=0, augment=augment)
        for augment in (None, classic_augmentation)
    )
    row = {
        "agreement": accuracy(judge.model, images, requested),
        "agreement_of_worst_member": min(of_members),
        "synthetic_only": accuracy(learner, test_images, test_labels),
        "synthetic_only_classic": accuracy(augmented, test_images, test_labels),
        "fid": fid(judge.real, features),
        "kid": kid(judge.real, features),
        "diversity_ratio": distance_ratio(
            test_images[some], like, generator.sample(labels=like, seed=2)[0].cpu(), like
        ),
        "k": k,
        "named_by_cnn": None,
        "class_mean_distance": None,
        "class_mean_distance_by_chance": None,
    }
    if k > 1:
        namer = train_judge(pool, pool_members, k, updates=updates, seed=1)
        row["named_by_cnn"] = accuracy(namer, images, members)
        row["class_mean_distance"] = class_mean_distance(pool, pool_labels, pool_members)
        shuffled = pool_members[torch.randperm(len(pool), generator=torch.Generator().manual_seed(0))]
        row["class_mean_distance_by_chance"] = class_mean_distance(pool, pool_labels, shuffled)
    return row


def class_mean_distance(images: Tensor, labels: Tensor, members: Tensor) -> float:
    """The Euclidean distance, in pixels of [0, 1], between two generators' mean images of a class: the mean over pairs
    of generators and classes. uint8 images (N, C, H, W), int64 labels and members (N,)."""
    flat, distances = images.flatten(1), []
    for label in labels.unique().tolist():
        here = labels == label
        means = [flat[here & (members == m)].float().mean(0) / 255 for m in members[here].unique().tolist()]
        distances.append(torch.nn.functional.pdist(torch.stack(means)).mean())
    return float(torch.stack(distances).mean())


def fid_ratios(rows: Mapping[str, Iterable[dict[str, Any]]]) -> dict[int, float]:
    """FID at k = 10 over that at k = 3, by seed, of rows by method: where it is in the same classifier's features."""
    three, ten = ({row["seed"]: row for row in rows.get(f"mad-gan-{k}", [])} for k in (3, 10))
    same = sorted(seed for seed in three if seed in ten and three[seed].get("judge") == ten[seed].get("judge"))
    return {seed: ten[seed]["fid"] / three[seed]["fid"] for seed in same}


def summary(rows: dict[str, list[dict[str, Any]]], targets: Targets) -> dict[str, Any]:
    """One flat object: medians and extremes of each method, and whether the medians meet the targets."""
    first = next(iter(rows.values()))[0]
    result: dict[str, Any] = {"judge_accuracy": first["judge_accuracy"], "fid_of_real": first["fid_of_real"]}
    for method, of_method in rows.items():
        prefix, kind = method.replace("-", "_"), method.partition("-")[0]
        for name in ("agreement", "synthetic_only", "synthetic_only_classic", "fid", "kid"):
            values = [row[name] for row in of_method]
            result |= {f"{prefix}_{name}_median": statistics.median(values)}
            result |= {f"{prefix}_{name}_min": min(values), f"{prefix}_{name}_max": max(values)}
        for name, least in targets.items():
            result[f"{prefix}_{name}_met"] = result[f"{prefix}_{name}_median"] >= least[kind]
        for name in ("named_by_cnn", "named_by_discriminator", "class_mean_distance", "class_mean_distance_by_chance"):
            values = [row[name] for row in of_method if row[name] is not None]
            if values:
                result[f"{prefix}_{name}_median"] = statistics.median(values)
    ratios = fid_ratios(rows)
    if ratios:
        result["fid_ratio_k10_k3"] = statistics.median(ratios.values())
        result["fid_ratio_met"] = result["fid_ratio_k10_k3"] <= MOST_FID_RATIO
    return result
