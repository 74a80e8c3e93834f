"""Autoencoders on MNIST: reconstruction of clean and of noisy images, and the bound of a variational autoencoder.

A lecture's comparison (Cybulski, Generative Adversarial Networks, part 1) shows, without figures, that a deep fully
connected network reconstructs no better than one with a single hidden layer, that a convolutional one does better, that
it can't cope with noisy images, and that a convolutional one with more filters, trained on noisy images, can. Here:

* the mean squared error of a pixel (black to white is 1) of the reconstructed test images, from the clean images and
  from the same images plus normal noise of standard deviation 0.5, limited to the range of pixels. Both are compared
  with the clean image. All four networks have 32 codes and equally many training steps.
* the negative evidence lower bound of a variational autoencoder with 20 latents and one hidden layer of 500 units
  (Kingma & Welling 2014, section 5), in nats per test image. In training, each pixel is drawn as 0 or 1 with its gray
  value as probability, again for every batch; the test images are drawn once. A second training has pixels above half
  as 1: easier data, so the two bounds aren't comparable.

    OMP_NUM_THREADS=1 python benchmarks/papers/autoencoders.py --root MNIST_ROOT --seeds 3 --json

The paper shows its bound as a curve. For other networks (50 latents, two hidden layers of 200 units), and also with
pixels drawn again, Burda et al. 2016 (table 1) have 86.76 nats with 5,000 importance samples, which is an estimate of
-log p(x) itself, and so below the bound. The settings were chosen on seed 100.
"""

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from benchmarks.common.console import arguments, cost, end, markdown, plain, say, seeds_of
from benchmarks.common.figures import save
from benchmarks.common.judge import read
from benchmarks.common.record import RESULTS, Record
from genaug.backends import Backend, Batch, Loss, Spec, Step
from genaug.data.reading import Samples
from genaug.modalities.image import to_float
from genaug.randomness import derive_seed
from genaug.sources.generator import Generator
from genaug.training.trainer import Trainer
from genaug_vae.autoencoder import Autoencoder
from genaug_vae.bound import bernoulli_misfit, divergence
from genaug_vae.vae import VAE, posterior

NAME = "autoencoders"
NOISE = 0.5
BATCH = 128
STEPS = {"reconstruction": 1500, "bound": 10_000}
TARGET = 102.0
PAPER = 86.76  # nats; Burda et al. 2016, table 1: an estimate of -log p(x) for a larger network
DRAWS = 10  # latents per test image
CHUNK = 500
FULLY = {"latent_size": 32, "hidden": 512}
CONV = {"kind": "conv", "latent_size": 32, "width": 8, "max_width": 64}
BOUND = {"kind": "mlp", "latent_size": 20, "hidden": 500, "likelihood": "bernoulli", "conditional": False}


class SampledVAE(VAE):
    """A VAE whose training pixels are drawn as black or white, with their gray values as probabilities."""

    def loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Loss:
        drawn = step.uniform(*batch.x.shape) < (batch.x + 1) / 2
        return super().loss(nets, replace(batch, x=2 * drawn.float() - 1), step)


@dataclass(frozen=True)
class Method:
    """A network to train, with the measurements that it is for: "reconstruction" or "bound"."""

    measures: str
    backend: Backend
    options: dict[str, Any]


METHODS = {
    "mlp": Method("reconstruction", Autoencoder(), {**FULLY, "kind": "mlp"}),
    "deep": Method("reconstruction", Autoencoder(), {**FULLY, "kind": "deep"}),
    "convolutional": Method("reconstruction", Autoencoder(), CONV),
    "denoising": Method("reconstruction", Autoencoder(), {**CONV, "width": 16, "max_width": 128, "noise": NOISE}),
    "vae": Method("bound", SampledVAE(), BOUND),
    "vae, thresholded": Method("bound", VAE(), BOUND),
}

RECONSTRUCTING = [name for name, method in METHODS.items() if method.measures == "reconstruction"]


def main(argv: list[str] | None = None) -> None:
    parser = arguments(__doc__, data="torchvision:MNIST", seeds=3, first_seed=True)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    options = parser.parse_args(argv)

    @cache
    def material() -> tuple[Samples, Samples]:
        return read(options.data, options.root)

    def run(key: dict[str, Any]) -> dict[str, Any]:
        say(f"seed {key['seed']}, {key['method']}")
        return measure(key, *material())

    seeds = seeds_of(options)
    keys = [key_of(name, options.data, seed) for seed in seeds for name in options.methods]
    rows = Record(RESULTS / f"{NAME}.jsonl").finish(keys, run)
    tell(rows)
    total = sum(row["seconds"] for row in rows)
    say(f"{options.seeds} seeds like these take {cost(total / options.seeds, options.seeds)}")
    end(options, summary(rows))


def key_of(name: str, data: str, seed: int) -> dict[str, Any]:
    """The settings under which a run is recorded."""
    method = METHODS[name]
    return {
        "method": name,
        "data": data,
        "config": method.backend.Config(**method.options).model_dump(mode="json"),
        "training": {"steps": STEPS[method.measures], "batch_size": BATCH},
        "test": {"noise": NOISE} if method.measures == "reconstruction" else {"draws": DRAWS},
        "seed": seed,
    }


def measure(key: dict[str, Any], train: Samples, test: Samples) -> dict[str, Any]:
    """Train one network and measure it on the test images."""
    start, method = time.perf_counter(), METHODS[key["method"]]
    x, test_x = binary(key["method"], train.x, test.x)
    config, training = method.backend.Config(**key["config"]), key["training"]
    data, steps, seed = replace(train, x=x), training["steps"], key["seed"]
    trainer = Trainer(method.backend, config, data, seed=seed, batch_size=training["batch_size"], steps=steps)
    for index in range(steps):
        log = trainer.step(index)
        if (index + 1) % 500 == 0:
            seconds = (time.perf_counter() - start) / (index + 1)
            say(f"  step {index + 1}: {float(log['loss/autoencoder']):.5g} (about {cost(seconds, steps)} in all)")
    nets = trainer.averaged()
    if method.measures == "bound":
        result = bound(nets, test_x, trainer.spec)
    else:
        generator = Generator("autoencoder", method.backend, config, trainer.spec, nets, {})
        result = reconstruction(generator, test, seed)
        if seed == 0:
            draw(generator, key["method"], test)
    return {**result, "seconds": round(time.perf_counter() - start, 1)}


def binary(method: str, train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """The images that a method is trained and tested on, uint8: gray, or 0 and 255 if it is a bound's.

    Where pixels are drawn, the training images stay gray, and the test images are drawn once, the same for all seeds.
    """
    if method == "vae":
        drawn = torch.rand(test.shape, generator=torch.Generator().manual_seed(0)) < to_float(test)
        return train, drawn.to(torch.uint8) * 255
    if method == "vae, thresholded":
        train, test = (images.gt(127).to(torch.uint8) * 255 for images in (train, test))
    return train, test


@torch.no_grad()
def bound(nets: nn.ModuleDict, test: Tensor, spec: Spec) -> dict[str, float]:
    """The negative lower bound for black and white images, in nats per image, and its two terms."""
    latents = torch.Generator().manual_seed(0)
    misfit = kl = 0.0
    for part in test.split(CHUNK):
        x = spec.sample.encode(part)
        mean, log_variance = posterior(nets, x, None)
        kl += float(divergence(mean, log_variance)) * len(part)
        for _ in range(DRAWS):
            z = mean + (log_variance / 2).exp() * torch.randn(mean.shape, generator=latents)
            logits = nets["generator"].output(z, None)
            misfit += float(bernoulli_misfit(logits, (x + 1) / 2)) * len(part) / DRAWS
    misfit, kl = misfit / len(test), kl / len(test)
    return {"bound": misfit + kl, "misfit": misfit, "divergence": kl}


def reconstruction(generator: Generator, test: Samples, seed: int) -> dict[str, float]:
    """The mean squared errors of the reconstructions, and of the noisy images themselves."""
    noisy = with_noise(test.x, seed)
    pairs = {"clean": test.x, "noisy": noisy}
    errors = {name: error(reconstructed(generator, images), test.x) for name, images in pairs.items()}
    return {**errors, "noisy_input": error(to_float(noisy), test.x)}


def with_noise(images: Tensor, seed: int) -> Tensor:
    """uint8 images plus noise, limited to their range; the same noise for all methods of a seed."""
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(derive_seed(seed, "noise")))
    return ((to_float(images) + NOISE * noise).clamp(0, 1) * 255).round().to(torch.uint8)


def reconstructed(generator: Generator, images: Tensor) -> Tensor:
    """Float images in [0, 1] that are decoded from the codes of uint8 images."""
    parts = (generator.decode(**generator.encode(part), dtype=torch.float32) for part in images.split(CHUNK))
    return torch.cat(list(parts))


def error(images: Tensor, real: Tensor) -> float:
    """The mean squared error of a pixel of float images, as compared with uint8 ones."""
    return float((images - to_float(real)).square().mean())


def draw(generator: Generator, method: str, test: Samples) -> None:
    """Ten test images, one of each class: clean, reconstructed, noisy, reconstructed."""
    assert test.labels is not None
    first = [int((test.labels == label).nonzero()[0]) for label in range(test.spec.num_classes)]
    clean = test.x[first]
    noisy = with_noise(test.x, 0)[first]
    rows = [("clean", to_float(clean)), ("reconstructed", reconstructed(generator, clean))]
    rows += [("noisy", to_float(noisy)), ("reconstructed", reconstructed(generator, noisy))]
    figure = Figure(figsize=(7, 2.8), layout="constrained")
    for axis, (name, images) in zip(figure.subplots(len(rows), 1), rows, strict=True):
        axis.imshow(torch.cat(list(images), dim=2).permute(1, 2, 0).squeeze(2), cmap="gray_r", vmin=0, vmax=1)
        axis.set_ylabel(name, rotation=0, ha="right", va="center")
        axis.set(xticks=[], yticks=[])
    figure.suptitle(f"{method}, seed 0", fontsize=10)
    save(figure, RESULTS / f"{NAME}_{method}.png", dpi=130)


def values(rows: list[dict[str, Any]], name: str, method: str) -> dict[int, float]:
    """A figure of a method by seed."""
    return {row["seed"]: row[name] for row in rows if row["method"] == method and name in row}


def less(name: str, method: str, others: tuple[str, ...], rows: list[dict[str, Any]]) -> dict[int, float]:
    """A method's error minus the lowest error of the others, by seed; below 0, it is the best."""
    mine, theirs = values(rows, name, method), [values(rows, name, other) for other in others]
    return {
        seed: value - min(of[seed] for of in theirs) for seed, value in mine.items() if all(seed in of for of in theirs)
    }


def claims(rows: list[dict[str, Any]]) -> Iterator[tuple[str, dict[int, float], bool]]:
    """The lecture's claims as differences of errors by seed, and whether they should be below 0."""
    yield "clean error, deep minus mlp", less("clean", "deep", ("mlp",), rows), False
    yield (
        "clean error, convolutional minus the better of mlp and deep",
        less("clean", "convolutional", ("mlp", "deep"), rows),
        True,
    )
    yield (
        "noisy error, denoising minus the best of the others",
        less("noisy", "denoising", ("mlp", "deep", "convolutional"), rows),
        True,
    )


def tell(rows: list[dict[str, Any]]) -> None:
    head, lines = ["method", "seed", "clean", "noisy", "noisy input", "-ELBO, nats", "misfit", "divergence"], []
    for row in rows:
        figures = [row.get(name) for name in ("clean", "noisy", "noisy_input", "bound", "misfit", "divergence")]
        cells = ["" if f is None else format(f, ".5f" if f < 1 else ".2f") for f in figures]
        lines.append([row["method"], row["seed"], *cells])
    print(markdown(head, lines))
    for claim, by_seed, below in claims(rows):
        if by_seed:
            holds = sum((value < 0) == below for value in by_seed.values())
            print(f"{claim}: {'below' if below else 'not below'} 0 in {holds} of {len(by_seed)} seeds")


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """One flat object: means over the seeds, the target, and how many seeds agree with each claim."""
    result: dict[str, Any] = {"seeds": len({row["seed"] for row in rows}), "target": TARGET, "paper_bound": PAPER}
    for method in dict.fromkeys(row["method"] for row in rows):
        for name in ("clean", "noisy", "bound"):
            of = values(rows, name, method)
            if of:
                result[f"{plain(method.replace(',', ''))}_{name}_mean"] = statistics.mean(of.values())
    bounds = values(rows, "bound", "vae")
    result["target_met"] = statistics.mean(bounds.values()) <= TARGET if bounds else None
    for claim, by_seed, below in claims(rows):
        name = plain(claim.replace(",", "").replace(" minus ", " less "))
        result[f"{name}_holds"] = all((value < 0) == below for value in by_seed.values()) if by_seed else None
    return result


if __name__ == "__main__":
    main()
