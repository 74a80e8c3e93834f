"""Does a search of a backend's options beat its defaults on seeds that it didn't see, and what does pruning save?

The same search of 20 trials runs with and without pruning. Then the default options and the best ones of both searches
are trained on all training images with three other seeds, and compared by their KID to the test images, in the features
of a classifier that no search used. Sizes of networks are fixed, so that all trainings cost the same.

    python benchmarks/studies/search.py --json

Finished searches and trainings are in benchmarks/results/search.jsonl; --table prints the tables of the docs from these
alone. A search that was interrupted continues in its folder under runs/.
"""

import statistics
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

import genaug
from benchmarks.common.console import arguments, end, finished_rows, markdown, mean_and_range, say
from benchmarks.common.judge import labelled, read, train_judge
from genaug.data.datasets import load_data
from genaug.evaluation import kid
from genaug.evaluation.features import classifier_features
from genaug.randomness import derive_seed

BACKEND, TRIALS, STEPS, UPDATES = "cgan", 20, 2000, 1000
FIXED = {"width": 32, "max_width": 256}
ARMS = {"defaults": None, "search with pruning": True, "search without pruning": False}  # whether trials are pruned


def main(argv: list[str] | None = None) -> None:
    parser = arguments(__doc__, data="digits", seeds=3, record="search")
    parser.add_argument("--search-seed", type=int, default=0, help="of both searches")
    parser.add_argument("--out", type=Path, default=Path("runs/search"))
    options = parser.parse_args(argv)
    seeds = range(1, options.seeds + 1)
    searches = [search_key(options.data, prune, options.search_seed) for prune in (True, False)]
    trainings = [training_key(options.data, arm, options.search_seed, seed) for seed in seeds for arm in ARMS]
    of_searches = finished_rows(options, searches, lambda key: search(key, options.root, options.out))
    configs = {row["prune"]: row["config"] for row in of_searches}
    of_trainings = finished_rows(options, trainings, lambda key: train(key, options.root, configs))
    print(table_of(of_searches, of_trainings))
    end(options, summary(of_searches, of_trainings))


def search_key(data: str, prune: bool, seed: int) -> dict[str, Any]:
    return {"data": data, "backend": BACKEND, "trials": TRIALS, "steps": STEPS, "prune": prune, "search_seed": seed}


def training_key(data: str, arm: str, search_seed: int, seed: int) -> dict[str, Any]:
    return {"data": data, "backend": BACKEND, "arm": arm, "steps": STEPS, "search_seed": search_seed, "seed": seed}


def search(key: dict[str, Any], root: str | None, out: Path) -> dict[str, Any]:
    began = time.process_time()
    folder = out / f"{key['data'].replace(':', '-')}-{key['search_seed']}-{'pruned' if key['prune'] else 'complete'}"
    data = load_data(key["data"], root=root)
    result = genaug.search(
        BACKEND,
        data,
        out=folder,
        trials=key["trials"],
        steps=key["steps"],
        config=FIXED,
        prune=key["prune"],
        seed=key["search_seed"],
        device="cpu",
        resume=folder.exists(),
    )
    say(f"{'with' if key['prune'] else 'without'} pruning: {result.sentence}")
    states = [trial["state"] for trial in result.trials]
    counts = {state: states.count(state) for state in ("complete", "pruned", "failed")}
    figures = {"value": result.value, "default": result.default, "saved_steps": result.saved_steps, **counts}
    return {"config": result.config, **figures, "seconds": round(time.process_time() - began, 1)}


@cache
def judge(data: str, root: str | None) -> Any:
    """Features of a classifier that no search used, and the test images with their labels."""
    (images, labels), (test, test_labels) = map(labelled, read(data, root))
    model = train_judge(images, labels, int(labels.max()) + 1, updates=UPDATES, seed=derive_seed(0, "final judge"))
    return classifier_features(model, "the training images", images), test, test_labels


def train(key: dict[str, Any], root: str | None, configs: dict[bool, dict[str, Any]]) -> dict[str, Any]:
    began = time.process_time()
    prune = ARMS[key["arm"]]
    config = FIXED if prune is None else configs[prune]
    with tempfile.TemporaryDirectory() as folder:
        data = load_data(key["data"], root=root)
        options = {"steps": key["steps"], "seed": key["seed"], "config": config, "device": "cpu", "progress": False}
        generator = genaug.fit(BACKEND, data, out=Path(folder) / "run", **options)
    space, images, labels = judge(key["data"], root)
    samples = generator.sample(labels=labels, seed=derive_seed(key["seed"], "samples"))[0]
    value = kid(space.of(images), space.of(samples))
    say(f"{key['arm']}, seed {key['seed']}: KID {value:.4f}")
    return {"kid": value, "seconds": round(time.process_time() - began, 1)}


def kids(trainings: list[dict[str, Any]], arm: str) -> list[float]:
    return [row["kid"] for row in trainings if row["arm"] == arm]


def table_of(searches: list[dict[str, Any]], trainings: list[dict[str, Any]]) -> str:
    """Mean and range over the seeds, and what the searches cost."""
    lines = []
    for arm, prune in ARMS.items():
        values = kids(trainings, arm)
        if values:
            of_arm = next((row for row in searches if row["prune"] is prune), None)
            saved = "–" if of_arm is None else f"{of_arm['saved_steps']:.0%}"
            mean = mean_and_range(values, ".4f")
            lines.append([arm, mean, "–" if of_arm is None else f"{of_arm['value']:.4f}", saved])
    return markdown(["options", "KID, other seeds", "KID in the search", "steps saved"], lines)


def summary(searches: list[dict[str, Any]], trainings: list[dict[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for arm in ARMS:
        if values := kids(trainings, arm):
            result[f"kid_{arm.replace(' ', '_')}"] = statistics.mean(values)
    for row in searches:
        if row["prune"]:
            result["saved_steps"] = row["saved_steps"]
    return result


if __name__ == "__main__":
    main()
