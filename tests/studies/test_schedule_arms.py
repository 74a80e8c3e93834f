import json
import pickle
from functools import partial
from itertools import islice

import pytest
import torch
from helpers.toy import SHAPE, ToySet, ToySource, linear as linear_model

import genaug
from genaug.data.reading import fingerprint, read_samples
from genaug.errors import FormatError, InputError
from genaug.schedules import Schedule, constant, linear, pretrain, steps
from genaug.studies import preparation
from genaug.studies.advice import advice_code
from genaug.studies.arms import CLASSIC, NONE, Arm, all_arms, arms_to_test
from genaug.studies.blending import Part, blended
from genaug.studies.cells import StudyFolder
from genaug.studies.courses import confident_first, scheduled
from genaug.studies.options import Options
from genaug.studies.splits import LabelledSamples

TRAIN, TEST = ToySet(20, 0), ToySet(100, 1)
pytestmark = pytest.mark.filterwarnings("ignore::genaug.errors.BlendWarning")  # toy sources have no class names
QUICK = {"classifier": linear_model, "classic": torch.nn.Identity(), "updates": 30, "batch_size": 16, "lr": 0.1}
study = partial(genaug.study, TRAIN, TEST, labels_per_class=3, seeds=3, device="cpu", progress=False, **QUICK)


def samples(labels, value):
    return LabelledSamples(torch.full((len(labels), *SHAPE), value, dtype=torch.uint8), labels, None)


@pytest.fixture(scope="module")
def decayed(tmp_path_factory):
    out = tmp_path_factory.mktemp("studies") / "decayed"
    schedules = {"decay": linear(1, 0.2, epochs=3)}
    return out, study(sources={"plenty": ToySource(noise=0.3)}, ratios=(), schedules=schedules, seeds=5, out=out)


def test_a_schedule_is_spread_over_the_updates_as_over_says():
    schedule, real, fake = (
        linear(0.9, 0, epochs=4),
        samples(torch.zeros(9).long(), 0),
        samples(torch.zeros(9).long(), 9),
    )
    counts = {value: torch.tensor([9]) for value in schedule.values}
    parts = scheduled(schedule, fake, counts)
    assert {id(part.generated) for part in parts[:-1]} == {id(fake)}
    updates, size = 50, 10
    shown = [int((images == 9).flatten(1).all(1).sum()) for images, _ in islice(blended(real, parts, 50, size, 0), 60)]
    due = 0.0
    for update, ratio in enumerate(schedule.over(updates).values):
        due += size * ratio
        assert sum(shown[: update + 1]) == int(due + 1e-9)
    assert shown[50:] == [0] * 10, "the last part goes on"


@pytest.mark.parametrize("number", [1, 2])
def test_parts_with_the_same_share_are_the_batches_of_a_constant_ratio(number):
    real, fake = samples(torch.arange(8) % 2, 0), samples(torch.arange(20) % 2, 9)
    fake.samples += torch.arange(20, dtype=torch.uint8)[:, None, None, None]
    one, several = (list(islice(blended(real, [Part(0.3, fake)] * n, 20, 7, 1), 20)) for n in (1, number))
    assert all(torch.equal(a, b) for pair in zip(one, several, strict=True) for a, b in zip(*pair, strict=True))


def test_a_curriculum_draws_from_the_most_confident_share_of_each_class():
    labels = torch.tensor([0, 0, 0, 0, 1, 1])
    pool = samples(labels, 0)
    pool.samples += torch.arange(6, dtype=torch.uint8)[:, None, None, None]
    confidence = torch.tensor([0.1, 0.9, 0.5, 0.7, 0.2, 0.3])
    first, *_, last = confident_first(genaug.Curriculum(None, linear(0.25, 1, epochs=4)), pool, confidence, 0.5)
    assert first.generated.samples[:, 0, 0, 0].tolist() == [1, 5]
    assert sorted(last.generated.samples[:, 0, 0, 0].tolist()) == list(range(6))
    assert first.ratio == last.ratio == 0.5


def test_schedules_and_curricula_are_arms_with_their_own_controls():
    arms = all_arms(["gan"], [0.5], schedules={"decay": 0.4}, curricula=["easy"])
    names = [arm.name for arm in arms]
    assert names[2:5] == ["noise 0.5", "gan 0.5", "classic + gan 0.5"]
    assert names[5:8] == ["noise 0.5 easy", "gan 0.5 easy", "classic + gan 0.5 easy"]
    assert names[8:] == ["noise decay", "gan decay", "classic + gan decay"]
    assert len(set(names)) == len(names)
    chosen = Arm("gan", 0.4, classic=True, schedule="decay")
    noise, plain = Arm("noise", 0.4, schedule="decay"), Arm("gan", 0.4, schedule="decay")
    assert arms_to_test(chosen) == [NONE, CLASSIC, noise, plain, chosen]


def test_a_schedule_that_helps_is_advised_with_code_that_runs(decayed):
    out, report = decayed
    assert report.verdict == "use"
    assert report.source == "plenty"
    assert report.ratio == pytest.approx(0.6)
    assert report.schedule == linear(1, 0.2, epochs=3)
    assert report.sentence.startswith("Use plenty with the schedule 'decay' (mean ratio 0.6)")
    assert set(report.details["scores"]["inner"]) == {"none", "classic", "noise decay", "plenty decay"} | {
        "classic + plenty decay"
    }
    again = genaug.load_study(out)
    assert again.schedule == report.schedule
    assert repr(again.schedule) == "linear(1, 0.2, epochs=3)"
    code = report.details["code"]
    assert code.startswith("# train_set, generator: as passed to the study\n")
    assert 'ratio=linear(1, 0.2, epochs=3).over(epochs), mode="replace")' in code
    assert "decay: ratio" in report.html
    assert "plenty with the schedule &#x27;decay&#x27;" in report.html
    mixed = followed(code, generator=ToySource(noise=0.3))
    mixed.set_epoch(0)
    assert mixed.ratio == 1
    mixed.set_epoch(10**4)
    assert mixed.ratio == pytest.approx(0.2)


def followed(code, **names):
    """Run a report's code; the blend that it makes."""
    space = {"train_set": TRAIN, **names}
    exec(compile(code, "advice", "exec"), space)
    return space["mixed"]


def test_a_report_that_lacks_its_schedule_is_rejected(decayed, tmp_path):
    details = json.loads((decayed[0] / "report.json").read_text())
    details["settings"]["schedules"] = {}
    (tmp_path / "report.json").write_text(json.dumps(details))
    with pytest.raises(FormatError, match="schedule 'decay' is missing"):
        genaug.load_study(tmp_path)


def test_a_study_is_not_resumed_with_another_schedule(decayed):
    out, report = decayed
    settings = {"sources": {"plenty": ToySource(noise=0.3)}, "ratios": (), "seeds": 5, "out": out, "resume": True}
    with pytest.raises(InputError, match=r"schedules\.decay\.text was"):
        study(**settings, schedules={"decay": linear(1, 0.4, epochs=3)})
    with pytest.raises(InputError, match=r"schedules\.decay was .*, now it is null"):
        study(**settings, schedules={"other": linear(1, 0.2, epochs=3)})
    again = study(**settings, schedules={"decay": linear(1, 0.2, epochs=3)})
    assert again.details["scores"] == report.details["scores"]


def bright(images):
    return 50 * images.mean(2).squeeze(1)[:, :3]


def test_a_curriculum_runs_with_the_studys_classifier_and_with_another_one():
    shares = linear(0.2, 1, epochs=2)
    curricula = {"own": genaug.Curriculum(None, shares), "bright": genaug.Curriculum(bright, shares)}
    report = study(sources={"plenty": ToySource(noise=1.5)}, ratios=(0.5,), schedules=curricula, seeds=2, explore=True)
    assert report.details["failures"] == []
    scores = report.details["scores"]["test"]
    assert {"plenty 0.5 own", "noise 0.5 own", "plenty 0.5 bright", "classic + plenty 0.5 bright"} < set(scores)
    recorded = report.details["settings"]["schedules"]
    assert recorded["own"]["classifier"] == "the study's, trained on each seed's real samples"
    assert recorded["bright"]["classifier"].startswith("function [")
    assert "own: share of the generated samples that are used" in report.html
    constant_share = {"all": genaug.Curriculum(None, 1)}
    same = study(sources={"plenty": ToySource()}, ratios=(0.5,), schedules=constant_share, seeds=2, explore=True)
    assert same.scores("plenty 0.5 all", "inner") != [], "a share of 1 uses all samples"


def test_the_code_of_a_curriculum_trains_its_classifier():
    source, curricula = ToySource(noise=0.3), {"easy": genaug.Curriculum(None, linear(0.2, 1, epochs=2))}
    options = {"sources": {"plenty": source}, "ratios": (0.8,), "schedules": curricula, "classifier": "small"}
    work, settings, _ = prepared(**options)
    chosen = {"name": "plenty 0.8 easy", "source": "plenty", "ratio": 0.8, "curriculum": "easy"}
    details = {"verdict": "use", "ratio": 0.8, "source": "plenty", "chosen": chosen, "settings": settings}
    details |= {"classic": False, "statistics": {"n_train": 9, "samples": "images"}, "origin": {}}
    code = advice_code(details, work)
    assert "make_classifier('small', real.spec.shape, real.spec.num_classes, 0)" in code
    mixed = followed(code, generator=source)
    assert mixed.ratio == pytest.approx(0.8, abs=0.01)
    assert mixed.pool is not None
    assert len(mixed.pool) == work.most_generated


def prepared(**options):
    settings = {"labels_per_class": 3, "seeds": 2, "device": "cpu", **QUICK, **options}
    return preparation.prepare(TRAIN, TEST, StudyFolder("unused"), Options(**settings))


def test_an_estimator_takes_no_schedule():
    pytest.importorskip("sklearn")
    from sklearn.linear_model import LogisticRegression

    with pytest.raises(InputError, match="schedules= is for classifiers that are networks"):
        genaug.study(
            TRAIN,
            TEST,
            sources={"x": ToySource()},
            schedules={"decay": linear(0.8, 0, epochs=2)},
            classifier=LogisticRegression(),
        )


@pytest.mark.parametrize(
    ("schedules", "message"),
    [
        ([linear(0.8, 0, epochs=2)], "schedules must map names"),
        ({"0.5": constant(0.5)}, "begin with a letter"),
        ({"a b": constant(0.5)}, "can't be called 'a b'"),
        ({"x": 0.5}, "schedule 'x' must be a schedule of genaug.schedules"),
        ({"x": constant(0)}, "schedule 'x' uses only real samples"),
        ({"x": constant(1)}, "schedule 'x' uses only generated samples"),
        ({"x": genaug.Curriculum(lambda images: images.flatten(1)[:, :2], 0.5)}, r"schedule 'x'.* shape \(\d+, 3\)"),
        ({"x": genaug.Curriculum(lambda images: None, 0.5)}, "schedule 'x': the curriculum's classifier returned None"),
    ],
)
def test_schedules_that_cant_be_used_are_errors(schedules, message, tmp_path):
    with pytest.raises(InputError, match=message):
        study(sources={"plenty": ToySource()}, schedules=schedules, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_ratios_may_be_missing_only_beside_a_schedule_of_ratios():
    sources = {"plenty": ToySource()}
    with pytest.raises(InputError, match="ratios must be a sequence"):
        study(sources=sources, ratios=(), schedules={"easy": genaug.Curriculum(None, 0.5)})
    work, settings, _ = prepared(sources=sources, ratios=(), schedules={"pre": steps({0: 1, 1: 0})})
    assert settings["ratios"] == []
    assert work.all_ratios == (1,)


def test_a_generator_that_classifies_for_a_curriculum_must_not_have_seen_the_test_set():
    from genaug.studies.sources import check_not_learned_from

    classifier = ToySource()
    classifier.training = {"data_sha256": fingerprint(read_samples(TEST))}
    with pytest.raises(InputError, match="the classifier of schedule 'easy' was trained on the test set"):
        check_not_learned_from({"easy": classifier}, read_samples(TEST))


def test_a_blend_needs_a_classifier_for_its_curriculum():
    with pytest.raises(InputError, match="only a study can do without"):
        genaug.MixedDataset(TRAIN, ToySource(), ratio=0.5, curriculum=genaug.Curriculum(None, 0.5))


def test_with_rare_classes_each_ratio_of_a_schedule_fills_them_up():
    settings = {"sources": {"plenty": ToySource()}, "schedules": {"decay": Schedule([1, 0.2])}, "ratios": ()}
    work, _, _ = prepared(**settings, metric="macro_f1", labels_per_class={0: 15, 1: 5, 2: 5})
    labels = work.train.labels[work.rows[0]]
    few, all_generated = (work.counts(labels, ratio) for ratio in (0.2, 1.0))
    assert few[0] == 0, "what there is goes to the rarest classes"
    assert int(all_generated.max() - all_generated.min()) <= 1


def test_work_with_a_curriculum_can_be_sent_to_other_processes():
    schedules = {"easy": genaug.Curriculum(None, linear(0.2, 1, epochs=2)), "pre": pretrain(1)}
    work, _, _ = prepared(sources={"plenty": ToySource()}, schedules=schedules)
    assert pickle.loads(pickle.dumps(work)).courses["pre"] == schedules["pre"]
