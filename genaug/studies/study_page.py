"""A study's report as a page: every number comes from the content of ``report.json``."""

import re
from collections.abc import Mapping
from typing import Any

import torch

from genaug.nn.neighbours import nearest
from genaug.progress import duration
from genaug.reports.page import code, facts, figure, page, paragraph, percent, picture, points, section, table
from genaug.reports.plots import Curve, dot_plot, line_plot, percent_row
from genaug.reports.sheet import Block, draw_sheet, sheet_labels
from genaug.studies.advice import classifier_code
from genaug.studies.arms import NOISE, Arm
from genaug.studies.blending import generate
from genaug.studies.compare import summarize
from genaug.studies.decide import BASELINES
from genaug.studies.jobs import Job, Work, one_thread, seed_images, source_of

_COLUMNS = 6
_COLORS = 5


def study_html(details: Mapping[str, Any], work: Work, chosen: Arm | None) -> str:
    """The complete page; the pictures are drawn from ``work``."""
    parts = [
        *(paragraph(text) for text in details["reservations"]),
        paragraph(_minus(details["sentence"]), "verdict"),
        *(paragraph(_minus(text)) for text in details["warnings"]),
        paragraph(_intro(details)),
        section("On the test set", _differences(details), _table(details)),
        section("On the inner splits, by ratio", _ratios(details)),
    ]
    if chosen is not None and chosen.ratio is not None:
        parts.append(section("What was generated", *_examination(details), *_pictures(details, work, chosen)))
    if details["failures"]:
        parts.append(section("What failed", *_failures(details)))
    parts += [section("Use it", *_use(details)), section("How this was measured", *_method(details))]
    return page("Do generated images help?", *parts)


def _minus(text: str) -> str:
    """The text with minus signs instead of hyphens before digits."""
    return re.sub(r"(?<=[ (])-(?=\d)", "−", text)


def _intro(details: Mapping[str, Any]) -> str:
    settings, statistics, origin = details["settings"], details["statistics"], details["origin"]
    data = f" of {origin['train']}" if origin else ""
    classifiers = [name for name, source in settings["sources"].items() if source.get("route") == "classifier"]
    return (
        f"For each of {len(settings['seeds'])} seeds, a classifier was trained in several ways, from the same initial "
        f"weights, on the same {statistics['n_train']:,} images{data} ({settings['train']['shape']}) and for "
        f"{settings['updates']:,} updates, and tested on {statistics['n_test']:,} others. The way to test was chosen "
        "before, on a fifth of each seed's training images."
        + (
            f" {', '.join(classifiers)} classified the same images in their own way, without a ratio."
            * bool(classifiers)
        )
    )


def _differences(details: Mapping[str, Any]) -> str:
    comparisons = [c for c in details["comparisons"] if c["role"] != "explored"]
    if not comparisons:
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
        for c in comparisons
    ]
    alt = "Differences in accuracy: " + "; ".join(f"{row.label} {row.text}" for row in rows)
    levels = " or ".join(dict.fromkeys(f"{100 * c['confidence']:.4g}%" for c in comparisons))
    caption = (
        f"Difference in accuracy: a dot for each seed, the mean as a line, and its {levels} interval as a band. The "
        "verdict is based on the rows in color: the arm that was chosen on the inner splits, against none and against "
        "classic. For “use”, both 95% intervals must lie above 0; for “don't use”, either 97.5% interval below 0."
    )
    return figure(dot_plot(rows, axis="difference, percentage points", alt=alt, zero=True), caption)


def study_rows(details: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The head and the rows of the test set's table, for the page and the terminal."""
    intervals = {
        (c["name"], c["baseline"]): f"{points(c['mean'])}\n{points(c['low'])} to {points(c['high'])}"
        for c in details["comparisons"]
    }
    explored = {c["name"] for c in details["comparisons"] if c["role"] == "explored"}
    baselines = [arm.name for arm in BASELINES]
    rows = []
    for name, values in details["accuracies"]["test"].items():
        summary = summarize(list(values.values()))
        cells = [percent(summary.mean), "–" if summary.sd is None else f"{100 * summary.sd:.1f}"]
        cells += [intervals.get((name, baseline), "–") for baseline in baselines]
        rows.append([name + ("\nexplored" if name in explored else ""), *cells])
    return ["trained with", "accuracy", "sd", *(f"against {name}" for name in baselines)], rows


def _table(details: Mapping[str, Any]) -> str:
    head, rows = study_rows(details)
    chosen = details["chosen"] and details["chosen"]["name"]
    return table(head, rows, [row[0].partition("\n")[0] == chosen for row in rows])


def _ratios(details: Mapping[str, Any]) -> str:
    inner = details["accuracies"]["inner"]
    means = {name: 100 * summarize(list(row.values())).mean for name, row in inner.items()}
    groups: dict[tuple[str | None, bool], list[tuple[float | None, float]]] = {}
    for arm in details["arms"]:
        if arm["name"] in means:
            groups.setdefault((arm["source"], arm["classic"]), []).append((arm["ratio"], means[arm["name"]]))
    sources = list(details["settings"]["sources"])
    curves = []
    for (source, classic), curve in groups.items():
        label = " + ".join(["classic"] * classic + ([source] if source else [])) or "none"
        kind = "control"
        if source is None or source in sources:
            color = "level" if source is None else f"s{sources.index(source) % _COLORS}"
            kind = color if classic else f"{color} plain"
        label = f"{label}, {curve[0][1]:.1f}%" if len(curve) == 1 else label
        points_at = [(ratio or 0.0, value) for ratio, value in curve]
        curves.append(Curve(label, points_at, kind, source is None or curve[0][0] is None))
    alt = "Mean accuracy on the inner splits: " + "; ".join(f"{name} {value:.1f}%" for name, value in means.items())
    caption = (
        "Mean accuracy over all seeds on the images that the inner splits held out. The arm was chosen by it, without "
        "using the test set."
    )
    return figure(line_plot(curves, x_axis="generated share", y_axis="accuracy, %", alt=alt), caption)


def _examination(details: Mapping[str, Any]) -> list[str]:
    """The examination of the samples in figures."""
    examination = details["examination"]
    if "recognized" not in examination:
        return []
    distance = examination["distance_ratio"]
    return [
        facts(
            [
                ("samples recognized as the requested class", f"{examination['recognized']:.0%}"),
                ("real test images recognized by the same classifier", f"{examination['recognized_real']:.0%}"),
                ("distance within a class, relative to real images", "–" if distance is None else f"{distance:.0%}"),
                ("samples identical to another one", f"{examination['repeated']:.1%}"),
            ]
        ),
        paragraph(
            f"{examination['samples']:,} samples for {examination['seeds']} seeds. The classifier is the study's, "
            "trained on all training images; the recognized shares are averaged over classes.",
            "note",
        ),
    ]


def _pictures(details: Mapping[str, Any], work: Work, chosen: Arm) -> list[str]:
    """Sample grids of the first seed: real and generated images, and generated images and their nearest real ones."""
    seed = details["settings"]["seeds"][0]
    real, _ = seed_images(work, Job("test", seed, ()))
    firsts = [int(torch.nonzero(real.labels == label)[0]) for label in real.labels.unique().tolist()]
    balanced = real.part(torch.tensor(firsts))  # one image per class, so that classes get the same number of samples
    with one_thread():
        try:
            source = source_of(work, str(chosen.source), seed)
            samples = generate(source, balanced, len(sheet_labels(work.spec.num_classes, _COLUMNS)), 0)
        except Exception as error:
            return [paragraph(f"No sample grid could be drawn ({type(error).__name__}: {error}).")]
    neighbors = real.images[nearest(samples.images.flatten(1), real.images.flatten(1))[1]]
    blocks = (
        Block(real.images, real.labels, "real"),
        Block(samples.images, samples.labels, "generated"),
        Block(neighbors, samples.labels, "nearest"),
    )
    grids = [draw_sheet(*pair, classes=real.classes, columns=_COLUMNS) for pair in (blocks[:2], blocks[1:])]
    return [
        figure(
            picture(grids[0], "Rows of real images beside rows of generated ones, one row per class"),
            f"Seed {seed}: its first training images of each class, and the same number from {chosen.source}.",
        ),
        figure(
            picture(grids[1], "Rows of generated images beside rows of the training images nearest to them"),
            "The same generated images, and in the same places the training images nearest to them (Euclidean distance "
            "of pixels). If both sides show the same images, the generator copies.",
        ),
    ]


def _failures(details: Mapping[str, Any]) -> list[str]:
    return [
        paragraph(
            "These results are missing; an arm that failed on any seed can't be chosen. Resuming the study tries those "
            "on the test set again, but doesn't change the choice."
        ),
        table(
            ["arm", "split", "seed", "error"],
            [[f["arm"], f["phase"], str(f["seed"]), f["error"][:200]] for f in details["failures"]],
        ),
    ]


def _use(details: Mapping[str, Any]) -> list[str]:
    augmentation = f"{'with' if details['classic'] else 'without'} classic augmentation"
    if details["verdict"] == "use" and not details["ratio"]:
        name = details["source"]
        return [
            paragraph(f"The study's advice: use the classifier, not the samples. It is that of {name}:"),
            code(classifier_code(details["settings"]["sources"][name])),
            paragraph(f"If you train a classifier nevertheless: without generated images, {augmentation}.", "note"),
        ]
    return [
        paragraph(f"The study's advice: ratio {details['ratio']:g}, {augmentation}."),
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
        ("training images per seed", f"{statistics['n_train']:,}" + (f", {per_class} per class" if per_class else "")),
        ("test images", f"{statistics['n_test']:,}"),
        ("seeds", ", ".join(map(str, settings["seeds"]))),
        ("classifier", settings["classifier"]),
        ("classic augmentation", settings["classic"]),
        ("updates", f"{settings['updates']:,}"),
        ("batch size", str(settings["batch_size"])),
        ("learning rate", f"{settings['lr']:g}"),
        ("ratios tried", ", ".join(f"{ratio:g}" for ratio in settings["ratios"])),
        ("generated images per seed, at most", f"{statistics['n_generated']:,}"),
        ("time, all arms", duration(details["seconds"])),
        *details["versions"].items(),
    ]
    repeat = []
    if origin := details["origin"]:
        pairs = [("training set", origin["train"]), ("test set", origin["test"]), *pairs]
        options = ", ".join(f"{name}={value}" for name, value in origin["options"].items())
        repeat = [
            paragraph(f"Options that differ from their defaults: {options}. To repeat the study:"),
            code(origin["command"]),
        ]
    method = statistics["method"]
    notes = [
        *(
            f"{name}: trained {source['trained']}. "
            + ("Its classifier is an arm, without a ratio. " if source.get("route") == "classifier" else "")
            + (f"It saw {source['saw']}." if "saw" in source else _recipe(source))
            for name, source in settings["sources"].items()
        ),
        f"{method[0].upper()}{method[1:]}. The arm was chosen without the test set, so the intervals that decide need "
        "no correction for the number of arms; the explored ones are corrected (Bonferroni). The control "
        f"({NOISE}) has copies of real images with Gaussian noise of standard deviation 0.1 instead of generated ones.",
        "The same numbers for scripts, with all p-values: report.json, beside this page.",
    ]
    return [
        facts(pairs),
        *(paragraph(text, "note") for text in notes),
        *repeat,
    ]


def _recipe(source: Mapping[str, Any]) -> str:
    for kind in ("function", "estimator"):
        if kind in source:
            return f"The {kind}: {source[kind]}."
    augment = f", images through {', '.join(source['augment'])}" if source["augment"] else ""
    text = f"{source['backend']}, {source['steps']:,} steps at batch size {source['batch_size']}{augment}."
    if unlabelled := source.get("unlabelled"):
        among = unlabelled["training_images"]
        note = f", {among:,} of which are training images of this study" if among else ""
        text += f" Images without labels: {unlabelled['images']:,}{note}."
    return text
