"""The code with which a study's advice is followed."""

from collections.abc import Mapping, Sequence
from typing import Any


def blend_code(*, fills: bool) -> str:
    """Python that blends generated images at a report's ratio; they fill up rare classes if ``fills``."""
    balance = ', balance="uniform"' * fills
    return (
        "import genaug\n\n"
        'report = genaug.load_study("PATH")  # this page\'s folder\n'
        f"mixed = genaug.MixedDataset(train_set, generator, ratio=report.ratio{balance})"
    )


def rows_code(counts: Sequence[int]) -> str:
    """Python that adds generated rows to a table, so many of each class."""
    labels = " + ".join(f"[{label}] * {count}" for label, count in enumerate(counts) if count) or "[]"
    if not sum(counts):
        return "training_rows = frame  # of the training set, without generated rows"
    return (
        "import pandas\n\n"
        f"rows, _ = generator.sample(labels={labels}, seed=0)\n"
        "training_rows = pandas.concat([frame, rows[frame.columns]])  # frame: the training set"
    )


def classifier_code(source: Mapping[str, Any]) -> str:
    """Python that trains and uses the classifier with this description."""
    if "backend" in source:
        options = [f"steps={source['steps']}", f"batch_size={source['batch_size']}"]
        options += [f"augment={list(source['augment'])!r}"] if source["augment"] else []
        options += [f"config={source['config']!r}"] if source["config"] else []
        data = "train_set, unlabelled=unlabeled_images" if source.get("unlabelled") else "train_set"
        return (
            "import genaug\n\n"
            f'generator = genaug.fit("{source["backend"]}", {data}, out="PATH", {", ".join(options)})\n'
            "labels = generator.classify(images).argmax(1)  # of images, uint8 (N, C, H, W)"
        )
    if "estimator" in source:
        return (
            f"classifier = {source['estimator']}\n"
            "classifier.fit(train_images, train_labels)  # rows of pixels, uint8 (N, H*W*C)\n"
            "labels = classifier.predict(images)  # such rows, too"
        )
    if "function" in source:
        return f"classifier = function(train_set, seed)  # the function: {source['function']}"
    return "labels = classifier.classify(images).argmax(1)  # the classifier that was passed to the study"
