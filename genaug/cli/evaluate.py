"""``genaug evaluate``: fidelity, diversity, classifier-based scores and copying of a generator's samples."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer


def evaluate(
    source: Annotated[
        str,
        typer.Argument(
            help="A generator's folder: a run of `genaug train`, or a saved one; or folder:PATH, class folders of "
            "images that were generated before."
        ),
    ],
    data: Annotated[
        str,
        typer.Option(
            help="What it was trained on: digits, folder:PATH (train/ and test/ with class folders in them) or "
            "torchvision:NAME (with --root). The test split is the held-out one."
        ),
    ] = "digits",
    root: Annotated[Path | None, typer.Option(help="Where torchvision's files lie; nothing is downloaded.")] = None,
    test_data: Annotated[
        str | None, typer.Option(help="Held-out images, in the forms of --data, where --data has no test split.")
    ] = None,
    labels_per_class: Annotated[
        int | None, typer.Option(min=1, help="As in `genaug train`: it saw this many images a class only.")
    ] = None,
    training_seed: Annotated[int, typer.Option(min=0, help="The --seed that drew these in `genaug train`.")] = 0,
    image_size: Annotated[
        int | None, typer.Option(min=1, help="Resize the shorter side to this and crop the centre, as in training.")
    ] = None,
    features: Annotated[
        str,
        typer.Option(help="classifier (trained on the same data), pixels, timm:NAME or inception."),
    ] = "classifier",
    n: Annotated[
        int | None, typer.Option("--n", help="Images to generate.  [default: as many as real ones, 200 to 10,000]")
    ] = None,
    classifiers: Annotated[int, typer.Option(min=0, help="Classifiers to train on generated images alone.")] = 3,
    updates: Annotated[int, typer.Option(min=1, help="Of every classifier, at 128 images each.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Decides everything random.")] = 0,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, …  [default: a GPU if there is one]")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for evaluation.json and neighbours.png.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the evaluation in --out.")] = False,
    card: Annotated[
        bool, typer.Option("--card", help="Also note the figures beside SOURCE's config.json, for its card on the Hub.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print evaluation.json in place of a table.")] = False,
) -> None:
    """Measure how real, how varied and how useful a generator's images are, and whether it copies its training set."""
    from genaug.cli.sources import source_named
    from genaug.data import few_per_class, load_data, public_name
    from genaug.errors import InputError
    from genaug.evaluation.evaluate import evaluate as measured
    from genaug.evaluation.record import write_evaluation
    from genaug.evaluation.report import claim_evaluation

    if card and not Path(source).is_dir():
        raise InputError(f"--card writes into a generator's folder, and {source} is none: genaug pull --out makes one.")
    with nullcontext() if out is None else claim_evaluation(out, overwrite) as place:
        real: Any = load_data(data, root=root)
        judged = source_named(source, real, image_size, device)
        if test_data is not None:
            held_out: Any = load_data(test_data, root=root)
        else:
            try:
                held_out = load_data(data, split="test", root=root)
            except InputError as error:
                held_out = None
                typer.echo(f"genaug: no held-out images ({error}) Name some with --test-data.", err=True)
        if labels_per_class is not None:
            real = few_per_class(real, labels_per_class, training_seed)
        name = public_name(data)
        if labels_per_class is not None:
            name += f", {labels_per_class} a class (seed {training_seed})"
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
        typer.echo(found.to_json() if as_json else str(found), nl=not as_json)
        if card:
            figures = found.to_dict()["metrics"].items()
            write_evaluation(Path(source), {measure: {**figure, "dataset": name} for measure, figure in figures})
        if place is not None:
            found.write(place)
            typer.echo(f"In {out}", err=as_json)
