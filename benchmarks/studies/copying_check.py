"""Does the copying check distinguish copiers from other generators? They are simulated, so the answer is known.

    python benchmarks/studies/copying_check.py --json
    python benchmarks/studies/copying_check.py --data torchvision:MNIST --root MNIST_ROOT --json

The training set is cut by chance into what the generators saw, held-out images, and fresh ones. "Other writers" takes
held-out images from the data's own test set instead, which in MNIST other people wrote.
"""

import time
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.common.console import arguments, end, say
from benchmarks.common.judge import labelled, read
from genaug.evaluation import copying
from genaug.evaluation.features import pixel_features
from genaug.randomness import derive_seed

SAMPLES = 3000  # held-out and generated images at most
SEEN = 20_000


def noisy(images: Tensor, deviation: float, draws: torch.Generator) -> Tensor:
    """With Gaussian noise; ``deviation`` is in gray levels."""
    return (images.float() + deviation * torch.randn(images.shape, generator=draws)).clamp(0, 255).round().byte()


def shifted(images: Tensor) -> Tensor:
    return torch.roll(images, (1, 1), (2, 3))


def class_means(images: Tensor, labels: Tensor) -> Tensor:
    """Every image replaced by the mean of its class: the picture that a collapsed generator makes."""
    means = {label: images[labels == label].float().mean(0) for label in labels.unique().tolist()}
    return torch.stack([means[label] for label in labels.tolist()]).round().byte()


def failing_shares(images: Tensor, few: int, cuts: int, seed: int) -> dict[str, float]:
    """In what share of random cuts into seen, held-out and fresh images the check fails: false alarms on fresh images,
    and how often verbatim copies among these are found."""
    pixels = pixel_features().of(images)
    shares = {"false_alarms": 0.0, "found_1_percent": 0.01, "found_5_percent": 0.05}
    failed = dict.fromkeys(shares, 0)
    for cut in range(cuts):
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(derive_seed(seed, "cut", cut)))
        held_out, fresh, seen = pixels[order[:few]], pixels[order[few : 2 * few]], pixels[order[2 * few :][:SEEN]]
        for name, share in shares.items():
            count = round(share * few)
            generated = torch.cat([seen[:count], fresh[count:]])
            # C_T, for which there are cells, decides nothing.
            failed[name] += not copying(seen, held_out, generated, cells=1, bootstrap=50, seed=cut)["passed"]
        say(f"cut {cut + 1} of {cuts}: failed " + ", ".join(f"{name} {n}" for name, n in failed.items()))
    return {"cuts": cuts, **{name: round(n / cuts, 4) for name, n in failed.items() if cuts}}


def main() -> None:
    parser = arguments(__doc__, data="digits")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cuts", type=int, default=50, help="random cuts that rates are counted over")
    options = parser.parse_args()

    (images, labels), (test, _) = map(labelled, read(options.data, options.root))
    draws = torch.Generator().manual_seed(derive_seed(options.seed, "copying check"))
    order = torch.randperm(len(images), generator=draws)
    few = min(SAMPLES, len(order) // 4)
    held_out, fresh = images[order[:few]], images[order[few : 2 * few]]
    seen = images[order[2 * few : 2 * few + SEEN]]
    copies, fresh_labels = seen[:few], labels[order[few : 2 * few]]

    def partly(share: float, rest: Tensor) -> Tensor:
        count = round(share * few)
        return torch.cat([copies[:count], rest[count:]])

    cases: dict[str, tuple[Tensor, Callable[[], Tensor], bool]] = {
        "fresh": (held_out, lambda: fresh, False),
        "fresh_other_writers": (test[torch.randperm(len(test), generator=draws)[:few]], lambda: fresh, False),
        "class_means": (
            held_out,
            lambda: noisy(class_means(fresh, fresh_labels), 10, draws),
            False,
        ),
        "poor": (held_out, lambda: noisy(fresh, 80, draws), False),
        "copies": (held_out, lambda: copies, True),
        "copies_noise_20": (held_out, lambda: noisy(copies, 20, draws), True),
        "copies_noise_40": (held_out, lambda: noisy(copies, 40, draws), True),
        "copies_shifted": (held_out, lambda: shifted(copies), True),
        "copies_10_percent": (held_out, lambda: partly(0.1, fresh), True),
        "copies_10_percent_rest_poor": (held_out, lambda: partly(0.1, noisy(fresh, 80, draws)), True),
        "copies_1_percent": (held_out, lambda: partly(0.01, fresh), True),
        "copies_1_percent_rest_poor": (held_out, lambda: partly(0.01, noisy(fresh, 80, draws)), True),
        "copies_5_percent": (held_out, lambda: partly(0.05, fresh), True),
    }
    pixels = pixel_features().of
    result: dict[str, float | bool | str] = {"data": options.data, "seen": len(seen), "samples": few}
    wrong = 0
    for name, (unseen, make, copier) in cases.items():
        began = time.perf_counter()
        outcome = copying(pixels(seen), pixels(unseen), pixels(make()), seed=options.seed)
        wrong += outcome["passed"] == copier
        result |= {
            f"{name}_{field}": round(outcome[field], 4) for field in ("c_t", "nearest_ratio", "copied", "exact", "near")
        }
        result[f"{name}_passed"] = outcome["passed"]
        say(
            f"{name:28} C_T {outcome['c_t']:7.2f}  ratio {outcome['nearest_ratio']:.3f}  "
            f"copied {outcome['copied']:.3f}  exact {outcome['exact']:.3f}  near {outcome['near']:.3f}  "
            f"{'passed' if outcome['passed'] else 'FAILED':6}  {'copies' if copier else 'copies nobody'}  "
            f"({time.perf_counter() - began:.0f} s)"
        )
    result["wrong"] = wrong
    result |= failing_shares(images, few, options.cuts, options.seed)
    end(options, result)


if __name__ == "__main__":
    main()
