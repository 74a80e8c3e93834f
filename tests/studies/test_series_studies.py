"""Studies of series: networks and estimators, several lengths, missing values, classic augmentation."""

import sys
import types

import numpy as np
import PIL.Image
import pytest
import torch
from helpers.waves import ragged, waves
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.utils.data import TensorDataset

import genaug
from genaug.data import SeriesDataset
from genaug.data.series_transforms import jitter, random_transform
from genaug.errors import InputError
from genaug.modalities import series_preview
from genaug.studies import AsClassifier, OnBatches, Recipe
from genaug.studies.classic import check_classic
from genaug.studies.series_classifiers import filled, takes_rows

TINY = Recipe("timevae", steps=2, batch_size=8, config={"width": 4, "max_width": 4, "latent_size": 2})
DATA = ragged(140)
TRAIN, TEST = DATA.take(range(80)), DATA.take(range(80, 140))
QUICK = {"ratios": (0.5,), "seeds": 2, "updates": 4, "batch_size": 16, "device": "cpu", "progress": False}


@pytest.fixture(scope="module", autouse=True)
def quick_picture():
    """The picture, which takes longer than a small study, is drawn in ``tests/modalities/test_series.py``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(series_preview, "draw_preview", lambda *_: PIL.Image.new("RGB", (8, 8)))
        yield


def study(train=TRAIN, test=TEST, **changes):
    return genaug.study(train, test, **{"sources": {"timevae": TINY}, **QUICK, **changes})


class Nearest(ClassifierMixin, BaseEstimator):
    """The class with the nearest mean series; takes (N, channels, steps) with NaN."""

    def fit(self, X, y):  # noqa: N803
        assert X.ndim == 3
        assert np.isnan(X).any()
        self.classes_ = np.unique(y)
        self.means_ = np.stack([np.nan_to_num(X[y == label]).mean(0) for label in self.classes_])
        return self

    def predict(self, X):  # noqa: N803
        gaps = np.nan_to_num(X)[:, None] - self.means_
        return self.classes_[(gaps**2).sum((2, 3)).argmin(1)]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    out = tmp_path_factory.mktemp("studies") / "series"
    return out, study(labels_per_class=20, out=out)


def test_the_default_is_a_small_network_with_classic_augmentation(report):
    out, result = report
    details = result.details
    assert details["failures"] == []
    assert details["baselines"] == ["none", "classic"]
    assert set(details["scores"]["inner"]) == {"none", "classic", "noise 0.5", "timevae 0.5", "classic + timevae 0.5"}
    assert details["settings"]["classifier"] == "small"
    assert details["settings"]["classic"].startswith("jitter, scaling, magnitude warp")
    assert genaug.load_study(out).details["scores"] == details["scores"]


def test_the_report_speaks_of_series(report):
    out, result = report
    page = (out / "report.html").read_text().replace("&#x27;", "'")
    assert "Do generated series help?" in page
    assert "the same 40 series" in page
    assert "Real series beside generated ones" in page
    assert "images" not in page
    assert "images" not in result.details["code"]
    assert "serie " not in page


def test_a_study_of_series_is_resumed(report):
    out, result = report
    again = study(labels_per_class=20, out=out, resume=True)
    assert again.details["scores"] == result.details["scores"]


def test_the_advice_runs(report):
    from genaug.studies.classic import augmented

    loader = torch.utils.data.DataLoader(TRAIN, batch_size=16)
    batch, labels = next(augmented(loader, random_transform, 0))
    assert batch.shape == (16, 2, 24)
    assert torch.equal(batch.isnan().all(1).sum(1), torch.stack([TRAIN[i][0] for i in range(16)]).isnan().all(1).sum(1))
    assert labels.tolist() == TRAIN.targets[:16]


def test_a_test_set_of_another_length_and_a_pretrained_source_of_a_third_are_padded(tmp_path):
    source = genaug.fit(
        "timevae", DATA, out=tmp_path / "run", steps=2, device="cpu", progress=False, config=dict(TINY.config)
    )
    series = [TRAIN[i][0][:, : int(TRAIN.lengths[i])] for i in range(80)]
    mask = [~one.isnan() for one in series]
    train = SeriesDataset([s[:, :20] for s in series], TRAIN.targets, mask=[m[:, :20] for m in mask])
    tests = [TEST[i][0][:, : min(22, int(TEST.lengths[i]))] for i in range(60)]
    test = SeriesDataset(tests, TEST.targets, mask=[~one.isnan() for one in tests])
    shapes = []

    def factory(shape, num_classes):
        shapes.append(shape)
        return nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1], num_classes))

    result = study(train, test, sources={"pretrained": source}, classifier=factory)
    assert result.details["failures"] == []
    assert set(shapes) == {(5, 24)}, "two channels, presence and observation, padded to the source's length"


def test_tensor_datasets_are_series_if_the_sources_are():
    x, y = waves(60)
    result = study(TensorDataset(x[:40], y[:40]), TensorDataset(x[40:], y[40:]))
    assert result.details["failures"] == []
    assert result.details["settings"]["train"]["shape"] == "2x24"


def test_estimators_of_series_get_arrays_and_those_of_scikit_learn_rows():
    classifiers = {"nearest": Nearest()}
    result = study(classifier=classifiers, updates=500, batch_size=64)
    assert result.details["failures"] == []
    assert result.details["baselines"] == ["none"]
    x, y = waves(60)
    train, test = SeriesDataset(x[:40], y[:40]), SeriesDataset(x[40:], y[40:])
    rows = make_pipeline(StandardScaler(), LogisticRegression())
    sources = {"timevae": TINY, "rows": AsClassifier(rows)}
    result = study(train, test, classifier=rows, sources=sources, updates=500, batch_size=64)
    assert result.details["failures"] == []


def test_against_imbalance_there_is_no_smote_of_series():
    few = {"sources": {"timevae": TINY}, "labels_per_class": {0: 20, 1: 8}, "metric": "macro_f1"}
    result = study(classifier=Nearest(), updates=500, batch_size=64, **few, baselines=("none", "oversample"))
    assert result.details["failures"] == []
    with pytest.raises(InputError, match="'smote' isn't possible here"):
        study(classifier=Nearest(), updates=500, batch_size=64, **few, baselines=("smote",))


def test_rocket_needs_aeon(monkeypatch):
    monkeypatch.setitem(sys.modules, "aeon", None)
    with pytest.raises(InputError, match=r'classifier \'rocket\' needs aeon.*pip install "genaug\[series\]"'):
        study(classifier="rocket", updates=500, batch_size=64)


def test_rocket_is_aeons_on_series_without_gaps(monkeypatch):
    seen = []

    class RocketClassifier(ClassifierMixin, BaseEstimator):
        def __init__(self, random_state=None, class_weight=None):
            self.random_state, self.class_weight = random_state, class_weight

        def fit(self, X, y):  # noqa: N803
            seen.append((X.shape[1:], bool(np.isnan(X).any()), self.random_state))
            self.classes_ = np.unique(y)
            return self

        def predict(self, X):  # noqa: N803
            return np.full(len(X), self.classes_[0])

    RocketClassifier.__module__ = "aeon.classification.convolution_based._rocket"
    modules = {name: types.ModuleType(name) for name in ("aeon", "aeon.classification")}
    modules["aeon.classification"].convolution_based = types.SimpleNamespace(RocketClassifier=RocketClassifier)
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    result = study(classifier="rocket", updates=500, batch_size=64)
    assert result.details["failures"] == []
    assert {(shape, gaps) for shape, gaps, _ in seen} == {((2, 24), False)}
    assert len({seed for _, _, seed in seen}) > 1, "a seed of its own for each"


@pytest.mark.parametrize("classifier", ["rocket", "minirocket", "multirocket"])
def test_the_rocket_family_is_aeons(classifier):
    pytest.importorskip("aeon")
    assert study(classifier=classifier, updates=500, batch_size=64).details["failures"] == []


def test_gaps_are_filled_by_interpolation_and_ends_by_the_last_value():
    nan = np.nan
    series = np.array([[[nan, 1, nan, 3, nan], [nan] * 5, [1, 2, 3, 4, 5]]], dtype=np.float32)
    assert filled(series).tolist() == [[[1, 1, 2, 3, 3], [0] * 5, [1, 2, 3, 4, 5]]]
    assert np.isnan(series).any(), "the argument stays as it is"
    assert takes_rows(LogisticRegression())
    assert not takes_rows(Nearest())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sources": {"cgan": "cgan"}}, "can't be trained on series"),
        ({"classifier": "timm:resnet18"}, "is for images"),
        ({"classifier": "big"}, "classifier must be"),
        ({"classifier": lambda shape, n: nn.Linear(3, n)}, "can't process series of 5x24"),
        ({"classic": lambda series: series[:, :5]}, "classic= turned series"),
        ({"classic": lambda series: series * torch.inf}, "infinite"),
        ({"classic": "jitter"}, "must be a transform"),
        ({"test": SeriesDataset(torch.rand(20, 3, 24), [0, 1] * 10)}, "2 channels, the other of 3"),
        ({"test": TRAIN.take(range(40))}, "40 of 40 test series are in the training set too"),
    ],
)
def test_what_does_not_fit_is_rejected(changes, message):
    with pytest.raises(InputError, match=message):
        study(**changes)


def test_sets_of_different_fixed_lengths_are_rejected():
    x, y = waves(60)
    with pytest.raises(InputError, match="of 24 steps, the other of 20, and neither has several lengths"):
        study(SeriesDataset(x[:40], y[:40]), SeriesDataset(x[40:, :, :20], y[40:]))


def test_rocket_is_not_for_images():
    pixels = torch.randint(0, 256, (2, 20, 1, 8, 8), dtype=torch.uint8)
    images, others = (TensorDataset(own, torch.arange(20) % 2) for own in pixels)
    with pytest.raises(InputError, match="'rocket' is for series, and these are images"):
        genaug.study(images, others, sources={"cgan": "cgan"}, classifier="rocket", progress=False)


def test_classic_augmentation_of_series_is_single_or_in_batches():
    batch = torch.stack([TRAIN[i][0] for i in range(4)])
    labels = torch.tensor(TRAIN.targets[:4])
    check_classic(jitter, batch, labels)
    check_classic(OnBatches(lambda series, labels: (series * 2, labels)), batch, labels)


def test_noise_keeps_lengths_and_gaps_and_follows_the_scale():
    samples = TRAIN.read_rows()
    noisy = samples.spec.sample.with_noise(samples.x, 0.1, torch.Generator().manual_seed(0))
    assert torch.equal(noisy.isnan(), samples.x.isnan())
    assert float((noisy - samples.x).nan_to_num().std()) == pytest.approx(0.1 * 3.5, rel=0.35)
