from functools import partial

import pytest
import torch
from helpers.toy import ToySet, ToySource, linear as linear_model

import genaug
from genaug.data.reading import fingerprint, read_samples
from genaug.errors import InputError
from genaug.schedules import linear
from genaug.studies import AsClassifier, Mix, Recipe
from genaug.studies.mixes import MixedSources

TRAIN, TEST = ToySet(20, 0), ToySet(100, 1)
QUICK = {"classifier": linear_model, "classic": torch.nn.Identity(), "updates": 30, "batch_size": 16, "lr": 0.1}
study = partial(
    genaug.study, TRAIN, TEST, labels_per_class=3, seeds=5, ratios=(0.8,), device="cpu", progress=False, **QUICK
)
TINY = Recipe("cgan", steps=1, batch_size=2, config={"width": 4, "max_width": 8, "latent_size": 4})
pytestmark = pytest.mark.filterwarnings("ignore::genaug.errors.BlendWarning")


class Flat(ToySource):
    """Images of one gray level."""

    def __init__(self, level):
        super().__init__()
        self.level = level

    def sample(self, n=None, *, labels=None, seed=None):
        return torch.full((len(labels), *self.spec.shape), self.level, dtype=torch.uint8), labels


def test_each_class_is_divided_among_the_sources_by_their_weights():
    mix = Mix({"a": Flat(10), "b": Flat(20)}, {"a": 1, "b": 3})
    assert mix.shares == {"a": 0.25, "b": 0.75}
    source = MixedSources(list(mix.sources.values()), list(mix.shares.values()), ToySource().spec, [0, 1, 2])
    labels = torch.arange(3).repeat_interleave(torch.tensor([8, 4, 40]))
    images, _ = source.sample(labels=labels, seed=0)
    for label, count in ((0, 8), (1, 4), (2, 40)):
        levels = images[labels == label, 0, 0, 0]
        assert (levels == 10).sum() == count // 4
        assert (levels[: count // 2] == 10).sum() in (count // 8, count // 8 + 1), "in turn"
    assert source.supply is None


def test_a_mix_with_a_pool_repeats_none_of_its_samples():
    pool = genaug.SamplePool.from_dataset(TRAIN)
    source = MixedSources([pool, ToySource()], [0.5, 0.5], ToySource().spec, [0, 1, 2])
    assert source.supply == [40, 40, 40]


def test_a_mix_is_an_arm_whose_code_gives_each_source_its_share():
    sources = {"a": ToySource(noise=0.3), "b": ToySource(noise=0.4)}
    report = study(sources={"both": Mix(sources, {"a": 1, "b": 3})})
    assert (report.verdict, report.source, report.ratio) == ("use", "both", 0.8)
    assert report.details["settings"]["sources"]["both"]["shares"] == {"a": 0.25, "b": 0.75}
    assert "both+a: trained before the study" in report.html
    call = report.details["origin"]["options"]["sources"]
    assert call == "{'both': Mix({'a': <ToySource>, 'b': <ToySource>}, {'a': 1, 'b': 3})}"
    assert "The generators are trained already" in report.sentence
    space = {"train_set": TRAIN, **sources}
    assert report.details["code"].startswith("# train_set, a, b: as passed to the study")
    exec(compile(report.details["code"], "advice", "exec"), space)
    shares = {name: float(share) for name, share in space["mixed"].planned_shares.items()}
    assert shares == pytest.approx({"a": 0.2, "b": 0.6})


def test_the_code_of_a_mix_with_a_schedule_scales_it_for_each_source():
    sources = {"a": ToySource(noise=0.3), "b": ToySource(noise=0.4)}
    report = study(sources={"both": Mix(sources)}, ratios=(), schedules={"decay": linear(0.9, 0.5, epochs=2)})
    assert report.verdict == "use"
    space = {"train_set": TRAIN, **sources}
    exec(compile(report.details["code"], "advice", "exec"), space)
    mixed = space["mixed"]
    mixed.set_epoch(0)
    assert {name: float(share) for name, share in mixed.planned_shares.items()} == {"a": 0.45, "b": 0.45}


def test_generators_of_a_mix_are_trained_for_every_seed_and_a_study_is_resumed(tmp_path):
    settings = {"sources": {"both": Mix({"tiny": TINY, "toy": ToySource()})}, "seeds": 2, "updates": 3}
    report = study(**settings, out=tmp_path / "out")
    assert report.details["failures"] == []
    names = {path.name for path in (tmp_path / "out" / "generators" / "both+tiny").iterdir()}
    assert names == {"inner-0", "inner-1", "test-0", "test-1"}
    assert "It costs" in report.sentence
    cells = tmp_path / "out" / "cells.jsonl"
    lines = cells.read_text().splitlines(True)
    cells.write_text("".join(line for line in lines if '"both' not in line))
    again = study(**settings, out=tmp_path / "out", resume=True)
    assert again.details["scores"] == report.details["scores"]
    other = Mix({"tiny": TINY, "toy": ToySource()}, {"tiny": 3, "toy": 1})
    with pytest.raises(InputError, match=r"sources\.both\.shares\.tiny was 0\.5, now it is 0\.75"):
        study(**{**settings, "sources": {"both": other}}, out=tmp_path / "out", resume=True)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Mix({"a": ToySource()}), "two sources or more"),
        (lambda: Mix([ToySource(), ToySource()]), "a mapping of name to source"),
        (lambda: Mix({"a": ToySource(), "b": ToySource()}, {"a": 1}), "a number for each of 'a', 'b'"),
        (lambda: Mix({"a": ToySource(), "b": ToySource()}, {"a": 1, "b": 0}), "the weight of 'b' must be"),
        (lambda: Mix({"a": ToySource(), "b/c": ToySource()}), "'both'.*can't be called 'b/c'"),
        (lambda: Mix({"a": ToySource(), "b": AsClassifier(len)}), "'both': 'b' is AsClassifier"),
        (lambda: Mix({"a": ToySource(), "b": Mix({"c": TINY, "d": TINY})}), "'both': 'b' is Mix"),
        (lambda: Mix({"a": ToySource(), "b": 3}), "'both': 'b': .*spec and sample"),
    ],
)
def test_mixes_that_cant_be_used_are_errors(make, message, tmp_path):
    with pytest.raises(InputError, match=message):
        study(sources={"both": make()}, out=tmp_path / "out")


def classify(images):
    return 50 * images.mean(2).squeeze(1)[:, :3]


def test_a_filtered_source_is_studied_and_advised_with_its_filters():
    source = genaug.filtered(ToySource(noise=0.3), agree=classify, min_confidence=0.5, max_tries=50)
    report = study(sources={"clean": source})
    assert report.verdict == "use"
    assert report.details["failures"] == []
    code = report.details["code"]
    assert "genaug.filtered(generator, agree=classifier, min_confidence=0.5, max_tries=50)" in code
    space = {"train_set": TRAIN, "generator": source.inner, "classifier": classify}
    exec(compile(code, "advice", "exec"), space)
    assert space["mixed"].ratio == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("wrap", [lambda source: source, lambda source: Mix({"leak": source, "toy": ToySource()})])
def test_a_filtered_pool_with_test_images_is_rejected_alone_and_in_a_mix(wrap):
    pool = genaug.SamplePool.from_dataset(torch.utils.data.ConcatDataset([TRAIN, torch.utils.data.Subset(TEST, [0])]))
    leak = genaug.filtered(pool, agree=lambda images: torch.eye(3)[torch.arange(len(images)) % 3])
    with pytest.raises(InputError, match=r"1 of the [\d,]+ images of source 'x(\+leak)?' are test images"):
        study(sources={"x": wrap(leak)})


def test_a_filters_classifier_that_was_trained_on_the_test_set_is_rejected(tmp_path):
    from genaug.studies.classifiers import generators_of

    record = {"data_sha256": fingerprint(read_samples(TEST))}
    classifier = genaug.fit("ssgan", TRAIN, out=tmp_path / "ssgan", steps=1, batch_size=2, progress=False)
    classifier.training = record
    source = genaug.filtered(ToySource(noise=0.1), agree=classifier)
    assert list(generators_of(source)) == [classifier]
    with pytest.raises(InputError, match="'x' was trained on the test set"):
        study(sources={"x": source})
