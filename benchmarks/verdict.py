"""Does following the verdict ever harm? A study in each of many settings, then its advice on fresh seeds.

On the fresh seeds none, classic and what the study advises are trained in pairs; the advice is compared with the better
of none and classic there (chosen by those very accuracies, which favours them). Some settings have generators that hurt
badly, some a pretrained one that should plainly help.

    python benchmarks/verdict.py --root MNIST_ROOT --json
    python benchmarks/verdict.py --only digits --json      # the settings on the embedded digits: needs no data

Finished cells are in benchmarks/results/verdict.jsonl; a run goes on where the last one stopped. --table prints what is
finished as Markdown.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lenet import LeNet
from torch import Tensor, nn
from torch.utils.data import Subset
from tracked_cells import TrackedCells, hours

import genaug
from genaug.data import few_per_class, load_data
from genaug.labels import labels_of
from genaug.progress import Progress
from genaug.spec import Spec
from genaug.studies import Recipe
from genaug.studies.arms import CLASSIC, NONE, Arm, all_arms
from genaug.studies.cells import Ledger
from genaug.studies.compare import holm, paired_difference
from genaug.studies.jobs import Job, left_to_do, total_cost
from genaug.studies.study import prepare
from genaug.studies.workers import run_jobs

RESULTS = Path(__file__).parent / "results" / "verdict.jsonl"
SMALL_GAN = {"width": 16, "max_width": 128}


class MLP(nn.Module):
    """One hidden layer: another kind of classifier than the small CNN."""

    def __init__(self, shape: tuple[int, int, int], num_classes: int) -> None:
        super().__init__()
        inputs = shape[0] * shape[1] * shape[2]
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(inputs, 128), nn.ReLU(), nn.Linear(128, num_classes))

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images * 2 - 1)  # type: ignore[no-any-return]


class WrongLabels:
    """Real images under the next class's label: a source that hurts as badly as one can."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels, self.classes = images, labels, int(labels.max()) + 1
        self.spec = Spec(shape=tuple(images.shape[1:]), num_classes=self.classes)

    def sample(self, n: int | None = None, *, labels: Any = None, seed: int | None = None) -> tuple[Tensor, Tensor]:
        draws = torch.Generator().manual_seed(int(seed or 0) % 2**62)
        wanted = torch.randint(self.classes, (n or 0,), generator=draws) if labels is None else torch.as_tensor(labels)
        rows = torch.empty_like(wanted)
        for label in wanted.unique().tolist():
            members = torch.nonzero(self.labels == (label + 1) % self.classes).flatten()
            places = wanted == label
            rows[places] = members[torch.randint(len(members), (int(places.sum()),), generator=draws)]
        return self.images[rows], wanted


@dataclass(frozen=True)
class Setting:
    """``source``: "cgan" (trained per seed), "weak" (the same for a few steps), "pretrained" (on images that no seed
    uses), "wrong" (wrong labels)."""

    data: str
    labels: int
    source: str
    classifier: str = "small"
    ratios: tuple[float, ...] = (0.25, 0.5)
    helps: bool = False  # where it plainly should: the verdict must be "use"

    @property
    def name(self) -> str:
        return f"{self.data} {self.labels} {self.source} {self.classifier}"


SETTINGS = [
    Setting("digits", 3, "cgan"),
    Setting("digits", 5, "cgan"),
    Setting("digits", 10, "cgan"),
    Setting("digits", 10, "cgan", "mlp"),
    Setting("digits", 20, "cgan"),
    Setting("digits", 10, "mad-gan"),
    Setting("digits", 10, "wgan-gp", "mlp"),
    Setting("digits", 10, "weak", ratios=(0.5, 0.8)),
    Setting("digits", 5, "wrong", ratios=(0.25, 0.5)),
    Setting("digits", 10, "wrong", "mlp", ratios=(0.25, 0.5)),
    Setting("digits", 3, "pretrained", ratios=(0.5, 0.75), helps=True),
    Setting("digits", 5, "pretrained", ratios=(0.5, 0.75), helps=True),
    Setting("digits", 3, "pretrained", "mlp", ratios=(0.5, 0.75), helps=True),
    Setting("MNIST", 10, "wrong", "mlp", ratios=(0.25, 0.5)),
    Setting("MNIST", 10, "pretrained", "mlp", helps=True),
    Setting("MNIST", 3, "pretrained", "lenet", ratios=(0.5, 0.75), helps=True),
    Setting("MNIST", 10, "weak", "lenet", ratios=(0.5, 0.8)),
    Setting("MNIST", 10, "cgan", "lenet"),
    Setting("MNIST", 60, "cgan", "lenet"),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", help="where torchvision's MNIST lies; without it the digits alone are run")
    parser.add_argument("--out", type=Path, default=Path("runs/verdict"))
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--only", default="", help="settings whose name holds this")
    parser.add_argument("--seeds", type=int, default=10, help="of the study, and as many fresh ones")
    parser.add_argument("--updates", type=int, default=300)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--estimate", action="store_true", help="print what a full run costs, in hours, and end")
    parser.add_argument("--table", action="store_true", help="print the table of what is finished, and end")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    wanted = [s for s in SETTINGS if options.only in s.name and (options.root or s.data == "digits" or options.table)]
    cells = TrackedCells(options.results)
    if not options.table:
        for setting in wanted:
            if cells.result(f"{setting.name}: result") is None:
                follow(setting, cells, options)
        if options.estimate:
            return
    finished = {s: r for s in wanted if (r := cells.result(f"{s.name}: result")) is not None}
    print(markdown(finished)) if options.table else say(markdown(finished))
    if options.json:
        print(json.dumps(summary(finished)))


def follow(setting: Setting, cells: TrackedCells, options: argparse.Namespace) -> None:
    """Run a setting's study, and its advice on fresh seeds."""
    folder = options.out / setting.name.replace(" ", "-")
    train, test, source = task(setting, options)
    shared: dict[str, Any] = {
        "sources": {"source": source},
        "ratios": setting.ratios,
        "labels_per_class": setting.labels,
        "classifier": {"small": "small", "mlp": MLP, "lenet": LeNet}[setting.classifier],
        "updates": options.updates,
        "device": "cpu",
    }
    with tempfile.TemporaryDirectory() as scratch:
        work, _, _ = prepare(train, test, out=Path(scratch) / "s", seeds=options.seeds, **shared)
        classifiers = options.seeds * (len(all_arms(["source"], setting.ratios)) + 5 + 3)
        cost = hours(work, classifiers, 3 * options.seeds, Path(scratch))
    say(f"{setting.name}: a full run costs about {cost:.2f} hours of one core here")
    if options.estimate:
        return
    with cells.study(setting.name, folder):
        report = genaug.study(
            train, test, seeds=options.seeds, out=folder, resume=True, workers=options.workers, **shared
        )
    say(f"{setting.name}: {report.sentence}")
    advised = Arm("source", report.ratio, report.classic) if report.ratio else (CLASSIC if report.classic else NONE)
    arms = tuple(dict.fromkeys((NONE, CLASSIC, advised)))
    fresh = range(options.seeds, 2 * options.seeds)
    name, again = f"{setting.name}: fresh", folder.with_name(folder.name + "-fresh")
    with cells.study(name, again):
        work, settings, _ = prepare(train, test, out=again, seeds=fresh, **shared)
        with work.folder.claimed(resume=True, overwrite=False):
            work.folder.open({**settings, "advised": advised.name}, work.trained(), resume=True)
            jobs = left_to_do([Job("test", seed, arms) for seed in fresh], Ledger(work.folder.read()).done)
            with Progress("fresh seeds", total_cost(work, jobs), line_every=10) as bar:
                run_jobs(work, jobs, options.workers, bar)
    ledger = Ledger(work.folder.read())
    table = {arm: [ledger.accuracies("test", arm.name)[seed] for seed in fresh] for arm in arms}
    better = max((NONE, CLASSIC), key=lambda arm: sum(table[arm]))
    found = paired_difference(table[advised], table[better])
    result = {
        "verdict": report.verdict,
        "ratio": report.ratio,
        "advised": advised.name,
        "studied": (report.details["chosen"] or {"name": "–"})["name"],
        "gain_in_study": (report.details["difference"] or {"mean": None})["mean"],
        "better_of_none_and_classic": better.name,
        "gain_on_fresh_seeds": found.mean,
        "low": found.low,
        "high": found.high,
        "p": found.p,
        "seeds": len(fresh),
    }
    cells.keep(f"{setting.name}: result", result)


def task(setting: Setting, options: argparse.Namespace) -> tuple[Any, Any, Any]:
    """Training set, test set and source."""
    data = "digits" if setting.data == "digits" else f"torchvision:{setting.data}"
    train, test = (load_data(data, split=split, root=options.root) for split in ("train", "test"))
    big = setting.data != "digits"
    if setting.source in ("cgan", "mad-gan", "wgan-gp", "weak"):
        backend, steps = (setting.source, 1500 if big else 800) if setting.source != "weak" else ("cgan", 5)
        return train, test, Recipe(backend, steps=steps, config={} if big else SMALL_GAN)
    counts = labels_of(train).bincount()
    needed = setting.labels * options.seeds
    used = few_per_class(train, needed if big else max(needed, int(counts.min()) - 75))
    others = torch.ones(len(train), dtype=torch.bool)
    others[torch.tensor(list(used.indices))] = False
    rest = Subset(train, torch.nonzero(others).flatten().tolist())
    if setting.source == "wrong":
        from genaug.training.reading import read_images

        images = read_images(rest)
        assert images.labels is not None
        return used, test, WrongLabels(images.images, images.labels)
    out = options.out / f"pretrained-{setting.data}-{setting.labels if big else 'all'}"
    fit: Callable[..., Any] = genaug.fit
    return used, test, fit("cgan", rest, out=out, steps=3000, config=SMALL_GAN, device="cpu", resume=out.exists())


def summary(finished: dict[Setting, dict[str, Any]]) -> dict[str, Any]:
    """What the table comes to, as flat JSON."""
    found = list(finished.values())
    gains = [r["gain_on_fresh_seeds"] for r in found]
    worse = [
        p if r["gain_on_fresh_seeds"] < 0 else 1.0 for r, p in zip(found, holm([r["p"] for r in found]), strict=True)
    ]
    use = [r["verdict"] == "use" for s, r in finished.items() if s.helps]
    return {
        "settings": len(found),
        "settings_on_digits": sum(s.data == "digits" for s in finished),
        "seeds": min((r["seeds"] for r in found), default=0),
        "significantly_worse": sum(p < 0.05 for p in worse),
        "mean_gain_points": 100 * sum(gains) / len(gains) if gains else None,
        "mean_loss_points": 100 * sum(max(0.0, -gain) for gain in gains) / len(gains) if gains else None,
        "worst_gain_points": 100 * min(gains) if gains else None,
        "verdict_use": sum(r["verdict"] == "use" for r in found),
        "settings_that_plainly_help": len(use),
        "of_these_told_to_use": sum(use),
    }


def markdown(finished: dict[Setting, dict[str, Any]]) -> str:
    lines = [
        "| data | labels | source | classifier | verdict | advised | on fresh seeds, against | gain, points (95 %) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for s, r in finished.items():
        gain = f"{100 * r['gain_on_fresh_seeds']:+.1f} ({100 * r['low']:+.1f} to {100 * r['high']:+.1f})"
        first = f"| {s.data} | {s.labels} | {s.source} | {s.classifier} | {r['verdict']} | {r['advised']} "
        lines.append(f"{first}| {r['better_of_none_and_classic']} | {gain.replace('-', '−')} |")
    return "\n".join(lines)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
