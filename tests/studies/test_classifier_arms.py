"""Arms without a ratio: classifiers that a study compares with blending generated images in."""

import json
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from helpers.toy import CLASSES, ToySet, ToySource, linear
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from torch.utils.data import ConcatDataset, Subset

import genaug
from genaug.backends import Spec
from genaug.data.reading import fingerprint, read_samples
from genaug.errors import FormatError, InputError, PluginError
from genaug.modalities.image import Image
from genaug.modalities.series import Series
from genaug.studies import AsClassifier, Recipe, sources as sources_module
from genaug.studies.arms import CLASSIC, NOISE, NONE, Arm, all_arms, arms_of, arms_to_test
from genaug.studies.decide import judge, select
from genaug.studies.splits import labelled

TRAIN, TEST, MANY = ToySet(20, 0), ToySet(100, 1), ToySet(30, 2)
QUICK = {"classifier": linear, "classic": torch.nn.Identity(), "updates": 10, "batch_size": 16, "lr": 0.1}
study = partial(
    genaug.study, TRAIN, TEST, labels_per_class=3, seeds=5, ratios=(0.5, 0.8), device="cpu", progress=False, **QUICK
)
SSGAN = {"hidden": (8,), "generator_hidden": (8,), "latent_size": 4}
TINY = Recipe("ssgan", steps=2, batch_size=8, config=SSGAN, unlabelled=MANY)
AE = {"kind": "mlp", "hidden": 8, "latent_size": 4}


class Brightest:
    """A classifier that needs no training: the brightest column, of uint8 arrays (N, 1, 4, 4)."""

    def __init__(self, shift=0):
        self.shift = shift

    def predict(self, images):
        assert images.dtype == "uint8"
        assert images.shape[1:] == (1, 4, 4)
        return (images[:, 0, :, :CLASSES].astype(int).sum(1).argmax(1) + self.shift) % CLASSES


def brightest(images, seed):
    return Brightest()


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    out = tmp_path_factory.mktemp("studies") / "good"
    return out, study(sources={"liar": ToySource(shift=1), "rule": AsClassifier(brightest)}, out=out)


def test_a_classifier_that_is_better_wins_without_a_ratio(good):
    _, report = good
    assert (report.verdict, report.source, report.ratio, report.route) == ("use", "rule", 0, "classifier")
    assert report.sentence.startswith("Use the classifier, not the samples: rule gained +")
    assert report.details["chosen"] == {"name": "rule", "source": "rule", "ratio": None, "classic": False}
    assert set(report.scores("rule")) == {report.scores("rule")[0]}, "the same rule for every seed"
    assert report.classic, "advice for those who train a classifier nevertheless"
    assert repr(report) == "Report('use', route='classifier', source='rule', classic=True)"


def test_it_is_one_arm_whatever_the_number_of_ratios_and_is_tested_without_a_control(good):
    _, report = good
    inner, test = (list(report.details["scores"][phase]) for phase in ("inner", "test"))
    assert inner.count("rule") == 1
    assert len(inner) == 2 + 2 * 3 + 1
    assert test == ["none", "classic", "rule"]
    assert [(c["name"], c["baseline"], c["role"]) for c in report.details["comparisons"]] == [
        ("rule", "none", "decides"),
        ("rule", "classic", "decides"),
        ("classic", "none", "planned"),
    ]


def test_a_report_without_a_ratio_is_read_back_and_checked(good, tmp_path):
    out, report = good
    again = genaug.load_study(out)
    assert (again.route, again.ratio, again.details) == ("classifier", 0, json.loads(json.dumps(report.details)))
    for change in (
        {"ratio": 0.5},
        {"chosen": {**report.details["chosen"], "ratio": 0.5}},
        {"verdict": "no evidence", "ratio": 0.5},
        {"chosen": None},
    ):
        (tmp_path / "report.json").write_text(json.dumps({**report.details, **change}))
        with pytest.raises(FormatError, match="contradict each other"):
            genaug.load_study(tmp_path)


def test_the_page_advises_the_classifier_with_its_code_and_draws_no_samples(good):
    _, report = good
    page = report.html
    assert "The study&#x27;s advice: use the classifier, not the samples." in page
    assert "classifier = function(train_set, seed)  # the function: &lt;function brightest&gt;" in page
    assert "What was generated" not in page
    assert "MixedDataset" not in page
    assert "nan" not in page.lower().replace("nano", "")
    mean = 100 * sum(report.details["scores"]["inner"]["rule"].values()) / 5
    assert f">rule, {mean:.1f}%</text>" in page, "a level, with the other curves"
    assert "rule classified the same images in their own way" in page


@pytest.mark.parametrize(
    ("source", "code"),
    [
        (
            {"backend": "ssgan", "steps": 9, "batch_size": 8, "augment": ["affine"], "config": {}, "unlabelled": {}},
            'genaug.fit("ssgan", train_set, out="PATH", steps=9, batch_size=8, augment=[\'affine\'])',
        ),
        (
            {
                "backend": "x",
                "steps": 9,
                "batch_size": 8,
                "augment": [],
                "config": {"a": 1},
                "unlabelled": {"images": 3},
            },
            'fit("x", train_set, unlabelled=unlabeled_images, out="PATH", steps=9, batch_size=8, config={\'a\': 1})',
        ),
        ({"estimator": "LogisticRegression()"}, "classifier = LogisticRegression()\nclassifier.fit(train_images"),
        ({"saw": "nothing"}, "classifier.classify(images).argmax(1)"),
    ],
)
def test_the_code_follows_from_the_recorded_description(source, code):
    from genaug.studies.advice import classifier_code

    assert code in classifier_code(source, Image(1, 8, 8))


def test_the_code_names_the_data():
    from genaug.studies.advice import classifier_code

    estimator = {"estimator": "LogisticRegression()"}
    assert "fit(train_series, train_labels)" in classifier_code(estimator, Series(2, 30))
    assert "as rows for estimators of scikit-learn" in classifier_code(estimator, Series(2, 30))
    recipe = {"backend": "x", "steps": 9, "batch_size": 8, "augment": [], "config": {}}
    assert "classify(images).argmax(1)  # images: uint8 (N, C, H, W)" in classifier_code(recipe, Image(1, 8, 8))


def test_a_classifier_that_is_worse_is_not_to_be_used_and_one_like_the_baselines_is_no_evidence():
    wrong = study(sources={"wrong": AsClassifier(lambda images, seed: Brightest(1))}, updates=30)
    assert (wrong.verdict, wrong.route, wrong.ratio) == ("don't use", None, 0)
    assert wrong.sentence.startswith("Don't use the classifier wrong: it is worse: -")
    assert set(wrong.details["scores"]["inner"]) == {"none", "classic", "wrong"}, "no samples, no control"
    same = study(sources={"same": AsClassifier(LinearOfSeed())}, updates=30)
    assert same.verdict == "no evidence"
    assert "No evidence that the classifier same is better" in same.sentence
    assert "train your own, without generated images" in same.sentence


class LinearOfSeed(ClassifierMixin, BaseEstimator):
    """Learns about as much as the study's own classifier."""

    def fit(self, X, y):  # noqa: N803
        self.model_ = LogisticRegression(max_iter=200).fit(X / 255, y)
        return self

    def predict(self, X):  # noqa: N803
        return self.model_.predict(X / 255)


def test_samples_that_are_better_than_a_classifier_win():
    report = study(sources={"plenty": ToySource(), "wrong": AsClassifier(lambda i, s: Brightest(1))}, updates=30)
    assert (report.verdict, report.source, report.route) == ("use", "plenty", "samples")
    assert report.ratio > 0
    assert "MixedDataset" in report.html


def test_a_recipe_is_trained_on_a_seeds_images_and_the_unlabelled_ones(monkeypatch):
    seen = {}
    fit = sources_module.fit

    def spy(backend, images, *, out, unlabelled=None, **rest):
        generator = fit(backend, images, out=out, unlabelled=unlabelled, **rest)
        seen[out.name.removesuffix(".run")] = (len(images), generator.training)
        return generator

    monkeypatch.setattr(sources_module, "fit", spy)
    report = study(sources={"ssgan": AsClassifier(TINY)}, seeds=2)
    assert {name: count for name, (count, _) in seen.items()} == {"inner-0": 6, "inner-1": 6, "test-0": 9, "test-1": 9}
    assert all(record["labels"] == count for count, record in seen.values())
    assert {record["unlabelled"]["images"] for _, record in seen.values()} == {len(MANY)}
    assert report.details["failures"] == []
    described = report.details["settings"]["sources"]["ssgan"]
    assert (described["route"], described["backend"], described["unlabelled"]["images"]) == ("classifier", "ssgan", 90)
    assert described["unlabelled"]["training_images"] == 0
    assert report.details["cost"]["generator_seconds"] > 0
    assert "on images without labels. Its classifier is an arm" in report.html
    assert "Images without labels: 90." in report.html


def test_a_recipe_with_unlabelled_images_is_a_source_of_samples_too_and_its_repr_is_short():
    report = study(sources={"ssgan": TINY}, seeds=2, ratios=(0.5,))
    assert report.details["failures"] == []
    assert "route" not in report.details["settings"]["sources"]["ssgan"]
    assert repr(AsClassifier(Recipe("ssgan", steps=5, unlabelled=MANY))) == (
        "AsClassifier(Recipe('ssgan', steps=5, unlabelled=<ToySet>))"
    )


def test_how_many_unlabelled_images_are_training_images_is_recorded():
    recipe = Recipe("ssgan", steps=2, batch_size=8, config=SSGAN, unlabelled=ConcatDataset([MANY, TRAIN]))
    train = read_samples(TRAIN)
    checked = sources_module.resolve({"x": AsClassifier(recipe)}, train.spec, labelled(train, "x"))
    unlabelled = sources_module.describe_source(checked["x"], train)["unlabelled"]
    assert (unlabelled["images"], unlabelled["training_images"]) == (150, 60)


def test_an_estimator_is_cloned_and_fitted_to_each_seeds_images_as_rows():
    rows = []

    class Spy(ClassifierMixin, BaseEstimator):
        def fit(self, X, y):  # noqa: N803
            assert not hasattr(self, "n_"), "another clone for every seed"
            rows.append((X.shape, X.dtype, sorted(set(y.tolist()))))
            self.n_ = len(X)
            return self

        def predict(self, X):  # noqa: N803
            assert X.shape[1:] == (16,)
            return X[:, :CLASSES].argmax(1)

    spy = Spy()
    report = study(sources={"spy": AsClassifier(spy)}, seeds=2)
    assert rows == [((6, 16), "uint8", [0, 1, 2])] * 2 + [((9, 16), "uint8", [0, 1, 2])] * 2
    assert not hasattr(spy, "n_")
    assert len(report.scores("spy")) == 2


def test_colour_images_become_rows_as_an_encoders_features_take_them():
    images = torch.arange(2 * 3 * 2 * 2, dtype=torch.uint8).view(2, 3, 2, 2)
    rows = Image(3, 2, 2).as_features(images)
    assert torch.equal(torch.from_numpy(rows).view(2, 2, 2, 3).permute(0, 3, 1, 2), images)


def test_features_of_an_encoder_and_a_linear_classifier_are_an_arm(tmp_path):
    encoder = genaug.fit("autoencoder", MANY, out=tmp_path / "ae", steps=5, config=AE, device="cpu", progress=False)
    pipeline = make_pipeline(genaug.features(encoder), LogisticRegression())
    report = study(sources={"features": AsClassifier(pipeline)}, seeds=2, out=tmp_path / "study")
    assert report.details["failures"] == []
    assert "LogisticRegression" in report.html
    other = genaug.fit(
        "autoencoder", MANY, out=tmp_path / "other", steps=6, config=AE, device="cpu", progress=False, seed=1
    )
    changed = {"features": AsClassifier(make_pipeline(genaug.features(other), LogisticRegression()))}
    with pytest.raises(InputError, match=r"can't be resumed: sources\.features"):
        study(sources=changed, seeds=2, out=tmp_path / "study", resume=True)
    with pytest.raises(InputError, match="'features' was trained on the test set"):
        genaug.study(TRAIN, MANY, sources={"features": AsClassifier(pipeline)}, labels_per_class=3, **QUICK)
    for function in (partial(with_encoder, encoder=encoder), partial(with_encoder, encoder)):
        for partly in (AsClassifier(function), function):
            with pytest.raises(InputError, match="'features' was trained on the test set"):
                genaug.study(TRAIN, MANY, sources={"features": partly}, labels_per_class=3, **QUICK)


def with_encoder(encoder, images=None, seed=None):
    return Brightest()


class Colours(torch.nn.Module):
    """Logits of images in [0, 1]: the brightness of the first columns."""

    def forward(self, images):
        assert float(images.max()) <= 1
        return images[:, 0, :, :CLASSES].sum(1)


class WithNames:
    """A fixed classifier with classes of its own, by name; the last one isn't a class of the data."""

    def __init__(self, names, record=None):
        self.spec = Spec(sample=Image(1, 4, 4), classes=names)
        self.training = record or {}

    def classify(self, images):
        bright = images[:, 0].float().sum(1)
        columns = {f"column {c}": bright[:, c] for c in range(CLASSES)}
        return torch.stack([columns.get(name, torch.full_like(bright[:, 0], 1e6)) for name in self.spec.class_names], 1)


def test_what_can_be_a_classifier_gives_the_same_labels():
    named = WithNames(("column 2", "other", "column 0", "column 1"))
    forms = {"predict": Brightest(), "module": Colours(), "named": named, "function": brightest}
    report = study(sources={name: AsClassifier(form) for name, form in forms.items()}, seeds=2, explore=True)
    assert report.details["failures"] == []
    images = TEST.images
    expected = float((images[:, 0, :, :CLASSES].int().sum(1).argmax(1) == torch.tensor(TEST.targets)).float().mean())
    for name in forms:
        assert report.scores(name) == pytest.approx([expected] * 2, abs=1e-6), name
    assert any("trained before the study" in text for text in report.details["warnings"])


@pytest.mark.parametrize(
    ("classifier", "message"),
    [
        (3, "a function or a trained classifier, got int"),
        (LogisticRegression, "got type"),
        (AsClassifier("ssgan"), "got AsClassifier"),
        ({"backend": "ssgan", "config": {"widht": 3}}, "widht"),
        ("cgan", "'cgan' has no classifier. Installed backends that have one: .*ssgan"),
        (Recipe("infogan"), "takes no labels, so it has no classifier"),
        ({"backend": "ssgan", "steps": 0}, "steps"),
        (
            Recipe("ssgan", unlabelled=[torch.zeros(1, 8, 8, dtype=torch.uint8)]),
            r"unlabeled images are .*8.*image_size=",
        ),
        (Recipe("ssgan", unlabelled=3), "map-style"),
        ({"backend": "ssgan", "stesp": 3}, "stesp"),
        (linear((1, 4, 4), 5), "logits of shape \\(2, 3\\)"),
        (WithNames(("column 0", "column 1")), "column 2"),
        (SimpleNamespace(predict=lambda images: ["column 0"] * len(images)), "an integer label for each of 2 images"),
        (SimpleNamespace(predict=lambda images: torch.zeros(1, dtype=torch.int64)), r"of shape \(1,\)"),
        (SimpleNamespace(predict=lambda images: images[:, 0, 0, 0] * 0 + 7), "from 7 to 7"),
        (SimpleNamespace(classify=lambda images: images.flatten(1).float()), r"logits of shape \(2, 3\)"),
        (SimpleNamespace(classify=lambda images: torch.full((len(images), 3), torch.nan)), "NaN"),
        (SimpleNamespace(predict=lambda images: 1 / 0), "failed on images of 1x4x4 .ZeroDivisionError"),
    ],
)
def test_what_is_no_classifier_of_these_images_is_rejected_before_anything_is_trained(classifier, message, tmp_path):
    with pytest.raises(InputError, match=message):
        study(sources={"x": AsClassifier(classifier)}, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be an integer of 1 or more"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"augment": ("rotate",)}, "augment must be distinct names"),
        ({"augment": 3}, "augment must be a sequence"),
        ({"config": ["width"]}, "config must map options"),
        ({"config": {"widht": 3}}, "widht"),
    ],
)
def test_a_recipe_and_a_classifier_are_checked_when_they_are_constructed(options, message):
    with pytest.raises(InputError, match=message):
        Recipe("ssgan", **options)
    with pytest.raises(InputError, match=message):
        AsClassifier({"backend": "ssgan", **options})
    for construct in (Recipe, AsClassifier):
        with pytest.raises(PluginError, match="sgan"):
            construct("no-sgan")
    with pytest.raises(InputError, match=r"Expected the fields of a Recipe: backend, steps"):
        AsClassifier({"backend": "ssgan", "epochs": 3})


def test_unlabelled_images_are_for_backends_that_learn_from_them():
    with pytest.raises(InputError, match=r"'cgan' can't learn from unlabeled images .*ssgan"):
        study(sources={"x": Recipe("cgan", unlabelled=MANY)})


def test_unlabelled_images_must_not_contain_test_images():
    leak = ConcatDataset([MANY, Subset(TEST, [3, 4])])
    for source in (Recipe("ssgan", unlabelled=leak), AsClassifier(Recipe("ssgan", unlabelled=leak))):
        with pytest.raises(InputError, match="2 of the 92 unlabeled images of source 'x' are test images"):
            study(sources={"x": source})


def test_a_trained_classifier_must_not_know_the_labels_by_which_it_is_chosen_or_tested():
    names = tuple(TRAIN.classes)
    for key in ("data_sha256", "labelled_sha256"):
        seen = {key: fingerprint(read_samples(TEST)), "images": len(TEST)}
        with pytest.raises(InputError, match="'x' was trained on the test set"):
            study(sources={"x": AsClassifier(WithNames(names, seen))})
        seen = {key: fingerprint(read_samples(TRAIN)), "images": len(TRAIN)}
        with pytest.raises(InputError, match="'x' is a classifier that was trained on all of these training images"):
            study(sources={"x": AsClassifier(WithNames(names, seen))})


def test_an_arm_whose_classifier_fails_is_reported_and_the_others_finish():
    def broken(images, seed):
        raise RuntimeError("no memory left.")

    report = study(sources={"broken": AsClassifier(broken), "rule": AsClassifier(brightest)})
    assert (report.verdict, report.source) == ("use", "rule")
    assert {(f["arm"], f["error"]) for f in report.details["failures"]} == {("broken", "RuntimeError: no memory left.")}
    bad = study(sources={"bad": AsClassifier(lambda images, seed: None)})
    assert bad.verdict == "no evidence"
    assert "it must be a trained classifier, got NoneType" in bad.html


def test_a_classifier_that_fails_on_the_test_set_is_no_evidence():
    def fragile(images, seed):
        if len(images) == 9:
            raise RuntimeError("too many images.")
        return Brightest()

    report = study(sources={"fragile": AsClassifier(fragile)})
    assert (report.verdict, report.route) == ("no evidence", None)
    assert "the classifier fragile was chosen, but it or a baseline failed" in report.sentence
    assert report.html is not None


def test_a_killed_study_goes_on_with_the_classifiers_that_are_trained(tmp_path, monkeypatch):
    settings = {"sources": {"ssgan": AsClassifier(TINY)}, "seeds": 2, "updates": 2}
    first = study(**settings)
    train, calls = sources_module.train, []

    def stopped(recipe, images, folder, seed, device):
        if len(calls) == 1:
            raise KeyboardInterrupt
        calls.append(folder.name)
        return train(recipe, images, folder, seed, device)

    monkeypatch.setattr(sources_module, "train", stopped)
    with pytest.raises(KeyboardInterrupt):
        study(**settings, out=tmp_path / "out")
    monkeypatch.setattr(sources_module, "train", train)
    again = study(**settings, out=tmp_path / "out", resume=True)
    assert again.details["scores"] == first.details["scores"]
    cells = [json.loads(line) for line in (tmp_path / "out" / "cells.jsonl").read_text().splitlines()]
    assert sorted((c["phase"], c["seed"]) for c in cells if c["name"] == "training ssgan") == [
        (phase, seed) for phase in ("inner", "test") for seed in (0, 1)
    ]
    others = Recipe("ssgan", steps=2, batch_size=8, config=SSGAN, unlabelled=ToySet(30, 3))
    for change in (AsClassifier(others), TINY):  # other unlabeled images; samples instead of the classifier
        with pytest.raises(InputError, match=r"can't be resumed: sources\.ssgan"):
            study(**{**settings, "sources": {"ssgan": change}}, out=tmp_path / "out", resume=True)


@pytest.mark.slow
@pytest.mark.usefixtures("all_samples_for_statistics")  # which the processes use, too
def test_processes_give_the_same_report():
    settings = {"sources": {"ssgan": AsClassifier(TINY), "rule": AsClassifier(brightest)}, "seeds": 2, "updates": 2}
    assert study(**settings, workers=2).details["scores"] == study(**settings).details["scores"]


def flat(value):
    return dict.fromkeys(range(5), value)


def test_the_rules_of_choice_and_verdict_are_those_of_other_arms():
    arms = all_arms(["cgan"], [0.5], ["ssgan", "features"])
    assert [arm.name for arm in arms] == [
        "none", "classic", "noise 0.5", "cgan 0.5", "classic + cgan 0.5", "ssgan", "features"
    ]  # fmt: skip
    settings = {"sources": {"cgan": {}, "ssgan": {"route": "classifier"}, "features": {"route": "classifier"}}}
    assert arms_of({**settings, "ratios": [0.5]}) == arms
    best = Arm("ssgan", None)
    inner = {arm: flat(0.5) for arm in arms} | {best: flat(0.9), Arm(NOISE, 0.5): flat(0.99)}
    assert select(inner, range(5)) == best
    assert arms_to_test(best) == [NONE, CLASSIC, best]
    spread = dict(zip(range(5), (0.9, 0.91, 0.92, 0.93, 0.94), strict=True))
    for none, classic, verdict in ((0.8, 0.85, "use"), (0.8, 0.915, "no evidence"), (0.8, 0.97, "don't use")):
        judgement = judge(best, {NONE: flat(none), CLASSIC: flat(classic), best: spread}, range(5))
        assert judgement.verdict == verdict
        assert judgement.classic, "what to do when training a classifier nevertheless"


def test_a_source_that_learned_labels_of_the_held_out_images_has_learned_from_them():
    from genaug.evaluation.subject import learned_from

    test = read_samples(TEST)
    assert learned_from(SimpleNamespace(training={"labelled_sha256": fingerprint(test)}), test)
    assert not learned_from(SimpleNamespace(training={"labelled_sha256": None, "unlabelled": {}}), test)
