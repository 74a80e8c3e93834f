"""``genaug train``: train a generator on your own images."""

import os
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from genaug import checks
from genaug.artifacts.paths import user_path
from genaug.cli.domains import with_domain
from genaug.cli.printing import say
from genaug.cli.reading import GroupBy, TestShare, folder_name, read_data
from genaug.cli.settings import Balance, parse_settings
from genaug.cli.threads import Threads

STEPS = 5000


class Keep(StrEnum):
    """The values of ``--keep``."""

    LAST = "last"
    BEST = "best"


def train(
    backend: Annotated[
        str | None,
        typer.Argument(
            help="The backend to train; `genaug plugins` lists them.  [default with --resume or --init: its own]"
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="digits, folder:PATH (class folders, with or without train/; or images without classes), "
            "table:FILE.csv (with --target), series:FILE.npz or .ts, or torchvision:NAME (with --root).  "
            "[default: digits]"
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="The column of table:FILE.csv that has the classes; without it, none."),
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Folder with torchvision's files; nothing is downloaded.")] = None,
    test_share: TestShare = None,
    group_by: GroupBy = None,
    unlabelled: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="A folder of more images, without labels or with labels that are ignored, for backends that learn "
            "from both; or data in the forms of --data. Images of --data's test split must not be among them.",
        ),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help="The images to translate those of --data into, in the forms of --data or a folder, for backends that "
            "translate: images of the same names (pix2pix), or any others (cyclegan). For cogan, the other domain.",
        ),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="For more images than fit into memory: a folder that receives them as uint8 pixels, once, and from "
            "which this training and later ones read them.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The run folder, which can be loaded afterwards.  [default: runs/BACKEND]")
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=checks.STEPS,
            help=f"Training steps.  [default: {STEPS}, or as many as --max-minutes allows]",
        ),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(
            help="Fine-tune this generator: the folder of a run, a saved generator, or a Hub id. Its backend and "
            "options are the defaults."
        ),
    ] = None,
    freeze_discriminator: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=checks.COUNT,
            help="With --init: the number of the discriminator's first blocks that stay as they are.  [default: 0]",
        ),
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(min=1, max=checks.SIDE, help="Resize the shorter side to this and crop the center.")
    ] = None,
    labels_per_class: Annotated[
        int | None,
        typer.Option(min=1, max=checks.COUNT, help="Train on only this many images per class, selected by --seed."),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, max=checks.BATCH, help="Images per step.  [default: 64]")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=checks.SEED, help="Determines all random choices.  [default: 0]")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, …  [default: a GPU if there is one]")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, float32 or bfloat16.  [default: auto]")] = None,
    augment: Annotated[
        list[str] | None,
        typer.Option(
            help="Augmentation of the discriminator's images, for small datasets: translation, affine, color or "
            "cutout. May be repeated."
        ),
    ] = None,
    balance: Balance = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="An option of the backend. May be repeated."),
    ] = None,
    checkpoint_every: Annotated[
        int | None,
        typer.Option(min=1, max=checks.STEPS, help="Steps between checkpoints.  [default: 500]"),
    ] = None,
    max_minutes: Annotated[
        float | None,
        typer.Option(help="Train for about this long, at the speed of the first steps."),
    ] = None,
    threads: Threads = None,
    keep: Annotated[
        Keep | None,
        typer.Option(
            help="Which generator to keep: that of the last step, or the best one at a checkpoint by --objective on a "
            "fifth of the training images, which is held out.  [default: last]"
        ),
    ] = None,
    objective: Annotated[
        str | None,
        typer.Option(help="With --keep best: kid, coverage or synthetic_only; see `genaug search`.  [default: kid]"),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            min=1, max=checks.STEPS, help="With --keep best, stop after this many checkpoints without a better one."
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run in --out exactly; other options are those of the run.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run in --out.")] = False,
) -> None:
    """Train a generator on the training split of a dataset, or on a table."""
    began = time.monotonic()
    config = parse_settings(setting or [])
    if backend is None and not ((resume or init is not None) and out is not None):
        raise typer.BadParameter(
            "name the backend to train; to continue a run, pass --resume and its folder as --out, and to fine-tune, "
            "--init and another folder as --out.",
            param_hint="BACKEND",
        )
    folder = out if out is not None else Path("runs") / Path(str(backend)).name
    from genaug.errors import InputError
    from genaug.training.fit import fit, started_by
    from genaug.training.run_folder import RunFolder

    record = RunFolder(folder).record() or {} if resume else {}
    if backend is None and not record and init is None:
        raise InputError(f"{folder} doesn't contain a run to continue. Name a backend to train, or another --out.")
    seed = record.get("seed", 0) if seed is None else seed
    options = {
        "root": None if root is None else str(user_path(root).absolute()),
        "cache": None if cache is None else str(user_path(cache).absolute()),
        "labels_per_class": labels_per_class,
        "test_share": test_share,
        "group_by": group_by,
        "target": target,
        "unlabelled": None if unlabelled is None else _absolute(folder_name(unlabelled)),
        "keep": None if keep is None else keep.value,
        "objective": objective,
        "patience": patience,
        "to": None if to is None else _absolute(folder_name(to)),
    }
    images, command = _data(record, folder, data, options, seed)
    if command["to"] is not None:
        images = with_domain(images, command, record.get("backend") if backend is None else backend, seed)
    images, rule = _rule(command, images, record.get("image_size") if image_size is None else image_size, seed, device)
    if steps is None and max_minutes is None and not record:
        steps = STEPS
    if max_minutes is not None:  # the time since the start of the command counts
        max_minutes = max(1e-9, max_minutes - (time.monotonic() - began) / 60) if max_minutes > 0 else max_minutes
    arguments: dict[str, Any] = {
        "steps": steps,
        "init": init,
        "freeze_discriminator": freeze_discriminator,
        "image_size": image_size,
        "batch_size": batch_size,
        "seed": seed,
        "device": device,
        "precision": precision,
        "augment": augment or None,
        "balance": balance,
        "config": config,
        "checkpoint_every": checkpoint_every,
        "max_minutes": max_minutes,
        "threads": threads,
        "keep": rule,
        "cache": command["cache"],
        **_unlabelled(command),
    }
    passed = {name: value for name, value in arguments.items() if value is not None}
    with started_by(command):
        subject = record.get("backend") if backend is None else backend
        if subject is None:  # the generator to fine-tune stands for its backend
            from genaug.hub.load import load

            subject = load(passed.pop("init"), device="cpu")
        generator = fit(subject, images, out=folder, overwrite=overwrite, resume=resume, **passed)
    if os.environ.get("RANK", "0") != "0":
        return  # under torchrun, only one process prints
    say(f"{generator}\nSaved in {folder}. To see samples: {_showing(generator, folder, command)}")


def _showing(generator: Any, folder: Path, command: dict[str, Any]) -> str:
    """The command that shows what a generator makes."""
    if generator.spec.conditions:
        return f"genaug translate {folder} --data {command['data']} --out samples.png"
    count = "--per-class 10" if generator.spec.takes_labels else "--n 100"
    suffix = (*generator.spec.sample.files, ".png")[0]
    return f"genaug sample {folder} {count} --out samples{suffix}"


def _data(
    record: dict[str, Any], folder: Path, data: str | None, options: dict[str, Any], seed: int
) -> tuple[Any, dict[str, Any]]:
    """The training images and the options that select them, from this command or from the one that started the run."""
    from genaug.data.datasets import few_per_class
    from genaug.errors import InputError

    old = record.get("command")
    if record and old is None and data is None:
        raise InputError(
            f"the run in {folder} wasn't started with `genaug train`, so its data have no name. Pass --data, or call "
            "genaug.fit with resume=True and the dataset."
        )
    name = _absolute(data) if data is not None else "digits"
    command: dict[str, Any] = {"data": name, **dict.fromkeys(options)}
    if old is not None and (data is None or name == old["data"]):
        command |= old
    for option, value in options.items():
        if value is None:
            continue
        if old is not None and option not in ("root", "cache") and old.get(option) != value:
            raise InputError(
                f"the run in {folder} can't be resumed: {option} was {old.get(option)!r}, now it is {value!r}. Leave "
                "it out, or start a new run in another folder."
            )
        command[option] = value
    root, few = command["root"], command["labels_per_class"]
    images: Any = read_data(
        command["data"],
        root=None if root is None else Path(root),
        test_share=command["test_share"],
        group_by=command["group_by"],
        target=command["target"],
    )
    return (images if few is None else few_per_class(images, few, seed)), command


def _rule(
    command: dict[str, Any], images: Any, image_size: int | None, seed: int, device: str | None
) -> tuple[Any, Any]:
    """The images to train on, and the rule by which the best generator is kept, if it is."""
    from genaug.errors import InputError

    objective, patience = command["objective"], command["patience"]
    if command["keep"] != "best":
        if objective is not None or patience is not None:
            raise InputError("--objective and --patience are for --keep best: pass that too, or leave them out.")
        return images, None
    from genaug.searches.keep import keep_best

    return keep_best(images, objective or "kid", patience=patience, image_size=image_size, seed=seed, device=device)


def _unlabelled(command: dict[str, Any]) -> dict[str, Any]:
    """The unlabeled images, and the test split of the data, with which they must have none in common."""
    from genaug.errors import MissingSplitError

    if command["unlabelled"] is None:
        return {}
    root = None if command["root"] is None else Path(command["root"])
    images = read_data(command["unlabelled"], root=root)
    split = {"root": root, "test_share": command["test_share"], "group_by": command["group_by"]}
    try:
        return {"unlabelled": images, "exclude": read_data(command["data"], "test", **split)}
    except MissingSplitError:
        return {"unlabelled": images}


def _absolute(data: str) -> str:
    """``data`` with an absolute path, so that the run can be resumed from another working directory."""
    from genaug.data.datasets import FILES

    kind, colon, path = data.partition(":")
    return f"{kind}:{user_path(path).absolute()}" if kind in FILES and colon and path else data
