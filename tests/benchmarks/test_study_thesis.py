"""study_thesis.py on the embedded digits, with two losses, two numbers of generators and a few steps."""

import json
import shutil
from dataclasses import replace
from typing import ClassVar

import pytest

from benchmarks.common.record import Record
from benchmarks.papers import results_page
from benchmarks.studies import study_thesis, thesis_tables, tracked
from genaug.progress import Progress
from genaug.studies import jobs, sources as source_module
from genaug.studies.arms import NONE, Arm

SMALL = {"width": 4, "max_width": 8, "latent_size": 4}
TINY = ("--data", "digits", "--seeds", "2", "--labels", "3", "--steps", "2", "--updates", "4", "--json")


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    for module in (study_thesis, thesis_tables):
        monkeypatch.setattr(module, "LOSSES", ("relativistic", "nonsaturating"))
        monkeypatch.setattr(module, "COUNTS", (1, 5))
    monkeypatch.setattr(thesis_tables, "RATIOS", (0.25, 0.5))
    tiny = replace(study_thesis.DATA["digits"], config=SMALL, judge_updates=30, samples=200)
    monkeypatch.setitem(study_thesis.DATA, "digits", tiny)
    for name in ("TRIED_UPDATES", "TRIED_STEPS"):
        monkeypatch.setattr(tracked, name, 1)

    def call(*arguments):
        folders = ["--out", str(tmp_path / "runs"), "--results", str(tmp_path / "results" / "study_thesis.jsonl")]
        study_thesis.main([*TINY, *folders, *arguments])
        return capsys.readouterr()

    return call


class Bar(Progress):
    """Tells how far it came."""

    ended: ClassVar[list[tuple[float, float]]] = []

    def __exit__(self, *error):
        self.ended.append((self._done, self._total))
        super().__exit__(*error)


def test_from_start_to_page_and_on_from_the_tracked_cells(run, tmp_path, monkeypatch):
    monkeypatch.setattr(Bar, "ended", [])
    monkeypatch.setattr(tracked, "Progress", Bar)
    first = run()
    ((done, total),) = Bar.ended
    assert done == total > 0
    result = json.loads(first.out.splitlines()[-1])
    assert all(value is None or isinstance(value, int | float) for value in result.values())
    assert "a full run costs about" in first.err
    record = tmp_path / "results" / "study_thesis.jsonl"
    cells = thesis_tables.cells_of(Record(record), "digits")
    arms = {arm for question in thesis_tables.questions().values() for arm in question.arms}
    assert {(c["name"], c["seed"]) for c in cells if "accuracy" in c} == {(a.name, s) for a in arms for s in (0, 1)}
    sources = {"cgan-relativistic", "cgan-nonsaturating", "mad-gan-1", "mad-gan-5", "mad-gan-paper"}
    images = [cell for cell in cells if cell["phase"] == "images"]
    assert {(c["name"], c["seed"]) for c in images} == {(name, seed) for name in sources for seed in (0, 1)}
    assert result["kid_mad_gan_5_median"] == pytest.approx(
        sum(c["kid"] for c in images if c["name"] == "mad-gan-5") / 2
    )
    figures_drawn = ("loss", "generators", "ratio", "against", "samples")
    for name in figures_drawn:
        assert (tmp_path / "results" / f"study_thesis_digits_{name}.png").read_bytes().startswith(b"\x89PNG")
    page = results_page.page(tmp_path / "results")
    assert "| mad-gan-5 0.5 against cgan-nonsaturating 0.5 | " in page
    assert "study_thesis.py` | The thesis's four questions on the embedded digits | partial: 2 of 5 |" in page

    lines = record.read_text().splitlines()
    gone = next(line for line in lines if '"phase": "images"' in line and '"mad-gan-5"' in line)
    record.write_text("".join(f"{line}\n" for line in lines if line != gone))
    shutil.rmtree(tmp_path / "runs")
    trained, train = [], source_module.train
    monkeypatch.setattr(source_module, "train", lambda *a: trained.append(a[0].config["generators"]) or train(*a))
    monkeypatch.setattr(jobs, "_score", lambda *_: pytest.fail("every arm is recorded"))
    assert json.loads(run().out.splitlines()[-1]) == result
    assert trained == [5]
    assert run("--table").out.startswith("### The loss")


def test_the_cost_alone(run, tmp_path):
    assert run("--estimate").out == ""
    assert not (tmp_path / "results").exists()


def cell(name, accuracies):
    return [{"phase": "test", "seed": s, "name": name, "accuracy": a} for s, a in enumerate(accuracies)]


def test_a_question_by_hand():
    arm = Arm("mad-gan-5", 0.5)
    question = thesis_tables.Question("?", (NONE, arm), ((arm, NONE), (NONE, arm)), ("mad-gan-5",))
    kid = [{"phase": "images", "seed": s, "name": "mad-gan-5", "kid": k} for s, k in enumerate((0.3, -0.1, 0.2))]
    cells = [*cell("none", (0.8, 0.82, 0.81)), *cell("mad-gan-5 0.5", (0.81, 0.84, 0.82)), *kid]
    table = thesis_tables.table(cells, question)
    assert "| mad-gan-5 0.5 | 81.0, 84.0, 82.0 | 82.3 | 1.5 |" in table
    # mean 4/3, sd .57735, t(2, .975) = 4.3027: half an interval is 1.434; p = .0572, twice that after Holm
    assert "| mad-gan-5 0.5 against none | +1.3 (−0.1 to +2.8) | 0.114 |" in table
    assert "| mad-gan-5 | 0.200 (−0.100 to 0.300) | not run yet | not run yet |" in table


def test_every_source_of_a_question_is_trained():
    generated = study_thesis.recipes(study_thesis.DATA["mnist"], 10)
    requested = {arm.source for question in thesis_tables.questions().values() for arm in question.arms if arm.source}
    assert requested == set(generated)
    assert generated["mad-gan-paper"].config["loss"] == "madgan"
    assert generated["cgan-nonsaturating"].config["loss"] == "nonsaturating"


def test_how_large_a_gain_is_left_possible_is_the_highest_end_of_the_intervals():
    def of(name, *accuracies):
        return [
            {"study": "digits", "phase": "test", "name": name, "seed": seed, "accuracy": value}
            for seed, value in enumerate(accuracies)
        ]

    none, classic = of("none", 0.8, 0.82, 0.84), of("classic", 0.9, 0.91, 0.92)
    worse, better = of("mad-gan-5 0.1", 0.78, 0.8, 0.83), of("mad-gan-5 0.25", 0.81, 0.83, 0.84)
    beside = of("classic + mad-gan-5 0.5", 0.8, 0.81, 0.82)
    gains = thesis_tables.gains([*none, *classic, *worse, *better, *beside])
    assert {arm.name: round(100 * difference.mean, 2) for arm, difference in gains.items()} == {
        "mad-gan-5 0.1": -1.67,
        "mad-gan-5 0.25": 0.67,
        "classic + mad-gan-5 0.5": -10,
    }
    alone = {arm: difference for arm, difference in gains.items() if not arm.classic}
    assert thesis_tables.highest_end(alone) == max(difference.high for difference in alone.values())
    each = [thesis_tables.sensitivity([difference]).gain for difference in alone.values()]
    assert thesis_tables.detectable_gain(alone) == max(each)
    limit = thesis_tables.limit([*none, *classic, *worse, *better, *beside])
    assert f"the upper ends reach +{100 * thesis_tables.highest_end(alone):.1f} points" in limit
    assert "On top of classic augmentation, 0 of the 1 arms" in limit
    assert thesis_tables.limit(none) == ""
