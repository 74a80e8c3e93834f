"""The figures and the table of a study's page: every number comes from the content of ``report.json``."""

from collections.abc import Mapping
from typing import Any

from genaug.reports.page import figure, paragraph, percent, points, table
from genaug.reports.plots import Curve, dot_plot, line_plot, percent_row
from genaug.studies.compare import summarize
from genaug.studies.findings import FEW

_COLORS = 5


def differences(details: Mapping[str, Any]) -> str:
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


def scores_table(details: Mapping[str, Any]) -> str:
    head, rows = study_rows(details)
    chosen = details["chosen"] and details["chosen"]["name"]
    return table(head, rows, [row[0].partition("\n")[0] == chosen for row in rows])


def ratios(details: Mapping[str, Any]) -> str:
    inner, metric = details["scores"]["inner"], details["metric"]["noun"]
    means = {name: 100 * summarize(list(row.values())).mean for name, row in inner.items()}
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for arm in details["arms"]:
        if arm["name"] in means:
            groups.setdefault(_label(arm), []).append(arm)
    sources, colors = details["settings"]["sources"], [_blend(arm) for arm in details["arms"]]
    colors = [blend for blend in dict.fromkeys(colors) if blend[0] in sources]
    curves = []
    for label, arms in groups.items():
        first, kind = arms[0], "control"
        if first["source"] is None or first["source"] in sources:
            color = "level" if first["source"] is None else f"s{colors.index(_blend(first)) % _COLORS}"
            kind = color if first["classic"] or "method" in first else f"{color} plain"
        label = f"{label}, {means[first['name']]:.1f}%" if len(arms) == 1 else label
        points_at = [(arm["ratio"] or 0.0, means[arm["name"]]) for arm in arms]
        level = first["source"] is None or first["ratio"] is None or "schedule" in first
        curves.append(Curve(label, points_at, kind, baseline=level))
    alt = f"Mean {metric} on the inner splits: " + "; ".join(f"{name} {value:.1f}%" for name, value in means.items())
    caption = (
        f"Mean {metric} over all seeds on the {details['statistics']['samples']} that the inner splits held out. The "
        "arm was chosen by it, without using the test set."
    )
    return figure(line_plot(curves, x_axis="generated share", y_axis=f"{metric}, %", alt=alt), caption)


def course(details: Mapping[str, Any]) -> str:
    """The ratio of each schedule, and the share of the samples that each curriculum draws from, over the training."""
    described, updates = details["settings"]["schedules"], details["settings"]["updates"]
    curves = []
    for number, (name, each) in enumerate(described.items()):
        values, at = each["values"], []
        for part, value in enumerate(values):
            at += [(updates * edge / len(values), value) for edge in (part, part + 1)]
        kinds = {"ratio": ("ratio", ""), "curriculum": ("share of the generated samples that are used", " plain")}
        what, kind = kinds[each["kind"]]
        curves.append(Curve(f"{name}: {what}", at, f"s{number % _COLORS}{kind}", dots=False))
    alt = "Schedules over the training: " + "; ".join(f"{name} {each['text']}" for name, each in described.items())
    ratios = any(each["kind"] == "ratio" for each in described.values())
    caption = (
        "What changes during the training. The numbers of a schedule last for equal parts of the updates."
        + " A schedule's ratio is the generated share of each batch." * ratios
        + " A curriculum draws from a share of the generated samples of each class, the most confident ones."
        * any(each["kind"] == "curriculum" for each in described.values())
    )
    return figure(line_plot(curves, x_axis="updates", y_axis="share", alt=alt), caption)


def _blend(arm: Mapping[str, Any]) -> tuple[Any, Any]:
    """The source of an arm's samples, and the schedule or curriculum."""
    return arm["source"], arm.get("schedule") or arm.get("curriculum")


def _label(arm: Mapping[str, Any]) -> str:
    """An arm's name without its ratio."""
    source = [" ".join(filter(None, _blend(arm)))] if arm["source"] else []
    parts = ["classic"] * arm["classic"] + ([arm["method"]] if "method" in arm else []) + source
    return (" + ".join(parts) or "none") + (f" ({arm['classifier']})" if "classifier" in arm else "")
