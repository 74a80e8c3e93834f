"""``genaug search``: the options with which a backend's generator is best on your images."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from genaug import checks
from genaug.cli.printing import console, say, table
from genaug.cli.reading import GroupBy, TestShare, read_data
from genaug.cli.settings import parse_settings


def search(
    backend: Annotated[str, typer.Argument(help="The backend; `genaug plugins` lists them.", metavar="BACKEND")],
    data: Annotated[
        str, typer.Option(help="The training images: digits, folder:PATH or torchvision:NAME (with --root).")
    ] = "digits",
    root: Annotated[Path | None, typer.Option(help="Folder with torchvision's files; nothing is downloaded.")] = None,
    test_share: TestShare = None,
    group_by: GroupBy = None,
    objective: Annotated[
        str,
        typer.Option(
            help="What is measured on a fifth of the training images, which is held out: kid, coverage, synthetic_only "
            "(accuracy of a classifier trained on generated images alone), or gain (of a short study)."
        ),
    ] = "kid",
    trials: Annotated[int, typer.Option(min=1, max=checks.COUNT, help="Trials, of all processes together.")] = 20,
    steps: Annotated[int, typer.Option(min=1, max=checks.STEPS, help="Training steps of every trial.")] = 2000,
    space: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY[=VALUES]",
            help="An option to search, with its default range, or KEY=LOW:HIGH, or KEY=A,B,C. May be repeated.  "
            "[default: all options that have a default range]",
        ),
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="An option of the backend to fix. May be repeated."),
    ] = None,
    prune: Annotated[bool, typer.Option("--prune/--no-prune", help="End unpromising trials early.")] = True,
    storage: Annotated[
        str | None,
        typer.Option(help="Optuna storage through which several machines share the trials, such as sqlite:///FILE."),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, max=checks.BATCH, help="Images per step.")] = 64,
    image_size: Annotated[
        int | None, typer.Option(min=1, max=checks.SIDE, help="Resize the shorter side to this and crop the center.")
    ] = None,
    augment: Annotated[
        list[str] | None,
        typer.Option(help="Augmentation of the discriminator's images, as for `genaug train`. May be repeated."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=checks.SEED, help="Seed of the search and of all trainings.")] = 0,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, …  [default: a GPU if there is one]")] = None,
    out: Annotated[Path, typer.Option(help="Folder for search.html, search.json and the best generator.")] = Path(
        "runs/search"
    ),
    resume: Annotated[bool, typer.Option("--resume", help="Continue the search in --out.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the search in --out.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON at the end, for scripts.")] = False,
) -> None:
    """Search a backend's options for the generator that is best on held-out training images, with Optuna."""
    config, dimensions = parse_settings(setting or []), parse_space(space)
    from genaug.searches.search import search as run

    result = run(
        backend,
        read_data(data, root=root, test_share=test_share, group_by=group_by),
        out=out,
        objective=objective,
        trials=trials,
        steps=steps,
        space=dimensions,
        config=config,
        prune=prune,
        storage=storage,
        batch_size=batch_size,
        image_size=image_size,
        augment=augment or None,
        seed=seed,
        device=device,
        resume=resume,
        overwrite=overwrite,
    )
    if as_json:
        fields = {"value": result.value, "default": result.default, "config": result.config}
        say(json.dumps({**fields, "saved_steps": result.saved_steps, "report": str(out / "search.json")}))
        return
    rows = [[name, json.dumps(value)] for name, value in result.config.items()]
    console().print(table("the best options", ("option", "value"), rows))
    words = " ".join(f"--set {name}={value}" for name, value in result.config.items())
    say(f"{result.sentence[0].upper()}{result.sentence[1:]}")
    say(f"Train it on all images: genaug train {backend} {words} --steps {steps}")
    say(f"Report: {out / 'search.html'}. Generator of the best trial: {out / 'best'}")


def parse_space(texts: list[str] | None) -> dict[str, Any] | None:
    """``KEY``, ``KEY=LOW:HIGH`` and ``KEY=A,B`` as the space of a search; None if there are none."""
    if not texts:
        return None
    space: dict[str, Any] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        if not name or name in space or (equals and not values):
            raise typer.BadParameter(f"expected KEY, KEY=LOW:HIGH or KEY=A,B,C, each key once, got {text!r}.")
        if not equals:
            space[name] = None
        elif values.count(":") == 1:
            space[name] = tuple(_value(value) for value in values.split(":"))
        else:
            space[name] = [_value(value) for value in values.split(",")]
    return space


def _value(text: str) -> Any:
    return next(iter(parse_settings([f"value={text}"]).values()))
