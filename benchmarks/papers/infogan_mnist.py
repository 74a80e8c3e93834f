"""InfoGAN on MNIST: do the categories that it finds without labels correspond to the digits?

Chen et al. 2016, section 7.2: 62 noise variables, one categorical code of size 10, two continuous ones; 5,000 updates.
Q then assigns a category to each real image. Each category is matched to a digit, one to one, on the training
images and their labels, which have no other use; the error is measured on the test images. Unlike in the paper, the
discriminator and Q only see images that are randomly rotated, scaled and shifted.

    python benchmarks/papers/infogan_mnist.py --root MNIST_ROOT --seeds 5 --json
"""

import argparse
import statistics
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from benchmarks.common.console import end, markdown, parse_settings
from benchmarks.common.figures import montage, save
from benchmarks.common.judge import labelled, read
from benchmarks.papers.codes import RESULTS, Trained, arguments, every_seed, train
from genaug.data.reading import Samples
from genaug.labelling.matching import match_categories, tabulate

NAME = "infogan_mnist"
CONFIG = {"categories": [10], "continuous": 2, "latent_size": 62, "width": 16}
TARGET, STRETCH, PAPER = 0.10, 0.05, 0.05
READ_BACK = 2_000  # generated images whose category Q predicts


def main(argv: list[str] | None = None) -> None:
    options = arguments(__doc__, seeds=5).parse_args(argv)
    config = CONFIG | parse_settings(options.set)
    real: list[Samples] = []

    def one(seed: int) -> dict[str, Any]:
        real[:] = real or read(options.data, options.root)
        trained = train(real[0].x, NAME, steps=options.steps, seed=seed, config=config)
        result = measure(trained, *real)
        sheets = trained.generator.traverse(seed=seed, steps=8)
        names = sorted(name for name in sheets if name.startswith("category_c1_"))  # the first ones if there are many
        digits = {f"category {k}: digit {result['digits'][k]}": sheets[name] for k, name in enumerate(names)}
        montage(RESULTS / f"{NAME}_seed{seed}.png", digits, 5, f"seed {seed}")
        return result

    rows = every_seed(options, NAME, config, one)
    draw(rows, RESULTS / f"{NAME}.png")
    tell(rows, options)


def measure(trained: Trained, train: Samples, test: Samples) -> dict[str, Any]:
    """The category as a classifier: matched to digits on the training images, scored on the test images."""
    size = next(latent.size for latent in trained.generator.spec.latents if latent.name == "c1")
    sets = [(trained.categories(data.x), labelled(data)[1]) for data in (train, test)]
    counts, test_counts = (tabulate(*categories, size, train.spec.num_classes) for categories in sets)
    digits = torch.from_numpy(match_categories(counts))
    train_error, error = (round(float((digits[categories] != true).double().mean()), 4) for categories, true in sets)
    requested = torch.arange(READ_BACK) % size
    images, _ = trained.generator.sample(READ_BACK, seed=1, c1=requested)
    return {
        "error": error,
        "train_error": train_error,
        "error_on_generated": round(float((trained.categories(images) != requested).float().mean()), 4),
        "digits": digits.tolist(),
        "test_counts": test_counts.tolist(),
        "seconds": trained.seconds,
    }


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """The error of every seed, and the digits in the median seed's categories."""
    figure = Figure(figsize=(9, 4))
    left, right = figure.subplots(1, 2)
    left.bar([str(row["seed"]) for row in rows], [100 * row["error"] for row in rows], color="#4477aa")
    left.axhline(100 * TARGET, color="#cc6677", linestyle="--", label=f"target {TARGET:.0%}")
    left.axhline(100 * PAPER, color="#228833", linestyle=":", label=f"paper {PAPER:.0%} (seeds picked)")
    left.set(xlabel="seed", ylabel="test error of the category, %", ylim=(0, None))
    left.legend()
    middle = sorted(rows, key=lambda row: row["error"])[(len(rows) - 1) // 2]
    shares = torch.tensor(middle["test_counts"], dtype=torch.float32)
    order = torch.tensor(middle["digits"]).argsort()
    picture = right.imshow((shares / shares.sum(0).clamp(min=1))[order].numpy(), vmin=0, vmax=1, cmap="Blues")
    right.set(xlabel="digit", ylabel="category, in order of its digit", title=f"seed {middle['seed']}, the median")
    right.set_yticks(range(len(order)), [str(k) for k in order.tolist()])
    right.set_xticks(range(shares.shape[1]))
    figure.colorbar(picture, ax=right, label="share of the digit's test images")
    figure.tight_layout()
    save(figure, path)


def tell(rows: list[dict[str, Any]], options: argparse.Namespace) -> None:
    errors = [row["error"] for row in rows]
    median = statistics.median(errors)
    head = ["error of the categorical code", "test", ""]
    lines = [[f"seed {row['seed']}", f"{row['error']:.2%}", ""] for row in rows]
    lines += [
        [f"median of {len(rows)}", f"{median:.2%}", f"target {TARGET:.0%}, stretch {STRETCH:.0%}"],
        ["Chen et al. 2016", f"{PAPER:.0%}", "seeds picked"],
    ]
    print(markdown(head, lines))
    result = {
        "script": NAME,
        "seeds": len(rows),
        "median_error": median,
        "min_error": min(errors),
        "max_error": max(errors),
        "target": TARGET,
        "met": median <= TARGET,
        "paper_error": PAPER,
        "steps": options.steps,
        "data": options.data,
    }
    end(options, result)


if __name__ == "__main__":
    main()
