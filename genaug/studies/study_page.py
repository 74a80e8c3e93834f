"""A study's report as a page: every number comes from the content of ``report.json``."""

import re
from collections.abc import Mapping
from typing import Any

import torch

from genaug.data.apportion import largest_remainder
from genaug.nn.neighbours import nearest
from genaug.progress import duration
from genaug.reports.page import code, facts, figure, page, paragraph, percent, picture, points, section, table
from genaug.reports.plots import Curve, dot_plot, line_plot, percent_row
from genaug.reports.sheet import Block, draw_sheet, sheet_labels
from genaug.sources.source import Source
from genaug.studies.advice import blend_code, classifier_code, rows_code
from genaug.studies.arms import BASELINES, NOISE, Arm
from genaug.studies.blending import generate
from genaug.studies.compare import summarize
from genaug.studies.findings import FEW
from genaug.studies.jobs import Job, Work, one_thread, seed_samples, source_of
from genaug.studies.splits import LabelledSamples

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
    parts += [section("Use it", *_use(details, work)), section("How this was measured", *_method(details))]
    return page(f"Do generated {details['statistics']['samples']} help?", *parts)


def _minus(text: str) -> str:
    """The text with minus signs instead of hyphens before digits."""
    return re.sub(r"(?<=[ (])-(?=\d)", "−", text)


def _intro(details: Mapping[str, Any]) -> str:
    settings, statistics, origin = details["settings"], details["statistics"], details["origin"]
    data = f" of {origin['train']}" if origin else ""
    classifiers = [name for name, source in settings["sources"].items() if source.get("route") == "classifier"]
    samples, updates = statistics["samples"], settings["updates"]
    same = f"the same {statistics['n_train']:,} {samples}{data} ({settings['train']['shape']})"
    how = f"on {same}" if updates is None else f"from the same initial weights, on {same} and for {updates:,} updates"
    names = settings.get("classifiers")
    what = "a classifier was" if names is None else f"{len(names)} classifiers ({', '.join(names)}) were"
    return (
        f"For each of {len(settings['seeds'])} seeds, {what} trained in several ways, {how}, and tested on "
        f"{statistics['n_test']:,} others. What counts is {details['metric']['noun']}. The way to test was chosen "
        f"before, on a fifth of each seed's training {samples}."
        + (
            f" {', '.join(classifiers)} classified the same {samples} in their own way, without a ratio."
            * bool(classifiers)
        )
    )


def _differences(details: Mapping[str, Any]) -> str:
    metric, baselines = details["metric"]["noun"], details["baselines"]
    comparisons = [c for c in details["comparisons"] if c["role"] != "explored"]
    if len(baselines) > FEW:  # the chosen arm against each of them is enough
        comparisons = [
            c for c in comparisons if c["role"] == "decides" or c["baseline"] not in baselines or not c["source"]
        ]
    if not comparisons:
        return paragraph("Too few arms finished on the test set for a comparison.")
    rows = [
        percent_row(
            _pair(c, len(baselines)),
            c["per_seed"],
            c["mean"],
            (c["low"], c["high"]),
            f"{points(c['mean'])} ({points(c['low'])} to {points(c['high'])})",
            c["role"] == "decides",
        )
        for c in comparisons
    ]
    alt = f"Differences in {metric}: " + "; ".join(f"{row.label} {row.text}" for row in rows)
    levels = " or ".join(dict.fromkeys(f"{100 * c['confidence']:.4g}%" for c in comparisons))
    against = (
        " and ".join(f"against {name}" for name in baselines) if len(baselines) <= FEW else "against all baselines"
    )
    every = {1: "the", 2: "both"}.get(len(baselines), "all")
    one = {1: "the", 2: "either"}.get(len(baselines), "any")
    caption = (
        f"Difference in {metric}: a dot for each seed, the mean as a line, and its {levels} interval as a band. The "
        f"verdict is based on the rows in color: the arm that was chosen on the inner splits, {against}. For “use”, "
        f"{every} 95% interval{'s' * (len(baselines) > 1)} must lie above 0; for “don't use”, {one} "
        f"{100 * (1 - 0.05 / len(baselines)):.4g}% interval below 0."
    )
    return figure(dot_plot(rows, axis="difference, percentage points", alt=alt, zero=True), caption)


def _pair(comparison: Mapping[str, Any], baselines: int) -> str:
    """The label of a difference: of the chosen arm from one of many baselines, only the baseline."""
    name, baseline = comparison["name"], comparison["baseline"]
    if comparison["role"] == "decides" and baselines > FEW:
        return f"against {baseline}"
    classifier = comparison.get("classifier")
    return f"{name} − {baseline.removesuffix(f' ({classifier})') if classifier else baseline}"


def study_rows(details: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The head and the rows of the test set's table, for the page and the terminal."""
    intervals = {
        (c["name"], c["baseline"]): f"{points(c['mean'])}\n{points(c['low'])} to {points(c['high'])}"
        for c in details["comparisons"]
    }
    explored = {c["name"] for c in details["comparisons"] if c["role"] == "explored"}
    baselines = details["baselines"]
    if few := len(baselines) <= FEW:
        heads = [f"against {name}" for name in baselines]
    else:
        heads = ["least gain over a baseline"]
    rows = []
    for name, values in details["scores"]["test"].items():
        summary = summarize(list(values.values()))
        cells = [percent(summary.mean), "–" if summary.sd is None else f"{100 * summary.sd:.1f}"]
        if few:
            cells += [intervals.get((name, baseline), "–") for baseline in baselines]
        else:
            own = [c for c in details["comparisons"] if c["name"] == name and c["baseline"] in baselines]
            least = min(own, key=lambda c: c["mean"], default=None)
            pair = None if least is None else (name, least["baseline"])
            cells.append("–" if pair is None else f"{intervals[pair]}, {pair[1]}")
        rows.append([name + ("\nexplored" if name in explored else ""), *cells])
    return ["trained with", details["metric"]["noun"], "sd", *heads], rows


def _table(details: Mapping[str, Any]) -> str:
    head, rows = study_rows(details)
    chosen = details["chosen"] and details["chosen"]["name"]
    return table(head, rows, [row[0].partition("\n")[0] == chosen for row in rows])


def _ratios(details: Mapping[str, Any]) -> str:
    inner, metric = details["scores"]["inner"], details["metric"]["noun"]
    means = {name: 100 * summarize(list(row.values())).mean for name, row in inner.items()}
    groups: dict[tuple[str | None, str], list[tuple[float | None, float]]] = {}
    for arm in details["arms"]:
        if arm["name"] in means:
            label = _label(arm)
            groups.setdefault((arm["source"], label), []).append((arm["ratio"], means[arm["name"]]))
    augmented = {_label(arm): arm["classic"] or "method" in arm for arm in details["arms"]}
    sources = list(details["settings"]["sources"])
    curves = []
    for (source, label), curve in groups.items():
        kind = "control"
        if source is None or source in sources:
            color = "level" if source is None else f"s{sources.index(source) % _COLORS}"
            kind = color if augmented[label] else f"{color} plain"
        label = f"{label}, {curve[0][1]:.1f}%" if len(curve) == 1 else label
        points_at = [(ratio or 0.0, value) for ratio, value in curve]
        curves.append(Curve(label, points_at, kind, source is None or curve[0][0] is None))
    alt = f"Mean {metric} on the inner splits: " + "; ".join(f"{name} {value:.1f}%" for name, value in means.items())
    caption = (
        f"Mean {metric} over all seeds on the {details['statistics']['samples']} that the inner splits held out. The "
        "arm was chosen by it, without using the test set."
    )
    return figure(line_plot(curves, x_axis="generated share", y_axis=f"{metric}, %", alt=alt), caption)


def _label(arm: Mapping[str, Any]) -> str:
    """An arm's name without its ratio."""
    parts = ["classic"] * arm["classic"] + [arm[name] for name in ("method", "source") if arm.get(name)]
    return (" + ".join(parts) or "none") + (f" ({arm['classifier']})" if "classifier" in arm else "")


def _examination(details: Mapping[str, Any]) -> list[str]:
    """The examination of the samples in figures."""
    examination = details["examination"]
    if "recognized" not in examination:
        return []
    distance, noun = examination["distance_ratio"], details["statistics"]["samples"]
    return [
        facts(
            [
                ("samples recognized as the requested class", f"{examination['recognized']:.0%}"),
                (f"real test {noun} recognized by the same classifier", f"{examination['recognized_real']:.0%}"),
                (f"distance within a class, relative to real {noun}", "–" if distance is None else f"{distance:.0%}"),
                ("samples identical to another one", f"{examination['repeated']:.1%}"),
            ]
        ),
        paragraph(
            f"{examination['samples']:,} samples for {examination['seeds']} seeds. The classifier is the study's, "
            f"trained on all training {noun}; the recognized shares are averaged over classes.",
            "note",
        ),
    ]


def _pictures(details: Mapping[str, Any], work: Work, chosen: Arm) -> list[str]:
    """Pictures of the first seed's real and generated samples: the modality's own, or sample grids."""
    seed = details["settings"]["seeds"][0]
    real, _ = seed_samples(work, Job("test", seed, ()))
    modality = work.spec.sample
    with one_thread():
        try:
            source = source_of(work, str(chosen.source), seed)
            if modality.preview(real.samples, real.samples) is None:
                return _grids(real, source, work, chosen, seed)
            alike = generate(source, real, real.labels.bincount(minlength=work.spec.num_classes), 0, work.spec)
            preview = modality.preview(real.samples, alike.samples)
        except Exception as error:
            return [paragraph(f"No sample grid could be drawn ({type(error).__name__}: {error}).")]
    assert preview is not None
    noun = modality.noun
    return [
        figure(
            picture(preview, f"Real {noun} beside generated ones"),
            f"Seed {seed}: its training {noun}, and as many of each class from {chosen.source}.",
        )
    ]


def _grids(real: LabelledSamples, source: Source, work: Work, chosen: Arm, seed: int) -> list[str]:
    """Sample grids: real and generated images, and generated images and their nearest real ones."""
    present = (real.labels.bincount(minlength=work.spec.num_classes) > 0).long()  # equally many of each class
    size = len(sheet_labels(work.spec.num_classes, _COLUMNS))
    counts = torch.from_numpy(largest_remainder(size, present.tolist()))
    samples = generate(source, real, counts, 0, work.spec)
    neighbors = real.samples[nearest(samples.samples.flatten(1), real.samples.flatten(1))[1]]
    blocks = (
        Block(real.samples, real.labels, "real"),
        Block(samples.samples, samples.labels, "generated"),
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


def _use(details: Mapping[str, Any], work: Work) -> list[str]:
    augmentation = f"{'with' if details['classic'] else 'without'} classic augmentation"
    if details["baselines"] != [arm.name for arm in BASELINES]:
        augmentation = f"trained with: {details['method'] or 'none'}"
    noun = details["statistics"]["samples"]
    if details["verdict"] == "use" and not details["ratio"]:
        name = details["source"]
        return [
            paragraph(f"The study's advice: use the classifier, not the samples. It is that of {name}:"),
            code(classifier_code(details["settings"]["sources"][name])),
            paragraph(f"If you train a classifier nevertheless: without generated {noun}, {augmentation}.", "note"),
        ]
    return [
        paragraph(f"The study's advice: ratio {details['ratio']:g}, {augmentation}."),
        code(_blend_code(details, work)),
    ]


def _blend_code(details: Mapping[str, Any], work: Work) -> str:
    """The code that blends at the report's ratio; for samples that aren't blended one by one, with the numbers of each
    class for the complete training set."""
    if not work.spec.sample.blended:
        return blend_code(fills=work.fills)
    ratio = details["ratio"]
    counts = work.counts(work.train.labels, ratio) if ratio else work.train.labels.new_zeros(work.spec.num_classes)
    return rows_code(counts.tolist())


def _method(details: Mapping[str, Any]) -> list[str]:
    settings, statistics = details["settings"], details["statistics"]
    per_class, noun, item = settings["labels_per_class"], statistics["samples"], statistics["item"]
    each = " and ".join(map(str, per_class)) if isinstance(per_class, list) else str(per_class)
    pairs = [
        (f"{item} size", settings["train"]["shape"]),
        (f"training {noun} per seed", f"{statistics['n_train']:,}" + (f", {each} per class" if per_class else "")),
        (f"test {noun}", f"{statistics['n_test']:,}"),
        ("seeds", ", ".join(map(str, settings["seeds"]))),
        ("metric", details["metric"]["noun"]),
        ("baselines", ", ".join(details["baselines"])),
        ("classifier", settings["classifier"]),
        ("classic augmentation", settings["classic"]),
        ("updates", None if settings["updates"] is None else f"{settings['updates']:,}"),
        ("batch size", settings["batch_size"]),
        ("learning rate", None if settings["lr"] is None else f"{settings['lr']:g}"),
        ("ratios tried", ", ".join(f"{ratio:g}" for ratio in settings["ratios"])),
        (f"generated {noun} per seed, at most", f"{statistics['n_generated']:,}"),
        ("time, all arms", duration(details["seconds"])),
        *details["versions"].items(),
    ]
    facts_shown = [(name, str(value)) for name, value in pairs if value is not None]
    repeat = []
    if origin := details["origin"]:
        facts_shown = [("training set", origin["train"]), ("test set", origin["test"]), *facts_shown]
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
        f"({NOISE}) has copies of real {noun} with a little Gaussian noise instead of generated ones.",
        "The same numbers for scripts, with all p-values: report.json, beside this page.",
    ]
    return [
        facts(facts_shown),
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
