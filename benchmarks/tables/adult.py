"""Train on generated rows, test on real ones: the census table (UCI Adult), as SDGym measures it.

A generator is trained on the 32,561 training rows; as many generated rows with the same labels train four classifiers,
which are tested on the 16,281 test rows. The score is F1 of the positive class (an income above 50,000), averaged over
the classifiers: a decision tree of depth 15, logistic regression, AdaBoost, and a network with 50 units. Beside it: the
same with the real training rows, and the measures of genaug.evaluate.

    OMP_NUM_THREADS=1 python benchmarks/tables/adult.py --root ADULT_ROOT --json

ADULT_ROOT has adult-train.csv and adult-test.csv of the UCI repository, without headers. Finished seeds are in
benchmarks/results/adult.jsonl, from where a later call continues. --ctgan-python adds the ctgan package, if it is
installed in the environment of that interpreter: it is trained in a process of its own, in the same call, with as many
threads. Its licence isn't an open-source one, so that nothing here depends on it.

Settings are tuned on a fifth of the training rows: seeds of 100 and above never see the test rows.
"""

import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd

import genaug
from benchmarks.common.console import arguments, cost, end, markdown, parse_settings, say
from benchmarks.common.record import RESULTS, TUNING, Record
from benchmarks.tables import census
from genaug.data import TableDataset
from genaug.randomness import derive_seed

STEPS = {"tvae": 4000, "wgan-gp-table": 4000}
BATCH, EPOCHS = 500, 300  # the ctgan package's own
MEASURES = ("marginals", "association", "detection_auc", "closest_record", "violations")
_CTGAN = """
import sys, time, pandas, torch, ctgan
rows, out, epochs, seed, target = sys.argv[1:]
torch.set_num_threads(1)
torch.manual_seed(int(seed))
import numpy; numpy.random.seed(int(seed))
frame = pandas.read_pickle(rows) if rows.endswith('.pkl') else pandas.read_csv(rows, keep_default_na=False)
began, processor = time.perf_counter(), time.process_time()
model = ctgan.CTGAN(epochs=int(epochs), enable_gpu=False)
categories = [name for name in frame if not pandas.api.types.is_numeric_dtype(frame[name])]
model.fit(frame, categories)
clock, processor = time.perf_counter() - began, time.process_time() - processor
model.sample(len(frame)).to_csv(out, index=False)
print(clock, processor, ctgan.__version__)
"""


def main(argv: list[str] | None = None) -> None:
    parser = arguments(__doc__, seeds=5)
    parser.add_argument("--root", help="folder of the two files")
    parser.add_argument("--methods", nargs="+", default=["real", *STEPS], help="real, tvae, wgan-gp-table, ctgan")
    parser.add_argument("--first-seed", type=int, default=0, help="tune on seeds of 100 and above")
    parser.add_argument("--steps", type=int, help=f"of the backends; by default {STEPS}")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="options of the backends")
    parser.add_argument("--ctgan-python", help="an interpreter that has the ctgan package")
    parser.add_argument("--ctgan-epochs", type=int, default=EPOCHS, help=f"by default {EPOCHS}")
    parser.add_argument("--results", type=Path, default=RESULTS / "adult.jsonl")
    parser.add_argument("--table", action="store_true", help="only print the table of the finished seeds")
    options = parser.parse_args(argv)
    methods = [*options.methods, *(["ctgan"] if options.ctgan_python and "ctgan" not in options.methods else [])]
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    keys = [key_of(method, seed, options) for seed in seeds for method in methods]
    record = Record(options.results)
    if options.table:
        rows = [row for key in keys if (row := record.done(key)) is not None]
    else:
        rows = record.finish(keys, lambda key: run(key, options))
        say(f"{len(rows)} rows like these take {cost(statistics.mean(row['seconds'] for row in rows), len(rows))}")
    print(table_of(rows))
    end(options, summary(rows))


def key_of(method: str, seed: int, options: Any = None) -> dict[str, Any]:
    """The settings of a run; by default those of the reported ones."""
    if method == "real":
        return {"method": method, "seed": seed}
    if method == "ctgan":
        return {"method": method, "epochs": EPOCHS if options is None else options.ctgan_epochs, "seed": seed}
    steps = STEPS[method] if options is None or options.steps is None else options.steps
    config = {} if options is None else parse_settings(options.set)
    return {"method": method, "steps": steps, "batch_size": BATCH, "config": config, "seed": seed}


def run(key: dict[str, Any], options: Any) -> dict[str, Any]:
    began, seed, method = time.perf_counter(), key["seed"], key["method"]
    train, test = census.read(options.root)
    if seed >= TUNING:
        train, test = census.tuning_split(train)
    encoder = census.Encoder(train)
    result: dict[str, Any] = {}
    if method == "real":
        frame = train
    elif method == "ctgan":
        frame, result = with_ctgan(options.ctgan_python, train, key["epochs"], seed)
    else:
        frame, result = with_backend(key, train)
    result |= census.f1_scores(frame, test, encoder, seed)
    if method != "real":
        result |= measures(frame, train, test, seed)
    say(f"{method}, seed {seed}: " + ", ".join(f"{name} {value}" for name, value in result.items()))
    return {**result, "seconds": round(time.perf_counter() - began, 1)}


def with_backend(key: dict[str, Any], train: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Any]]:
    """As many generated rows, and the times of the training."""
    dataset = TableDataset(train, census.TARGET)
    with tempfile.TemporaryDirectory() as folder:
        began, processor = time.perf_counter(), time.process_time()
        generator = genaug.fit(
            key["method"],
            dataset,
            out=f"{folder}/run",
            steps=key["steps"],
            batch_size=key["batch_size"],
            config=key["config"],
            seed=key["seed"],
            device="cpu",
            threads=1,
            checkpoint_every=key["steps"],
            progress=False,
        )
        times = {"train": time.perf_counter() - began, "train_processor": time.process_time() - processor}
    frame, _ = generator.sample(labels=dataset.targets, seed=derive_seed(key["seed"], "samples"))
    return frame, {name: round(value, 1) for name, value in times.items()}


def with_ctgan(python: str | None, train: pd.DataFrame, epochs: int, seed: int) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The same with the ctgan package at its defaults, in another process."""
    if python is None:
        raise SystemExit("The method ctgan needs --ctgan-python.")
    with tempfile.TemporaryDirectory() as folder:
        rows, out = f"{folder}/train.csv", f"{folder}/samples.csv"
        train.fillna("?").to_csv(rows, index=False)
        command = [python, "-c", _CTGAN, rows, out, str(epochs), str(seed), census.TARGET]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        clock, processor, version = done.stdout.split()[-3:]
        frame = pd.read_csv(out, na_values="?", keep_default_na=False)
    return frame, {"train": round(float(clock), 1), "train_processor": round(float(processor), 1), "version": version}


def measures(frame: pd.DataFrame, train: pd.DataFrame, test: pd.DataFrame, seed: int) -> dict[str, float]:
    """Those of ``genaug.evaluate``, and the values of the test rows, which end in "_real"."""
    generated, real, held_out = (
        TableDataset(rows, census.TARGET, normalization="quantiles") for rows in (frame, train, test)
    )
    pool = genaug.SamplePool.from_dataset(generated)
    evaluation = genaug.evaluate(
        pool, real, held_out=held_out, classifiers=0, replicates=0, seed=seed, device="cpu", progress=False
    )
    result = {}
    for name in MEASURES:
        measure = evaluation.metrics[name]
        result[name] = round(measure.value, 4)
        if measure.reference is not None:
            result[f"{name}_real"] = round(measure.reference, 4)
    result["exact_copies"] = round(float(evaluation.metrics["copying"].details["exact"]), 5)
    return result


def table_of(rows: list[dict[str, Any]]) -> str:
    """Mean and range over the seeds."""
    head = ["trained on", "seeds", "F1", "detection AUC", "marginals", "closest record", "training"]
    lines = []
    for method in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == method]
        cells = [f"{_mean(own, 'f1'):.3f} ({min(r['f1'] for r in own):.3f} to {max(r['f1'] for r in own):.3f})"]
        cells += [_cell(own, name) for name in ("detection_auc", "marginals", "closest_record")]
        cells.append("–" if method == "real" else f"{_mean(own, 'train_processor') / 60:.1f} min")
        lines.append([method, str(len(own)), *cells])
    return markdown(head, lines)


def _cell(rows: list[dict[str, Any]], name: str) -> str:
    return f"{_mean(rows, name):.3f}" if all(name in row for row in rows) else "–"


def _mean(rows: list[dict[str, Any]], name: str) -> float:
    return statistics.mean(row[name] for row in rows)


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {"script": "adult", "rows": len(rows)}
    for method in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == method]
        result[f"{method.replace('-', '_')}_f1"] = round(_mean(own, "f1"), 4)
        result[f"{method.replace('-', '_')}_seeds"] = len(own)
    return result


if __name__ == "__main__":
    main()
