import math
from functools import partial

import pytest
import torch
from helpers.toy import CLASSES, ToySet, ToySource, linear

import genaug
from genaug.studies import diagnosis
from genaug.studies.arms import CLASSIC, NOISE, NONE, Arm
from genaug.studies.cells import Ledger
from genaug.studies.compare import Difference
from genaug.studies.decide import Comparison, Judgement
from genaug.studies.diagnosis import describe_sensitivity, diagnose, reservations
from genaug.studies.learners import Fitted
from genaug.studies.metrics import Predictions
from genaug.studies.power import Sensitivity
from genaug.studies.splits import LabelledSamples

SETTINGS = {"updates": 100, "batch_size": 64}
STATISTICS = {"classes": 10, "n_train": 100, "n_test": 500, "correction": 0.0}
FINE = {"recognized": 0.9, "recognized_real": 0.95, "distance_ratio": 0.9, "repeated": 0.0}
KEEP = torch.nn.Identity()
study = partial(
    genaug.study,
    ToySet(20, 0),
    ToySet(100, 1),
    labels_per_class=3,
    seeds=3,
    ratios=(0.5,),
    device="cpu",
    classifier=linear,
    classic=KEEP,
    batch_size=16,
    lr=0.1,
    progress=False,
)


def losses(*pairs, name="none"):
    return Ledger([{"phase": "test", "seed": s, "name": name, "loss": pair} for s, pair in enumerate(pairs)])


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([(1.2, 0.9), (1.3, 0.8)], "were still improving at the last of 100 updates"),  # by .4 nats in the last 40%
        ([(0.05, 0.01), (0.03, 0.02)], None),
        ([(0.3, 0.25), (0.44, 0.39)], None),
        ([(2.2, 2.18)], "had learned little after 100 updates"),  # guessing costs log(10) = 2.30
    ],
)
def test_a_training_loss_that_still_falls_or_equals_guessing_is_reported_before_the_verdict(pairs, words):
    for name in ("none", "classic"):
        sentences = reservations(losses(*pairs, name=name), SETTINGS, STATISTICS, None)
        assert len(sentences) == (words is not None)
        assert all(words in text and name in text for text in sentences)


def test_too_few_updates_to_show_every_image_are_reported():
    sentences = reservations(Ledger([]), SETTINGS, {**STATISTICS, "n_train": 6_500}, None)
    assert "show 6,400 real images, fewer than the 6,500" in sentences[0]
    half = reservations(Ledger([]), SETTINGS, {**STATISTICS, "n_train": 3_201}, Arm("cgan", 0.5))
    assert "at ratio 0.5 show 3,200 real images" in half[0]
    assert reservations(Ledger([]), SETTINGS, {**STATISTICS, "n_train": 3_200}, Arm("cgan", 0.5)) == []


@pytest.mark.parametrize(
    ("examination", "word"),
    [
        ({}, None),
        (FINE, None),
        ({**FINE, "recognized": 0.7}, "only 70% of the samples"),
        ({**FINE, "distance_ratio": 0.4}, "differ only 40% as much"),
        ({**FINE, "repeated": 0.2}, "20% of the samples are identical"),
        ({**FINE, "distance_ratio": None}, None),
        ({"error": "RuntimeError: it broke"}, "it broke"),
    ],
)
def test_remarkable_samples_are_reported(examination, word):
    sentences = diagnose(Judgement("no evidence", None, CLASSIC), STATISTICS, examination, None)
    assert (len(sentences) == 1 and word in sentences[0]) if word else sentences == []


def compared(verdict, chosen=None, **gains):
    """A judgement with the given differences, in points, each with an interval of ± 1 point."""
    arms = {
        "classic": (CLASSIC, NONE, "planned"),
        "noise": (Arm("cgan", 0.5), Arm(NOISE, 0.5), "planned"),
        "none": (Arm("cgan", 0.5), NONE, "decides"),
    }
    comparisons = tuple(
        Comparison(arm, base, Difference(5, g / 100, 0.01, g / 100 - 0.01, g / 100 + 0.01, 0.95), 1.0, role)
        for (arm, base, role), g in ((arms[name], gain) for name, gain in gains.items())
    )
    return Judgement(verdict, chosen, CLASSIC, comparisons)


def test_classic_augmentation_that_is_worse_than_none_is_reported():
    assert "worse than none here: -3.0 points" in diagnose(compared("use", classic=-3), STATISTICS, {}, None)[0]
    assert diagnose(compared("use", classic=-0.5), STATISTICS, {}, None) == []


def test_a_gain_that_noisy_copies_also_have_is_reported():
    chosen = Arm("cgan", 0.5)
    assert "noisy copies" in diagnose(compared("use", chosen, noise=0.5), STATISTICS, {}, None)[0]
    assert diagnose(compared("use", chosen, noise=3), STATISTICS, {}, None) == []
    assert diagnose(compared("no evidence", chosen, noise=0.5), STATISTICS, {}, None) == []


def test_no_evidence_comes_with_the_gain_that_would_have_been_detected():
    judgement = compared("no evidence", Arm("cgan", 0.5), none=0.5)
    few = diagnose(judgement, STATISTICS, {}, Sensitivity(0.034, 12))
    assert few == ["5 seeds are too few to show a gain of 2 points at this spread: that takes about 12."]
    assert diagnose(judgement, STATISTICS, {}, Sensitivity(0.01, 3)) == []
    assert "No number of seeds" in diagnose(judgement, STATISTICS, {}, Sensitivity(0.2, None))[0]
    assert describe_sensitivity(Sensitivity(0.034, 12)).startswith("A gain of 3.4 points over both")
    assert describe_sensitivity(Sensitivity(0.2, None)).endswith("no number of seeds would detect one of 2 points.")
    assert describe_sensitivity(None) == ""


def test_a_study_with_too_few_updates_says_so_first():
    report = study(sources={"plenty": ToySource()}, updates=3, lr=1e-3)
    assert "learned little after 3 updates" in report.details["reservations"][0]
    page = report.html
    assert page.index("learned little") < page.index("<table>")
    enough = study(sources={"plenty": ToySource()}, updates=300)
    assert enough.details["reservations"] == []


def test_a_study_reports_wrong_labels_and_repeated_samples():
    wrong = study(sources={"liar": ToySource(shift=1)}, updates=60)
    assert wrong.details["examination"]["recognized"] < 0.3 < wrong.details["examination"]["recognized_real"]
    assert any("requested class" in text for text in wrong.details["warnings"])
    dull = study(sources={"dull": ToySource(noise=0.0)}, updates=60)
    assert dull.details["examination"]["repeated"] == pytest.approx(
        1 - CLASSES / dull.details["statistics"]["n_generated"], abs=0.02
    )
    assert any("identical to another one" in text for text in dull.details["warnings"])


def test_the_report_names_data_size_options_and_the_call_that_repeats_it():
    report = study(sources={"plenty": ToySource()}, updates=30)
    origin = report.details["origin"]
    assert (origin["train"], origin["test"]) == ("ToySet", "ToySet")
    assert origin["options"]["updates"] == "30"
    assert origin["options"]["sources"] == "{'plenty': <ToySource>}"
    assert "image_size" not in origin["options"]
    assert origin["command"].startswith("genaug.study(train_set, test_set, sources={'plenty': <ToySource>}, ")
    assert "labels_per_class=3" in origin["command"]
    assert "1x4x4" in report.html
    assert "labels_per_class=3" in report.html


def test_guessing_is_the_logarithm_of_the_number_of_classes():
    text = reservations(losses((2.2, 2.18)), SETTINGS, STATISTICS, None)[0]
    assert f"guessing gives {math.log(10):.2f}" in text


def test_many_classes_are_compared_by_few_images_each_and_a_failure_only_costs_the_examination(monkeypatch):
    sizes = []

    def fails(real, *others):
        sizes.append(len(real))
        raise MemoryError

    monkeypatch.setattr(diagnosis, "distance_ratio", fails)
    monkeypatch.setattr(diagnosis, "_SAMPLES", 3 * CLASSES)
    report = study(sources={"plenty": ToySource()}, updates=10, labels_per_class=5)
    assert sizes == [3 * CLASSES]
    assert any("could not be examined (MemoryError" in text for text in report.details["warnings"])


def test_recognized_shares_are_averaged_over_classes():
    """A classifier that always answers class 0 recognizes a third, whatever the number of images of class 0."""

    def first_class(samples):
        return Predictions(torch.zeros(len(samples), dtype=torch.int64))

    labels = torch.tensor([0] * 8 + [1, 2])
    samples = LabelledSamples(torch.zeros(10, 1, 4, 4), labels, None)
    assert diagnosis._recall(Fitted(first_class, {}), samples) == pytest.approx(1 / 3)
