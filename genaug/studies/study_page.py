"""A study's report for people: every number comes from the dictionary, which is also ``report.json``."""

import re
from collections.abc import Mapping
from typing import Any

import torch

from genaug.evaluation.neighbours import nearest
from genaug.progress import duration
from genaug.reports.page import code, facts, figure, page, paragraph, percent, picture, points, section, table
from genaug.reports.plots import Curve, dot_plot, line_plot, percent_row
from genaug.reports.sheet import Block, draw_sheet, sheet_labels
from genaug.sources.loading import load_folder
from genaug.studies.arms import NOISE, Arm
from genaug.studies.blending import generate
from genaug.studies.compare import summarize
from genaug.studies.decide import BASELINES
from genaug.studies.jobs import Job, Work, one_thread, seed_images
from genaug.studies.sources import Recipe
from genaug.studies.splits import Images

_COLUMNS = 6
_COLOURS = 5


def study_html(details: Mapping[str, Any], work: Work, chosen: Arm | None) -> str:
    """The complete page. ``work`` gives the pictures."""
    parts = [
        *(paragraph(text) for text in details["reservations"]),
        paragraph(_minus(details["sentence"]), "verdict"),
        *(paragraph(_minus(text)) for text in details["warnings"]),
        paragraph(_intro(details)),
        section("On the test set", _differences(details), _table(details)),
        section("On the inner splits, by ratio", _ratios(details)),
    ]
    if chosen is not None:
        parts.append(section("What was generated", *_examination(details), *_pictures(details, work, chosen)))
    if details["failures"]:
        parts.append(section("What failed", *_failures(details)))
    parts += [section("Use it", *_use(details)), section("How this was measured", *_method(details))]
    return page("Do generated images help?", *parts)


def _minus(text: str) -> str:
    """Minus signs in place of the hyphens before digits."""
    return re.sub(r"(?<=[ (])-(?=\d)", "−", text)


def _intro(details: Mapping[str, Any]) -> str:
    settings, statistics, origin = details["settings"], details["statistics"], details["origin"]
    of = f" of {origin['train']}" if origin else ""
    return (
        f"One classifier was trained in several ways, for each of {len(settings['seeds'])} seeds from the same first "
        f"weights, on the same {statistics['n_train']:,} images{of} ({settings['train']['shape']}) and for "
        f"{settings['updates']:,} updates, and tested on {statistics['n_test']:,} others. What to test was chosen "
        "before, on a fifth of each seed's training images."
    )


def _differences(details: Mapping[str, Any]) -> str:
    shown = [c for c in details["comparisons"] if c["role"] != "explored"]
    if not shown:
        return paragraph("Too few arms finished on the test set for a comparison.")
    rows = [
        percent_row(
            f"{c['name']} − {c['baseline']}",
            c["per_seed"],
            c["mean"],
            (c["low"], c["high"]),
            f"{points(c['mean'])} ({points(c['low'])} to {points(c['high'])})",
            c["role"] == "decides",
        )
        for c in shown
    ]
    alt = "Differences in accuracy: " + "; ".join(f"{row.label} {row.told}" for row in rows)
    levels = " or ".join(dict.fromkeys(f"{100 * c['confidence']:.4g} %" for c in shown))
    caption = (
        f"Difference in accuracy: a dot for each seed, the mean as a line, and its {levels} interval as a band. The "
        "verdict rests on the rows in colour: the arm that was chosen on the inner splits, against none and against "
        "classic. Both 95 % intervals must lie above 0 for “use”, either 97.5 % interval below 0 for “don't use”."
    )
    return figure(dot_plot(rows, axis="difference, percentage points", alt=alt, zero=True), caption)


def study_rows(details: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The test set's table, head and rows, for the page and the terminal."""
    against = {(c["name"], c["baseline"]): c for c in details["comparisons"]}
    explored = {c["name"] for c in details["comparisons"] if c["role"] == "explored"}
    baselines = [arm.name for arm in BASELINES]
    rows = []
    for name, values in details["accuracies"]["test"].items():
        summary = summarize(list(values.values()))
        cells = [percent(summary.mean), "–" if summary.sd is None else f"{100 * summary.sd:.1f}"]
        for baseline in baselines:
            c = against.get((name, baseline))
            cells.append("–" if c is None else f"{points(c['mean'])}\n{points(c['low'])} to {points(c['high'])}")
        rows.append([name + ("\nexplored" if name in explored else ""), *cells])
    return ["trained with", "accuracy", "sd", *(f"against {name}" for name in baselines)], rows


def _table(details: Mapping[str, Any]) -> str:
    head, rows = study_rows(details)
    chosen = details["chosen"] and details["chosen"]["name"]
    return table(head, rows, [row[0].partition("\n")[0] == chosen for row in rows])


def _ratios(details: Mapping[str, Any]) -> str:
    inner = details["accuracies"]["inner"]
    means = {name: 100 * summarize(list(row.values())).mean for name, row in inner.items()}
    groups: dict[tuple[str | None, bool], list[tuple[float, float]]] = {}
    for arm in details["arms"]:
        if arm["name"] in means:
            groups.setdefault((arm["source"], arm["classic"]), []).append((arm["ratio"], means[arm["name"]]))
    sources = list(details["settings"]["sources"])
    curves = []
    for (source, classic), at in groups.items():
        label = " + ".join((["classic"] if classic else []) + ([source] if source else [])) or "none"
        kind = ("level" if classic else "level plain") if source is None else "control"
        if source in sources:
            kind = f"s{sources.index(source) % _COLOURS}" + ("" if classic else " plain")
        curves.append(Curve(f"{label}, {at[0][1]:.1f} %" if len(at) == 1 else label, at, kind, source is None))
    alt = "Mean accuracy on the inner splits: " + "; ".join(f"{name} {value:.1f} %" for name, value in means.items())
    caption = (
        "Mean accuracy over all seeds on the images that the inner splits held back. The choice was made by this; "
        "the test set was not looked at for it."
    )
    return figure(line_plot(curves, x_axis="generated share", y_axis="accuracy, %", alt=alt), caption)


def _examination(details: Mapping[str, Any]) -> list[str]:
    """What the samples are like, in figures."""
    found = details["examination"]
    if "recognised" not in found:
        return []
    distance = found["distance_ratio"]
    return [
        facts(
            [
                ("samples recognised as the requested class", f"{found['recognised']:.0%}"),
                ("real test images recognised by the same classifier", f"{found['recognised_real']:.0%}"),
                ("distance between samples of a class, over real", "–" if distance is None else f"{distance:.0%}"),
                ("samples identical to another one", f"{found['repeated']:.1%}"),
            ]
        ),
        paragraph(
            f"{found['samples']:,} samples for {found['seeds']} seeds. The classifier is the study's, trained on all "
            "training images; what it recognises is averaged over classes.",
            "note",
        ),
    ]


def _pictures(details: Mapping[str, Any], work: Work, chosen: Arm) -> list[str]:
    """Sheets of the first seed: real beside generated, and generated beside its nearest real image."""
    seed = details["settings"]["seeds"][0]
    real, _ = seed_images(work, Job("test", seed, ()))
    source = work.sources[str(chosen.source)]
    with one_thread():
        if isinstance(source, Recipe):
            folder = work.folder.generator(str(chosen.source), "test", seed)
            if not folder.is_dir():
                return [paragraph("The first seed's generator is not there, so there is nothing to show.")]
            source = load_folder(folder, device=work.device)
        try:
            wanted = generate(source, _one_of_each(real), len(sheet_labels(work.spec.num_classes, _COLUMNS)), 0)
        except Exception as error:
            return [paragraph(f"No sheet could be drawn ({type(error).__name__}: {error}).")]
    close = real.images[nearest(wanted.images.flatten(1), real.images.flatten(1))[1]]
    sheet = draw_sheet(
        Block(real.images, real.labels, "real"),
        Block(wanted.images, wanted.labels, "generated"),
        classes=real.classes,
        columns=_COLUMNS,
    )
    beside = draw_sheet(
        Block(wanted.images, wanted.labels, "generated"),
        Block(close, wanted.labels, "nearest"),
        classes=real.classes,
        columns=_COLUMNS,
    )
    alike = "Rows of real images beside rows of generated ones, a row for each class"
    copied = "Rows of generated images beside rows of the training images nearest to them"
    return [
        figure(
            picture(sheet, alike),
            f"Seed {seed}: its first training images of each class, and as many of {chosen.source}.",
        ),
        figure(
            picture(beside, copied),
            "The same generated images, and in the same places the training images nearest to them (Euclidean distance "
            "of pixels). If both sides show the same images, the generator copies.",
        ),
    ]


def _one_of_each(real: Images) -> Images:
    """An image of every class, so that what is generated like it has as many of each."""
    firsts = [int(torch.nonzero(real.labels == label)[0]) for label in real.labels.unique().tolist()]
    return real.part(torch.tensor(firsts))


def _failures(details: Mapping[str, Any]) -> list[str]:
    rows = [[f["arm"], f["phase"], str(f["seed"]), f["error"][:200]] for f in details["failures"]]
    return [
        paragraph(
            "These were left out; an arm that failed on any seed can't be chosen. Resuming tries those of the test set "
            "again; the choice stands."
        ),
        table(["arm", "split", "seed", "error"], rows),
    ]


def _use(details: Mapping[str, Any]) -> list[str]:
    augmentation = "with" if details["classic"] else "without"
    return [
        paragraph(f"The study's advice here: ratio {details['ratio']:g}, {augmentation} classic augmentation."),
        code(
            "import genaug\n\n"
            'report = genaug.load_study("PATH")  # this page\'s folder\n'
            "mixed = genaug.MixedDataset(train_set, generator, ratio=report.ratio)"
        ),
    ]


def _method(details: Mapping[str, Any]) -> list[str]:
    settings, statistics = details["settings"], details["statistics"]
    per_class = settings["labels_per_class"]
    pairs = [
        ("image size", settings["train"]["shape"]),
        ("training images of a seed", f"{statistics['n_train']:,}" + (f", {per_class} per class" if per_class else "")),
        ("test images", f"{statistics['n_test']:,}"),
        ("seeds", ", ".join(map(str, settings["seeds"]))),
        ("classifier", settings["classifier"]),
        ("classic augmentation", settings["classic"]),
        ("updates", f"{settings['updates']:,}"),
        ("batch size", str(settings["batch_size"])),
        ("learning rate", f"{settings['lr']:g}"),
        ("ratios tried", ", ".join(f"{ratio:g}" for ratio in settings["ratios"])),
        ("generated images of a seed, at most", f"{statistics['n_generated']:,}"),
        ("time, all arms", duration(details["seconds"])),
        *details["versions"].items(),
    ]
    if origin := details["origin"]:
        pairs = [("training set", origin["train"]), ("test set", origin["test"]), *pairs]
    told = [
        f"{name}: trained {source['trained']}. " + (f"It saw {source['saw']}." if "saw" in source else _recipe(source))
        for name, source in settings["sources"].items()
    ]
    method = statistics["method"]
    inference = (
        f"{method[0].upper()}{method[1:]}. The arm was chosen without the test set, so the intervals that decide need "
        "no correction for the number of arms; the explored ones are corrected (Bonferroni). The control "
        f"({NOISE}) has copies of real images with Gaussian noise of standard deviation 0.1 in place of generated ones."
    )
    return [
        facts(pairs),
        *(paragraph(text, "note") for text in told),
        paragraph(inference, "note"),
        paragraph("The same numbers for scripts, with all p-values: report.json, beside this page.", "note"),
        *_repeat(details),
    ]


def _repeat(details: Mapping[str, Any]) -> list[str]:
    origin = details["origin"]
    if not origin:
        return []
    options = ", ".join(f"{name}={value}" for name, value in origin["options"].items())
    return [paragraph(f"Options that differ from their defaults: {options}. To repeat it:"), code(origin["command"])]


def _recipe(source: Mapping[str, Any]) -> str:
    augment = f", images through {', '.join(source['augment'])}" if source["augment"] else ""
    return f"{source['backend']}, {source['steps']:,} steps at batch size {source['batch_size']}{augment}."
