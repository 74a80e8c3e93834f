"""CIFAR-10 with few labels: which generators help a small ResNet that already trains with its usual augmentation?

Five paired seeds with disjoint training images; 10 or 100 labels per class. The sources are

* pretrained: ``cgan``, ``mad-gan`` and ``r3gan``, each trained once, with labels, on training images that no seed uses;
* unlabelled: a ``cgan`` trained once on the same images without labels, whose samples each seed labels with its own few
  images (``with_labels``);
* own images: a ``cgan`` trained for every seed on that seed's images alone, at 10 labels per class.

The classifier is timm's ResNet with one block per stage, for 32x32 images; classic augmentation is the usual random
crop and horizontal flip. Each study's arms are all scored on the test set; only the one that was chosen on the inner
splits counts for the verdict.

    python benchmarks/studies/photos_low_label.py --root CIFAR_ROOT --json

CIFAR_ROOT has class folders under train/ and test/. Finished cells are in benchmarks/results/photos_low_label.jsonl;
a run continues where the last one stopped, and so do the trainings of the generators. --train trains one generator and
ends, so that two processes can share the work; --table prints the finished studies as Markdown.
"""

import argparse
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.utils.data import Dataset
from torchvision.transforms import v2

import genaug
from benchmarks.common.console import end, markdown, plain, say
from benchmarks.common.record import Record
from benchmarks.studies.gains import gain_of, in_points
from benchmarks.studies.tracked import recorded, report_of, rest_of, study_arguments, tracked
from genaug.data import few_per_class, load_data
from genaug.sources.source import Source
from genaug.studies import Recipe
from genaug.studies.report import Report

GENERATORS: dict[str, dict[str, Any]] = {
    "cgan": {"backend": "cgan", "config": {"classifier_weight": 0.1}, "steps": 6000},
    "mad-gan": {"backend": "mad-gan", "config": {"generators": 3}, "steps": 6000},
    "r3gan": {"backend": "r3gan", "config": {}, "steps": 6000},
    "unlabelled": {"backend": "cgan", "config": {"conditional": False}, "steps": 6000},
}
STUDIES: dict[str, tuple[int, tuple[str, ...]]] = {
    "10 labels, pretrained": (10, ("cgan", "mad-gan", "r3gan")),
    "10 labels, unlabelled": (10, ("unlabelled",)),
    "10 labels, own images": (10, ("own",)),
    "100 labels, pretrained": (100, ("cgan", "mad-gan", "r3gan")),
    "100 labels, unlabelled": (100, ("unlabelled",)),
}
RESERVED_PER_CLASS = 500  # for the seeds; the generators train on the others
OWN = Recipe("cgan", steps=1500, augment=("color", "translation"), config={"width": 16, "max_width": 128})
MAX_WRONG = 0.3  # of the labels that a seed gives to the samples of the unlabelled generator
CLASSIC = v2.Compose([v2.RandomCrop(32, padding=4), v2.RandomHorizontalFlip()])


class SmallResNet(nn.Module):
    """timm's ResNet with one basic block per stage and a stem that halves 32x32 images once; 0.3 M parameters."""

    def __init__(self, shape: tuple[int, ...], num_classes: int) -> None:
        super().__init__()
        from timm.models.resnet import BasicBlock, ResNet

        self.net = ResNet(
            BasicBlock,
            (1, 1, 1, 1),
            num_classes=num_classes,
            in_chans=shape[0],
            channels=(16, 32, 64, 128),
            stem_width=8,
            stem_type="deep",
        )
        self.net.maxpool = nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images * 2 - 1)  # type: ignore[no-any-return]


class WithoutLabels(Dataset[Any]):
    """The images of a dataset."""

    def __init__(self, dataset: Dataset[Any]) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Any:
        return self.dataset[index][0]


def labelled_by_seed(images: Any, seed: int, *, generator: genaug.Generator) -> Source:
    """The samples of a generator without labels, labelled by a classifier of one seed's images."""
    return genaug.with_labels(
        generator, images, method="classifier", max_wrong=MAX_WRONG, augment=("affine", "color"), seed=seed
    )


def main() -> None:
    parser = study_arguments(__doc__, "photos_low_label", seeds=5, updates=600)
    parser.add_argument("--study", choices=STUDIES, action="append", help="which studies; all by default")
    parser.add_argument("--train", choices=GENERATORS, help="train this generator, and end")
    options = parser.parse_args()
    names = options.study or list(STUDIES)
    if options.table:
        reports = {name: report_of(*recorded(Record(options.results), name)) for name in names}
        finished = {name: report for name, report in reports.items() if report is not None}
        print("\n\n".join(table_of(name, report) for name, report in finished.items()))
        end(options, results_of(finished))
        return
    if not options.root:
        parser.error("--root is needed: a folder with CIFAR-10's class folders under train/ and test/")
    train, test = (load_data(f"folder:{options.root}", split=split) for split in ("train", "test"))
    used = few_per_class(train, RESERVED_PER_CLASS)
    trained = partial(trained_once, images=rest_of(train, used), options=options)
    if options.train:
        trained(options.train)
        return
    finished = {}
    for name in names:
        labels, sources = STUDIES[name]
        say(name)
        folder = options.out / plain(name).replace(",", "")
        with tracked(Record(options.results), name, folder):
            finished[name] = genaug.study(
                used,
                test,
                sources={source: source_of(source, trained) for source in sources},
                ratios=(0.5, 0.8),
                seeds=options.seeds,
                labels_per_class=labels,
                classifier=SmallResNet,
                classic=CLASSIC,
                updates=options.updates,
                device="cpu",
                workers=options.workers,
                explore=True,
                out=folder,
                resume=True,
            )
        say(f"{name}: {finished[name].sentence}")
    end(options, results_of(finished))


def trained_once(name: str, *, images: Dataset[Any], options: argparse.Namespace) -> genaug.Generator:
    """A generator that is trained on images that no seed uses; an interrupted training continues."""
    settings, out = GENERATORS[name], options.out / name
    return genaug.fit(
        settings["backend"],
        WithoutLabels(images) if name == "unlabelled" else images,
        out=out,
        steps=settings["steps"],
        config=settings["config"],
        device="cpu",
        precision="float32",
        threads=1,
        resume=out.exists(),
    )


def source_of(name: str, trained: Any) -> Any:
    """What a study takes as this source."""
    if name == "own":
        return OWN
    generator = trained(name)
    return partial(labelled_by_seed, generator=generator) if name == "unlabelled" else generator


def rows_of(report: Report) -> list[dict[str, Any]]:
    """Each arm's accuracy on the test set, in percent, and its gain over classic augmentation."""
    rows: list[dict[str, Any]] = []
    for arm in report.details["scores"]["test"]:
        accuracies = report.scores(arm)
        gain = None if arm == "classic" else gain_of(report, arm, "classic")
        rows.append({"arm": arm, "accuracy": 100 * sum(accuracies) / len(accuracies), "gain": gain})
    return rows


def table_of(name: str, report: Report) -> str:
    """A study's arms, as Markdown."""
    chosen = (report.details["chosen"] or {"name": None})["name"]
    rows = []
    for row in rows_of(report):
        marked = f"**{row['arm']}**" if row["arm"] == chosen else row["arm"]
        rows.append([marked, f"{row['accuracy']:.1f}%", in_points(row["gain"])])
    head = ["arm", "test accuracy", "gain over classic, points (95%)"]
    failures = {f"{f['arm']}: {f['error']}" for f in report.details["failures"]}
    return "\n\n".join([f"{name}: {report.verdict}", markdown(head, rows), *sorted(failures)])


def results_of(finished: dict[str, Report]) -> dict[str, Any]:
    """The results of the studies, as flat JSON."""
    results: dict[str, Any] = {}
    for name, report in finished.items():
        key = plain(name.replace(",", ""))
        results |= {f"{key}_verdict": report.verdict, f"{key}_hours": report.details["seconds"] / 3600}
        for row in rows_of(report):
            results[f"{key}_accuracy_{plain(row['arm'])}"] = row["accuracy"]
    return results


if __name__ == "__main__":
    main()
