"""``genaug.evaluate`` on series whose quality is known."""

import json
import math

import numpy as np
import PIL.Image
import pytest
import torch
from helpers.waves import ragged, waves
from typer.testing import CliRunner

import genaug
from genaug.artifacts.figures import Figures
from genaug.cli import app
from genaug.data import SeriesDataset
from genaug.errors import InputError
from genaug.evaluation import series_judges
from genaug.evaluation.aligned_series import align
from genaug.evaluation.mmd import bandwidth_of, kernel_matrix, squared_mmd
from genaug.evaluation.series_judges import judge, published_judge, strong_judge
from genaug.evaluation.series_prediction import prediction_errors
from genaug.evaluation.series_statistics import (
    autocorrelation_distance,
    autocorrelations,
    marginal_distances,
    values_of,
)
from genaug.hub.figures import measured
from genaug.modalities import series_preview
from genaug.modalities.series import Series
from genaug.nn.recurrent import Recurrent

FAST = {"n": 200, "classifiers": 1, "updates": 25, "replicates": 3, "device": "cpu", "progress": False}
MEASURES = {
    *("marginals", "autocorrelation", "mmd", "discriminative_score", "discriminative_score_strong"),
    *("predictive_score", "label_agreement", "synthetic_only_accuracy", "diversity_ratio", "copying"),
}


@pytest.fixture(scope="module", autouse=True)
def quick_picture():
    """The picture, which takes as long as all measures, is drawn in ``tests/modalities/test_series.py``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(series_preview, "draw_preview", lambda *_: PIL.Image.new("RGB", (8, 8)))
        yield


def pool(x, y):
    return genaug.SamplePool.from_dataset(SeriesDataset(x, y))


@pytest.fixture(scope="module")
def sets():
    """Three independent sets of 200 waves: the training set, the held-out one, and another one."""
    x, y = waves(600)
    return [(x[start : start + 200], y[start : start + 200]) for start in (0, 200, 400)]


@pytest.fixture(scope="module")
def real(sets):
    return SeriesDataset(*sets[0]), SeriesDataset(*sets[1])


@pytest.fixture(scope="module")
def new(real, sets):
    return genaug.evaluate(pool(*sets[2]), real[0], held_out=real[1], data="waves", **FAST)


def test_new_real_series_are_as_good_as_held_out_ones(new):
    metrics = new.metrics
    assert set(metrics) == MEASURES
    assert new.not_measured == {}
    assert metrics["marginals"].value < 0.02
    assert metrics["autocorrelation"].value < 0.02
    assert abs(metrics["mmd"].value) < 0.02
    assert metrics["discriminative_score"].low == metrics["discriminative_score_strong"].low == 0
    assert metrics["predictive_score"].value == pytest.approx(metrics["predictive_score"].reference, abs=0.05)
    assert metrics["diversity_ratio"].value == pytest.approx(1, abs=0.05)
    assert new.passed is True


def test_every_number_has_its_interval_and_counts(new):
    for name, one in new.metrics.items():
        assert one.low <= one.value <= one.high, name
        assert one.samples == 200, name
        assert one.real_samples >= 200, name
        assert one.features
    assert set(new.per_class) == {"0", "1"}
    assert set(new.per_class["0"]) == {"mmd", "label_agreement", "synthetic_only_accuracy", "diversity_ratio"}


def test_a_report_is_saved_with_its_picture(new, tmp_path):
    folder = new.save(tmp_path / "report")
    assert {path.name for path in folder.iterdir()} >= {"evaluation.json", "report.html", "series.png"}
    page = (folder / "report.html").read_text()
    assert "Distributions of values" in page
    assert "channel 0, lag 1" in page
    assert "images" not in page
    report = json.loads((folder / "evaluation.json").read_text())
    assert report["metrics"]["marginals"]["channels"].keys() == {"0", "1"}
    assert report["real_series"] == report["held_out_series"] == 200


def test_the_training_series_themselves_are_copies_and_shuffled_steps_are_noticed(real, sets):
    x, y = sets[0]
    quick = {**FAST, "classifiers": 0}
    copies = genaug.evaluate(pool(x, y), real[0], held_out=real[1], **quick)
    assert copies.passed is False
    assert copies.metrics["copying"].details["exact"] == 1
    assert copies.not_measured.keys() >= {"discriminative_score", "predictive_score", "synthetic_only_accuracy"}
    order = torch.randperm(24, generator=torch.Generator().manual_seed(0))
    shuffled = genaug.evaluate(pool(sets[2][0][:, :, order], y), real[0], held_out=real[1], **quick)
    assert shuffled.metrics["marginals"].value < 0.02, "the values are the same"
    assert shuffled.metrics["autocorrelation"].low > 0.1
    assert shuffled.metrics["mmd"].low > 0.02 > 0.002 > abs(shuffled.metrics["mmd"].reference)
    assert shuffled.worst_classes["mmd"]


def test_series_of_several_lengths_with_missing_values_are_measured_and_the_seed_decides():
    data = ragged(400)
    source = genaug.SamplePool.from_dataset(data.take(range(200)))
    real = data.take(range(200, 400))
    first, second = (genaug.evaluate(source, real, **FAST) for _ in range(2))
    assert first.to_json() == second.to_json()
    assert set(first.metrics) == MEASURES - {"copying", "synthetic_only_accuracy"}
    assert first.not_measured.keys() == {"copying", "synthetic_only_accuracy"}
    assert set(first.metrics["marginals"].details["channels"]) == {"0", "1", "length"}
    assert all(math.isfinite(one.value) for one in first.metrics.values())


def test_sets_that_are_padded_to_different_lengths_are_compared(sets):
    x, y = sets[0]
    longer = [torch.cat([series, series[:, :6]], 1) if i % 2 else series for i, series in enumerate(sets[2][0])]
    real = SeriesDataset([series[:, : 20 + i % 5] for i, series in enumerate(x)], y)
    source = genaug.SamplePool.from_dataset(SeriesDataset(longer, y))
    evaluation = genaug.evaluate(source, real, **{**FAST, "classifiers": 0})
    assert evaluation.metrics["marginals"].details["channels"]["length"] > 0.4
    with pytest.raises(InputError, match="200 of the 200 held-out series are in real_set too, value for value"):
        genaug.evaluate(source, real, held_out=SeriesDataset([*real_series(real), longer[1]], [*y, 0]).take(range(200)))


def real_series(data):
    """The series of a dataset as a list, each of its own length."""
    return [data[i][0][:, : data.lengths[i]].numpy() for i in range(len(data))]


@pytest.mark.parametrize(
    ("real", "message"),
    [
        (lambda x, y: SeriesDataset(x[:, :1], y), "series of 2 channels, real_set has 1"),
        (lambda x, y: SeriesDataset(x[:, :, :20], y), "of 24 steps, real_set has 20, and neither varies"),
        (lambda x, y: torch.utils.data.TensorDataset(x.to(torch.uint8)[:, None].expand(-1, 3, -1, -1), y), "generates"),
    ],
)
def test_series_that_do_not_fit_are_rejected(sets, real, message):
    with pytest.raises(InputError, match=message):
        genaug.evaluate(pool(*sets[2]), real(*sets[0]), **FAST)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (lambda x, y: (x.masked_fill(x > 54, torch.nan), y), "has NaN, and nothing says that its values are missing"),
        (lambda x, y: (x[:, :, :1], y), "has 1 step"),
        (lambda x, y: (x * 0 + 3, y), "all channels are constant"),
        (lambda x, y: ((x * 1e9).long(), y), "integers go up to 5"),
        (lambda x, y: (x, y[:, None].expand(-1, 24)), "label"),
        (lambda x, y: ([one[:, : 20 + i % 3] for i, one in enumerate(x)], y), "which pads the shorter ones"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*transposed")
def test_bad_series_are_rejected_in_a_sentence(sets, items, message):
    x, y = items(*sets[0])
    with pytest.raises(InputError, match=message):
        genaug.evaluate(pool(*sets[2]), Pairs(x, y), **FAST)


class Pairs(torch.utils.data.Dataset):
    """Series and labels as items of a dataset."""

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return self.x[index], self.y[index]


def test_options_of_images_are_rejected(sets, real):
    with pytest.raises(InputError, match=r"features= \(--features\) is for images, and these are series"):
        genaug.evaluate(pool(*sets[2]), real[0], features="pixels")


class Diverged:
    """A source of series with infinite values."""

    def __init__(self, spec):
        self.spec = spec

    def sample(self, n=None, *, labels=None, seed=None):
        return torch.full((len(labels), *self.spec.shape), torch.inf), labels


def test_infinite_values_are_rejected(real):
    with pytest.raises(InputError, match="infinite values"):
        genaug.evaluate(Diverged(real[0].read_rows().spec), real[0], **FAST)


def test_an_mmd_of_equal_distributions_is_zero_on_average_and_of_others_is_not():
    rng = torch.Generator().manual_seed(0)
    values = []
    for _ in range(20):
        vectors = torch.randn(80, 3, generator=rng)
        matrix = kernel_matrix(vectors, bandwidth_of(vectors[:40]))
        values.append(squared_mmd(matrix, torch.arange(40), torch.arange(40, 80)))
    assert abs(np.mean(values)) < 2 * np.std(values) / math.sqrt(20)
    assert min(values) < 0
    vectors[40:] += 1
    assert squared_mmd(kernel_matrix(vectors, 2.0), torch.arange(40), torch.arange(40, 80)) > 0.05


def test_autocorrelations_are_those_of_each_series():
    t = torch.arange(40.0)
    x = torch.stack([torch.where(t % 2 == 0, 1.0, -1.0), torch.full((40,), 5.0)])[None]
    own = autocorrelations(x)
    assert own.shape == (1, 2, 20)
    assert own[0, 0, :2] == pytest.approx([-1, 1])
    assert np.isnan(own[0, 1]).all(), "a constant channel has none"
    gaps = x.clone()
    gaps[0, 0, 5::7] = torch.nan
    assert autocorrelations(gaps)[0, 0, :2] == pytest.approx([-1, 1], abs=0.15)
    assert autocorrelation_distance(own, own) == 0
    noise = torch.randn(200, 1, 40, generator=torch.Generator().manual_seed(0))
    assert autocorrelation_distance(autocorrelations(x[:, :1]), autocorrelations(noise)) == pytest.approx(1, abs=0.05)


def test_missing_values_are_below_all_others_and_lengths_are_compared():
    x = torch.zeros(10, 1, 4)
    x[:5, 0, 1] = torch.nan
    x[:, 0, 3] = torch.nan
    values = values_of(x)
    assert values["length"].tolist() == [3] * 10
    assert np.isinf(values["0"]).sum() == 5
    assert marginal_distances(values_of(torch.zeros(10, 1, 4)), values) == pytest.approx({"0": 5 / 30, "length": 1})


def test_judges_notice_noise_and_do_not_see_what_is_not_there():
    x, _ = waves(400)
    aligned = align(Series.of(x[0]).fitted(x), {"real": x[:200], "generated": x[200:]})
    inputs = aligned.judged(x)
    noisy = inputs[200:] + 0.3 * torch.randn(inputs[200:].shape, generator=torch.Generator().manual_seed(0))
    accuracy, tested = judge(inputs[:200], noisy, strong_judge((2, 24)), updates=40, seed=0)
    assert tested == 80
    assert accuracy > 0.9
    accuracy, _ = judge(inputs[:200], inputs[200:], strong_judge((2, 24)), updates=20, seed=0)
    assert accuracy == pytest.approx(0.5, abs=0.2)


def test_the_published_judge_has_half_as_many_units_as_channels():
    assert [published_judge(n, n)().gru.hidden_size for n in (1, 2, 5, 28)] == [1, 1, 2, 14]
    assert series_judges.UPDATES == 2000
    assert series_judges.BATCH == 128


def test_a_predictor_predicts_waves_better_than_noise():
    x, _ = waves(200)
    aligned = align(Series.of(x[0]).fitted(x), {"real": x})
    values, observed = aligned.unit(x)
    noise = torch.rand(values.shape, generator=torch.Generator().manual_seed(0))
    test = values[150:], observed[150:]
    own, other = (
        prediction_errors((train, torch.ones_like(train)), test, updates=150, seed=0).mean()
        for train in (values[:150], noise)
    )
    assert own < 0.6 * other
    last = prediction_errors(
        (values[:150], observed[:150]),
        test,
        lambda inputs, outputs: torch.nn.Sequential(Recurrent(inputs, 2, outputs, predicts=True), torch.nn.Sigmoid()),
        updates=3,
        seed=0,
        inputs=slice(0, 1),
        targets=slice(1, 2),
    )
    assert last.shape == (50,)
    assert (last < 1).all()


def test_units_are_shares_of_the_real_range_and_absent_values_are_zero():
    x = torch.tensor([[[0.0, 10, 5], [3, 3, 3]], [[2.0, torch.nan, torch.nan], [3, torch.nan, torch.nan]]])
    aligned = align(Series.of(x[0]).fitted(x), {"real": x})
    values, observed = aligned.unit(x)
    assert values[0, 0].tolist() == [0, 1, 0.5]
    assert values[1].tolist() == [[pytest.approx(0.2), 0, 0], [0, 0, 0]]
    assert observed[1, 0].tolist() == [1, 0, 0]
    assert aligned.judged(x).shape == (2, 4, 3)
    long = torch.rand(3, 1, 600)
    assert align(Series.of(long[0]).fitted(long), {"real": long}).judged(long).shape == (3, 1, 256)
    long = torch.rand(3, 1, 3000)
    aligned = align(Series.of(long[0]).fitted(long), {"real": long})
    assert aligned.vectors(long).shape == (3, 1024)
    assert aligned.features.endswith("averaged down to 1,024 steps")


def test_a_card_names_every_measure(new):
    metrics = new.to_dict()["metrics"]
    card = measured(Figures.model_validate({"metrics": metrics}), "0" * 64).text
    assert "| discriminative score of the published judge (lower is better) | 0" in card
    assert "| other |" not in card


def test_the_command_reads_files_of_real_and_generated_series(sets, tmp_path):
    for name, (x, y) in zip(("real", "held-out", "generated"), sets, strict=True):
        np.savez(tmp_path / f"{name}.npz", x=x.numpy(), y=np.array(["off", "on"])[y.numpy()])
    files = {name: f"series:{tmp_path / f'{name}.npz'}" for name in ("real", "held-out", "generated")}
    options = [
        "--n",
        "200",
        "--classifiers",
        "1",
        "--updates",
        "3",
        "--device",
        "cpu",
        "--out",
        str(tmp_path / "report"),
    ]
    result = CliRunner().invoke(
        app, ["evaluate", files["generated"], "--data", files["real"], "--test-data", files["held-out"], *options]
    )
    assert result.exit_code == 0, result.output
    assert "copying check passed" in result.stdout
    assert (tmp_path / "report" / "series.png").is_file()
    report = json.loads((tmp_path / "report" / "evaluation.json").read_text())
    assert set(report["per_class"]) == {"off", "on"}
    assert set(report["metrics"]) == MEASURES
