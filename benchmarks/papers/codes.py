"""What the InfoGAN scripts share: runs that go on where they stopped, Q beside its generator, a category as a class."""

import argparse
import hashlib
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from record import Record, cost, say
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torch.utils.data import TensorDataset

import genaug
from genaug.backends import registry
from genaug.backends.backend import parse_config
from genaug.cli.train import parse_settings
from genaug.modalities.image import to_float
from genaug.sources.generator import Generator
from genaug.training.checkpoint import newest_checkpoint, newest_step
from genaug.training.run_folder import RunFolder

RESULTS = Path(__file__).parents[1] / "results"  # tracked: finished seeds and figures
RUNS = Path("runs/papers")  # training runs; one that was interrupted is gone on with
BATCH = 128
AUGMENT = ("affine",)  # turned, scaled and shifted is the same digit


def arguments(description: str, seeds: int) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--first-seed", type=int, default=0, help="tune on seeds of 100 and above, report 0, 1, ...")
    parser.add_argument("--data", default="torchvision:MNIST")
    parser.add_argument("--root", help="where torchvision's files lie")
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="an option of infogan's own")
    parser.add_argument("--json", action="store_true")
    return parser


def settings(defaults: Mapping[str, Any], pairs: list[str]) -> dict[str, Any]:
    """The defaults with what ``--set`` says."""
    return {**defaults, **parse_settings(pairs)}


def whole(config: Mapping[str, Any]) -> dict[str, Any]:
    """All options of infogan, those left at their defaults too."""
    parsed: dict[str, Any] = parse_config("infogan", registry.resolve("infogan").Config, config).model_dump(mode="json")
    return parsed


@dataclass(frozen=True)
class Trained:
    """The averaged generator, the discriminator with Q, and how long a whole training takes (None if it was done)."""

    generator: Generator
    discriminator: nn.Module
    seconds: float | None


def train(images: Tensor, name: str, *, steps: int, seed: int, config: Mapping[str, Any]) -> Trained:
    """Train on images alone, no label is handed over, in a folder of ``RUNS``.

    Q isn't part of a saved generator, so it is taken from the run's last checkpoint.
    """
    digest = hashlib.sha256(json.dumps(whole(config), sort_keys=True).encode()).hexdigest()[:8]
    out = RUNS / name / f"seed-{seed}-{steps}-steps-{digest}"
    before = newest_step(out / "checkpoints") or 0
    started = time.monotonic()
    generator = genaug.fit(
        "infogan",
        TensorDataset(images),
        out=out,
        steps=steps,
        batch_size=BATCH,
        seed=seed,
        config=config,
        augment=AUGMENT,
        resume=(out / "run.json").is_file(),
    )
    seconds = (time.monotonic() - started) * steps / (steps - before) if before < steps else None
    state, _ = newest_checkpoint(RunFolder(out), generator.device)
    assert state is not None
    nets = registry.resolve("infogan").build(generator.config, generator.spec)
    nets.load_state_dict(state["nets"])
    discriminator = nets["discriminator"].to(generator.device).eval()
    return Trained(generator, discriminator, None if seconds is None else round(seconds, 1))


def every_seed(
    options: argparse.Namespace, name: str, config: Mapping[str, Any], one: Callable[[int], dict[str, Any]]
) -> list[dict[str, Any]]:
    """A row of results for each seed: from the record where it is finished, else from ``one``, and then recorded."""
    record, every_option = Record(RESULTS / f"{name}.jsonl"), whole(config)
    rows: list[dict[str, Any]] = []
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        key = {
            "seed": seed,
            "data": options.data,
            "steps": options.steps,
            "batch_size": BATCH,
            "augment": AUGMENT,
            "config": every_option,
        }
        row = record.done(key)
        if row is None:
            result = one(seed)
            record.add(key, result)
            row = {**key, **result}
        rows.append(row)
        say(f"seed {seed}: " + ", ".join(f"{k} {v}" for k, v in row.items() if k not in key and isinstance(v, float)))
        seconds = [row["seconds"] for row in rows if row["seconds"] is not None]
        price = cost(statistics.median(seconds), options.seeds) if seconds else "an unknown time"
        say(f"a full run of {options.seeds} seeds takes {price}")
    return rows


@torch.inference_mode()
def categories_of(discriminator: nn.Module, images: Tensor, code: str = "c1", chunk: int = 512) -> Tensor:
    """The likeliest category of each uint8 image (N, C, H, W) by Q, int64 (N,)."""
    device = next(discriminator.parameters()).device
    parts = [
        discriminator((to_float(part) * 2 - 1).to(device))[1][code].argmax(1).cpu() for part in images.split(chunk)
    ]
    return torch.cat(parts)


def counts(categories: Tensor, labels: Tensor, sizes: tuple[int, int]) -> Tensor:
    """How many images of each class fell into each category, int64 (categories, classes)."""
    return (categories * sizes[1] + labels).bincount(minlength=sizes[0] * sizes[1]).reshape(sizes)


def matched(table: Tensor) -> Tensor:
    """A class for each category, int64: the assignment, one to one, that agrees with most of the counts.

    Categories that are left over, where there are more than classes, take the class they hold most of.
    """
    classes = table.argmax(1)
    rows, columns = linear_sum_assignment(table.numpy(), maximize=True)
    classes[torch.from_numpy(rows)] = torch.from_numpy(columns)
    return classes


def agreement(table: Tensor, classes: Tensor) -> float:
    """The share of the counted images whose class is the one matched to their category."""
    return float(table[torch.arange(len(table)), classes].sum() / table.sum())


def montage(path: Path, pictures: Mapping[str, Any], columns: int, title: str) -> None:
    """Sheets as the subplots of one PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = -(-len(pictures) // columns)
    figure, axes = pyplot.subplots(rows, columns, figsize=(3.2 * columns, 3.5 * rows + 0.4), squeeze=False)
    for place in axes.flat:
        place.axis("off")
    for place, (name, picture) in zip(axes.flat, pictures.items(), strict=False):
        place.imshow(picture, interpolation="antialiased")
        place.set_title(name, fontsize=9)
    figure.suptitle(title, fontsize=10)
    figure.tight_layout()
    save(figure, path)


def save(figure: Any, path: Path) -> None:
    """Write a figure as PNG, in one step."""
    from matplotlib import pyplot

    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path.with_suffix(".part"), format="png", dpi=90)
    pyplot.close(figure)
    path.with_suffix(".part").replace(path)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns side by side."""
    lines = [head, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
