"""Black-and-white digits: boundary-seeking importance weights against straight-through gradients, in the same networks.

Both ways train a cgan with binary pixels for the same number of steps. For each seed: KID to thresholded test images
in the features of a classifier of thresholded training images, the share of samples whose label it confirms, and the
diversity within the classes, relative to the real images'.

    python benchmarks/papers/boundary.py --json
    python benchmarks/papers/boundary.py --data torchvision:MNIST --root MNIST_ROOT --json

Settings were tried on seeds of 100 and above. Finished seeds are in benchmarks/results/boundary.jsonl; --table prints
the table of the docs from these alone.
"""

import statistics
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

from torch import Tensor

import genaug
from benchmarks.common.console import arguments, end, finished_rows, markdown, mean_and_range, say, seeds_of
from benchmarks.common.judge import labelled, read, train_judge
from genaug.evaluation import kid
from genaug.evaluation.features import classifier_features
from genaug.modalities.distance import within_class_distance
from genaug.nn.classifier import predict
from genaug.randomness import derive_seed
from genaug.studies.splits import LabelledSamples

STEPS, UPDATES = 3000, 1000
SIZES = {"width": 32, "max_width": 256}
ARMS: dict[str, dict[str, Any]] = {
    "importance weights": {"loss": "boundary_seeking", "binary": True},
    "straight-through": {"loss": "nonsaturating", "binary": True},
    "straight-through, relativistic": {"loss": "relativistic", "binary": True},
}
FIGURES = {"kid": "KID", "agreement": "labels confirmed", "diversity": "diversity"}


def main(argv: list[str] | None = None) -> None:
    parser = arguments(__doc__, data="digits", seeds=3, first_seed=True, record="boundary")
    options = parser.parse_args(argv)
    keys = [key_of(options.data, arm, seed) for seed in seeds_of(options) for arm in ARMS]
    rows = finished_rows(options, keys, lambda key: run(key, options.root))
    print(table_of(rows))
    end(options, summary(rows))


def key_of(data: str, arm: str, seed: int) -> dict[str, Any]:
    return {"data": data, "arm": arm, "steps": STEPS, "seed": seed}


def threshold(images: Tensor) -> Tensor:
    """Pixels of 0 and 255, whichever is nearer."""
    return (images > 127).to(images.dtype) * 255


@cache
def material(data: str, root: str | None) -> tuple[LabelledSamples, Any, Any, Tensor, Tensor]:
    """The training set, the judge, its features, and the test images with their labels, all of them thresholded."""
    (images, labels), (test, test_labels) = map(labelled, read(data, root))
    images, test = threshold(images), threshold(test)
    judge = train_judge(images, labels, int(labels.max()) + 1, updates=UPDATES, seed=derive_seed(0, "judge"))
    space = classifier_features(judge, "thresholded training images", images)
    return LabelledSamples(images, labels, None), judge, space, test, test_labels


def run(key: dict[str, Any], root: str | None) -> dict[str, Any]:
    began = time.process_time()
    train, judge, space, test, labels = material(key["data"], root)
    options = {"steps": key["steps"], "seed": key["seed"], "device": "cpu", "config": {**SIZES, **ARMS[key["arm"]]}}
    with tempfile.TemporaryDirectory() as folder:
        generator = genaug.fit("cgan", train, out=Path(folder) / "run", progress=False, **options)
    samples = generator.sample(labels=labels, seed=derive_seed(key["seed"], "samples"))[0]
    real, drawn = (images.flatten(1).float().div(255) for images in (test, samples))
    figures = {
        "kid": kid(space.of(test), space.of(samples)),
        "agreement": float((predict(judge, samples) == labels).float().mean()),
        "diversity": within_class_distance(drawn, labels) / within_class_distance(real, labels),
    }
    say(f"{key['arm']}, seed {key['seed']}: " + ", ".join(f"{name} {value:.4f}" for name, value in figures.items()))
    return {**figures, "seconds": round(time.process_time() - began, 1)}


def table_of(rows: list[dict[str, Any]]) -> str:
    """Mean and range over the seeds."""
    lines = []
    for arm in ARMS:
        of_arm = [row for row in rows if row["arm"] == arm]
        if of_arm:
            values = {name: [row[name] for row in of_arm] for name in FIGURES}
            cells = [mean_and_range(v, ".3f") for v in values.values()]
            lines.append([arm, *cells])
    return markdown(["gradient", *FIGURES.values()], lines)


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {"rows": len(rows)}
    for arm in ARMS:
        of_arm = [row for row in rows if row["arm"] == arm]
        if of_arm:
            name = arm.replace(",", "").replace(" ", "_").replace("-", "_")
            result[f"{name}_kid"] = statistics.mean(row["kid"] for row in of_arm)
            result[f"{name}_least_diversity"] = min(row["diversity"] for row in of_arm)
    return result


if __name__ == "__main__":
    main()
