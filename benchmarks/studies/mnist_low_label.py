"""MNIST with few labels: does a generator help that was trained on the same few images, or one trained on many others?

Three studies over paired seeds with disjoint training images: 1% of the labels (60 per class), 10 labels per class, and
10 labels per class with a generator trained before on the MNIST training images that no seed uses (declared
pretrained). Each reports the verdict and how much of the error generated images remove, without and with classic
augmentation. The classifier is LeNet.

    python benchmarks/studies/mnist_low_label.py --root MNIST_ROOT --json

Finished cells are in benchmarks/results/mnist_low_label.jsonl; a run continues where the last one stopped, with the
same torch and processor. --table prints the finished studies from these cells alone.
"""

import argparse
from typing import Any

from torch.utils.data import Subset

import genaug
from benchmarks.common.console import end, say
from benchmarks.common.record import Record
from benchmarks.studies.lenet import LeNet
from benchmarks.studies.tracked import hours, recorded, report_of, rest_of, study_arguments, tracked
from genaug.data import few_per_class, load_data
from genaug.studies import Recipe
from genaug.studies.report import Report
from genaug.studies.study_figures import study_rows

SMALL_GAN = {"width": 16, "max_width": 128}  # trained for every seed; twice as wide was no better when tuned
STUDIES = {"1 %": 60, "10 a class": 10, "10 a class, pretrained": 10}


def main() -> None:
    parser = study_arguments(__doc__, "mnist_low_label", seeds=10, updates=500)
    parser.add_argument("--study", choices=STUDIES, action="append", help="which studies; all by default")
    parser.add_argument("--steps", type=int, default=1500, help="of the generators trained on the same few images")
    parser.add_argument("--pretrain-steps", type=int, default=3000)
    options = parser.parse_args()
    if options.table:
        results: dict[str, Any] = {}
        for name in options.study or STUDIES:
            report = report_of(*recorded(Record(options.results), name))
            if report is not None:
                results |= summarize(name, report)
                print(
                    *("; ".join(row).replace("\n", " ") for row in [[name], *study_rows(report.details)[1]]), sep="\n"
                )
        end(options, results)
        return
    if not options.root:
        parser.error("--root is needed to run the studies: a folder with torchvision's MNIST")

    train, test = (load_data("torchvision:MNIST", split=split, root=options.root) for split in ("train", "test"))
    result: dict[str, Any] = {}
    for name in options.study or STUDIES:
        settings: dict[str, Any] = {"labels_per_class": STUDIES[name], "seeds": options.seeds, "device": "cpu"}
        settings |= {"classifier": LeNet, "updates": options.updates}
        images = train
        if name.endswith("pretrained"):
            images = few_per_class(train, STUDIES[name] * options.seeds)  # the seeds share these out; the rest trained
            if options.estimate:
                say(f"{name}: without the generator, {options.pretrain_steps} steps once, which isn't estimated")
                source: Any = Recipe("cgan", steps=1)
            else:
                source = pretrained(train, images, options)
        else:
            source = Recipe("cgan", options.steps, config=SMALL_GAN)
        settings["sources"] = {"cgan": source}
        say(f"{name}: a full run costs about {hours((images, test), settings, 2):.1f} hours of one core here")
        if not options.estimate:
            result |= run(name, images, test, settings, options)
    if not options.estimate:
        end(options, result)


def pretrained(train: Any, used: Subset[Any], options: argparse.Namespace) -> genaug.Generator:
    """A generator of the training images that no seed of the study uses."""
    rest, out, steps = rest_of(train, used), options.out / "pretrained", options.pretrain_steps
    return genaug.fit("cgan", rest, out=out, steps=steps, device="cpu", resume=out.exists(), precision="float32")


def run(name: str, train: Any, test: Any, settings: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    folder = options.out / name.replace(" ", "-").replace(",", "").replace("%", "pc")
    with tracked(Record(options.results), name, folder):
        report = genaug.study(train, test, **settings, out=folder, resume=True, workers=options.workers)
    return summarize(name, report)


def summarize(name: str, report: Report) -> dict[str, Any]:
    """The results of a study, as flat JSON."""
    say(f"{name}: {report.sentence}")
    ratio = (report.details["chosen"] or {"ratio": 0})["ratio"]
    key = {"1 %": "one_percent", "10 a class": "ten", "10 a class, pretrained": "ten_pretrained"}[name]
    result: dict[str, Any] = {
        f"{key}_verdict": report.verdict,
        f"{key}_ratio_tested": ratio,
        f"{key}_seeds": len(report.details["settings"]["seeds"]),
        f"{key}_hours": report.details["seconds"] / 3600,
    }
    pairs = {"classic_over_none": ("classic", "none")}
    if ratio:  # else no arm with generated images could be chosen: all of them failed
        pairs["generated_over_none"] = (f"cgan {ratio:g}", "none")
        pairs["both_over_classic"] = (f"classic + cgan {ratio:g}", "classic")
    for pair, (arm, base) in pairs.items():
        reduction = report.error_reduction(arm, base)
        for bound in ("mean", "low", "high"):
            result[f"{key}_error_reduction_{pair}_{bound}"] = getattr(reduction, bound)
        errors = [100 * (1 - sum(report.scores(a)) / len(report.scores(a))) for a in (base, arm)]
        result[f"{key}_error_percent_{base}"], result[f"{key}_error_percent_{pair.split('_')[0]}"] = errors
    return result


if __name__ == "__main__":
    main()
