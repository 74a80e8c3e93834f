"""``genaug evaluate``: fidelity, diversity, classifier-based scores and copying of a generator's samples."""

from contextlib import nullcontext
from json import dumps
from pathlib import Path
from typing import Annotated, Any

import typer

from genaug import checks
from genaug.cli.printing import say
from genaug.cli.reading import GroupBy, TestShare, read_data, read_held_out


def evaluate(
    source: Annotated[
        str,
        typer.Argument(
            help="A generator's folder: a run of `genaug train`, or a saved one; or folder:PATH, class folders of "
            "images that were generated before."
        ),
    ],
    data: Annotated[
        str | None,
        typer.Option(
            help="What it was trained on: digits, folder:PATH (train/ and test/ with class folders in them) or "
            "torchvision:NAME (with --root). The test split is the held-out one.  [default: by the run's record, also "
            "--root, --labels-per-class, --training-seed and --image-size]"
        ),
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Where torchvision's files lie; nothing is downloaded.")] = None,
    test_data: Annotated[
        str | None, typer.Option(help="Held-out images, in the forms of --data, where --data has no test split.")
    ] = None,
    test_share: TestShare = None,
    group_by: GroupBy = None,
    labels_per_class: Annotated[
        int | None,
        typer.Option(min=1, max=checks.COUNT, help="As in `genaug train`: it saw this many images a class only."),
    ] = None,
    training_seed: Annotated[
        int | None,
        typer.Option(min=0, max=checks.SEED, help="The --seed that drew these in `genaug train`.  [default: 0]"),
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(
            min=1, max=checks.SIDE, help="Resize the shorter side to this and crop the centre, as in training."
        ),
    ] = None,
    features: Annotated[
        str,
        typer.Option(help="classifier (trained on the same data), pixels, timm:NAME or inception."),
    ] = "classifier",
    n: Annotated[
        int | None,
        typer.Option(
            "--n",
            min=1,
            max=checks.COMPARED,
            help="Images to generate.  [default: as many as real ones, 200 to 10,000]",
        ),
    ] = None,
    classifiers: Annotated[
        int, typer.Option(min=0, max=checks.CLASSIFIERS, help="Classifiers to train on generated images alone.")
    ] = 3,
    updates: Annotated[
        int, typer.Option(min=1, max=checks.COUNT, help="Of every classifier, at 128 images each.")
    ] = 1000,
    seed: Annotated[int, typer.Option(min=0, max=checks.SEED, help="Decides everything random.")] = 0,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, …  [default: a GPU if there is one]")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for evaluation.json and neighbours.png.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the evaluation in --out.")] = False,
    card: Annotated[
        bool, typer.Option("--card", help="Also note the figures beside SOURCE's config.json, for its card on the Hub.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print evaluation.json in place of a table.")] = False,
) -> None:
    """Measure how real, how varied and how useful a generator's images are, and whether it copies its training set."""
    from genaug.artifacts.figures import write_evaluation
    from genaug.artifacts.paths import user_path
    from genaug.cli.run_data import load_recorded, recorded_data
    from genaug.cli.sources import source_named
    from genaug.data.datasets import few_per_class, public_name
    from genaug.errors import InputError, MissingSplitError
    from genaug.evaluation.evaluate import evaluate as measured
    from genaug.evaluation.report import claim_evaluation

    if card and not user_path(source).is_dir():
        raise InputError(f"--card writes into a generator's folder, and {source} is none: genaug pull --out makes one.")
    with nullcontext() if out is None else claim_evaluation(out, overwrite) as claimed:
        judged: Any = None
        if data is None:
            if not source.startswith("folder:"):
                judged = source_named(source, None, image_size, device)
            recorded = recorded_data(source, getattr(judged, "training", None), root)
            recorded = recorded if root is None else recorded.model_copy(update={"root": str(root)})
            real: Any = load_recorded(source, recorded)
            data, root = recorded.data, None if recorded.root is None else Path(recorded.root)
            if labels_per_class is None and recorded.labels_per_class is not None:
                labels_per_class = recorded.labels_per_class
                training_seed = recorded.seed if training_seed is None else training_seed
            image_size = recorded.image_size if image_size is None else image_size
            if test_share not in (None, recorded.test_share) or group_by not in (None, recorded.group_by):
                raise InputError(
                    f"{source} wasn't trained with these --test-share and --group-by, so images that they hold out may "
                    "be among those that it saw. Leave them out, or pass --data as well."
                )
            if test_data is None:
                test_share, group_by = recorded.test_share, recorded.group_by
            say(f"genaug: by its record, {source} was trained on {data}.", err=True)
        else:
            real = read_data(data, root=root, test_share=test_share, group_by=group_by)
        training_seed = training_seed or 0
        judged = judged or source_named(source, real, image_size, device)
        try:
            held_out = read_held_out(data, test_data, root=root, test_share=test_share, group_by=group_by)
        except MissingSplitError as error:
            held_out = None
            say(f"genaug: no held-out images. {error}", err=True)
        if labels_per_class is not None:
            real = few_per_class(real, labels_per_class, training_seed)
        name = public_name(data)
        if labels_per_class is not None:
            name += f", {labels_per_class} a class (seed {training_seed})"
        if test_share is not None:
            name += f", without {test_share:.0%} held out"
        found = measured(
            judged,
            real,
            held_out=held_out,
            features=features,
            n=n,
            image_size=image_size,
            seed=seed,
            classifiers=classifiers,
            updates=updates,
            device=device,
            data=name,
        )
        say(dumps(found.to_dict(), indent=2, allow_nan=False) if as_json else found)
        if card:
            report = found.to_dict()
            figures = {measure: {**figure, "dataset": name} for measure, figure in report["metrics"].items()}
            write_evaluation(user_path(source), figures, report["per_class"])
        if claimed is not None:
            found.write(claimed)
            say(f"In {out}", err=as_json)
