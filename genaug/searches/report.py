"""The result of a search: the best options, all trials, and a page that shows them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genaug.errors import TrainingError
from genaug.reports.page import code, facts, figure, page, paragraph, section, table
from genaug.reports.plots import Curve, line_plot
from genaug.searches.folder import BEST
from genaug.sources.generator import Generator
from genaug.sources.loading import load_folder
from genaug.version import __version__

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class SearchResult:
    """The result of ``genaug.search``.

    ``config`` has the best trial's options, fixed ones among them, as ``genaug.fit`` takes them; ``value`` is its
    objective, and ``default`` that of the default options (None if that trial was pruned or failed, or isn't in the
    space). ``trials`` has one mapping per trial: ``number``, ``state`` ("complete", "pruned", "failed"), ``options``,
    ``value``, ``steps``, the measurements by step in ``measured``, and an ``error``. ``settings`` are those of the
    search. ``folder`` has the report and, in ``best/``, the best generator.

    The best of many trials looks better on the held-out images than it is: compare it with the defaults on other seeds
    before you quote a figure.
    """

    config: dict[str, Any]
    value: float
    default: float | None
    trials: list[dict[str, Any]]
    settings: dict[str, Any]
    folder: Path

    @property
    def saved_steps(self) -> float:
        """The share of all trials' steps that pruning saved, in [0, 1]."""
        total = self.settings["steps"] * len(self.trials)
        return 1 - sum(trial["steps"] for trial in self.trials if trial["state"] != "failed") / total if total else 0.0

    @property
    def sentence(self) -> str:
        states = [trial["state"] for trial in self.trials]
        counts = ", ".join(f"{states.count(s)} {s}" for s in ("complete", "pruned", "failed") if s in states)
        default = "which the default options weren't compared on" if self.default is None else ""
        default = default or f"against {self.default:.4g} with the default options"
        return f"best {self.settings['objective']} of {len(states)} trials ({counts}): {self.value:.4g}, {default}."

    def generator(self) -> Generator:
        """The generator of the best trial, which was trained without the held-out images."""
        return load_folder(self.folder / BEST)

    def contents(self) -> dict[str, bytes]:
        """The files ``search.json`` and ``search.html``, by name."""
        fields = {
            "kind": "search",
            "format_version": 1,
            "sentence": self.sentence,
            "config": self.config,
            "value": self.value,
            "default": self.default,
            "saved_steps": self.saved_steps,
            "trials": self.trials,
            "settings": self.settings,
            "genaug": __version__,
        }
        return {
            "search.json": (json.dumps(fields, indent=2, allow_nan=False) + "\n").encode(),
            "search.html": _page(self).encode(),
        }

    def __repr__(self) -> str:
        return f"SearchResult({self.settings['objective']}={self.value:.4g}, config={self.config})"


def result_of(
    trials: "Sequence[optuna.trial.FrozenTrial]", settings: dict[str, Any], defaults: Mapping[str, Any], folder: Path
) -> SearchResult:
    """The result of finished trials. Raises ``TrainingError`` if none is complete."""
    from optuna.trial import TrialState

    states = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
    rows: list[dict[str, Any]] = [
        {
            "number": trial.number,
            "state": states[trial.state],
            "options": trial.user_attrs.get("options", trial.params),
            "value": trial.value if trial.state == TrialState.COMPLETE else None,
            "steps": int(trial.user_attrs.get("steps", 0)),
            "measured": {str(step): value for step, value in sorted(trial.intermediate_values.items())},
            "error": trial.user_attrs.get("error"),
        }
        for trial in trials
        if trial.state in states
    ]
    complete = [row for row in rows if row["value"] is not None]
    if not complete:
        reason = next((row["error"] for row in rows if row["error"]), "all were pruned")
        raise TrainingError(f"no trial of the search could be completed. The first one: {reason}")
    higher = settings["higher_is_better"]
    best = (max if higher else min)(complete, key=lambda row: row["value"])
    default = next((row["value"] for row in complete if row["options"] == dict(defaults)), None)
    config = {**settings["config"], **best["options"]}
    return SearchResult(config, best["value"], default, rows, settings, folder)


def _page(result: SearchResult) -> str:
    settings = result.settings
    options = "".join(f"    {name!r}: {value!r},\n" for name, value in result.config.items())
    call = f"config = {{\n{options}}}\n"
    call += f"genaug.fit({settings['backend']!r}, dataset, out=..., steps={settings['steps']}, config=config)"
    return page(
        f"Search of {settings['backend']}",
        paragraph(f"{result.sentence[0].upper()}{result.sentence[1:]}", "verdict"),
        paragraph(
            "The options were chosen by these very figures, so the best one is an optimistic estimate. Train the "
            "default and the best options with other seeds to compare them."
        ),
        section("The best options", code(call)),
        section("Trials", _figure(result), _table(result)),
        section("Settings", facts([(name, _text(value)) for name, value in settings.items()])),
    )


def _figure(result: SearchResult) -> str:
    """The objective during the trainings: of the defaults, the best trial and the others."""
    name = result.settings["objective"]
    curves = []
    for trial in result.trials:
        at = [(float(step), value) for step, value in trial["measured"].items()]
        if at and trial["value"] is not None:
            best = trial["value"] == result.value
            label = f"trial {trial['number'] + 1}{' (default options)' * (trial['number'] == 0)}"
            curves.append(Curve(f"{label}, the best" if best else label, at, "new" if best else "old"))
    if not curves:
        values = [t for t in result.trials if t["value"] is not None]
        at = [(float(trial["number"] + 1), trial["value"]) for trial in values]
        return figure(
            line_plot([Curve(name, at, "new")], x_axis="trial", y_axis=name, alt=f"{name} of every complete trial"),
            "Complete trials in the order in which they were started.",
        )
    plot = line_plot(curves, x_axis="steps", y_axis=name, alt=f"{name} during the complete trials")
    return figure(plot, "Complete trials; those that were pruned are in the table.")


def _table(result: SearchResult) -> str:
    """All trials from the best to the worst, with the options."""
    higher = result.settings["higher_is_better"]

    def rank(trial: Mapping[str, Any]) -> tuple[bool, float]:
        value = trial["value"]
        return value is None, 0.0 if value is None else -value if higher else value

    names = list(result.settings["space"])
    rows = [
        [
            f"{trial['number'] + 1}\n{trial['error'] or trial['state']}",
            "" if trial["value"] is None else f"{trial['value']:.4g}",
            f"{trial['steps']:,}",
            *(_text(trial["options"].get(name, "")) for name in names),
        ]
        for trial in sorted(result.trials, key=rank)
    ]
    highlight = [trial["value"] == result.value for trial in sorted(result.trials, key=rank)]
    return table(["trial", result.settings["objective"], "steps", *names], rows, highlight)


def _text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)
