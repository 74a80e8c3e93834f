"""``genaug evaluate``: fidelity, diversity, classifier-based scores and copying of generated samples."""

from contextlib import nullcontext
from json import dumps
from pathlib import Path
from typing import Annotated, Any

import typer

from genaug import checks
from genaug.cli.printing import say
from genaug.cli.reading import GroupBy, TestShare, read_data, read_held_out
from genaug.cli.sources import SOURCE, SourceOptions, source_named
from genaug.cli.threads import Threads, running_on


def evaluate(
    source: Annotated[
        str,
        typer.Argument(
            help=f"What is evaluated: {SOURCE}; or folder:PATH, class folders of generated "
            "images; or table:FILE, a CSV or Parquet file of generated rows; or series:FILE, an "
            "archive of generated series."
        ),
    ],
    setting: SourceOptions = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="The training data: digits, folder:PATH (with class folders in train/ and test/), table:FILE.csv "
            "(with --target), series:FILE.npz or .ts, or torchvision:NAME (with --root). The test split is held out.  "
            "[default: from the run's record, as for --target, --root, --labels-per-class, --training-seed and "
            "--image-size]"
        ),
    ] = None,
    target: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The column of table:FILE.csv that has the classes.")
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Folder with torchvision's files; nothing is downloaded.")] = None,
    test_data: Annotated[
        str | None,
        typer.Option(help="Held-out images, rows or series, in the forms of --data, if --data has no test split."),
    ] = None,
    test_share: TestShare = None,
    group_by: GroupBy = None,
    labels_per_class: Annotated[
        int | None,
        typer.Option(min=1, max=checks.COUNT, help="As in `genaug train`: the number of training images per class."),
    ] = None,
    training_seed: Annotated[
        int | None,
        typer.Option(min=0, max=checks.SEED, help="The --seed of `genaug train`, which selects them.  [default: 0]"),
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(
            min=1, max=checks.SIDE, help="Resize the shorter side to this and crop the center, as in training."
        ),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            help="How images are compared: classifier (trained on the same data), pixels, timm:NAME or inception.  "
            "[default: classifier]"
        ),
    ] = None,
    n: Annotated[
        int | None,
        typer.Option(
            "--n",
            min=200,
            max=checks.COMPARED,
            help="Images, rows or series to generate.  [default: the number of real ones, up to 10,000]",
        ),
    ] = None,
    classifiers: Annotated[
        int,
        typer.Option(
            min=0,
            max=checks.CLASSIFIERS,
            help="Classifiers to train on generated images only; for tables, sets of generated rows to train them "
            "on; for series, also judges and predictors.",
        ),
    ] = 3,
    updates: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=checks.COUNT,
            help="Updates of every classifier of images or series, with batches of 128.  [default: 1000]",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=checks.SEED, help="Determines all random choices.")] = 0,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, …  [default: a GPU if there is one]")] = None,
    threads: Threads = None,
    out: Annotated[Path | None, typer.Option(help="Folder for evaluation.json, report.html and a picture.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the evaluation in --out.")] = False,
    card: Annotated[
        bool, typer.Option("--card", help="Also write the figures into SOURCE's folder, for its model card.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print evaluation.json instead of a table.")] = False,
) -> None:
    """Measure how realistic, diverse and useful generated samples are, and whether they copy training data."""
    from genaug.artifacts.figures import write_evaluation
    from genaug.artifacts.paths import user_path
    from genaug.cli.run_data import RunData, load_recorded, recorded_data
    from genaug.data.datasets import few_per_class, public_name
    from genaug.errors import InputError, MissingSplitError
    from genaug.evaluation.evaluate import evaluate as measure
    from genaug.evaluation.report import claim_evaluation
    from genaug.searches.split import without_held_out

    if card and not user_path(source).is_dir():
        raise InputError(
            f"--card writes into the folder of a generator or a recipe, but {source} isn't one. `genaug pull --out` "
            "and `genaug recipe` create one."
        )
    claiming = nullcontext() if out is None else claim_evaluation(out, overwrite)
    with claiming as claimed, running_on(threads, device):
        judged: Any = None
        if data is None:
            if not source.startswith(("folder:", "series:", "table:")):
                judged = source_named(source, device, setting)
            record = recorded_data(source, getattr(judged, "training", None), root)
            if test_share not in (None, record.test_share) or group_by not in (None, record.group_by):
                raise InputError(
                    f"{source} wasn't trained with these --test-share and --group-by, so it may have been trained on "
                    "images that they hold out. Leave them out, or pass --data as well."
                )
            options = {
                "root": None if root is None else str(root),
                "target": target,
                "labels_per_class": labels_per_class,
                "seed": training_seed if labels_per_class is None else training_seed or 0,
                "image_size": image_size,
            }
            record = record.model_copy(update={name: value for name, value in options.items() if value is not None})
            real: Any = load_recorded(source, record)
            if test_data is not None:
                record = record.model_copy(update={"test_share": test_share, "group_by": group_by})
            say(f"genaug: according to its record, {source} was trained on {record.data}.", err=True)
        else:
            real = read_data(data, root=root, test_share=test_share, group_by=group_by, target=target)
            record = RunData(
                data=data,
                root=None if root is None else str(root),
                labels_per_class=labels_per_class,
                test_share=test_share,
                group_by=group_by,
                target=target,
                seed=training_seed or 0,
                image_size=image_size,
            )
        judged = judged or source_named(
            source, device, setting, like=real, image_size=record.image_size, target=record.target
        )
        try:
            held_out = read_held_out(
                record.data,
                test_data,
                root=None if record.root is None else Path(record.root),
                test_share=record.test_share,
                group_by=record.group_by,
                target=record.target,
            )
        except MissingSplitError as error:
            held_out = None
            say(f"genaug: no held-out data. {error}", err=True)
        name = public_name(record.data)
        if record.labels_per_class is not None:
            real = few_per_class(real, record.labels_per_class, record.seed)
            name += f", {record.labels_per_class} per class (seed {record.seed})"
        if record.keep == "best":
            real = without_held_out(real, record.image_size)
            name += ", without the part held out to keep the best"
        if record.test_share is not None:
            name += f", without {record.test_share:.0%} held out"
        evaluation = measure(
            judged,
            real,
            held_out=held_out,
            features=features,
            n=n,
            image_size=record.image_size,
            seed=seed,
            classifiers=classifiers,
            updates=updates,
            device=device,
            data=name,
        )
        report = evaluation.to_dict()
        say(dumps(report, indent=2, allow_nan=False) if as_json else evaluation)
        if card:
            figures = {metric: {**figure, "dataset": name} for metric, figure in report["metrics"].items()}
            write_evaluation(user_path(source), figures, report["per_class"])
        if claimed is not None:
            evaluation.write(claimed)
            say(f"In {out}", err=as_json)
