"""``genaug study``: whether generated samples help a classifier of your data."""

import json
import shlex
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperArgument

from genaug import checks
from genaug.cli.printing import console, say, table
from genaug.cli.reading import GroupBy, TestShare, read_data, read_held_out
from genaug.cli.schedules import parse_schedules
from genaug.cli.settings import Balance, parse_settings
from genaug.cli.sources import SOURCE
from genaug.cli.study_sources import Context, sources_of
from genaug.escaping import one_line

DEFAULTS = {"series": "timevae", "table": "tvae"}  # the backend for data in a file; for all others, it is cgan
HELD_OUT = 0.2  # the share of rows or series that are the test set, unless there is one


def study(
    context: typer.Context,
    sources: Annotated[
        list[str] | None, typer.Argument(metavar="[SOURCE]...", help="Sources, as with --source.", show_default=False)
    ] = None,
    data: Annotated[
        str,
        typer.Option(
            help="digits, folder:PATH (train/ and test/ in it, or --test-data), torchvision:NAME (--root), "
            "table:FILE.csv (--target), or series:FILE.npz or .ts."
        ),
    ] = "digits",
    target: Annotated[str | None, typer.Option(help="The column of the classes, for table:FILE.")] = None,
    root: Annotated[Path | None, typer.Option(help="Folder with torchvision's files; nothing is downloaded.")] = None,
    test_data: Annotated[
        str | None,
        typer.Option(
            "--test-data", "--test", help="The test set, in the forms of --data, if --data has no test split."
        ),
    ] = None,
    test_share: TestShare = None,
    group_by: GroupBy = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            help=f"A backend, which is trained for every seed; or, pretrained, {SOURCE}; or folder:PATH with class "
            "folders of images that were generated earlier; or variations:SOURCE, the seed's own training samples "
            "varied by a generator with an encoder, or translated. May be repeated.  [default: cgan]"
        ),
    ] = None,
    ratio: Annotated[
        list[float] | None,
        typer.Option(help="A ratio of generated samples to try, in (0, 1). May be repeated.  [default: 0.25 and 0.5]"),
    ] = None,
    schedule: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]SCHEDULE",
            help="A ratio that changes during the training, such as 'linear(0.8, 0, epochs=5)' or 'steps({0: 1, 1: "
            "0})' (genaug.schedules; its epochs last for equal parts of the updates), or a curriculum, such as "
            "'curriculum(linear(0.2, 1, epochs=5))', which is tried at each ratio. May be repeated.",
        ),
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=1, max=checks.SEEDS, help="Number of seeds; a verdict needs two, and ten are better.")
    ] = 10,
    labels_per_class: Annotated[
        list[str] | None,
        typer.Option(
            metavar="N|CLASS=N",
            help="Training samples per class and seed: one number, or CLASS=N for every class.  [default: all]",
        ),
    ] = None,
    metric: Annotated[
        str,
        typer.Option(
            help="accuracy, balanced_accuracy, macro_f1, recall:CLASS or average_precision (of the rare class)."
        ),
    ] = "accuracy",
    baseline: Annotated[
        list[str] | None,
        typer.Option(
            help="What generated samples have to beat besides none: classic, weights, oversample, smote, or 'classic + "
            "oversample'. May be repeated.  [default: classic for images and series; those against imbalance, if "
            "classes are imbalanced and the metric isn't accuracy]"
        ),
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(min=1, max=checks.SIDE, help="Resize the shorter side to this and crop the center.")
    ] = None,
    classifier: Annotated[
        list[str] | None,
        typer.Option(
            help="small or timm:NAME, for images; small, rocket, minirocket or multirocket, for series; boosting and "
            "logistic, for tables.  [default: small, or both]",
        ),
    ] = None,
    updates: Annotated[int, typer.Option(min=1, max=checks.COUNT, help="Updates of every network.")] = 500,
    batch_size: Annotated[int, typer.Option(min=1, max=checks.BATCH, help="Images per update.")] = 64,
    steps: Annotated[int, typer.Option(min=1, max=checks.STEPS, help="Training steps of every generator.")] = 2000,
    balance: Balance = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="An option of the backends to train or, if there are none, of sources SCHEME:REST. May be repeated.",
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, …  [default: a GPU if there is one]")] = None,
    workers: Annotated[
        int, typer.Option(min=1, max=checks.WORKERS, help="Number of processes; it doesn't affect the results.")
    ] = 1,
    explore: Annotated[
        bool, typer.Option("--explore", help="Score all arms on the test set; the verdict doesn't change.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Folder for report.html, report.json and finished results.")] = Path(
        "runs/study"
    ),
    resume: Annotated[bool, typer.Option("--resume", help="Continue the study in --out.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the study in --out.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON at the end, for scripts.")] = False,
) -> None:
    """Find out whether generated samples help, from which source, at which ratio, and by how much."""
    parse_settings(setting or [])
    per_class = _labels_per_class(labels_per_class or [])
    schedules = parse_schedules(schedule) if schedule else None
    from genaug.data.series_files import test_file_of
    from genaug.studies.study import study as run
    from genaug.studies.study_figures import study_rows

    kind, _, rest = data.partition(":")
    if kind in DEFAULTS and test_data is None and test_share is None and (kind != "series" or not test_file_of(rest)):
        test_share, noun = HELD_OUT, "series" if kind == "series" else "rows"
        say(
            f"genaug: {HELD_OUT:.0%} of the {noun} of each class are held out as the test set (--test-share).", err=True
        )
    train = read_data(data, root=root, test_share=test_share, group_by=group_by, target=target)
    names = [*(sources or []), *(source or [])] or [DEFAULTS.get(kind, "cgan")]
    report = run(
        train,
        read_held_out(data, test_data, root=root, test_share=test_share, group_by=group_by, target=target),
        sources=sources_of(names, steps, balance, Context(setting or [], train, image_size, device)),
        ratios=ratio or (0.25, 0.5),
        schedules=schedules,
        seeds=seeds,
        labels_per_class=per_class,
        metric=metric,
        baselines=None if baseline is None else ("none", *baseline),
        classifier=_classifier(classifier),
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
        say(json.dumps(_summary(report, out)))
        return
    details = report.details
    for text in [*details["reservations"], report.sentence, *details["warnings"]]:
        say(text)
    statistics = details["statistics"]
    title = f"{len(details['settings']['seeds'])} seeds, {statistics['n_test']:,} test {statistics['samples']}"
    console().print(table(title, *study_rows(details)))
    for failure in details["failures"]:
        say(f"failed: {failure['arm']}, {failure['phase']}, seed {failure['seed']}: {one_line(failure['error'])}")
    say(f"Report: {out / 'report.html'}")


def _labels_per_class(words: list[str]) -> int | dict[str, int] | None:
    """The number for all classes, or those by class; None without any."""
    named = [word.rpartition("=") for word in words]
    if len(words) > 1 and not all(equals for _, equals, _ in named):
        _reject(words)
    for _, _, number in named:
        if not number.isdecimal() or len(number) > len(str(checks.COUNT)) or not 1 <= int(number) <= checks.COUNT:
            _reject(words)
    if len(words) == 1 and not named[0][1]:
        return int(words[0])
    return {name: int(number) for name, _, number in named} or None


def _reject(words: list[str]) -> NoReturn:
    raise typer.BadParameter(
        f"expected one number from 1 to {checks.COUNT:,}, or CLASS=NUMBER for every class, got {' '.join(words)!r}.",
        param_hint="--labels-per-class",
    )


def _classifier(names: list[str] | None) -> str | dict[str, str] | None:
    if not names:
        return None
    return names[0] if len(names) == 1 else {name: name for name in names}


def _summary(report: Any, out: Path) -> dict[str, Any]:
    details = report.details
    difference, sensitivity = details["difference"] or {}, details["sensitivity"] or {}
    return {
        "verdict": report.verdict,
        "ratio": report.ratio,
        "schedule": None if report.schedule is None else repr(report.schedule),
        "source": report.source,
        "route": report.route,
        "classic": report.classic,
        "method": report.method,
        "metric": details["metric"]["key"],
        "baseline": (details["baseline"] or {}).get("name"),
        "gain": difference.get("mean"),
        "gain_low": difference.get("low"),
        "gain_high": difference.get("high"),
        "confidence": difference.get("confidence"),
        "detectable_gain": sensitivity.get("gain"),
        "seeds_needed": sensitivity.get("seeds"),
        "seeds": len(details["settings"]["seeds"]),
        "failures": len(details["failures"]),
        "seconds": details["seconds"],
        "report": str(out / "report.json"),
    }


def _command(context: typer.Context) -> str:
    """The command that repeats the study: the passed options, except those that don't affect its result."""
    words = ["genaug", "study"]
    for parameter in context.command.params:
        name, flag = str(parameter.name), parameter.opts[0]
        origin = context.get_parameter_source(name)
        if origin is None or origin.name != "COMMANDLINE" or name in ("resume", "overwrite", "as_json", "workers"):
            continue
        value = context.params[name]
        for item in value if isinstance(value, list | tuple) else [value]:
            if isinstance(parameter, TyperArgument):
                words.append(str(item))
            else:
                words += [flag] if isinstance(item, bool) else [flag, str(item)]
    return shlex.join(words)
