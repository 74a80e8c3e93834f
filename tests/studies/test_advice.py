"""The code that a report prints is run as it is."""

import pytest
import torch
from helpers.toy import ToySet, ToySource, linear
from torch.utils.data import Subset

import genaug
from genaug.data import few_per_class, load_data
from genaug.schedules import linear as falling
from genaug.studies import Mix, Recipe, preparation
from genaug.studies.advice import advice_code
from genaug.studies.cells import StudyFolder
from genaug.studies.options import Options

pytestmark = pytest.mark.filterwarnings("ignore::genaug.errors.BlendWarning")
TRAIN, TEST = ToySet(20, 0), ToySet(100, 1)
TINY = Recipe("cgan", steps=1, batch_size=2, config={"width": 4, "max_width": 8, "latent_size": 4})


def code_for(source, train=TRAIN, test=TEST, **changes):
    """The code of a study of a source, if the verdict is "use" at ratio 0.5, with classic augmentation."""
    settings = {"seeds": 2, "labels_per_class": 3, "device": "cpu", "classifier": linear, "updates": 3}
    schedules = changes.pop("schedules", None)
    options = Options({"x": source}, **settings, schedules=schedules, image_size=changes.pop("image_size", None))
    work, recorded, _ = preparation.prepare(train, test, StudyFolder("unused"), options)
    details = {
        "verdict": "use",
        "ratio": 0.5,
        "source": "x",
        "chosen": {"name": "x 0.5", "source": "x", "ratio": 0.5, **changes.pop("chosen", {})},
        "settings": recorded,
        "classic": True,
        "statistics": {"n_train": 9, "samples": "images"},
        "origin": {},
    }
    return advice_code(details | changes, work)


def run(code, train=TRAIN, **names):
    """What the code defines. It gets only the names that its first line lists."""
    needed = code.partition(":")[0].removeprefix("# ").split(", ")
    space = {name: {"train_set": train, **names}[name] for name in needed}
    exec(compile(code, "advice", "exec"), space)
    return space


@pytest.mark.parametrize("kind", ["recipe", "loaded", "function", "object"])
def test_the_code_makes_the_source_that_was_studied(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = {"recipe": TINY, "function": lambda images, seed: ToySource(), "object": ToySource()}.get(kind)
    if kind == "loaded":
        source = genaug.fit("cgan", TRAIN, out="saved", steps=1, config=dict(TINY.config), progress=False)
    space = run(code_for(source), function=source, generator=source)
    assert space["mixed"].ratio == pytest.approx(0.5)
    assert space["images"].dtype == torch.float32, "after classic augmentation"
    if kind == "recipe":
        assert space["generator"].manifest_fields()["config"]["width"] == 4
        assert genaug.load("runs/x").training["steps"] == 1


@pytest.mark.parametrize("image_size", [None, 6])
def test_images_of_pillow_become_tensors_of_the_studys_size(image_size):
    digits, test = load_data("digits"), load_data("digits", split="test")
    for part in (digits, test):
        part.data, part.targets = part.data[:200], part.targets[:200]
    source = genaug.load("model_cards/digits-cgan", device="cpu")
    if image_size:
        source = lambda images, seed: genaug.SamplePool.from_dataset(images)  # noqa: E731
    for train in (digits, Subset(few_per_class(digits, 5), range(50))):
        digits.transform = None
        space = run(code_for(source, digits, test, image_size=image_size), train=digits, function=small_pool)
        assert space["images"].shape[1:] == (1, image_size or 8, image_size or 8)
        digits.transform = None
        plain = code_for(source, train, test, image_size=image_size, verdict="no evidence", ratio=0.0)
        assert "MixedDataset" not in plain
        assert run(plain, train=train)["images"].dtype == torch.float32


def small_pool(images, seed):
    return genaug.SamplePool.from_dataset(images, image_size=6)


def test_two_objects_of_a_mix_get_names_of_their_own():
    def classify(images):
        return 50 * images.mean(2).squeeze(1)[:, :3]

    def classify_too(images):
        return classify(images)

    mix = Mix(
        {
            "class": ToySource(),
            "train_set": ToySource(),
            "a.b": genaug.filtered(ToySource(noise=0.1), agree=classify, no_copies_of=TRAIN),
            "a_b": genaug.filtered(ToySource(noise=0.1), agree=classify_too),
        }
    )
    code = code_for(mix)
    assert code.splitlines()[0] == (
        "# train_set, source_class, source_train_set, a_b, classifier, a_b_2, classifier_2: as passed to the study"
    )
    sources = {name: ToySource() for name in ("source_class", "source_train_set", "a_b", "a_b_2")}
    space = run(code, classifier=classify, classifier_2=classify_too, **sources)
    assert set(space["mixed"].planned_shares) == set(mix.sources)
    assert "no_copies_of=train_set" in code


def test_a_curriculum_with_a_classifier_of_the_users_own():
    def classify(images):
        return 50 * images.mean(2).squeeze(1)[:, :3]

    schedules = {"easy": genaug.Curriculum(classify, falling(1, 0.5, epochs=2))}
    code = code_for(ToySource(), schedules=schedules, chosen={"curriculum": "easy"}, classic=False)
    space = run(code, generator=ToySource(), classifier=classify)
    assert "genaug.Curriculum(classifier, linear(1, 0.5, epochs=2).over(epochs))" in code
    assert len(space["mixed"].pool) > 9
