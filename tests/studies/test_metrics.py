"""The metrics of a study against scikit-learn and by hand, and what they are called."""

import pytest
import torch
from helpers.toy import ToySet, ToySource, linear
from sklearn import metrics as sklearn_metrics

import genaug
from genaug.errors import InputError
from genaug.studies import AsClassifier
from genaug.studies.metrics import Metric, Predictions, parse_metric

LABELS = torch.tensor([0] * 6 + [1] * 3 + [2])
PREDICTED = torch.tensor([0, 0, 0, 0, 1, 2, 1, 1, 0, 2])
SCORES = torch.nn.functional.one_hot(PREDICTED, 3).double() + torch.linspace(0, 0.5, 30).view(10, 3).double()
NAMES = ["sound", "worn", "broken"]


def parsed(name, labels=LABELS, names=NAMES):
    return parse_metric(name, labels, names, 3)


def test_the_metrics_are_scikit_learns():
    predictions = Predictions(PREDICTED, SCORES)
    true, guess = LABELS.numpy(), PREDICTED.numpy()
    expected = {
        "accuracy": 7 / 10,
        "balanced_accuracy": sklearn_metrics.balanced_accuracy_score(true, guess),
        "macro_f1": sklearn_metrics.f1_score(true, guess, average="macro"),
        "recall:worn": 2 / 3,
        "recall:2": 1.0,
        "average_precision:worn": sklearn_metrics.average_precision_score(true == 1, SCORES[:, 1]),
        "average_precision": sum(
            sklearn_metrics.average_precision_score(true == label, SCORES[:, label]) for label in range(3)
        )
        / 3,
    }
    for name, value in expected.items():
        assert parsed(name).of(predictions, LABELS) == pytest.approx(value), name


def test_average_precision_is_about_the_rarer_of_two_classes():
    labels = torch.tensor([0, 0, 2, 2, 2, 2])  # the second class has no samples
    assert parsed("average_precision", labels).noun == "average precision of 'sound'"
    assert parsed("average_precision", labels[:4]).label == 2, "of equal counts, the one with the larger number"
    assert parsed("average_precision").label is None


def test_metrics_are_called_by_their_names_in_words():
    assert [parsed(name).noun for name in ("accuracy", "balanced_accuracy", "macro_f1", "recall:worn")] == [
        "accuracy",
        "balanced accuracy",
        "macro-F1",
        "recall of 'worn'",
    ]
    assert parse_metric("recall:1", LABELS, None, 3).noun == "recall of '1'"
    assert parse_metric("recall:8", torch.tensor([0, 1]), ["9", "8"], 2).label == 1, "a name comes before a number"
    assert parsed("recall:1").name == "recall:worn"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("f1", "metric must be 'accuracy'"),
        ("recall", "recall:CLASS"),
        ("recall:", "recall:CLASS"),
        ("accuracy:worn", "metric must be"),
        (None, "metric must be"),
        ("recall:rusty", "unknown class 'rusty'.*sound"),
        ("recall:7", "unknown class 7"),
    ],
)
def test_unknown_metrics_and_classes_are_rejected(name, message):
    with pytest.raises(InputError, match=message):
        parsed(name)
    with pytest.raises(InputError, match="without samples"):
        parse_metric("recall:2", torch.tensor([0, 1]), NAMES, 3)


def test_the_resolution_is_what_one_sample_of_the_rarest_class_is_worth():
    assert Metric("accuracy").resolution(LABELS) == 1 / 10
    assert parsed("recall:worn").resolution(LABELS) == 1 / 3
    assert Metric("macro_f1").resolution(LABELS) == Metric("balanced_accuracy").resolution(LABELS) == 1 / 3
    assert Metric("balanced_accuracy").resolution(torch.tensor([0] * 8 + [1] * 2)) == 1 / 4


def test_average_precision_needs_scores():
    with pytest.raises(InputError, match="only has labels"):
        parsed("average_precision").of(Predictions(PREDICTED), LABELS)


class Part(torch.utils.data.Dataset):
    """The toy task with so many samples of each class."""

    def __init__(self, counts, seed):
        data = ToySet(max(counts), seed)
        self.targets = [label for label, count in enumerate(counts) for _ in range(count)]
        own = [torch.tensor(data.targets) == label for label in range(len(counts))]
        self.images = torch.cat([data.images[rows][:count] for rows, count in zip(own, counts, strict=True)])
        self.classes = data.classes

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        return self.images[index], self.targets[index]


RARE, TEST = Part((60, 60, 6), 0), Part((30, 30, 30), 1)
QUICK = {
    "classifier": linear,
    "classic": torch.nn.Identity(),
    "updates": 40,
    "batch_size": 16,
    "lr": 0.1,
    "device": "cpu",
    "progress": False,
    "seeds": 2,
}


@pytest.fixture(scope="module")
def rare():
    sources = {"plenty": ToySource(), "rule": AsClassifier(torch.nn.Sequential(torch.nn.Flatten(), Columns()))}
    return genaug.study(RARE, TEST, sources=sources, metric="recall:column 2", ratios=(0.25,), **QUICK)


class Columns(torch.nn.Module):
    def forward(self, pixels):
        return pixels.view(-1, 4, 4).sum(1)[:, :3]


def test_a_metric_other_than_accuracy_brings_the_baselines_against_imbalance(rare):
    names = ["none", "classic", "weights", "oversample", "classic + oversample"]
    assert rare.details["baselines"] == names
    assert rare.details["settings"]["baselines"] == names
    inner = list(rare.details["scores"]["inner"])
    assert inner == [*names, "noise 0.25", "plenty 0.25", "classic + plenty 0.25", "rule"]
    decisive = [c["baseline"] for c in rare.details["comparisons"] if c["role"] == "decides"]
    assert decisive == names
    plain = genaug.study(RARE, TEST, sources={"plenty": ToySource()}, ratios=(0.25,), **QUICK)
    assert plain.details["baselines"] == ["none", "classic"]
    assert "metric" not in plain.details["settings"], "as studies had it before, so that they can be resumed"
    balanced = genaug.study(TEST, RARE, sources={"plenty": ToySource()}, metric="macro_f1", ratios=(0.25,), **QUICK)
    assert balanced.details["baselines"] == ["none", "classic"]


def test_weights_and_oversampling_raise_the_recall_of_the_rare_class(rare):
    mean = {arm: sum(rare.scores(arm)) / 2 for arm in rare.details["scores"]["test"]}
    assert mean["weights"] > mean["none"]
    assert mean["oversample"] > mean["none"]
    assert mean["classic + oversample"] == mean["oversample"], "this classic augmentation changes nothing"


def test_everything_speaks_of_the_metric(rare):
    assert rare.metric == "recall of 'column 2'"
    assert rare.details["settings"]["metric"]["name"] == "recall:column 2"
    assert "in recall of 'column 2', " in rare.sentence
    assert "the baseline over which it gained least of 5" in rare.sentence
    page = rare.html.replace("&#x27;", "'")
    assert "What counts is recall of 'column 2'." in page
    assert "Mean recall of 'column 2' over all seeds" in page
    assert "Difference in recall of 'column 2'" in page
    assert "accuracy" not in page
    assert rare.details["statistics"]["resolution"] == 1 / 30
    with pytest.raises(KeyError):
        rare.scores("unheard of")


def test_a_reduction_of_errors_needs_a_metric_that_counts_them(rare):
    assert rare.error_reduction("weights", "none").mean > 0
    changed = dict(rare.details, metric={"key": "macro_f1", "noun": "macro-F1"})
    from genaug.studies.report import from_details

    with pytest.raises(InputError, match="1 - macro-F1 is not a rate of errors"):
        from_details(changed).error_reduction("weights", "none")


def test_the_choice_is_by_the_metric_on_the_inner_splits(rare):
    means = {name: sum(row.values()) for name, row in rare.details["scores"]["inner"].items()}
    candidates = ["plenty 0.25", "classic + plenty 0.25", "rule"]
    assert rare.details["chosen"]["name"] == max(candidates, key=means.get)


def test_cells_record_the_metric_under_its_key(tmp_path):
    settings = {"sources": {"plenty": ToySource()}, "metric": "balanced_accuracy", "ratios": (0.25,), **QUICK}
    first = genaug.study(RARE, TEST, **settings, out=tmp_path)
    lines = (tmp_path / "cells.jsonl").read_text()
    assert '"balanced_accuracy": ' in lines
    assert '"accuracy": ' not in lines
    assert genaug.load_study(tmp_path).metric == "balanced accuracy"
    assert genaug.study(RARE, TEST, **settings, out=tmp_path, resume=True) == first
    with pytest.raises(InputError, match="metric"):
        genaug.study(RARE, TEST, **{**settings, "metric": "macro_f1"}, out=tmp_path, resume=True)


@pytest.mark.parametrize(
    ("baselines", "message"),
    [
        ("weights", "must be a sequence of names"),
        (("none", "scaling"), "a baseline must be one of 'none', 'classic'"),
        (("smote",), "'smote' isn't possible here"),
        (("weights + oversample",), "twice"),
        (("classic", "classic"), "must differ"),
        (("classic + classic",), "a baseline must be"),
        (("none + classic",), "a baseline must be"),
        ((3,), "got 3"),
    ],
)
def test_invalid_baselines_are_rejected(baselines, message):
    with pytest.raises(InputError, match=message):
        genaug.study(RARE, TEST, sources={"plenty": ToySource()}, baselines=baselines, **QUICK)


def test_none_is_always_a_baseline_and_with_it_alone_one_interval_decides():
    report = genaug.study(RARE, TEST, sources={"plenty": ToySource(shift=1)}, baselines=(), ratios=(0.8,), **QUICK)
    assert report.details["baselines"] == ["none"]
    assert list(report.details["scores"]["inner"]) == ["none", "noise 0.8", "plenty 0.8"]
    assert report.method == "none"
    assert "the 95% interval must lie above 0" in report.html
