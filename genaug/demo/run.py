"""``genaug demo``: does a generator trained on a few labeled digits help a classifier trained on the same few?

For each seed: draw a few labeled digits, train a generator on these alone, and train the same classifier on them in
four ways: without augmentation, with classic augmentation, with generated images blended in, and with both.
"""

import json
import platform
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean as mean
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from genaug.artifacts.claims import claim
from genaug.artifacts.manifest import encode_generator
from genaug.blend.mixed import MixedDataset
from genaug.checks import as_whole
from genaug.data.classes import class_names
from genaug.data.datasets import Digits, few_per_class
from genaug.data.labels import labels_of
from genaug.demo.report import demo_html, verdict
from genaug.errors import InputError
from genaug.modalities.image import to_uint8
from genaug.nn.classifier import accuracy, batches, new_classifier, train_classifier
from genaug.progress import Progress
from genaug.randomness import check_seed, derive_seed
from genaug.reports.sheet import Block, draw_sheet, encode_png, sheet_labels
from genaug.sources.generator import Generator
from genaug.sources.pool import SamplePool
from genaug.studies.classic import classic_augmentation
from genaug.studies.compare import overlap_correction, paired_difference, summarize
from genaug.studies.jobs import one_thread
from genaug.training.balance import few_images_expected
from genaug.training.fit import fit
from genaug.version import __version__

# Name of the arm: (generated images blended in, classic augmentation).
ARMS = {
    "none": (False, False),
    "classic": (False, True),
    "generated": (True, False),
    "classic + generated": (True, True),
}
WIDTH = 16  # channels of the classifier's first block
POOL_SIZE = 2000  # images that are generated once; every epoch of a classifier draws its share from them
_GENERATOR_COST = 4  # training a generator takes about as long as this many classifiers: for the progress bar only
COMPARISONS = (
    ("classic", "none"),
    ("generated", "none"),
    ("classic + generated", "none"),
    ("generated", "classic"),
    ("classic + generated", "classic"),
)


@dataclass(frozen=True)
class DemoSettings:
    """The demo's settings. ``ratio`` is the generated share of every batch; ``updates`` are the same for every arm."""

    labels_per_class: int = 10
    generator_steps: int = 800
    generator_batch_size: int = 32
    ratio: float = 0.25
    updates: int = 400
    batch_size: int = 64
    seeds: int = 5
    seed: int = 0
    backend: str = "cgan"


def run_demo(
    out: str | Path = "runs/demo",
    *,
    settings: DemoSettings | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> dict[str, Any]:
    """Run the demo, write ``report.html``, ``report.json``, ``samples.png`` and ``generator/``; return the report.

    The files appear together, when everything is finished; ``overwrite`` replaces those of an earlier demo. Raises
    ``OutputExistsError`` if ``out`` contains anything else, ``InputError`` for invalid settings.
    """
    settings = settings or DemoSettings()
    _check(settings)
    with claim(out, "demo", replace=overwrite, options="Choose another --out or pass --overwrite.") as place:
        report, generator, sheet = _run(settings, progress)
        files = encode_generator(generator.manifest_fields(), generator.tensors())
        place.write(
            {
                **{f"generator/{name}": content for name, content in files.items()},
                "samples.png": encode_png(sheet),
                "report.html": demo_html(report, sheet, Path(out)).encode(),
                "report.json": (json.dumps(report, indent=2, allow_nan=False) + "\n").encode(),
            }
        )
    return report


def _run(settings: DemoSettings, progress: bool) -> tuple[dict[str, Any], Generator, Image.Image]:
    """The report, the first seed's generator, and a grid of its samples."""
    start = time.perf_counter()
    train, test = Digits("train", to_uint8), Digits("test", to_uint8)
    test_images, test_labels = _in_memory(test)
    seeds = [settings.seed + offset for offset in range(settings.seeds)]
    accuracies: dict[str, list[float]] = {arm: [] for arm in ARMS}
    seconds = {"generators": 0.0, "classifiers": 0.0}
    generators: list[tuple[Generator, Any]] = []
    with (
        Progress("demo", len(seeds) * (_GENERATOR_COST + len(ARMS)), progress) as bar,
        one_thread(),
        tempfile.TemporaryDirectory() as scratch,
    ):
        for seed in seeds:
            few = few_per_class(train, settings.labels_per_class, seed)
            bar.tell(f"seed {seed}: training a generator on {len(few)} labeled digits")
            began = time.perf_counter()
            generator = _fit(few, settings, seed, Path(scratch) / f"seed-{seed}")
            seconds["generators"] += time.perf_counter() - began
            generators.append((generator, few))
            pool = SamplePool(generator, size=POOL_SIZE)
            bar.advance(_GENERATOR_COST)
            for arm, (blend, classic) in ARMS.items():
                bar.tell(f"seed {seed}: training the classifier, {arm}")
                began = time.perf_counter()
                model = new_classifier(generator.spec.shape, generator.spec.num_classes, seed, WIDTH)
                data = _batches(few, pool if blend else None, settings, seed)
                augment = classic_augmentation if classic else None
                train_classifier(model, data, updates=settings.updates, seed=seed, augment=augment)
                accuracies[arm].append(accuracy(model, test_images, test_labels))
                seconds["classifiers"] += time.perf_counter() - began
                bar.advance(1)
    sheet = _sheet(*generators[0], seed=settings.seed)
    seconds["total"] = time.perf_counter() - start
    overlap = mean(settings.labels_per_class / count for count in labels_of(train).bincount().tolist())
    return _report(settings, seeds, accuracies, seconds, len(test_labels), overlap), generators[0][0], sheet


def _check(settings: DemoSettings) -> None:
    check_seed(settings.seed)
    for name in ("labels_per_class", "generator_steps", "updates", "generator_batch_size", "batch_size", "seeds"):
        as_whole(getattr(settings, name), name, 1)
    if not 0 < settings.ratio < 1:
        raise InputError(f"ratio must lie between 0 and 1, got {settings.ratio}.")


def _fit(few: Any, settings: DemoSettings, seed: int, out: Path) -> Generator:
    with few_images_expected():
        return fit(
            settings.backend,
            few,
            out=out,
            steps=settings.generator_steps,
            batch_size=settings.generator_batch_size,
            seed=seed,
            device="cpu",
            augment=["affine"],
            config={"width": 16, "max_width": 128},
            checkpoint_every=settings.generator_steps,
            overwrite=True,
            progress=False,
        )


def _batches(few: Any, pool: SamplePool | None, settings: DemoSettings, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless full batches of the few real images, with generated ones blended in if there is a pool."""
    size = min(settings.batch_size, len(few))
    if pool is None:
        order = torch.Generator().manual_seed(derive_seed(seed, "order"))
        return batches(DataLoader(few, size, shuffle=True, drop_last=True, generator=order))
    mixed = MixedDataset(few, pool, ratio=settings.ratio, seed=seed)
    loader = DataLoader(mixed, batch_sampler=mixed.batch_sampler(size, drop_last=True))
    return batches(loader, mixed.set_epoch)


def _in_memory(dataset: Any) -> tuple[Tensor, Tensor]:
    """All images, uint8 (N, C, H, W), and labels, int64 (N,)."""
    items = [(to_uint8(image), label) for image, label in dataset]
    return torch.stack([image for image, _ in items]), torch.tensor([label for _, label in items])


def _sheet(generator: Generator, few: Any, seed: int) -> Image.Image:
    """The real images that the generator was trained on, beside the same number of its own."""
    real, labels = _in_memory(few)
    columns = min(6, int(labels.bincount().max()))
    requested = sheet_labels(generator.spec.num_classes, columns)
    samples, _ = generator.sample(labels=requested, seed=seed)
    blocks = Block(real, labels, "real"), Block(samples.cpu(), requested, "generated")
    return draw_sheet(*blocks, classes=class_names(few), columns=columns)


def _report(
    settings: DemoSettings,
    seeds: list[int],
    accuracies: dict[str, list[float]],
    seconds: dict[str, float],
    test_images: int,
    overlap: float,
) -> dict[str, Any]:
    """``overlap`` is the share of their training images that two seeds have in common."""
    correction, resolution = overlap_correction(overlap), 1 / test_images
    differences: dict[str, dict[str, Any]] = {}
    for arm, baseline in COMPARISONS:
        values, base_values = accuracies[arm], accuracies[baseline]
        difference = paired_difference(values, base_values, correction=correction, resolution=resolution)
        differences[f"{arm} - {baseline}"] = {
            "arm": arm,
            "baseline": baseline,
            **asdict(difference),
            "per_seed": [a - b for a, b in zip(values, base_values, strict=True)],
            "verdict": difference.verdict,
            "sentence": difference.sentence(arm, baseline),
        }
    verdicts = {name: difference["verdict"] for name, difference in differences.items()}
    return {
        "kind": "demo",
        "verdict": verdict(verdicts),
        "generated_alone": verdicts["generated - none"],
        "generated_beside_classic": verdicts["classic + generated - classic"],
        "arms": {arm: {"accuracies": values, **asdict(summarize(values))} for arm, values in accuracies.items()},
        "differences": differences,
        "seeds": seeds,
        "settings": {"data": "digits", "test_images": test_images, **asdict(settings)},
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "versions": {"genaug": __version__, "torch": torch.__version__, "python": platform.python_version()},
    }
