"""``genaug.evaluate`` on tables whose quality is known."""

import json

import numpy as np
import PIL.Image
import pytest
import torch
from typer.testing import CliRunner

import genaug
from genaug.artifacts.figures import read_evaluation
from genaug.cli import app
from genaug.data import TableDataset
from genaug.errors import InputError
from genaug.evaluation.aligned_rows import align
from genaug.evaluation.detection import area_under_curve
from genaug.evaluation.evaluate import EVALUATORS, Evaluator
from genaug.evaluation.trained_on_generated import mean_f1
from genaug.evaluation.violations import PATTERN, violations
from genaug.hub.card import write_card
from genaug.modalities.known import MODALITIES

pd = pytest.importorskip("pandas")
pytestmark = pytest.mark.usefixtures("quick_tables")

FAST = {"n": 300, "classifiers": 1, "replicates": 4, "device": "cpu", "progress": False}
MEASURES = {
    *("marginals", "association", "detection_auc", "synthetic_only_macro_f1", "diversity_ratio", "closest_record"),
    *("copying", "violations"),
}


def machines(n, seed):
    rng = np.random.default_rng(seed)
    failed = rng.random(n) < 0.2
    site = rng.choice(["north", "south", "west"], n)
    return pd.DataFrame(
        {
            "temperature": rng.normal(70, 5, n) + 10 * failed,
            "starts": rng.poisson(20, n) + 15 * (site == "north"),
            "site": np.where(rng.random(n) < 0.1, None, site).astype(object),
            "old": failed ^ (rng.random(n) < 0.2),
            "unit": "mm",
            "failed": np.where(failed, "yes", "no"),
        }
    )


def dataset(frame, target="failed"):
    with pytest.warns(genaug.errors.DataWarning, match="'unit'"):
        return TableDataset(frame, target)


def pool(frame, target="failed"):
    return genaug.SamplePool.from_dataset(dataset(frame, target))


@pytest.fixture(scope="module")
def real():
    return dataset(machines(500, 0)), dataset(machines(400, 1))


@pytest.fixture(scope="module")
def evaluations(real):
    """Evaluations of new real rows, of the training rows themselves, and of columns that are drawn independently."""
    new = machines(500, 2)
    shuffled = pd.DataFrame({name: new[name].sample(frac=1, random_state=i).array for i, name in enumerate(new)})
    sources = {"new": pool(new), "copies": pool(machines(500, 0)), "shuffled": pool(shuffled)}
    options = {"held_out": real[1], "data": "machines", **FAST}
    return {name: genaug.evaluate(source, real[0], **options) for name, source in sources.items()}


def test_every_measure_tells_good_rows_from_bad_ones(evaluations):
    new, shuffled = evaluations["new"].metrics, evaluations["shuffled"].metrics
    assert set(new) == set(shuffled) == MEASURES
    assert new["marginals"].value < 0.08
    assert shuffled["marginals"].value == pytest.approx(new["marginals"].value, abs=0.02)
    assert new["association"].value < 0.06 < 0.1 < shuffled["association"].value
    assert new["detection_auc"].low < 0.55 < 0.6 < shuffled["detection_auc"].low
    assert new["synthetic_only_macro_f1"].value > 0.75 > 0.65 > shuffled["synthetic_only_macro_f1"].value
    assert new["synthetic_only_macro_f1"].reference == shuffled["synthetic_only_macro_f1"].reference > 0.75
    assert new["diversity_ratio"].value == pytest.approx(1, abs=0.1)
    assert new["closest_record"].value == pytest.approx(new["closest_record"].reference, rel=0.25)
    assert new["violations"].value < 0.05


def test_copies_are_found(evaluations):
    assert evaluations["new"].passed is True
    assert evaluations["copies"].passed is False
    assert evaluations["copies"].metrics["closest_record"].value == 0
    assert evaluations["copies"].metrics["copying"].details["exact"] == 1
    assert "copying check FAILED" in str(evaluations["copies"])
    assert "are identical to one of the training rows" in str(evaluations["copies"])


def test_references_are_those_of_held_out_rows(evaluations):
    metrics = evaluations["copies"].metrics
    assert metrics["detection_auc"].reference == pytest.approx(0.5, abs=0.08)
    assert metrics["marginals"].reference < 0.08
    assert metrics["association"].reference < 0.06


def test_every_number_has_its_interval_and_counts(evaluations):
    for evaluation in evaluations.values():
        for name, one in evaluation.metrics.items():
            assert one.low <= one.value <= one.high, name
            assert one.samples >= 200, name
            assert one.real_samples >= 200
            assert one.features


def test_classes_are_measured_one_by_one(evaluations):
    per_class = evaluations["new"].per_class
    assert set(per_class) == {"no", "yes"}
    values = [measures["synthetic_only_macro_f1"].value for measures in per_class.values()]
    assert np.mean(values) == pytest.approx(evaluations["new"].metrics["synthetic_only_macro_f1"].value)
    assert all(0 < measures["synthetic_only_macro_f1"].reference <= 1 for measures in per_class.values())


def test_the_report_is_a_page_a_picture_and_json(evaluations, tmp_path):
    evaluation = evaluations["shuffled"]
    folder = evaluation.save(tmp_path / "report")
    assert sorted(path.name for path in folder.glob("[!.]*")) == ["columns.png", "evaluation.json", "report.html"]
    assert PIL.Image.open(folder / "columns.png").format == "PNG"
    report = json.loads((folder / "evaluation.json").read_text())
    assert (report["data"], report["real_rows"], report["held_out_rows"], report["samples"]) == (
        *("machines", 500, 400),
        300,
    )
    assert set(report["metrics"]["marginals"]["columns"]) == {"temperature", "starts", "site", "old", "failed"}
    page = (folder / "report.html").read_text()
    for heading in ("Measures", "Per class", "Distributions of columns", "Association of columns", "Copies"):
        assert f"<h2>{heading}</h2>" in page
    assert f"<td>{evaluation.metrics['detection_auc'].value:.3f}</td>" in page


def test_the_same_seed_gives_the_same_report(real, evaluations):
    again = genaug.evaluate(pool(machines(500, 0)), real[0], held_out=real[1], data="machines", **FAST)
    assert again.to_json() == evaluations["copies"].to_json()


def test_a_trained_generator_is_evaluated(real, tmp_path):
    config = {"hidden": 8, "latent_size": 4}
    generator = genaug.fit(
        "tvae", real[0], out=tmp_path / "run", steps=3, batch_size=64, config=config, device="cpu", progress=False
    )
    evaluation = genaug.evaluate(generator, real[0], held_out=real[1], **FAST)
    assert set(evaluation.metrics) == MEASURES
    assert evaluation.metrics["violations"].value == 0, "none by construction"
    assert evaluation.metrics["detection_auc"].value > 0.8
    with pytest.raises(InputError, match="was trained on the held-out rows"):
        genaug.evaluate(generator, real[1], held_out=real[0], **FAST)
    other = genaug.evaluate(generator, real[1], **FAST)
    assert other.not_measured["synthetic_only_macro_f1"] == "needs held-out rows"
    assert "trained on other rows than these" in other.not_measured["copying"]
    with pytest.raises(InputError, match=r"conditioned on the column 'failed', and real_set has no target.*--target"):
        genaug.evaluate(generator, dataset(machines(300, 0), None), **FAST)


def test_numbers_as_target_are_compared_by_intervals(tmp_path):
    frames = [machines(400, seed).drop(columns=["unit", "failed"]) for seed in range(3)]
    sets = [TableDataset(frame, "temperature", bins=3) for frame in frames]
    evaluation = genaug.evaluate(genaug.SamplePool.from_dataset(sets[2]), sets[0], held_out=sets[1], **FAST)
    assert set(evaluation.metrics) == MEASURES
    assert list(evaluation.per_class) == sets[0].classes


def test_tables_without_a_target_have_no_classifiers(real):
    frames = [machines(400, seed).drop(columns=["unit"]) for seed in range(3)]
    sets = [TableDataset(frame) for frame in frames]
    evaluation = genaug.evaluate(genaug.SamplePool.from_dataset(sets[2]), sets[0], held_out=sets[1], **FAST)
    assert set(evaluation.metrics) == MEASURES - {"synthetic_only_macro_f1"}
    assert evaluation.not_measured["synthetic_only_macro_f1"] == "needs a target and other columns"


def test_rows_that_no_real_one_explains_are_violations():
    table = pd.DataFrame(
        {
            "n": [1, 2, 3, 4] * 10,
            "x": [0.5, 1.5, np.nan, np.nan] * 10,
            "y": [0.5, 1.5, 3.0, np.nan] * 10,
            "c": ["a", "b", "a", "b"] * 10,
        }
    )
    other = pd.DataFrame(
        {
            "n": [1.0, 9.0, 2.5, 2.0, 2.0],
            "x": [0.6, 0.6, 0.6, 0.6, 0.6],
            "y": [0.6, 0.6, 0.6, np.nan, 0.6],
            "c": ["a", "a", "a", "a", "z"],
        }
    )
    sample = TableDataset(table).read_rows().spec.sample
    broken = violations(align(sample, {"real": table, "generated": other}), "generated")
    rows = {rule: torch.nonzero(own).flatten().tolist() for rule, own in broken.items() if own.any()}
    assert rows == {
        ("n", "out of range"): [1],
        ("n", "not an integer"): [2],
        ("", PATTERN): [3],
        ("c", "unknown category"): [4],
    }
    missing = violations(align(sample, {"real": table, "generated": other.assign(c=[None, *"aaaa"])}), "generated")
    assert missing["c", "missing value"].tolist() == [True, False, False, False, False]


def test_sides_that_do_not_fit_are_rejected(real):
    new = machines(400, 2)
    with pytest.raises(InputError, match="the generated rows lack the column 'starts'"):
        genaug.evaluate(pool(new.drop(columns="starts")), real[0], **FAST)
    with pytest.raises(InputError, match="'starts' holds category values in the generated rows, and integer ones"):
        genaug.evaluate(pool(new.assign(starts=new["site"])), real[0], **FAST)
    with pytest.raises(InputError, match=r"100\.0% of the held-out rows are in real_set too"):
        genaug.evaluate(pool(new), real[0], held_out=dataset(machines(500, 0)), **FAST)
    images = [(torch.zeros(1, 8, 8, dtype=torch.uint8), 0)] * 300
    with pytest.raises(InputError, match="generates rows of a table, and real_set has images"):
        genaug.evaluate(pool(new), images, **FAST)


@pytest.mark.parametrize("option", [{"features": "pixels"}, {"image_size": 8}, {"updates": 10}])
def test_options_for_images_are_rejected(real, option):
    with pytest.raises(InputError, match=f"{next(iter(option))}=.* is for images( and series)?, and these are rows"):
        genaug.evaluate(pool(machines(300, 2)), real[0], **FAST, **option)


def test_rows_of_few_categories_have_coincidences_not_copies():
    rng = np.random.default_rng(0)
    frames = [pd.DataFrame({"a": rng.choice(list("xyz"), 300), "b": rng.choice([True, False], 300)}) for _ in range(3)]
    sets = [TableDataset(frame, "b") for frame in frames]
    options = {**FAST, "n": 250, "held_out": sets[1]}
    evaluation = genaug.evaluate(genaug.SamplePool.from_dataset(sets[2]), sets[0], **options)
    assert "100% of the held-out rows equal a training row" in evaluation.not_measured["copying"]


def test_each_modality_has_its_evaluation(monkeypatch, real):
    assert set(EVALUATORS) <= set(MODALITIES)
    requests = []
    monkeypatch.setitem(EVALUATORS, "table", Evaluator(requests.append, ("updates",)))
    genaug.evaluate(pool(machines(300, 2)), real[0], updates=5)
    assert (requests[0].updates, requests[0].real_set, requests[0].data) == (5, real[0], "TableDataset")


def test_the_area_under_the_curve_and_its_variance_are_those_of_scikit_learn_and_of_resamples():
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    pairs = [(rng.normal(0, 1, 60).round(1), rng.normal(1, 1, 40).round(1)) for _ in range(300)]
    areas = [area_under_curve(*pair) for pair in pairs]
    truth = np.repeat([0, 1], [60, 40])
    assert areas[0][0] == pytest.approx(roc_auc_score(truth, np.concatenate(pairs[0])))
    assert np.mean([variance for _, variance in areas]) == pytest.approx(np.var([a for a, _ in areas]), rel=0.25)


def test_the_mean_f1_is_that_of_scikit_learn():
    from sklearn.metrics import f1_score

    truth, predicted = np.random.default_rng(0).integers(0, 4, (2, 50))
    for classes in ([0, 1, 2, 3], [2], [3, 5]):
        expected = f1_score(truth, predicted, labels=classes, average="macro", zero_division=0.0)
        assert mean_f1(truth, predicted, np.array(classes)) == pytest.approx(expected)


def test_the_command(tmp_path):
    for name, (rows, seed) in {"train": (400, 0), "test": (250, 1), "new": (400, 2)}.items():
        machines(rows, seed).to_csv(tmp_path / f"{name}.csv", index=False)
    files = {name: f"table:{tmp_path / name}.csv" for name in ("train", "test", "new")}
    small = ["--set", "hidden=8", "--set", "latent_size=4", "--device", "cpu", "--steps", "2"]
    call("train", "tvae", "--data", files["train"], "--target", "failed", "--out", tmp_path / "run", *small)
    options = ["--test-data", files["test"], "--n", 200, "--classifiers", 0, "--device", "cpu", "--json"]
    recorded = call("evaluate", tmp_path / "run", *options, "--card", "--out", tmp_path / "report")
    assert f"was trained on {files['train']}" in recorded.stderr
    report = json.loads(recorded.stdout)
    assert (report["real_rows"], report["held_out_rows"], report["data"]) == (400, 250, "table train.csv")
    assert report == json.loads((tmp_path / "report" / "evaluation.json").read_text())
    figures = read_evaluation(tmp_path / "run").metrics
    assert figures["marginals"].value == report["metrics"]["marginals"]["value"]
    card = write_card(tmp_path / "run", "owner/name", license="mit").read_text()
    assert (
        f"| distance of the distributions of columns or channels (lower is better) | {figures['marginals'].value:.4g} ("
        in card
    )
    assert f"| median distance to the closest training row | {figures['closest_record'].value:.4g} (" in card
    named = call("evaluate", tmp_path / "run", "--data", files["train"], "--target", "failed", *options)
    assert json.loads(named.stdout) == report
    of_file = call("evaluate", files["new"], "--data", files["train"], "--target", "failed", *options)
    assert json.loads(of_file.stdout)["metrics"]["marginals"]["value"] < report["metrics"]["marginals"]["value"]
    wrong = CliRunner().invoke(app, ["evaluate", str(tmp_path / "run"), "--features", "pixels"])
    assert wrong.exit_code == 1
    assert "features= (--features) is for images, and these are rows" in wrong.stderr


def call(*arguments):
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done
