"""docs/papers.md, and the targets in docs/results.md, are what the records say; `make papers` runs what is left."""

import json
from dataclasses import replace

import pytest

from benchmarks.papers import paper_tables, results_page, run_all
from benchmarks.papers.measures import Bound, Measure, by_seed

COMMAND = "run python benchmarks/papers/results_page.py"
LINE = next(script for script in paper_tables.SCRIPTS if script.name == "mad_gan_1d")


def test_the_committed_page_is_what_the_committed_records_say():
    committed = (results_page.DOCS / "papers.md").read_text(encoding="utf-8")
    assert committed == results_page.page(results_page.RESULTS), f"docs/papers.md is out of date: {COMMAND}"


def test_the_generated_parts_of_the_results_are_what_the_committed_records_say():
    text = (results_page.DOCS / "results.md").read_text(encoding="utf-8")
    updated = results_page.with_records(text, results_page.RESULTS)
    assert text == updated, f"docs/results.md is out of date: {COMMAND}"


def write(folder, name, rows):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def of_line(k, kls, modes=5, steps=100):
    common = {
        "k": k,
        "steps": steps,
        "modes": modes,
        "seconds": 36,
        "elsewhere": 0.02,
        "histogram": [3, 6],
        "samples": 10,
    }
    return [{**common, "seed": s, "kl": v} for s, v in enumerate(kls)]


def section(folder, title):
    return results_page.page(folder).split(f"\n## {title}")[1].split("\n## ")[0]


def test_a_record_becomes_a_table(tmp_path):
    rows = [row for k in (1, 2, 8) for row in of_line(k, [0.5, 0.6, 0.55, 0.5, 0.5, 0.5, 0.5, 0.5] * 2)]
    write(tmp_path, "mad_gan_1d", rows + of_line(4, [0.2, 0.3, 0.25, 0.2, 0.2, 0.2, 0.2, 0.9, *[0.4] * 8]))
    (tmp_path / "mad_gan_1d.png").touch()
    page = section(tmp_path, LINE.title)
    assert "python benchmarks/papers/mad_gan_1d.py --seeds 16 --steps 100 --json" in page
    assert "16 seeds, 0.6 hours" in page
    each = f"0.200, 0.300, 0.250, 0.200, 0.200, 0.200, 0.200, 0.900, {', '.join(['0.400'] * 8)}"
    paper = "0.28 (second-hand)"
    assert f"| KL, k = 4 | {each} | 0.400 (0.200 to 0.900) | ≤ 0.28 (median) | {paper} | **no** |" in page
    assert f"| KL, k = 4, seeds from 8 on | {', '.join(['0.400'] * 8)} | 0.400 (0.400 to 0.400) | –" in page
    assert f"| samples outside the bins, k = 4 | {', '.join(['10.000%'] * 16)} |" in page
    assert f"| samples that KL leaves out, k = 4 | {', '.join(['2.00%'] * 16)} |" in page
    assert f"| modes of 5, k = 4 | {', '.join('5' * 16)} | 5 (5 to 5) | ≥ 5 (every seed) | – | yes |" in page
    (apart,) = (line for line in page.splitlines() if "minus that at k = 1" in line)
    assert "mean < 0, p < .05 (paired t-test) | −0.29 (second-hand) | yes" in apart
    assert "![mad_gan_1d](../benchmarks/results/mad_gan_1d.png)" in page


def test_missing_seeds_are_reported(tmp_path):
    write(tmp_path, "mad_gan_1d", of_line(4, [0.2, 0.4]) + of_line(1, [0.5]) + of_line(4, [0.1] * 101)[100:])
    page = section(tmp_path, LINE.title)
    assert "Partial: 0 of 16 seeds have all figures" in page
    assert (
        "| KL, k = 4 | 0.200, 0.400 | 0.300 (0.200 to 0.400) | ≤ 0.28 (median) | 0.28 (second-hand) | **no**, so far |"
        in page
    )
    assert "| KL, k = 8 | – | – | – | 0.68 (second-hand) | – |" in page
    assert "Not run yet. A full run takes about" in section(tmp_path, "Mixtures in the plane")
    overview = results_page.page(tmp_path).split("\n## ")[0]
    assert f"| `papers/mad_gan_1d.py` | {LINE.title} | partial: 0 of 16 | 1 of 3 |" in overview
    assert "| `papers/labels.py` | Labels for generators that have none | not run yet | – |" in overview


def test_the_page_and_the_targets_are_replaced_and_nothing_else_changes(tmp_path, capsys):
    write(tmp_path / "records", "mad_gan_1d", of_line(4, [0.2, 0.4]))
    papers, results = tmp_path / "papers.md", tmp_path / "results.md"
    papers.write_text("old")
    begin, end = results_page.marks("papers")
    series = results_page.marks("series")
    old = f"before\n{begin}\nan older table\n{end}\nbetween\n{series[0]}\nan older table\n{series[1]}\nafter\n"
    results.write_text(old)
    results_page.main([f"--results={tmp_path / 'records'}", f"--docs={tmp_path}"])
    assert papers.read_text(encoding="utf-8") == results_page.page(tmp_path / "records")
    text = results.read_text(encoding="utf-8")
    before, _, page = text.partition(begin)
    page, _, after = page.partition(end)
    assert before == "before\n"
    assert after.startswith(f"\nbetween\n{series[0]}\nNot run yet: ItalyPowerDemand, 3 labels; ")
    assert after.endswith(f".\n{series[1]}\nafter\n")
    assert "an older table" not in text
    assert "\npython benchmarks/papers/mad_gan_1d.py --seeds 16 --steps 100 --json\n" in page
    assert "study_thesis" not in page
    assert "| `mad_gan_1d` | KL, k = 4 | 2 of 16 | 0.300 (0.200 to 0.400) | ≤ 0.28 (median) | **no**, so far |" in page
    assert "| `mixtures_2d` | ring, mad-gan: modes of 8 | 0 of 5 | – | ≥ 8 (every seed) | not run yet |" in page
    assert {path.name for path in tmp_path.iterdir()} == {"records", "papers.md", "results.md"}
    printed = capsys.readouterr().err
    assert f"wrote {papers}" in printed
    assert f"wrote {results}" in printed


BEGIN, END = results_page.marks("papers")


@pytest.mark.parametrize("text", ["neither", END + BEGIN, BEGIN, BEGIN + END])
def test_a_page_without_the_marks_is_rejected_and_nothing_is_written(text, tmp_path):
    (tmp_path / "results.md").write_text(text)
    with pytest.raises(ValueError, match="expected the lines"):
        results_page.main([f"--results={tmp_path}", f"--docs={tmp_path}"])
    assert (tmp_path / "results.md").read_text() == text
    assert not (tmp_path / "papers.md").exists()


def test_the_seeds_that_prompted_a_method_and_new_ones_are_listed_separately(tmp_path):
    common = {"steps": 5, "data": "torchvision:MNIST", "seconds": 1, "r2_of_category": 0.1}
    write(tmp_path, "infogan_coloured_mnist", [{**common, "seed": s, "r2": 0.9 + s / 100} for s in range(3)])
    page = section(tmp_path, "InfoGAN on colored digits")
    first = "seeds 0 to 2, whose failures prompted the method | 0.900, 0.910, 0.920 | 0.910 (0.900 to 0.920)"
    assert f"{first} | ≥ 0.8 (every seed) | none | yes |" in page
    assert "new seeds from 3 on | – | – | ≥ 0.8 (every seed) | none | not run yet |" in page
    assert "Partial: 3 of 6 seeds" in page
    write(tmp_path, "infogan_coloured_mnist", [{**common, "seed": s, "r2": 0.9 - s / 20} for s in range(6)])
    page = section(tmp_path, "InfoGAN on colored digits")
    new = "0.750, 0.700, 0.650 | 0.700 (0.650 to 0.750)"
    assert f"new seeds from 3 on | {new} | ≥ 0.8 (every seed) | none | **no** |" in page
    assert "6 seeds," in page


def test_runs_with_other_settings_than_the_latest_are_left_out(tmp_path):
    write(tmp_path, "mad_gan_1d", [*of_line(4, [0.7, 0.7], steps=50), *of_line(4, [0.2])])
    rows = results_page.rows_of(LINE, tmp_path)
    assert by_seed(rows, "kl", k=4) == {0: 0.2}


def test_settings_that_depend_on_the_method_are_compared_within_it(tmp_path):
    script = next(script for script in paper_tables.SCRIPTS if script.name == "mixtures_2d")
    common = {"mixture": "grid", "steps": 5, "modes": 25}
    old = [{**common, "method": "mad-gan", "config": {"lr": 1}, "seed": s, "quality": 0.5} for s in (0, 1)]
    new = {**common, "method": "mad-gan", "config": {"lr": 2}, "seed": 0, "quality": 0.9}
    other = {**common, "method": "gan", "config": {"lr": 3}, "seed": 0, "quality": 0.7}
    write(tmp_path, "mixtures_2d", [*old, new, other])
    rows = results_page.rows_of(script, tmp_path)
    assert by_seed(rows, "quality", method="mad-gan") == {0: 0.9}
    assert by_seed(rows, "quality", method="gan") == {0: 0.7}


def test_runs_with_another_config_than_the_latest_are_left_out(tmp_path):
    weak, strong = (
        [{**row, "config": {"gamma": g}} for row in of_line(4, kls)] for g, kls in ((1, [0.9] * 8), (2, [0.2]))
    )
    write(tmp_path, "mad_gan_1d", weak + strong)
    assert by_seed(results_page.rows_of(LINE, tmp_path), "kl", k=4) == {0: 0.2}


@pytest.mark.parametrize(
    ("bound", "values", "met"),
    [
        (Bound(">=", 0.8), [0.7, 0.8, 0.9], True),
        (Bound(">=", 0.8, "every seed"), [0.7, 0.8, 0.9], False),
        (Bound("<", 0, "paired t-test"), [-0.1, -0.12, -0.11], True),
        (Bound("<", 0, "paired t-test"), [-0.1, -0.9, 0.3], False),
        (Bound("<", 0, "paired t-test"), [0.1, 0.12, 0.11], False),
        (Bound("<", 0, "paired t-test"), [-0.1], False),
        (Bound("<", 10), [10.0], False),
    ],
)
def test_targets(bound, values, met):
    assert Measure("", dict(enumerate(values)), bound=bound).met is met


def test_every_script_reads_what_its_script_records(tmp_path):
    """The keys that the scripts write: with others, a table would always contain "not run yet"."""
    blank = {"seed": 0, "seconds": 1, "steps": 5, "data": "torchvision:MNIST"}
    cgan = {"method": "cgan", "agreement": 0.99, "synthetic_only": 0.97, "synthetic_only_classic": 0.98}
    cgan |= {"fid": 1.0, "kid": 0.1, "judge_accuracy": 0.99}
    cifar = {**blank, **cgan, "data": "cifar10", "steps_made": 7000}
    write(tmp_path, "conditional", [{**blank, **cgan}, cifar])
    write(tmp_path, "infogan_mnist", [{**blank, "error": 0.04, "width": 16}])
    write(tmp_path, "infogan_coloured_mnist", [{**blank, "r2": 0.9, "r2_of_category": 0.1}])
    write(
        tmp_path,
        "wgan_gp_curve",
        [{**blank, "spearman": 0.9, "spearman_averaged": 0.8, "points": [1, 2, 3], "kid": [3, 1, 2]}],
    )
    write(tmp_path, "mixtures_2d", [{**blank, "mixture": "grid", "method": "mad-gan", "modes": 24, "quality": 0.95}])
    curve = {"points": [1, 2, 3], "kid": [0.3, 0.1, 0.2], "held_out": [1.0, 2.0, 3.0], "spearman": 0.5}
    write(tmp_path, "wgan_gp_limits", [{**blank, **curve, "setting": "few images"}])
    refused = {**blank, "generator": "infogan", "method": "codes", "refused": "why", "judge_accuracy": 0.99}
    write(tmp_path, "labels", [refused])
    wave = {"recognition": 0.995, "tstr": 0.98, "trts": 0.97}
    factors = {f"{figure}_{name}": 0.5 for figure in ("ks", "r2") for name in ("offset", "frequency", "amplitude")}
    write(tmp_path, "rcgan_waves", [{**blank, **wave, **factors, "cpu_seconds": 250.0}])
    sine = {**blank, "discriminative": 0.015, "discriminative_gru": 0.1, "discriminative_cnn": 0.2, "predictive": 0.09}
    write(tmp_path, "series_sines", [{**sine, "backend": name, "frequencies": "code"} for name in (None, "rcgan")])
    write(
        tmp_path,
        "rcgan_mnist_rows",
        [{**blank, "real_accuracy": 0.99, "tstr_accuracy": 0.92, "trts_accuracy": 0.95}],
    )
    page = results_page.page(tmp_path)
    for line in (
        "| requested shape recognized by a classifier of real waves | 99.50% | 99.50% | ≥ 99% (mean) | a picture | yes",
        "| KS, offset of real and of generated waves | 0.500 | 0.500 | ≤ 0.1 (mean) | – | **no**, so far |",
        "| R² of the offset as explained by two latents, 10 nearest neighbors | 0.500 | 0.500 | – | a picture | – |",
        "| TRTS, accuracy divided by that of real waves | 0.970 | 0.970 | ≥ 0.98 (mean) | – | **no**, so far |",
        "| seconds of training, one core | 250 | 250 | ≤ 300 (mean) | – | yes, so far |",
        "| new real series, frequencies of the code: discriminative score of the published judge (stretch goal 0.011) "
        "| 0.015 | 0.015 | – | – | – |",
        "| rcgan, frequencies of the code: discriminative score of the published judge (stretch goal 0.011) | 0.015 | "
        "0.015 | ≤ 0.022 (mean) | 0.022 (RCGAN), 0.011 (TimeGAN), as quoted by Yoon et al. 2019 | yes, so far |",
        "| TSTR: trained on generated digits, tested on real ones | 92.00% | 92.00% | ≥ 93% (mean) | 97.5% | **no**",
        "| cgan: accuracy from samples alone | 97.00% | 97.00% | ≥ 98% (median) | 98.37% (gtoubassi) | **no**",
        "code (stretch goal 5%) | 4.00% | 4.00% | ≤ 10% (median) | 5% (selected seeds) | yes, so far |",
        "| grid, mad-gan: modes of 25 | 24 | 24 | ≥ 25 (every seed) | – | **no**, so far |",
        "| steps | 7,000 | 7,000 | – | – | – |",
        "| infogan, codes: rejected | 1 | 1 | – | – | – |",
        "| Spearman, negated step and KID | 0.500 | 0.500 | – | – | – |",
        "| few images: largest increase of KID over an earlier minimum (factor) | 2.0 | 2.0 | – | – | – |",
        "| few images: Spearman, critic's estimate and KID | 0.500 | 0.500 | ≥ 0.8 (every seed) | – | **no**, so far |",
        "| few images: Spearman, the estimate on held-out images and KID | −0.500 |",
    ):
        assert line in page


@pytest.fixture
def scripts(tmp_path, monkeypatch):
    """Two scripts instead of the real ones: one fails, one saves its arguments."""
    (tmp_path / "bad.py").write_text("raise SystemExit(3)")
    (tmp_path / "good.py").write_text(
        f"import sys; open({str(tmp_path / 'arguments')!r}, 'w').write(' '.join(sys.argv[1:]))"
    )
    mine = [
        replace(LINE, file="bad.py", hours=2.0),
        replace(LINE, file="good.py", arguments="--root MNIST_ROOT --seeds 2", seeds=2, hours=3.0),
        replace(LINE, file="cifar.py", arguments="--root CIFAR_ROOT"),
    ]
    monkeypatch.setattr(run_all, "SCRIPTS", mine)
    monkeypatch.setattr(run_all, "BENCHMARKS", tmp_path)
    monkeypatch.setattr(results_page, "RESULTS", tmp_path)
    for name in ("MNIST_ROOT", "CIFAR_ROOT"):
        monkeypatch.delenv(name, raising=False)
    written = []
    monkeypatch.setattr(results_page, "main", written.append)
    return tmp_path, written


def test_all_scripts_run_even_if_one_fails_and_the_page_is_written(scripts, capfd):
    folder, written = scripts
    with pytest.raises(SystemExit, match=r"these failed.*: bad\.py"):
        run_all.main(["--root", "somewhere"])
    assert (folder / "arguments").read_text() == "--root somewhere --seeds 2 --json"
    assert written == [[]]
    assert "CIFAR-10 is left out" in capfd.readouterr().err


def test_the_remaining_cost_is_printed_first(scripts, capfd):
    folder, written = scripts
    write(folder, "good", [row for k in (1, 2, 4, 8) for row in of_line(k, [0.5])])
    run_all.main(["--estimate"])
    assert not written
    lines = dict(line.rsplit(maxsplit=1) for line in capfd.readouterr().err.splitlines()[-3:])
    assert lines == {"bad.py": "2.0", "good.py": "1.5", "all": "3.5"}


def test_mnist_is_downloaded_without_a_root(scripts, monkeypatch):
    folder, _ = scripts
    monkeypatch.setattr(run_all, "download", lambda root: root)
    run_all.main(["--only", "good"])
    assert (folder / "arguments").read_text() == "--root data --seeds 2 --json"
