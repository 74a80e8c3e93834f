"""Does following the verdict ever harm? A study in each of many settings, then its advice on new seeds.

The study sees one half of the test set, and the fresh seeds are judged on the other. There none, classic and what the
study advises are trained in pairs; the advice is compared with the better of none and classic on those very seeds,
which favours these two. Some settings have generators that hurt badly, some a pretrained one that should plainly help,
and some real images of which a share has wrong labels, chosen on other seeds so that the source lies between none and
classic or just above both. Only rows in which the advice differs from the better baseline say anything, so only these
are counted.

    python benchmarks/studies/verdict.py --root MNIST_ROOT --json
    python benchmarks/studies/verdict.py --only digits --json      # the settings on the embedded digits: needs no data

Without a root the digits alone are run. --seeds are those of the study, and as many fresh ones. Finished cells are in
benchmarks/results/verdict.jsonl; a run goes on where the last one stopped. --table prints what is finished as Markdown.
"""

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Subset

import genaug
from benchmarks.common.console import end, markdown, say
from benchmarks.common.judge import labelled
from benchmarks.common.record import Record
from benchmarks.studies.lenet import LeNet
from benchmarks.studies.tracked import hours, rest_of, run_arms, study_arguments, tracked
from genaug.backends import Spec
from genaug.data import few_per_class, load_data
from genaug.data.labels import labels_of
from genaug.data.reading import read_samples
from genaug.modalities import Image
from genaug.studies import Recipe
from genaug.studies.arms import CLASSIC, NONE, Arm, all_arms
from genaug.studies.cells import Ledger, StudyFolder
from genaug.studies.compare import holm, overlap_correction, paired_difference
from genaug.studies.options import Options
from genaug.studies.preparation import prepare

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
    """Real images of which a ``share`` carries the next class's label: at 1, a source that hurts as much as can be."""

    def __init__(self, images: Tensor, labels: Tensor, share: float = 1.0) -> None:
        self.images, self.classes, self.share = images, int(labels.max()) + 1, share
        self.spec = Spec(sample=Image(*tuple(images.shape[1:])), classes=self.classes)
        wrong = torch.rand(len(labels), generator=torch.Generator().manual_seed(0)) < share
        self.labels = torch.where(wrong, (labels - 1) % self.classes, labels)

    def sample(self, n: int | None = None, *, labels: Any = None, seed: int | None = None) -> tuple[Tensor, Tensor]:
        draws = torch.Generator().manual_seed(int(seed or 0) % 2**62)
        chosen = torch.randint(self.classes, (n or 0,), generator=draws) if labels is None else torch.as_tensor(labels)
        rows = torch.empty_like(chosen)
        for label in chosen.unique().tolist():
            members = torch.nonzero(self.labels == label).flatten()
            places = chosen == label
            rows[places] = members[torch.randint(len(members), (int(places.sum()),), generator=draws)]
        return self.images[rows], chosen


@dataclass(frozen=True)
class Setting:
    """``source``: "cgan" (trained per seed), "weak" (the same for a few steps), "pretrained" (on images that no seed
    uses), "wrong" (real images that no seed uses, with wrong labels), "wrong 30 %" (with a share of them)."""

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
    Setting("digits", 5, "wrong 40 %"),  # on seeds 100 to 103 just above classic, at its best
    Setting("digits", 5, "wrong 50 %"),  # between none and classic
    Setting("digits", 10, "wrong 20 %"),  # just above classic
    Setting("digits", 10, "wrong 40 %"),  # between none and classic
    Setting("digits", 10, "wrong 20 %", "mlp"),  # just above classic
    Setting("digits", 10, "wrong 60 %", "mlp"),  # between none and classic
    Setting("MNIST", 10, "wrong", "mlp", ratios=(0.25, 0.5)),
    Setting("MNIST", 10, "pretrained", "mlp", helps=True),
    Setting("MNIST", 3, "pretrained", "lenet", ratios=(0.5, 0.75), helps=True),
    Setting("MNIST", 10, "weak", "lenet", ratios=(0.5, 0.8)),
]


def main() -> None:
    parser = study_arguments(__doc__, "verdict", seeds=10, updates=300)
    parser.add_argument("--only", default="", help="settings whose names contain this")
    options = parser.parse_args()
    selected = [s for s in SETTINGS if options.only in s.name and (options.root or s.data == "digits" or options.table)]
    record = Record(options.results)
    if not options.table:
        for setting in selected:
            if record.done({"study": f"{setting.name}: result"}) is None:
                follow(setting, record, options)
        if options.estimate:
            return
    finished = results_of(record, selected)
    print(table_of(finished)) if options.table else say(table_of(finished))
    end(options, summary(finished))


def results_of(record: Record, settings: Iterable[Setting]) -> dict[Setting, dict[str, Any]]:
    """What was found in the settings that are finished."""
    lines = {setting: record.done({"study": f"{setting.name}: result"}) for setting in settings}
    return {setting: line["result"] for setting, line in lines.items() if line}


def follow(setting: Setting, record: Record, options: argparse.Namespace) -> None:
    """Run a setting's study, and its advice on fresh seeds."""
    folder = options.out / setting.name.replace(" ", "-")
    train, (test, unseen), source = task(setting, options)
    shared: dict[str, Any] = {
        "sources": {"source": source},
        "ratios": setting.ratios,
        "labels_per_class": setting.labels,
        "classifier": {"small": "small", "mlp": MLP, "lenet": LeNet}[setting.classifier],
        "updates": options.updates,
        "device": "cpu",
    }
    classifiers = len(all_arms(["source"], setting.ratios)) + 5 + 3
    cost = hours((train, test), {**shared, "seeds": options.seeds}, 3, classifiers)
    say(f"{setting.name}: a full run costs about {cost:.2f} hours of one core here")
    if options.estimate:
        return
    with tracked(record, setting.name, folder):
        report = genaug.study(
            train, test, seeds=options.seeds, out=folder, resume=True, workers=options.workers, **shared
        )
    say(f"{setting.name}: {report.sentence}")
    advised = Arm("source", report.ratio, report.classic) if report.ratio else (CLASSIC if report.classic else NONE)
    arms = tuple(dict.fromkeys((NONE, CLASSIC, advised)))
    fresh = range(options.seeds, 2 * options.seeds)
    name, again = f"{setting.name}: fresh", folder.with_name(folder.name + "-fresh")
    with tracked(record, name, again):
        work, settings, subsets = prepare(train, unseen, StudyFolder(again), Options(seeds=fresh, **shared))
        with work.folder.claimed(resume=True, overwrite=False):
            run_arms(work, {**settings, "advised": advised.name}, fresh, arms, options.workers, "fresh seeds")
    ledger = Ledger(work.folder.read())
    table = {arm: [ledger.scores("test", arm.name)[seed] for seed in fresh] for arm in arms}
    better = max((NONE, CLASSIC), key=lambda arm: sum(table[arm]))
    resolution, correction = 1 / len(work.test), overlap_correction(subsets.overlap)
    difference = paired_difference(table[advised], table[better], correction=correction, resolution=resolution)
    result = {
        "verdict": report.verdict,
        "ratio": report.ratio,
        "advised": advised.name,
        "studied": (report.details["chosen"] or {"name": "–"})["name"],
        "gain_in_study": (report.details["difference"] or {"mean": None})["mean"],
        "better_of_none_and_classic": better.name,
        "gain_on_fresh_seeds": difference.mean,
        "low": difference.low,
        "high": difference.high,
        "p": difference.p,
        "seeds": len(fresh),
    }
    record.add({"study": f"{setting.name}: result"}, {"result": result})


def halves(test: Any) -> tuple[Subset[Any], Subset[Any]]:
    """The test set in two: every other image of each class."""
    labels = labels_of(test)
    members = [torch.nonzero(labels == label).flatten() for label in labels.unique()]
    first, second = (torch.cat([rows[start::2] for rows in members]).sort().values.tolist() for start in (0, 1))
    return Subset(test, first), Subset(test, second)


def task(setting: Setting, options: argparse.Namespace) -> tuple[Any, tuple[Any, Any], Any]:
    """Training set, both halves of the test set, and source."""
    data = "digits" if setting.data == "digits" else f"torchvision:{setting.data}"
    train, every = (load_data(data, split=split, root=options.root) for split in ("train", "test"))
    test = halves(every)
    big = setting.data != "digits"
    if setting.source in ("cgan", "mad-gan", "wgan-gp", "weak"):
        backend, steps = (setting.source, 1500 if big else 800) if setting.source != "weak" else ("cgan", 5)
        return train, test, Recipe(backend, steps=steps, config={} if big else SMALL_GAN)
    counts = labels_of(train).bincount()
    needed = setting.labels * options.seeds
    used = few_per_class(train, needed if big else max(needed, int(counts.min()) - 75))
    rest = rest_of(train, used)
    if setting.source.startswith("wrong"):
        share = float(setting.source.removeprefix("wrong").removesuffix("%") or 100) / 100
        return used, test, WrongLabels(*labelled(read_samples(rest)), share)
    out = options.out / f"pretrained-{setting.data}-{setting.labels if big else 'all'}"
    fit: Callable[..., Any] = genaug.fit
    return used, test, fit("cgan", rest, out=out, steps=3000, config=SMALL_GAN, device="cpu", resume=out.exists())


def summary(finished: dict[Setting, dict[str, Any]]) -> dict[str, Any]:
    """The table's summary, as flat JSON: gains and losses of the rows whose advice is neither none nor classic, or
    not the better of these."""
    rows = [r for r in finished.values() if r["advised"] != r["better_of_none_and_classic"]]
    gains = [r["gain_on_fresh_seeds"] for r in rows]
    adjusted = holm([r["p"] for r in rows])
    worse = [p for r, p in zip(rows, adjusted, strict=True) if r["gain_on_fresh_seeds"] < 0]
    worst = min(rows, key=lambda r: r["gain_on_fresh_seeds"], default=None)
    use = [r["verdict"] == "use" for s, r in finished.items() if s.helps]
    return {
        "settings": len(finished),
        "settings_on_digits": sum(s.data == "digits" for s in finished),
        "seeds": min((r["seeds"] for r in finished.values()), default=0),
        "advice_differs_from_the_better_baseline": len(rows),
        "significantly_worse": sum(p < 0.05 for p in worse),
        "mean_gain_points": 100 * sum(gains) / len(gains) if gains else None,
        "mean_loss_points": 100 * sum(max(0.0, -gain) for gain in gains) / len(gains) if gains else None,
        "worst_gain_points": None if worst is None else 100 * worst["gain_on_fresh_seeds"],
        "worst_low_points": None if worst is None else 100 * worst["low"],
        "worst_high_points": None if worst is None else 100 * worst["high"],
        "worst_p_uncorrected": None if worst is None else worst["p"],
        "verdict_use": sum(r["verdict"] == "use" for r in finished.values()),
        "settings_that_plainly_help": len(use),
        "of_these_told_to_use": sum(use),
    }


def table_of(finished: dict[Setting, dict[str, Any]]) -> str:
    """The settings that are finished, as Markdown."""
    head = ["data", "labels", "source", "classifier", "verdict", "advised", "on fresh seeds, against"]
    rows = []
    for s, r in finished.items():
        gain = f"{100 * r['gain_on_fresh_seeds']:+.1f} ({100 * r['low']:+.1f} to {100 * r['high']:+.1f})"
        if r["advised"] == r["better_of_none_and_classic"]:
            gain = "–"  # compared with itself
        columns = [s.data, s.labels, s.source, s.classifier, r["verdict"], r["advised"]]
        rows.append([*columns, r["better_of_none_and_classic"], gain.replace("-", "−")])
    return markdown([*head, "gain, points (95%)"], rows)


if __name__ == "__main__":
    main()
