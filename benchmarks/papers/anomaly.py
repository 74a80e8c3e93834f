"""Anomalies among MNIST's digits: one digit is normal, and the other nine are to be found among the test images.

The usual protocol (Ruff et al. 2018, section 4.1): methods learn from all training images of the normal digit, and what
counts is the area under the ROC curve (AUROC) on the 10,000 test images, averaged over the ten digits.

* pca: squared error of the reconstruction from 20 principal components.
* nearest: distance to the nearest normal training image.
* vae, autoencoder: squared error of the reconstruction; the autoencoder is a denoising one.
* izi, izi_f: f-AnoGAN (Schlegl et al. 2019), an encoder for the generator of a WGAN-GP, by pixels alone, and by pixels
  and the critic's features.
* critic: the negative score of the same WGAN-GP's critic.

    OMP_NUM_THREADS=1 python benchmarks/papers/anomaly.py --root MNIST_ROOT --seeds 2 --json

Settings were chosen on seed 100 with --held-out, which scores a fifth of the normal training images and as many images
of each other digit's training set instead of the test set.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any, ClassVar

import torch
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

import genaug
from benchmarks.common.console import arguments, cost, end, markdown, plain, say, seeds_of
from benchmarks.common.judge import labelled, read
from benchmarks.common.record import RESULTS, Record
from genaug.anomaly.encoder import train_encoder
from genaug.anomaly.scoring import Scorer
from genaug.backends.backend import Backend
from genaug.data.reading import Samples
from genaug.modalities.image import to_float
from genaug.nn.neighbours import nearest
from genaug.randomness import derive_seed
from genaug.sources.generator import Generator
from genaug.training.trainer import Trainer
from genaug_vae.autoencoder import Autoencoder
from genaug_vae.vae import VAE
from genaug_wgan_gp.backend import WGANGP

NAME = "anomaly"
COMPONENTS = 20
CHOSEN = "vae"  # of the generator-based methods, by the held-out training images
BASELINE = "pca"
PAPERS = {"AnoGAN": 0.913, "Deep SVDD": 0.948, "OCGAN": 0.960}  # OCGAN: a re-implementation; .975 in the paper
DENSE = {"kind": "mlp", "hidden": 256}
SETTINGS: dict[str, dict[str, Any]] = {
    "pca": {"components": COMPONENTS},
    "nearest": {},
    "vae": {"config": {**DENSE, "latent_size": 20}, "training": {"steps": 3000, "batch_size": 128}},
    "autoencoder": {
        "config": {**DENSE, "latent_size": 32, "noise": 0.5},
        "training": {"steps": 3000, "batch_size": 128},
    },
    "wgan-gp": {
        "config": {"latent_size": 32, "width": 16, "max_width": 64},
        "training": {"steps": 1500, "batch_size": 64},
        "encoder": {"steps": 1000, "batch_size": 64},
    },
}
FIGURES = {name: (name,) for name in SETTINGS} | {"wgan-gp": ("izi_f", "izi", "critic")}
METHODS = [method for figures in FIGURES.values() for method in figures]

Scores = dict[str, Tensor]


class WithCritic(WGANGP):
    """A WGAN-GP that keeps its critic, which scores images and has the features of izi_f."""

    keeps: ClassVar[tuple[str, ...]] = ("generator", "critic")

    def score(self, nets: nn.ModuleDict, x: Tensor, labels: Tensor | None) -> Tensor:
        scores: Tensor = nets["critic"](x, labels)[:, 0]
        return scores


BACKENDS: dict[str, Backend] = {"vae": VAE(), "autoencoder": Autoencoder(), "wgan-gp": WithCritic()}


def main(argv: list[str] | None = None) -> None:
    parser = arguments(__doc__, data="torchvision:MNIST", seeds=2, first_seed=True)
    parser.add_argument("--digits", nargs="+", type=int, default=list(range(10)))
    parser.add_argument("--models", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--held-out", action="store_true", help="score held-out training images: for tuning")
    options = parser.parse_args(argv)

    @cache
    def material() -> tuple[Samples, Samples]:
        return read(options.data, options.root)

    def run(key: dict[str, Any]) -> dict[str, Any]:
        say(f"seed {key['seed']}, digit {key['digit']}, {key['model']}")
        row = measure(key, *material())
        say(f"  {', '.join(f'{name} {row[name]:.4f}' for name in FIGURES[key['model']])} ({row['seconds']:.0f} s)")
        return row

    split = "held out" if options.held_out else "test"
    seeds = seeds_of(options)
    keys = [
        {"model": model, "digit": digit, "seed": seed, "data": options.data, "split": split, **settings_of(model)}
        for seed in seeds
        for model in options.models
        for digit in options.digits
    ]
    rows = Record(RESULTS / f"{NAME}.jsonl").finish(keys, run)
    tell(rows)
    total = sum(row["seconds"] for row in rows)
    say(f"{options.seeds} seeds like these take {cost(total / options.seeds, options.seeds)}")
    end(options, summary(rows, options.digits))


def settings_of(model: str) -> dict[str, Any]:
    """The settings under which a model's results are recorded, with all options of its backend."""
    settings = dict(SETTINGS[model])
    if "config" in settings:
        settings["config"] = BACKENDS[model].Config(**settings["config"]).model_dump(mode="json")
    return settings


def measure(key: Mapping[str, Any], train: Samples, test: Samples) -> dict[str, Any]:
    """The AUROC of each of a model's methods for one normal digit."""
    started = time.perf_counter()
    normal, images, anomalous = split_of(key, train, test)
    scores = MODELS[key["model"]](key, replace(train, x=normal, labels=None, spec=without_classes(train)), images)
    figures = {name: round(float(roc_auc_score(anomalous, values)), 6) for name, values in scores.items()}
    return {**figures, "normal": len(normal), "scored": len(images), "seconds": round(time.perf_counter() - started, 1)}


def split_of(key: Mapping[str, Any], train: Samples, test: Samples) -> tuple[Tensor, Tensor, Tensor]:
    """The images to learn from, those to score, uint8, and which of the latter are anomalous, bool."""
    (x, labels), digit = labelled(train), key["digit"]
    if key["split"] == "test":
        images, numbers = labelled(test)
        return x[labels == digit], images, numbers != digit
    rng = torch.Generator().manual_seed(derive_seed(key["seed"], "held out"))
    order = torch.randperm(len(x), generator=rng)
    rows = [order[labels[order] == number] for number in range(train.spec.num_classes)]
    count = len(rows[digit]) // 5
    scored = torch.cat([members[:count] for members in rows])
    return x[rows[digit][count:]], x[scored], labels[scored] != digit


def without_classes(data: Samples) -> genaug.Spec:
    return data.spec.model_copy(update={"classes": None})


def by_pca(key: Mapping[str, Any], normal: Samples, images: Tensor) -> Scores:
    x, new = (to_float(part).flatten(1).numpy() for part in (normal.x, images))
    pca = PCA(min(key["components"], len(x)), random_state=0).fit(x)
    return {"pca": torch.from_numpy(((new - pca.inverse_transform(pca.transform(new))) ** 2).mean(1))}


def by_nearest(key: Mapping[str, Any], normal: Samples, images: Tensor) -> Scores:
    return {"nearest": nearest(to_float(images).flatten(1), to_float(normal.x).flatten(1))[0]}


def by_reconstruction(key: Mapping[str, Any], normal: Samples, images: Tensor) -> Scores:
    return {key["model"]: Scorer(trained(key, normal), "reconstruction").scores(images)}


def by_gan(key: Mapping[str, Any], normal: Samples, images: Tensor) -> Scores:
    with_critic = trained(key, normal)
    nets = nn.ModuleDict({"generator": with_critic.nets["generator"]})
    alone = Generator("wgan-gp", WGANGP(), with_critic.config, with_critic.spec, nets, {})
    scores = {"critic": Scorer(with_critic, "discriminator").scores(images)}
    for name, generator in (("izi_f", with_critic), ("izi", alone)):
        encoder = train_encoder(generator, normal.x, seed=key["seed"], **key["encoder"])
        scores[name] = Scorer(generator, "encoder", encoder).scores(images)
    return {name: scores[name] for name in FIGURES["wgan-gp"]}


MODELS: dict[str, Callable[[Mapping[str, Any], Samples, Tensor], Scores]] = {
    "pca": by_pca,
    "nearest": by_nearest,
    "vae": by_reconstruction,
    "autoencoder": by_reconstruction,
    "wgan-gp": by_gan,
}


def trained(key: Mapping[str, Any], normal: Samples) -> Generator:
    """The averaged generator, trained on normal images without labels."""
    backend, steps = BACKENDS[key["model"]], key["training"]["steps"]
    config = backend.Config(**key["config"])
    trainer = Trainer(backend, config, normal, seed=key["seed"], **key["training"])
    for index in range(steps):
        trainer.step(index)
    return Generator(key["model"], backend, config, trainer.spec, trainer.averaged(), {})


def means(rows: list[dict[str, Any]], method: str, digits: int = 10) -> dict[int, float]:
    """The mean AUROC of a method by seed, for seeds with this number of digits."""
    by_seed: dict[int, list[float]] = {}
    for row in rows:
        if method in row:
            by_seed.setdefault(row["seed"], []).append(row[method])
    return {seed: statistics.mean(values) for seed, values in sorted(by_seed.items()) if len(values) == digits}


def differences(rows: list[dict[str, Any]], digits: int = 10) -> dict[int, float]:
    """The mean AUROC of PCA minus that of the chosen generator-based method, by seed: below 0 if the latter wins."""
    baseline, chosen = means(rows, BASELINE, digits), means(rows, CHOSEN, digits)
    return {seed: value - chosen[seed] for seed, value in baseline.items() if seed in chosen}


def tell(rows: list[dict[str, Any]]) -> None:
    digits = sorted({row["digit"] for row in rows})
    lines = []
    for method in METHODS:
        per_digit = [[row[method] for row in rows if row["digit"] == digit and method in row] for digit in digits]
        if all(per_digit):
            values = [statistics.mean(of) for of in per_digit]
            lines.append([method, *(f"{value:.3f}" for value in values), f"{statistics.mean(values):.4f}"])
    print(markdown(["AUROC", *map(str, digits), "mean"], lines))
    print(f"published means: {', '.join(f'{name} {value:g}' for name, value in PAPERS.items())}")


def summary(rows: list[dict[str, Any]], digits: list[int]) -> dict[str, Any]:
    """One flat object: the mean AUROC of each method over digits and seeds, and whether the chosen one is above PCA."""
    result: dict[str, Any] = {"seeds": len({row["seed"] for row in rows}), "digits": len(digits)}
    for method in METHODS:
        of = means(rows, method, len(digits))
        if of:
            result[f"{plain(method)}_mean"] = round(statistics.mean(of.values()), 6)
    apart = differences(rows, len(digits))
    result["chosen"] = CHOSEN
    result["above_pca"] = statistics.mean(apart.values()) < 0 if apart else None
    return result


if __name__ == "__main__":
    main()
