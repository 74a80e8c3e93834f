import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.common.record import Record
from benchmarks.studies import verdict_simulation as simulation

STUDIES = 1500


def tolerance(bound):
    """Three standard errors of a share of so many studies."""
    return 3 * (bound * (1 - bound) / STUDIES) ** 0.5


@pytest.mark.parametrize("seeds", simulation.SEEDS)
@pytest.mark.parametrize("case", simulation.ERRORS)
def test_the_verdict_errs_no_more_often_than_it_may(case, seeds):
    means, verdict, most = simulation.ERRORS[case]
    shares = simulation.simulate(means, seeds, 0.063, STUDIES, np.random.default_rng(1))
    assert shares[verdict] <= most + tolerance(most)


@pytest.mark.parametrize("seeds", simulation.SEEDS)
def test_a_gain_of_two_points_is_found(seeds):
    means, least = simulation.POWERS["source 2 above classic, 4 above none"]
    shares = simulation.simulate(means, seeds, 0.13, STUDIES, np.random.default_rng(1))
    assert shares["use"] >= least[seeds] - tolerance(least[seeds])


def test_a_source_between_none_and_classic_is_advised_against():
    shares = simulation.simulate(simulation.level(-2, 2, 0), 10, 0.063, 300, np.random.default_rng(1))
    assert shares["use"] == 0
    assert shares["don't use"] > 0.9


@pytest.mark.parametrize("share", simulation.SHARES)
@pytest.mark.parametrize("overlap", simulation.OVERLAPS)
def test_intervals_cover_where_training_images_overlap(share, overlap):
    for assumed in {1.0, share}:
        covered, width = simulation.coverage(share, overlap, 5, STUDIES, np.random.default_rng(1), assumed)
        assert covered >= 0.93 - tolerance(0.05)
        if share == assumed == 1:
            assert covered <= 0.99
        assert width > 0


def test_a_run_of_a_few_studies_ends_with_a_line_of_json(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(simulation, "RECORD", Record(tmp_path / "rows.jsonl"))
    monkeypatch.setattr("sys.argv", ["verdict_simulation", "--studies", "3", "--write", "--json"])
    simulation.main()
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    rows = (tmp_path / "rows.jsonl").read_text().splitlines()
    assert result["rows"] == len(rows) == 58
    assert 0 <= result["met"] <= result["with_bound"]


def test_the_record_holds_every_row_with_its_bound_kept():
    rows = simulation.RECORD.rows({})
    kinds = [row["kind"] for row in rows]
    cases = len(simulation.SEEDS) * len(simulation.SPREADS)
    assert kinds.count("error") == cases * len(simulation.ERRORS)
    assert kinds.count("power") == cases * len(simulation.POWERS)
    assert kinds.count("coverage") == len(simulation.SEEDS) * len(simulation.OVERLAPS) * 5
    assert all(row["studies"] == 20_000 for row in rows)
    assert [row for row in rows if row.get("met") is False] == []


def test_the_page_about_the_study_shows_the_record():
    rows = simulation.RECORD.rows({})
    assert simulation.tables(rows) in (Path(__file__).parents[2] / "docs" / "study.md").read_text()
