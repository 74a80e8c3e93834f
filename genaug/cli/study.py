"""``genaug study``: do generated images help a classifier of these data?"""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genaug import checks
from genaug.cli.printing import console, say, table
from genaug.cli.reading import GroupBy, TestShare, read_data, read_held_out
from genaug.escaping import escaped, one_line

if TYPE_CHECKING:
    from rich.table import Table


def study(
    context: typer.Context,
    data: Annotated[
        str,
        typer.Option(help="digits, folder:PATH (train/ and test/ in it, or --test-data) or torchvision:NAME (--root)."),
    ] = "digits",
    root: Annotated[Path | None, typer.Option(help="Where torchvision's files lie; nothing is downloaded.")] = None,
    test_data: Annotated[
        str | None, typer.Option(help="The test set, in the forms of --data, where --data has no test split.")
    ] = None,
    test_share: TestShare = None,
    group_by: GroupBy = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            help="A backend, which is trained for every seed; or a saved generator's folder, or folder:PATH with class "
            "folders of images that were generated before: both are pretrained. May be repeated.  [default: cgan]"
        ),
    ] = None,
    ratio: Annotated[
        list[float] | None,
        typer.Option(help="A generated share to try, in (0, 1). May be repeated.  [default: 0.25 and 0.5]"),
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=1, max=checks.SEEDS, help="How many seeds; a verdict needs two, ten are better.")
    ] = 10,
    labels_per_class: Annotated[
        int | None,
        typer.Option(min=1, max=checks.COUNT, help="How many images of each class a seed trains on.  [default: all]"),
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(min=1, max=checks.SIDE, help="Resize the shorter side to this and crop the centre.")
    ] = None,
    classifier: Annotated[str, typer.Option(help="small, or timm:NAME.")] = "small",
    updates: Annotated[int, typer.Option(min=1, max=checks.COUNT, help="Updates of every classifier.")] = 500,
    batch_size: Annotated[int, typer.Option(min=1, max=checks.BATCH, help="Images in an update.")] = 64,
    steps: Annotated[int, typer.Option(min=1, max=checks.STEPS, help="Training steps of every generator.")] = 2000,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="An option of the backends to train. May be repeated."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, …  [default: a GPU if there is one]")] = None,
    workers: Annotated[
        int, typer.Option(min=1, max=checks.WORKERS, help="Processes; the results don't depend on how many.")
    ] = 1,
    explore: Annotated[
        bool, typer.Option("--explore", help="Score all arms on the test set; the verdict doesn't change.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Folder for report.html, report.json and what is finished.")] = Path(
        "runs/study"
    ),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the study in --out.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the study in --out.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="End with one line of JSON, for scripts.")] = False,
) -> None:
    """Learn whether generated images help, from which source and at which ratio, and what that is worth."""
    from genaug.cli.train import parse_settings

    config = parse_settings(setting or [])
    from genaug.studies.study import study as run

    train = read_data(data, root=root, test_share=test_share, group_by=group_by)
    report = run(
        train,
        read_held_out(data, test_data, root=root, test_share=test_share, group_by=group_by),
        sources=_sources(source or ["cgan"], steps, config, train, image_size, device),
        ratios=ratio or (0.25, 0.5),
        seeds=seeds,
        labels_per_class=labels_per_class,
        classifier=classifier,
        updates=updates,
        batch_size=batch_size,
        image_size=image_size,
        device=device,
        workers=workers,
        explore=explore,
        out=out,
        resume=resume,
        overwrite=overwrite,
        command=_command(context),
    )
    if as_json:
        say(json.dumps(_flat(report, out)))
        return
    for text in [*report.details["reservations"], report.sentence, *report.details["warnings"]]:
        say(text)
    console().print(_table(report.details))
    for failed in report.details["failures"]:
        where = f"{failed['arm']}, {failed['phase']}, seed {failed['seed']}"
        say(f"failed: {where}: {one_line(failed['error'])}")
    say(f"Report: {out / 'report.html'}")


def _sources(
    names: list[str], steps: int, config: dict[str, Any], like: Any, image_size: int | None, device: str | None
) -> dict[str, Any]:
    """By name: what a folder holds, else a backend to train."""
    from genaug.artifacts.paths import user_path
    from genaug.cli.sources import source_named
    from genaug.errors import InputError
    from genaug.studies.sources import Recipe

    sources: dict[str, Any] = {}
    for name in names:
        folder = user_path(name.removeprefix("folder:"))
        is_folder = name.startswith("folder:") or folder.is_dir()
        called = escaped(folder.resolve().name) if is_folder else name
        if called in sources:
            raise InputError(f"two sources are called {called!r}; rename a folder.")
        if is_folder:
            sources[called] = source_named(name, like, image_size, device)
        else:
            sources[called] = Recipe(name, steps, config=config)
    return sources


def _flat(report: Any, out: Path) -> dict[str, Any]:
    difference = report.details["difference"] or {}
    return {
        "verdict": report.verdict,
        "ratio": report.ratio,
        "source": report.source,
        "classic": report.classic,
        "baseline": (report.details["baseline"] or {}).get("name"),
        "gain": difference.get("mean"),
        "gain_low": difference.get("low"),
        "gain_high": difference.get("high"),
        "confidence": difference.get("confidence"),
        "detectable_gain": (report.details["sensitivity"] or {}).get("gain"),
        "seeds_needed": (report.details["sensitivity"] or {}).get("seeds"),
        "seeds": len(report.details["settings"]["seeds"]),
        "failures": len(report.details["failures"]),
        "seconds": report.details["seconds"],
        "report": str(out / "report.json"),
    }


def _command(context: typer.Context) -> str:
    """The command that repeats the study: the options that were passed, but for those that don't change its result."""
    words = ["genaug", "study"]
    for parameter in context.command.params:
        name, flag = str(parameter.name), parameter.opts[0]
        passed = context.get_parameter_source(name)
        if passed is None or passed.name != "COMMANDLINE" or name in ("resume", "overwrite", "as_json", "workers"):
            continue
        value = context.params[name]
        if isinstance(value, bool):
            words.append(flag)
            continue
        for item in value if isinstance(value, list | tuple) else [value]:
            words += [flag, str(item)]
    return shlex.join(words)


def _table(details: dict[str, Any]) -> "Table":
    from genaug.studies.study_page import study_rows

    head, rows = study_rows(details)
    title = f"{len(details['settings']['seeds'])} seeds, {details['statistics']['n_test']:,} test images"
    return table(title, head, rows)
