"""A study's report as a page: every number comes from the content of ``report.json``."""

import re
from collections.abc import Mapping
from typing import Any

from genaug.progress import duration
from genaug.reports.page import code, facts, page, paragraph, section, table
from genaug.studies.arms import BASELINES, NOISE, Arm
from genaug.studies.jobs import Work
from genaug.studies.mixes import descriptions_in
from genaug.studies.study_figures import course, differences, ratios, scores_table
from genaug.studies.study_pictures import examination_facts, pictures


def study_html(details: Mapping[str, Any], work: Work, chosen: Arm | None) -> str:
    """The complete page; the pictures are drawn from ``work``."""
    parts = [
        *(paragraph(text) for text in details["reservations"]),
        paragraph(_minus(details["sentence"]), "verdict"),
        *(paragraph(_minus(text)) for text in details["warnings"]),
        paragraph(_intro(details)),
        section("On the test set", differences(details), scores_table(details)),
        section("On the inner splits, by ratio", ratios(details)),
    ]
    if details["settings"].get("schedules"):
        parts.append(section("The schedules", course(details)))
    if chosen is not None and chosen.ratio is not None:
        parts.append(section("What was generated", *examination_facts(details), *pictures(details, work, chosen)))
    if details["failures"]:
        parts.append(section("What failed", *_failures(details)))
    parts += [section("Use it", *_use(details)), section("How this was measured", *_method(details))]
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
    if details["baselines"] != [arm.name for arm in BASELINES]:
        augmentation = f"trained with: {details['method'] or 'none'}"
    noun = details["statistics"]["samples"]
    if details["verdict"] == "use" and not details["ratio"]:
        name = details["source"]
        return [
            paragraph(f"The study's advice: use the classifier, not the samples. It is that of {name}:"),
            code(details["code"]),
            paragraph(f"If you train a classifier nevertheless: without generated {noun}, {augmentation}.", "note"),
        ]
    chosen = details["chosen"]
    blend = f"ratio {details['ratio']:g}"
    if details["verdict"] == "use":
        blend = f"{chosen['source']} at ratio {details['ratio']:g}"
        if "schedule" in chosen:
            blend = f"{chosen['source']} with the schedule {chosen['schedule']!r}, mean ratio {details['ratio']:.3g}"
        elif "curriculum" in chosen:
            blend += f" with the curriculum {chosen['curriculum']!r}"
    return [paragraph(f"The study's advice: {blend}, {augmentation}."), code(details["code"])]


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
        ("ratios tried", ", ".join(f"{ratio:g}" for ratio in settings["ratios"]) or None),
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
            + " ".join(filter(None, [_recipe(source), f"It saw {source['saw']}." if "saw" in source else ""]))
            for name, source in descriptions_in(settings["sources"])
        ),
        *(_course(name, each) for name, each in settings.get("schedules", {}).items()),
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


def _course(name: str, described: Mapping[str, Any]) -> str:
    if described["kind"] == "ratio":
        return f"{name}: a schedule of ratios, {described['text']}."
    return f"{name}: a curriculum with the shares {described['text']}. Its classifier: {described['classifier']}."


def _recipe(source: Mapping[str, Any]) -> str:
    """How it is trained for every seed; nothing about a pretrained one."""
    for kind in ("function", "estimator"):
        if kind in source:
            return f"The {kind}: {source[kind]}."
    if "saw" in source:
        return ""
    augment = f", images through {', '.join(source['augment'])}" if source["augment"] else ""
    text = f"{source['backend']}, {source['steps']:,} steps at batch size {source['batch_size']}{augment}."
    if source.get("balance"):
        text += f" Rare classes are shown more often ({source['balance']})."
    if unlabelled := source.get("unlabelled"):
        among = unlabelled["training_images"]
        note = f", {among:,} of which are training images of this study" if among else ""
        text += f" Images without labels: {unlabelled['images']:,}{note}."
    return text
