"""The demo's report as a page: every number comes from the content of ``report.json``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from genaug.reports.page import code, facts, figure, page, paragraph, percent, picture, points, section, table
from genaug.reports.plots import dot_plot, percent_row
from genaug.studies.compare import Verdict


def verdict(verdicts: Mapping[str, Verdict]) -> str:
    """The conclusion from the five comparisons, ``verdicts["generated - none"]`` and so on.

    Generated images "helped here" only if an arm with them, alone or on top of classic augmentation, is measurably
    better than both no augmentation and classic augmentation. An arm that is better than only one of them is described
    as that.
    """
    classic, alone, both = (verdicts[f"{arm} - none"] for arm in ("classic", "generated", "classic + generated"))
    over_classic, beside = (verdicts[f"{arm} - classic"] for arm in ("generated", "classic + generated"))
    if both == beside == "helps":
        return "Generated images helped here, on top of classic augmentation."
    together = {
        "helps": "the two together did better than classic augmentation alone, but "
        + ("worse than neither" if both == "hurts" else "not measurably better than neither"),
        "hurts": "added to classic augmentation, they made it worse",
        "no evidence": "added to classic augmentation, they made no measurable difference",
    }[beside]
    if alone == over_classic == "helps":
        return (
            f"Generated images helped here, more than classic augmentation; {together}. "
            "Here, use generated images in its place, or compare again with better augmentation."
        )
    if alone == "helps":
        rank = "classic augmentation did better" if over_classic == "hurts" else "not measurably more than classic did"
        remedy = "use classic augmentation and leave the generator out"
        if classic != "helps" or beside == "helps":
            remedy = "compare again with more seeds before you use either"
        return f"Generated images helped the bare classifier, but {rank}; {together}. Here, {remedy}."
    if alone == "hurts":
        return f"Generated images alone hurt here; {together}. Leave them out."
    return (
        "No evidence that generated images help here: alone they made no measurable difference; "
        f"{together}. Leave them out."
    )


def interval(difference: dict[str, Any]) -> str:
    """The mean, ``+1.2``, and on a second line the interval."""
    if difference["low"] is None:
        return f"{points(difference['mean'])}\none seed"
    return f"{points(difference['mean'])}\n{points(difference['low'])} to {points(difference['high'])}"


def demo_rows(report: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The head and the rows of the table, for the page and the terminal."""
    rows = []
    for name, arm in report["arms"].items():
        accuracy = [percent(arm["mean"]), "–" if arm["sd"] is None else f"{100 * arm['sd']:.1f}"]
        differences = [report["differences"].get(f"{name} - {baseline}") for baseline in ("none", "classic")]
        rows.append([name, *accuracy, *("–" if d is None else interval(d) for d in differences)])
    return [
        "classifier trained with",
        "accuracy",
        "sd",
        "against none\n95% interval",
        "against classic\n95% interval",
    ], rows


def demo_html(report: dict[str, Any], sheet: Image.Image, out: Path) -> str:
    """The complete page."""
    settings, seeds = report["settings"], len(report["seeds"])
    intro = (
        f"Only {settings['labels_per_class']} labeled digits per class are available. Does it help to train a "
        "generator on these few and to blend its images into the training set of a classifier? Measured "
        f"{'once' if seeds == 1 else f'{seeds} times'}, each time with other labeled digits, a new generator and new "
        f"classifiers, on {settings['test_images']} test digits."
    )
    return page(
        "Do generated digits help?",
        paragraph(report["verdict"], "verdict"),
        paragraph(intro),
        section("Accuracy", _accuracy_figure(report), _table(report)),
        section("What each way gained", _difference_figure(report), _sentences(report)),
        section("What was generated", _sheet_figure(report, sheet)),
        section("On your own data", *_next_steps(report, out)),
        section("How this was measured", *_method(report)),
    )


def _accuracy_figure(report: dict[str, Any]) -> str:
    rows = []
    for name, arm in report["arms"].items():
        mean, sd = arm["mean"], arm["sd"]
        band = (None, None) if sd is None else (mean - sd, mean + sd)
        rows.append(percent_row(name, arm["accuracies"], mean, band, percent(mean), "generated" in name))
    alt = "Test accuracy: " + "; ".join(f"{row.label} {row.text}" for row in rows)
    caption = (
        "Test accuracy of every classifier: a dot for each seed, the mean as a line, and one standard deviation on "
        "either side as a band. All arms have the same number of updates and, for the same seed, the same labeled "
        "digits and initial weights."
    )
    return figure(dot_plot(rows, axis="accuracy on the test digits, %", alt=alt), caption)


def _table(report: dict[str, Any]) -> str:
    head, rows = demo_rows(report)
    return table(head, rows, ["generated" in row[0] for row in rows])


def _difference_figure(report: dict[str, Any]) -> str:
    rows = []
    for difference in report["differences"].values():
        arm, mean = difference["arm"], difference["mean"]
        label, text = f"{arm} − {difference['baseline']}", f"{points(mean)}: {difference['verdict']}"
        band = (difference["low"], difference["high"])
        rows.append(percent_row(label, difference["per_seed"], mean, band, text, "generated" in arm))
    alt = "Paired differences: " + "; ".join(f"{row.label} {row.text}" for row in rows)
    caption = (
        "Differences in accuracy by seed. The band is the 95% interval of the mean difference (Student's t over the "
        "seeds); if it includes zero, there is no evidence either way. The intervals aren't corrected for their number."
    )
    return figure(dot_plot(rows, axis="difference in accuracy, percentage points", alt=alt, zero=True), caption)


def _sentences(report: dict[str, Any]) -> str:
    return "\n".join(
        paragraph(report["differences"][name]["sentence"].replace("-", "−"))
        for name in ("generated - none", "classic + generated - classic")
    )


def _sheet_figure(report: dict[str, Any], sheet: Image.Image) -> str:
    settings = report["settings"]
    caption = (
        f"Seed {report['seeds'][0]}. Left: real digits that the generator was trained on; right: generated digits, "
        f"not selected. {settings['backend']}, {settings['generator_steps']:,} steps."
    )
    return figure(picture(sheet, "Rows of real digits beside rows of generated digits, one row per class"), caption)


def _next_steps(report: dict[str, Any], out: Path) -> list[str]:
    settings = report["settings"]
    python = (
        "import genaug\n\n"
        'gen = genaug.load("runs/mine")\n'
        f"mixed = genaug.MixedDataset(train_set, gen, ratio={settings['ratio']:g})\n"
        f"loader = DataLoader(mixed, batch_sampler=mixed.batch_sampler({settings['batch_size']}))\n"
        "for epoch in range(epochs):\n"
        "    mixed.set_epoch(epoch)\n"
        "    for images, labels in loader:\n"
        "        ...  # your unchanged loop"
    )
    return [
        paragraph(
            "PATH contains class folders with images under train/. Train a generator on them and look at its samples:"
        ),
        code(
            "genaug train cgan --data folder:PATH --image-size 32 --out runs/mine\n"
            "genaug sample runs/mine --per-class 10 --out sheet.png"
        ),
        paragraph("Then blend them into the training set of your loop:"),
        code(python),
        paragraph(
            "Before you rely on them, compare training with and without generated images over several seeds, as here, "
            "in addition to your usual augmentation. This demo's generator can be loaded too: "
            f'genaug.load("{out / "generator"}").'
        ),
    ]


def _method(report: dict[str, Any]) -> list[str]:
    settings, seconds = report["settings"], report["seconds"]
    pairs = [
        ("labeled digits", f"{settings['labels_per_class']} per class"),
        ("test digits", str(settings["test_images"])),
        ("seeds", ", ".join(map(str, report["seeds"]))),
        ("generator", f"{settings['backend']}, {settings['generator_steps']:,} steps"),
        ("its batch size", str(settings["generator_batch_size"])),
        ("generated share", percent(settings["ratio"])),
        ("updates of each classifier", str(settings["updates"])),
        ("batch size", str(settings["batch_size"])),
        ("time for generators", f"{seconds['generators']:.0f} s"),
        ("time for classifiers", f"{seconds['classifiers']:.0f} s"),
        ("total time", f"{seconds['total']:.0f} s"),
        *report["versions"].items(),
    ]
    return [
        facts(pairs),
        paragraph(
            "The data are the 8x8 digits that come with scikit-learn, always split in the same way. Classic "
            "augmentation rotates by up to 15 degrees, scales by up to a tenth and shifts by up to a tenth; the "
            "discriminator's images go through the same transform, so both use the same knowledge about the data. The "
            "generated share was fixed in advance, not chosen by these results.",
            "note",
        ),
        paragraph("The same numbers for scripts: report.json, beside this page.", "note"),
    ]
