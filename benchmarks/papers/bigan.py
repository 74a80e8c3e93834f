"""BiGAN on MNIST: a nearest-neighbor classifier on the features of an encoder that was trained without labels.

Donahue et al. 2017, section 4.2 (permutation-invariant MNIST, table 1): dense networks with two hidden layers of 1,024
units and 50 uniform latents, trained on the 60,000 training images. A test image gets the label of the training image
whose features are nearest (Euclidean distance). Features are the last hidden layer of the encoder, before its code, as
in the authors' code (https://github.com/jeffdonahue/bigan), where the codes themselves did worse. Beside it, measured
in the same way: the pixels, the encoder before its training, and an autoencoder.

    OMP_NUM_THREADS=1 python benchmarks/papers/bigan.py --root MNIST_ROOT --seeds 3 --json

Of the reconstructions G(E(x)) of the test images it measures the relative error, the mean of ||x - G(E(x))|| / ||x||,
and the authors' ratio: the mean distance to the image itself, divided by the mean distance to another one. Figures are
those of the averaged networks after the last step. Interrupted trainings are continued.
"""

import hashlib
import json
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor
from torch.utils.data import TensorDataset

import genaug
from benchmarks.common.console import arguments, cost, end, markdown, parse_settings, plain, say, seeds_of
from benchmarks.common.figures import save
from benchmarks.common.judge import labelled, read
from benchmarks.common.record import RESULTS, Record
from genaug.backends import registry
from genaug.backends.backend import parse_config
from genaug.data.reading import Samples
from genaug.modalities.image import to_float
from genaug.sources.generator import Generator
from genaug.training.checkpoint import newest_step
from genaug.training.trainer import Trainer

NAME = "bigan"
RUNS = Path("runs/papers")  # training runs; interrupted ones are continued
BATCH = 64
STEPS = 20_000
TARGET = 0.972
PAPER = 0.9739  # table 1
CHUNK = 500


@dataclass(frozen=True)
class Method:
    """What features come from: a layer of a backend's network, or the pixels without one.

    ``steps`` is the length of its training, None if --steps says it.
    """

    backend: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    steps: int | None = 0
    layer: str = ""


BIGAN: dict[str, Any] = {"conditional": False, "latent_size": 50, "hidden": 1024}
AUTOENCODER = {"kind": "mlp", "latent_size": 50, "hidden": 1024}
METHODS = {
    "pixels": Method(),
    "untrained": Method("bigan", BIGAN, 0, "encoder.features"),
    "autoencoder": Method("autoencoder", AUTOENCODER, 5000, "encoder.body"),
    "bigan": Method("bigan", BIGAN, None, "encoder.features"),
}


def main(argv: list[str] | None = None) -> None:
    parser = arguments(__doc__, data="torchvision:MNIST", seeds=3, first_seed=True)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--steps", type=int, default=STEPS, help=f"of bigan; by default {STEPS:,}")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="an option of bigan")
    held_out = "to tune: test on the last N training images, and train on the others"
    parser.add_argument("--held-out", type=int, default=0, metavar="N", help=held_out)
    options = parser.parse_args(argv)

    @cache
    def material() -> tuple[Samples, Samples]:
        train, test = read(options.data, options.root)
        return (train, test) if not options.held_out else apart(train, options.held_out)

    def run(key: dict[str, Any]) -> dict[str, Any]:
        say(f"seed {key['seed']}, {key['method']}")
        row = measure(key, *material())
        say(f"  {row['accuracy']:.2%} of the test images have a nearest neighbor of their class")
        return row

    seeds = seeds_of(options)
    keys = [
        key_of(name, options, seed)
        for seed in seeds
        for name in options.methods
        if name != "pixels" or seed == options.first_seed  # which are the same for all seeds
    ]
    rows = Record(RESULTS / f"{NAME}.jsonl").finish(keys, run)
    tell(rows)
    total = sum(row["seconds"] for row in rows)
    say(f"{options.seeds} seeds like these take {cost(total / options.seeds, options.seeds)}")
    end(options, summary(rows))


def key_of(name: str, options: Any, seed: int) -> dict[str, Any]:
    """The settings under which a run is recorded."""
    method, config = METHODS[name], None
    steps = options.steps if method.steps is None else method.steps
    if method.backend:
        chosen = parse_settings(options.set) if method.backend == NAME else {}
        parsed = parse_config(method.backend, registry.resolve(method.backend).Config, {**method.options, **chosen})
        config = parsed.model_dump(mode="json")
    return {
        "method": name,
        "data": options.data,
        "held_out": options.held_out,
        "config": config,
        "training": {"steps": steps, "batch_size": BATCH} if steps else None,
        "layer": method.layer,
        "seed": seed,
    }


def apart(train: Samples, count: int) -> tuple[Samples, Samples]:
    """The training set without its last ``count`` images, and these."""
    images, labels = labelled(train)
    first = replace(train, x=images[:-count], labels=labels[:-count])
    return first, replace(train, x=images[-count:], labels=labels[-count:])


def measure(key: dict[str, Any], train: Samples, test: Samples) -> dict[str, Any]:
    """The accuracy of nearest neighbors with a method's features, and the errors of its reconstructions."""
    start = time.perf_counter()
    if key["config"] is None:
        pixels = (to_float(data.x).flatten(1) for data in (train, test))
        accuracy = nearest_neighbor(*pixels, train, test)
        return {"accuracy": accuracy, "seconds": round(time.perf_counter() - start, 1)}
    generator, seconds = trained(key, train)
    start = time.perf_counter()
    row = {}
    for name, layer in {"accuracy": key["layer"], "accuracy_of_codes": None}.items():
        features = (torch.from_numpy(genaug.features(generator, layer).transform(data.x)) for data in (train, test))
        row[name] = nearest_neighbor(*features, train, test)
    if key["training"]:
        row |= errors(test.x, reconstructed(generator, test.x))
        if key["seed"] == 0 and key["method"] == NAME:
            draw(generator, test)
    return {**row, "seconds": round(seconds + time.perf_counter() - start, 1)}


def trained(key: dict[str, Any], train: Samples) -> tuple[Generator, float]:
    """The generator with averaged weights, and the time of its complete training."""
    name, seed, config = METHODS[key["method"]].backend, key["seed"], key["config"]
    images = TensorDataset(train.x)  # without labels
    if not key["training"]:
        backend = registry.resolve(name)
        trainer = Trainer(backend, backend.Config(**config), replace(train, labels=None), seed=seed)
        return Generator(name, backend, trainer.config, trainer.spec, trainer.averaged(), {}), 0.0
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:8]
    out, steps = RUNS / NAME / f"{key['method']}-seed-{seed}-{digest}", key["training"]["steps"]
    before, start = newest_step(out / "checkpoints") or 0, time.perf_counter()
    generator = genaug.fit(
        name,
        images,
        out=out,
        steps=steps,
        batch_size=key["training"]["batch_size"],
        seed=seed,
        config=config,
        resume=(out / "run.json").is_file(),
    )
    return generator, (time.perf_counter() - start) * steps / max(1, steps - before)


def nearest_neighbor(train_features: Tensor, test_features: Tensor, train: Samples, test: Samples) -> float:
    """The share of test images whose nearest training image has their label."""
    nearest = KNeighborsClassifier(1, algorithm="brute").fit(train_features.numpy(), labelled(train)[1].numpy())
    return float(nearest.score(test_features.numpy(), labelled(test)[1].numpy()))


def reconstructed(generator: Generator, images: Tensor) -> Tensor:
    """Float images in [0, 1] that are generated from the codes of uint8 images."""
    parts = (generator.decode(**generator.encode(part), dtype=torch.float32).cpu() for part in images.split(CHUNK))
    return torch.cat(list(parts))


def errors(images: Tensor, reconstructions: Tensor) -> dict[str, float]:
    """Errors of the reconstructions of uint8 images: relative to the image's norm, and as the authors' ratio."""
    x = to_float(images).flatten(1)
    distance = (x - reconstructions.flatten(1)).norm(dim=1)
    to_another = (x.roll(1, 0) - reconstructions.flatten(1)).norm(dim=1)
    return {
        "relative_error": float((distance / x.norm(dim=1)).mean()),
        "error_ratio": float(distance.mean() / to_another.mean()),
    }


def draw(generator: Generator, test: Samples) -> None:
    """Ten test images, one of each class, their reconstructions, and ten samples."""
    labels = labelled(test)[1]
    first = test.x[[int((labels == label).nonzero()[0]) for label in range(test.spec.num_classes)]]
    samples, _ = generator.sample(len(first), seed=0, dtype=torch.float32)
    rows = {"x": to_float(first), "G(E(x))": reconstructed(generator, first), "G(z)": samples.cpu()}
    figure = Figure(figsize=(7, 2.2), layout="constrained")
    for axis, (name, images) in zip(figure.subplots(len(rows), 1), rows.items(), strict=True):
        axis.imshow(torch.cat(list(images), dim=2).permute(1, 2, 0).squeeze(2).numpy(), cmap="gray_r", vmin=0, vmax=1)
        axis.set_ylabel(name, rotation=0, ha="right", va="center")
        axis.set(xticks=[], yticks=[])
    figure.suptitle("seed 0", fontsize=10)
    save(figure, RESULTS / f"{NAME}.png", dpi=130)


def tell(rows: list[dict[str, Any]]) -> None:
    lines = []
    for row in rows:
        shares = [row.get(name) for name in ("accuracy", "accuracy_of_codes", "relative_error")]
        ratio = row.get("error_ratio")
        cells = ["" if share is None else f"{share:.2%}" for share in shares]
        lines.append([row["method"], row["seed"], *cells, "" if ratio is None else f"{ratio:.3f}"])
    print(markdown(["method", "seed", "1-NN on features", "on codes", "relative error", "error ratio"], lines))
    print(f"Donahue et al. 2017: {PAPER:.2%}; an autoencoder 97.58%")


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """One flat object: means over the seeds, and whether the target is met."""
    result: dict[str, Any] = {"seeds": len({row["seed"] for row in rows}), "target": TARGET, "paper": PAPER}
    for method in dict.fromkeys(row["method"] for row in rows):
        for name in ("accuracy", "accuracy_of_codes", "relative_error", "error_ratio"):
            values = [row[name] for row in rows if row["method"] == method and name in row]
            if values:
                result[f"{plain(method)}_{name}_mean"] = statistics.mean(values)
    accuracy = result.get(f"{NAME}_accuracy_mean")
    result["met"] = None if accuracy is None else accuracy >= TARGET
    return result


if __name__ == "__main__":
    main()
