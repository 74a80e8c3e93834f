"""Erase and fill in against random erasing, on CIFAR-10 with 100 labels per class.

Both hide parts of the training images. Random erasing (Zhong et al. 2020; torchvision's, half of the images, 2% to 33%
of each) leaves the parts black; a ``context-encoder`` fills blocks of a quarter of each image in with what it expects
there. It is trained once, without labels, on training images that no seed uses, and fills in each seed's own images,
which are a quarter or half of the batch.

Random erasing stands where classic augmentation stands in other studies: as a baseline, and together with the source.
There is no other augmentation. Five paired seeds with disjoint training images; the classifier is the small ResNet of
photos_low_label.py. All arms are scored on the test set; only the one that was chosen on the inner splits counts for
the verdict.

    OMP_NUM_THREADS=1 python benchmarks/studies/erased.py --root CIFAR_ROOT --json

CIFAR_ROOT has class folders under train/ and test/. Finished cells are in benchmarks/results/erased.jsonl; a run
continues where the last one stopped, and so does the training. --table prints the study as Markdown. Nothing was tuned.
"""

from functools import partial
from typing import Any

from torch import Tensor
from torchvision.transforms import v2

import genaug
from benchmarks.common.console import end, say
from benchmarks.common.record import Record
from benchmarks.studies.photos_low_label import SmallResNet, WithoutLabels, results_of, table_of
from benchmarks.studies.tracked import recorded, report_of, rest_of, study_arguments, tracked
from genaug.data import few_per_class, load_data
from genaug.sources.variations import Variations

NAME = "erased"
STUDY = "100 labels, erased and filled in"
LABELS, RESERVED_PER_CLASS = 100, 500  # for a seed, and for all of them
RATIOS = (0.25, 0.5)
STEPS = 4000
CONFIG: dict[str, Any] = {}  # blocks of a quarter of each image: the defaults


def random_erasing(image: Tensor) -> Tensor:
    """The baseline's transform of one image."""
    return v2.RandomErasing()(image)  # type: ignore[no-any-return]


def filled_in(images: Any, seed: int, *, generator: genaug.Generator) -> Variations:
    """The source of one seed: its own images, erased and filled in."""
    return genaug.erase_and_fill(generator, images)


def main(argv: list[str] | None = None) -> None:
    options = study_arguments(__doc__, NAME, seeds=5, updates=600).parse_args(argv)
    record = Record(options.results)
    if options.table:
        report = report_of(*recorded(record, STUDY))
        finished = {} if report is None else {STUDY: report}
        print("\n\n".join(table_of(name, report) for name, report in finished.items()))
        end(options, results_of(finished))
        return
    train, test = (load_data(f"folder:{options.root}", split=split) for split in ("train", "test"))
    used = few_per_class(train, RESERVED_PER_CLASS)
    place = options.out / "context-encoder"
    generator = genaug.fit(
        "context-encoder",
        WithoutLabels(rest_of(train, used)),
        out=place,
        steps=STEPS,
        config=CONFIG,
        device="cpu",
        precision="float32",
        threads=1,
        resume=place.exists(),
    )
    with tracked(record, STUDY, options.out / "study"):
        report = genaug.study(
            used,
            test,
            sources={"filled": partial(filled_in, generator=generator)},
            ratios=RATIOS,
            seeds=options.seeds,
            labels_per_class=LABELS,
            classifier=SmallResNet,
            classic=random_erasing,
            updates=options.updates,
            device="cpu",
            workers=options.workers,
            explore=True,
            out=options.out / "study",
            resume=True,
        )
    say(report.sentence)
    end(options, results_of({STUDY: report}))


if __name__ == "__main__":
    main()
