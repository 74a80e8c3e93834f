"""``genaug train``: train a generator on your own images."""

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from genaug import limits
from genaug.cli.printing import say
from genaug.cli.reading import GroupBy, TestShare, read_data


def train(
    backend: Annotated[str, typer.Argument(help="What to train; `genaug plugins` lists what there is.")],
    data: Annotated[
        str,
        typer.Option(
            help="digits, folder:PATH (class folders, under train/ or not; or images alone) or torchvision:NAME "
            "(with --root)."
        ),
    ] = "digits",
    root: Annotated[Path | None, typer.Option(help="Where torchvision's files lie; nothing is downloaded.")] = None,
    test_share: TestShare = None,
    group_by: GroupBy = None,
    out: Annotated[
        Path | None, typer.Option(help="The run's folder, which then loads.  [default: runs/BACKEND]")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, max=limits.STEPS, help="Training steps.")] = 5000,
    image_size: Annotated[
        int | None, typer.Option(min=1, max=limits.SIDE, help="Resize the shorter side to this and crop the centre.")
    ] = None,
    labels_per_class: Annotated[
        int | None,
        typer.Option(min=1, max=limits.COUNT, help="Train on this many images of each class only, drawn by --seed."),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, max=limits.BATCH, help="Images in a step.")] = 64,
    seed: Annotated[int, typer.Option(min=0, max=limits.SEED, help="Decides everything random.")] = 0,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, …  [default: a GPU if there is one]")] = None,
    precision: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    augment: Annotated[
        list[str] | None,
        typer.Option(
            help="What the discriminator's images go through, for little data: translation, affine, color "
            "or cutout. May be repeated."
        ),
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="An option of the backend's own. May be repeated."),
    ] = None,
    checkpoint_every: Annotated[
        int, typer.Option(min=1, max=limits.STEPS, help="Save the whole state every so many steps.")
    ] = 500,
    max_minutes: Annotated[float | None, typer.Option(help="Stop after so many minutes, with the state saved.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out, exactly.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run in --out.")] = False,
) -> None:
    """Train a generator on the training split of a data set."""
    config = parse_settings(setting or [])
    from genaug.cli.run_data import RunData, absolute, write_run_data
    from genaug.data import few_per_class
    from genaug.training.engine import fit

    folder = out if out is not None else Path("runs") / Path(backend).name
    images = read_data(data, root=root, test_share=test_share, group_by=group_by)
    if labels_per_class is not None:
        images = few_per_class(images, labels_per_class, seed)
    generator = fit(
        backend,
        images,
        out=folder,
        steps=steps,
        image_size=image_size,
        batch_size=batch_size,
        seed=seed,
        device=device,
        precision=precision,
        augment=augment or (),
        config=config,
        checkpoint_every=checkpoint_every,
        max_minutes=max_minutes,
        overwrite=overwrite,
        resume=resume,
    )
    if os.environ.get("RANK", "0") != "0":
        return  # under torchrun, one process speaks
    where = None if root is None else str(root.expanduser().absolute())
    chosen = RunData(
        data=absolute(data), root=where, labels_per_class=labels_per_class, seed=seed, image_size=image_size
    )
    write_run_data(folder, chosen)
    count = "--per-class 10" if generator.spec.takes_labels else "--n 100"
    say(f"{generator}\nIn {folder}. To look at it: genaug sample {folder} {count} --out samples.png")


def parse_settings(pairs: list[str]) -> dict[str, Any]:
    """``key=value`` pairs as a dictionary: a value that is JSON is read as JSON, any other is a string."""
    config: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise typer.BadParameter(f"expected KEY=VALUE, got {pair!r}.", param_hint="--set")
        if key in config:
            raise typer.BadParameter(f"{key} is set twice.", param_hint="--set")
        try:
            config[key] = json.loads(value)
        except (ValueError, RecursionError):  # the latter where it is nested too deeply
            config[key] = value
    return config
