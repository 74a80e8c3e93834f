"""``genaug anomaly``: images that differ from those that a generator was trained on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genaug import checks
from genaug.cli.printing import say
from genaug.cli.reading import TrainedSize, folder_name, read_data

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SHOWN = 5  # images that are named in the summary


def anomaly(
    generator: Annotated[
        str,
        typer.Argument(
            help="A generator of normal images: the folder of a run, a saved generator, or a Hub id.",
            metavar="GENERATOR",
        ),
    ],
    data: Annotated[
        str,
        typer.Option(
            help="The images to score: the path of a folder, folder:PATH, torchvision:NAME (with --root) or digits; "
            "the test split if there is one, otherwise all of them."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for scores.csv, anomalies.json and anomalies.png.")],
    normal: Annotated[
        str | None,
        typer.Option(
            help="Normal images that the generator wasn't trained on, in the forms of --data; if there are splits, the "
            "training split. They are for the threshold and for the training of an encoder.  [default: no threshold]"
        ),
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Folder with torchvision's files; nothing is downloaded.")] = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="reconstruction (by the generator's own encoder), encoder (trained on --normal for any generator), or "
            "discriminator.  [default: reconstruction if possible, otherwise encoder]"
        ),
    ] = None,
    false_alarms: Annotated[
        float | None,
        typer.Option(
            help="The share of normal images that may be called anomalous, between 0 and 1; needs --normal.  "
            "[default: 0.05]"
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1, max=checks.STEPS, help="Steps of the encoder's training, for method encoder.  [default: 2000]"
        ),
    ] = None,
    image_size: TrainedSize = None,
    seed: Annotated[int, typer.Option(min=0, max=checks.SEED, help="Determines all random choices.")] = 0,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, …  [default: a GPU if there is one]")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the anomaly scores in --out.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print anomalies.json instead of a summary.")] = False,
) -> None:
    """Score images by how little a generator of normal images can reproduce them, and find the anomalous ones."""
    from json import dumps

    from genaug.anomaly.detector import AnomalyDetector
    from genaug.anomaly.report import claim_anomalies, draw_anomalies, summarized, write_anomalies
    from genaug.anomaly.scoring import Scorer, choose_method
    from genaug.anomaly.threshold import check_rate
    from genaug.data.items import file_of
    from genaug.errors import InputError
    from genaug.hub.load import load
    from genaug.progress import Progress
    from genaug.sources.image_sets import read_images
    from genaug.version import __version__

    if false_alarms is not None and normal is None:
        raise InputError("--false-alarms is for a threshold, which needs normal images: pass them with --normal.")
    rate = check_rate(0.05 if false_alarms is None else false_alarms)
    with claim_anomalies(out, overwrite) as place:
        source: Any = load(generator, device=device)
        chosen = choose_method(source, method)
        if chosen == "encoder" and normal is None:
            raise InputError(
                f"backend {source.backend_name!r} needs an encoder that is trained on normal images (method encoder). "
                "Pass them with --normal."
            )
        if chosen != "encoder" and steps is not None:
            raise InputError(f"--steps is for method encoder, and the method is {chosen}. Leave it out.")
        dataset = _images_of(data, root)
        images = read_images(dataset, source, "--data", image_size).x
        scorer, detector = Scorer(source, chosen), None
        if normal is not None:
            known = read_images(read_data(folder_name(normal), root=root), source, "--normal", image_size)
            detector = AnomalyDetector(source, chosen, false_alarms=rate, steps=steps or 2000, seed=seed).fit(known)
            scorer = detector.scorer_
        done = 0
        with Progress("anomaly", len(images), line_every=10) as bar:

            def report(count: int) -> None:
                nonlocal done
                done += count
                bar.advance(count)
                bar.tell(f"{done:,} of {len(images):,} images")

            scores = scorer.scores(images, report).double().numpy()
        summary = {
            "kind": "anomalies",
            "format_version": 1,
            "genaug": __version__,
            "generator": generator,
            "backend": source.backend_name,
            "data": data,
            "normal": normal,
            "seed": seed,
            "method": chosen,
            **summarized(scores, None if detector is None else detector.threshold_),
            "false_alarms": None if detector is None else rate,
            "held_out_images": None if detector is None else detector.n_held_out_,
        }
        files = [file_of(dataset, index) for index in range(len(images))]
        write_anomalies(place, summary, scores, files, draw_anomalies(images, scores, scorer, 20))
    say(dumps(summary, indent=2, allow_nan=False) if as_json else _text(summary, scores, files))
    say(f"In {out}", err=as_json)


def _images_of(data: str, root: Path | None) -> Any:
    """The test split of the data, or all of them if there are no splits."""
    from genaug.errors import MissingSplitError

    name = folder_name(data)
    try:
        return read_data(name, "test", root=root)
    except MissingSplitError:
        return read_data(name, root=root)


def _text(summary: dict[str, Any], scores: "NDArray[np.float64]", files: list[str | None]) -> str:
    from genaug.anomaly.report import most_anomalous

    spread = summary["scores"]
    lines = [
        f"{summary['images']:,} images, method {summary['method']}: the median score is {spread['median']:.4g}, the "
        f"highest {spread['highest']:.4g}"
    ]
    if summary["threshold"] is None:
        lines.append("no threshold: pass normal images with --normal")
    else:
        share = summary["anomalous"] / summary["images"]
        lines.append(
            f"{summary['anomalous']:,} ({share:.1%}) are anomalous: above the threshold {summary['threshold']:.4g}, "
            f"which at most {summary['false_alarms']:.1%} of normal images exceed, judging by "
            f"{summary['held_out_images']:,} of --normal"
        )
    lines.append("the most anomalous:")
    lines += [
        f"  {scores[row]:.4g}  {files[row] or f'image {row}'}" for row in most_anomalous(scores)[:_SHOWN].tolist()
    ]
    return "\n".join(lines)
