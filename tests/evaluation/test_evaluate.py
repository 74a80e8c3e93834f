"""``genaug.evaluate`` on sources with known behavior."""

import dataclasses
import json

import PIL.Image
import pytest
import torch
from helpers.class_folders import write_class_folders
from torch.utils.data import Subset, TensorDataset
from typer.testing import CliRunner

import genaug
from genaug.artifacts.figures import read_evaluation
from genaug.backends import Spec
from genaug.cli import app
from genaug.data.datasets import load_data
from genaug.data.reading import Samples, fingerprint, read_samples
from genaug.errors import InputError, OutputExistsError, TrainingError
from genaug.evaluation import Features
from genaug.evaluation.report import Measure
from genaug.evaluation.subject import new_subject, read_split
from genaug.evaluation.worst import worst_classes
from genaug.hub.card import write_card
from genaug.modalities.image import Image, to_uint8

FAST = {"n": 200, "updates": 30, "classifiers": 1, "replicates": 3, "device": "cpu", "progress": False}
DIGITS = tuple(map(str, range(10)))


class Drawer:
    """A source that draws from a set of images: those of the requested label, or all."""

    def __init__(self, images, labels, classes=DIGITS):
        self.images, self.labels = images, labels
        self.spec = Spec(sample=Image(*tuple(images.shape[1:])), classes=classes or len(classes or ()))

    def sample(self, n=None, *, labels=None, seed=None):
        draws = torch.Generator().manual_seed(seed)
        if labels is None:
            return self.images[torch.randint(len(self.images), (n,), generator=draws)], None
        rows = [torch.nonzero(self.labels == label).flatten() for label in range(self.spec.num_classes)]
        indices = [int(rows[k][torch.randint(len(rows[k]), (1,), generator=draws)]) for k in labels.tolist()]
        return self.images[indices], labels


@pytest.fixture(scope="module")
def digits():
    """Training, held-out and new digits: (images, labels) of each."""
    train = load_data("digits")
    images = torch.stack([to_uint8(train[i][0]) for i in range(len(train))])
    labels = torch.tensor(train.targets)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    parts = [order[:450], order[450:750], order[750:]]
    parts[1] = parts[1][labels[parts[1]].argsort()]  # in the order of class folders
    return [(images[part], labels[part]) for part in parts]


@pytest.fixture(scope="module")
def evaluations(digits):
    """Evaluations of a source of new real images and of a copier."""
    train, held_out, fresh = digits
    sets = {"real_set": TensorDataset(*train), "held_out": TensorDataset(*held_out), "data": "some digits"}
    return {
        "fresh": genaug.evaluate(Drawer(*fresh), **sets, **FAST),
        "copier": genaug.evaluate(Drawer(*train), **sets, **{**FAST, "classifiers": 0}),
    }


def test_new_real_images_score_like_real_ones(evaluations):
    metrics = evaluations["fresh"].metrics
    assert set(metrics) == {
        *("kid", "precision", "density", "recall", "coverage"),
        *("diversity_ratio", "label_agreement", "synthetic_only_accuracy", "copying"),
    }
    assert metrics["density"].value == pytest.approx(1, abs=0.25)
    assert metrics["coverage"].value > 0.85
    assert metrics["diversity_ratio"].value == pytest.approx(1, abs=0.1)
    assert metrics["coverage"].reference == pytest.approx(metrics["coverage"].value, abs=0.1)
    assert abs(metrics["label_agreement"].value - metrics["label_agreement"].reference) < 0.15
    assert metrics["synthetic_only_accuracy"].value > 0.3
    assert evaluations["fresh"].passed is True
    assert evaluations["copier"].passed is False
    assert evaluations["copier"].metrics["copying"].high < -3 < evaluations["fresh"].metrics["copying"].low


def test_every_number_has_its_interval_counts_and_features(evaluations):
    for evaluation in evaluations.values():
        for name, one in evaluation.metrics.items():
            assert one.low <= one.value <= one.high, name
            assert one.samples >= 200
            assert one.real_samples >= 200
            assert one.features
    fresh = evaluations["fresh"]
    assert "some digits (450 images, 30 updates)" in fresh.metrics["kid"].features
    assert fresh.metrics["copying"].features.startswith("pixels"), "a network that saw the data would favour them"


def test_missing_measures_are_named_with_the_reason(evaluations):
    assert set(evaluations["fresh"].not_measured) == {"fid"}
    assert "needs 2,048 images on each side" in evaluations["fresh"].not_measured["fid"]
    assert set(evaluations["copier"].not_measured) == {"fid", "synthetic_only_accuracy"}


def test_classifier_scores_per_class_add_up_to_the_overall_ones(evaluations):
    per_class = evaluations["fresh"].per_class
    assert set(per_class) == set(DIGITS)
    assert set(per_class["3"]) == {"diversity_ratio", "label_agreement", "synthetic_only_accuracy"}
    total = sum(measures["label_agreement"].samples for measures in per_class.values())
    right = sum(m["label_agreement"].samples * m["label_agreement"].value for m in per_class.values())
    assert total == 200
    assert right / total == pytest.approx(evaluations["fresh"].metrics["label_agreement"].value)


def test_every_figure_of_a_class_has_that_of_held_out_real_images(evaluations):
    fresh = evaluations["fresh"]
    for name in ("diversity_ratio", "label_agreement", "synthetic_only_accuracy"):
        references = [measures[name].reference for measures in fresh.per_class.values()]
        assert len(set(references)) > 1
        assert fresh.metrics[name].reference is not None
    assert fresh.per_class["3"]["diversity_ratio"].reference == pytest.approx(1, abs=0.15)
    copier = evaluations["copier"].per_class["3"]["diversity_ratio"]
    assert copier.reference == fresh.per_class["3"]["diversity_ratio"].reference, "it isn't about the source"


def test_every_figure_of_a_large_class_has_that_of_held_out_real_images():
    """Two classes of noise, one of which is brighter among the held-out images."""
    draws = torch.Generator().manual_seed(0)
    images, unseen = torch.randint(0, 200, (2, 1200, 1, 4, 4), generator=draws).to(torch.uint8)
    labels = torch.arange(1200) % 2
    unseen[labels == 1] += 55
    sets = {"real_set": TensorDataset(images, labels), "held_out": TensorDataset(unseen, labels)}
    settings = {**FAST, "n": 1000, "updates": 1, "classifiers": 0, "features": "pixels"}
    evaluation = genaug.evaluate(Drawer(images.flip(3), labels, classes=2), **sets, **settings)
    for name in ("kid", "precision", "density", "recall", "coverage"):
        values = [evaluation.per_class[label][name].reference for label in "01"]
        good, bad = values if name != "kid" else (-value for value in values)
        assert good > bad + 0.01, name


class TestWorstClasses:
    @staticmethod
    def figure(value, low=None, high=None, reference=None, higher_is_better=True, best=None):
        return Measure(value, low, high, 10, 10, "pixels", higher_is_better, best, reference)

    def test_they_are_compared_with_their_own_real_images(self):
        figure = self.figure
        agreement = {
            "a": figure(0.5, reference=0.52),
            "b": figure(0.6, reference=0.99),
            "c": figure(0.9, reference=0.8),
        }
        assert self.worst(agreement) == ["b", "a"]

    def test_differences_within_the_interval_do_not_count(self):
        figure = self.figure
        assert self.worst({"a": figure(0.5, 0.3, 0.7, 0.6), "b": figure(0.9, 0.85, 0.95, 0.96)}) == ["b"]

    def test_at_most_three_are_named_the_worst_first(self):
        assert self.worst({label: self.figure(int(label) / 10, reference=1.0) for label in "42130"}) == ["0", "1", "2"]

    def test_without_real_images_the_best_value_or_the_mean_stands_for_them(self):
        fields = {"higher_is_better": None, "best": 1.0}
        assert self.worst({"a": self.figure(0.9, **fields), "b": self.figure(0.3, **fields)}) == ["b", "a"]
        assert self.worst({"a": self.figure(1.0, **fields), "b": self.figure(1.9, **fields)}) == ["b"]
        assert self.worst({"a": self.figure(0.9), "b": self.figure(0.3), "c": self.figure(0.7)}) == ["b"]
        low = {"higher_is_better": False}
        assert self.worst({"a": self.figure(0.9, **low), "b": self.figure(0.3, **low)}) == ["a"]

    @staticmethod
    def worst(figures):
        return worst_classes({label: {"figure": figure} for label, figure in figures.items()}).get("figure")

    def test_a_collapsed_class_is_marked_in_the_table_and_the_json(self, digits):
        train, held_out, fresh = digits
        alike = fresh[0].clone()
        alike[fresh[1] == 7] = alike[fresh[1] == 7][0]
        sets = {"real_set": TensorDataset(*train), "held_out": TensorDataset(*held_out)}
        evaluation = genaug.evaluate(Drawer(alike, fresh[1]), **sets, **{**FAST, "classifiers": 0})
        report = json.loads(evaluation.to_json())
        assert report["worst_classes"]["diversity_ratio"][0] == "7"
        assert report["per_class"]["7"]["diversity_ratio"]["reference"] == pytest.approx(1, abs=0.2)
        (row,) = (line for line in str(evaluation).splitlines() if line.startswith("7 "))
        assert "0.000* (" in row
        many = {**{f"class {n}": evaluation.per_class["1"] for n in range(20)}, "7": evaluation.per_class["7"]}
        text = str(dataclasses.replace(evaluation, per_class=many))
        assert "21 classes: see the JSON" in text
        assert "0.000* (" in text


def test_the_json_contains_plain_values_and_describes_the_data(evaluations):
    report = json.loads(evaluations["fresh"].to_json())
    assert (report["data"], report["seed"], report["samples"]) == ("some digits", 0, 200)
    assert report["versions"]["genaug"] == genaug.__version__
    for measure in report["metrics"].values():
        assert {"value", "low", "high", "samples", "features", "higher_is_better"} <= set(measure)
    assert report["metrics"]["copying"]["passed"] is True
    assert report["metrics"]["precision"]["higher_is_better"] is True
    assert report["metrics"]["kid"]["higher_is_better"] is False


def test_the_table_names_the_outcome_and_the_missing_measures(evaluations):
    text = str(evaluations["fresh"])
    assert "copying check passed" in text
    assert "not measured: fid: needs 2,048" in text
    assert "copying check FAILED" in str(evaluations["copier"])


def test_measures_missing_for_the_same_reason_share_a_line(evaluations):
    reasons = {"kid": "needs 200 images", "fid": "needs 2,048 images", "recall": "needs 200 images"}
    lines = str(dataclasses.replace(evaluations["fresh"], not_measured=reasons)).splitlines()
    assert [line for line in lines if line.startswith("not measured")] == [
        "not measured: kid, recall: needs 200 images",
        "not measured: fid: needs 2,048 images",
    ]


def test_the_same_seed_gives_the_same_report(digits, evaluations):
    train, held_out, _ = digits
    torch.rand(3)
    again = genaug.evaluate(
        Drawer(*train),
        TensorDataset(*train),
        held_out=TensorDataset(*held_out),
        data="some digits",
        **{**FAST, "classifiers": 0},
    )
    assert again.to_json() == evaluations["copier"].to_json()


def test_a_report_is_saved_completely_and_replaced_only_on_request(evaluations, tmp_path):
    folder = tmp_path / "evaluation"
    evaluations["copier"].save(folder)
    before = (folder / "evaluation.json").read_bytes()
    assert before.decode() == evaluations["copier"].to_json()
    assert PIL.Image.open(folder / "neighbours.png").format == "PNG"
    with pytest.raises(OutputExistsError, match="--overwrite"):
        evaluations["fresh"].save(folder)
    assert (folder / "evaluation.json").read_bytes() == before
    evaluations["fresh"].save(folder, overwrite=True)
    assert (folder / "evaluation.json").read_bytes() != before
    (folder / "mine.txt").touch()
    evaluations["copier"].save(folder, overwrite=True)
    assert (folder / "evaluation.json").read_bytes() == before
    assert (folder / "mine.txt").exists()


def test_a_source_without_labels_is_compared_without_classifiers(digits):
    train, held_out, fresh = digits
    evaluation = genaug.evaluate(
        Drawer(*fresh, classes=None), TensorDataset(*train), held_out=TensorDataset(*held_out), **FAST
    )
    assert set(evaluation.metrics) == {
        "kid",
        "precision",
        "density",
        "recall",
        "coverage",
        "diversity_ratio",
        "copying",
    }
    assert evaluation.per_class == {}
    assert evaluation.not_measured["label_agreement"] == "needs labels on both sides"


def test_real_images_without_labels_are_compared_in_other_features(digits):
    train, _, fresh = digits
    with pytest.raises(InputError, match="needs labels"):
        genaug.evaluate(Drawer(*fresh), list(train[0]), **FAST)
    evaluation = genaug.evaluate(Drawer(*fresh), list(train[0]), features="pixels", **FAST)
    assert evaluation.passed is None
    assert "held-out" in evaluation.not_measured["copying"]
    assert evaluation.metrics["coverage"].value > 0.85


def test_few_real_images_leave_some_measures(digits):
    train, held_out, fresh = digits
    few = TensorDataset(*(side[:60] for side in train))
    evaluation = genaug.evaluate(Drawer(*fresh), few, held_out=TensorDataset(*held_out), **FAST)
    assert {"label_agreement", "diversity_ratio", "copying"} <= set(evaluation.metrics)
    assert {"fid", "kid", "precision", "recall", "density", "coverage"} <= set(evaluation.not_measured)


def test_classes_match_by_name(digits):
    train, held_out, fresh = digits
    real, unseen = TensorDataset(*train), TensorDataset(*held_out)
    real.classes = unseen.classes = list(DIGITS)
    backwards = Drawer(fresh[0], 9 - fresh[1], classes=DIGITS[::-1])
    evaluation = genaug.evaluate(backwards, real, held_out=unseen, **{**FAST, "updates": 60, "classifiers": 0})
    assert evaluation.metrics["label_agreement"].value > 0.5


def test_own_features_are_used_for_copies_too(digits):
    train, held_out, fresh = digits
    halves = Features("upper half", lambda images: images[:, :, :4].flatten(1), saw_data=False)
    sets = {"real_set": TensorDataset(*train), "held_out": TensorDataset(*held_out)}
    evaluation = genaug.evaluate(Drawer(*fresh), **sets, features=halves, **{**FAST, "replicates": 0, "classifiers": 0})
    assert evaluation.metrics["kid"].features == evaluation.metrics["copying"].features == "upper half"
    assert evaluation.metrics["kid"].low is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": 199}, "200 or more"),
        ({"n": "many"}, "'many'"),
        ({"classifiers": -1}, "classifiers"),
        ({"seed": -1}, "seed"),
        ({"features": "nonesuch"}, "unknown features"),
        ({"source": "runs/x"}, "genaug.load"),
        ({"device": "nonesuch"}, "nonesuch"),
    ],
)
def test_invalid_arguments_are_rejected_before_anything_is_read(change, message):
    class Unread:
        def __len__(self):
            return 300

        def __getitem__(self, index):
            raise AssertionError("the dataset was read")

    source = Drawer(torch.zeros(10, 1, 8, 8, dtype=torch.uint8), torch.arange(10))
    with pytest.raises(InputError, match=message):
        genaug.evaluate(**{"source": source, "real_set": Unread(), **FAST, **change})


def test_splits_that_cannot_be_used_are_rejected(digits):
    train, held_out, fresh = digits
    source, real = Drawer(*fresh), TensorDataset(*train)
    leaking = TensorDataset(torch.cat([held_out[0], train[0][:10]]), torch.cat([held_out[1], train[1][:10]]))
    with pytest.raises(InputError, match="10 of the 310 held-out images are in real_set too"):
        genaug.evaluate(source, real, held_out=leaking, **FAST)
    wide = TensorDataset(torch.zeros(300, 1, 8, 9, dtype=torch.uint8), train[1][:300])
    with pytest.raises(InputError, match=r"1x8x8 .*, held_out has 1x8x9\. Pass image_size=8"):
        genaug.evaluate(source, real, held_out=wide, **FAST)
    real.classes, other = list(DIGITS), TensorDataset(*held_out)
    other.classes = [*DIGITS[:9], "ten"]
    with pytest.raises(InputError, match=r"held_out has classes that the other set lacks: 9 \('ten'\)"):
        genaug.evaluate(source, real, held_out=other, **FAST)


def test_held_out_images_are_renumbered_like_the_real_ones(digits):
    train, held_out, fresh = digits
    real, other = TensorDataset(*train), TensorDataset(held_out[0], 9 - held_out[1])
    real.classes, other.classes = list(DIGITS), list(DIGITS[::-1])
    unseen = read_split(Drawer(*fresh), real, other, None)[1]
    assert torch.equal(unseen.labels, held_out[1])
    assert unseen.spec == read_split(Drawer(*fresh), real, None, None)[0].spec
    assert unseen.spec.class_names == DIGITS


def test_sources_without_labels_take_real_sets_whose_labels_are_none():
    class Drawn:
        spec = Spec(sample=Image(1, 8, 8))

        def sample(self, n=None, *, labels=None, seed=None):
            return torch.randint(0, 255, (n, 1, 8, 8), generator=torch.Generator().manual_seed(seed)).byte(), None

    attributes = TensorDataset(Drawn().sample(300, seed=1)[0], torch.ones(300, 40))
    assert "kid" in genaug.evaluate(Drawn(), attributes, **{**FAST, "features": "pixels"}).metrics
    with pytest.raises(InputError, match="real_set's labels must be integers"):
        genaug.evaluate(Drawn(), attributes, **{**FAST, "features": "classifier"})


def test_image_size_fits_real_images_to_the_source(digits):
    train, _, fresh = digits
    larger = TensorDataset(train[0].repeat_interleave(2, 2).repeat_interleave(2, 3), train[1])
    few = Subset(larger, range(60))
    evaluation = genaug.evaluate(Drawer(*fresh), few, image_size=8, features="pixels", **{**FAST, "replicates": 0})
    assert evaluation.header["real_images"] == 60
    assert evaluation.header["shape"] == [1, 8, 8]


def test_the_command(make_generator, tmp_path):
    source, out = tmp_path / "generator", tmp_path / "evaluation"
    make_generator(num_classes=10, classes=DIGITS).save(source)
    options = ["--data", "digits", "--n", "200", "--updates", "5", "--classifiers", "1", "--device", "cpu"]
    done = CliRunner().invoke(app, ["evaluate", str(source), *options, "--out", str(out), "--json", "--card"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    evaluation = read_evaluation(source)
    figures = evaluation.metrics
    assert list(evaluation.per_class) == list(report["per_class"]) == list(DIGITS)
    for label, measures in evaluation.per_class.items():
        real = report["per_class"][label]["label_agreement"]["reference"]
        assert measures["label_agreement"].reference == real
        assert 0 <= real <= 1, "the score of the same classifier on real images of this class"
    shares = [measures["label_agreement"].reference for measures in evaluation.per_class.values()]
    assert min(shares) <= figures["label_agreement"].reference <= max(shares)
    assert {name: figure.value for name, figure in figures.items()} == {
        name: measure["value"] for name, measure in report["metrics"].items()
    }
    assert figures["copying"].passed == report["metrics"]["copying"]["passed"]
    card = write_card(source, "owner/name", license="mit").read_text()
    assert f"({figures['kid'].low:.4g} to {figures['kid'].high:.4g})" in card
    assert f"| {figures['copying'].details['copied']:.4g} (" in card
    assert "| class | samples recognized | real images recognized |" in card
    assert report == json.loads((out / "evaluation.json").read_text())
    assert (report["data"], report["held_out_images"]) == ("digits", 500)
    assert sorted(path.name for path in out.glob("[!.]*")) == ["evaluation.json", "neighbours.png", "report.html"]
    assert f"<td>{figures['kid'].value:.3f}</td>" in (out / "report.html").read_text()
    failure = CliRunner().invoke(app, ["evaluate", str(tmp_path / "nowhere"), "--out", str(out)])
    assert failure.exit_code == 1
    assert "--overwrite" in failure.output, "reported before the source is loaded"


def test_each_image_of_a_pool_is_compared_once(digits):
    train, _, fresh = digits
    rows = torch.cat([torch.nonzero(fresh[1] == label)[:, 0][: 30 + 3 * label] for label in range(10)])
    pool = genaug.SamplePool.from_dataset(TensorDataset(fresh[0][rows], fresh[1][rows]))
    real, options = read_samples(TensorDataset(*train)), {**FAST, "n": None}
    subject = new_subject(pool, real, None, None, 0)
    assert 200 <= len(subject.fake) <= len(pool)
    assert len({bytes(image) for image in subject.fake.numpy()}) == len(subject.fake)
    assert 310 < len(subject.fake) < 422  # with the shares of the real ones
    shares = [side.bincount() / len(side) for side in (real.labels, subject.fake_labels)]
    assert (shares[0] - shares[1]).abs().max() < 2 / len(subject.fake)
    assert genaug.evaluate(pool, TensorDataset(*train), **options).header["samples"] == len(subject.fake)
    with pytest.raises(InputError, match=r"the pool of 422 images is enough for (\d+) .* 430 .* n= of 200 to \1 or"):
        genaug.evaluate(pool, TensorDataset(*train), **{**FAST, "n": 430})
    unlabelled = new_subject(pool, read_samples(list(train[0])), None, None, 0)
    assert len({bytes(image) for image in unlabelled.fake.numpy()}) == len(unlabelled.fake) == 422
    again, labels = subject.generate(real.labels, 3)
    assert len({bytes(image) for image in again.numpy()}) == len(again) == len(labels) < len(real.labels)
    no_sevens = genaug.SamplePool.from_dataset(TensorDataset(*(side[fresh[1] != 7] for side in fresh)))
    with pytest.raises(InputError, match="has no sample of class 7"):
        genaug.evaluate(no_sevens, TensorDataset(*train), **options)
    few = genaug.SamplePool.from_dataset(TensorDataset(fresh[0][rows][:40], fresh[1][rows][:40]))
    with pytest.raises(InputError, match="and 200 are needed"):
        genaug.evaluate(few, list(train[0]), features="pixels", **options)


def test_the_command_on_existing_images(digits, tmp_path):
    images, labels = digits[2]
    write_class_folders(tmp_path / "made", images, labels, list(DIGITS))
    options = [
        "--data",
        "digits",
        "--n",
        "200",
        "--updates",
        "5",
        "--classifiers",
        "0",
        "--features",
        "pixels",
        "--device",
        "cpu",
        "--json",
    ]
    done = CliRunner().invoke(app, ["evaluate", f"folder:{tmp_path / 'made'}", *options])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["source"] == "SamplePool"
    for path in (tmp_path / "made").rglob("*.png"):  # as most tools would save them
        with PIL.Image.open(path) as image:
            image.convert("RGB").save(path)
    colored = CliRunner().invoke(app, ["evaluate", f"folder:{tmp_path / 'made'}", *options])
    assert colored.stdout == done.stdout
    plain = CliRunner().invoke(app, ["evaluate", str(tmp_path / "made"), *options])
    assert plain.exit_code == 1
    assert f"pass folder:{tmp_path / 'made'}" in plain.output


def test_copies_are_not_looked_for_among_images_that_the_generator_has_not_seen(digits):
    (images, labels), unseen, _ = digits
    drawer = Drawer(images, labels)
    for record in (fingerprint(Samples(images, labels, drawer.spec)), None):
        drawer.training = {"data_sha256": record} if record else {}
        evaluation = genaug.evaluate(drawer, TensorDataset(images, labels), held_out=TensorDataset(*unseen), **FAST)
        assert evaluation.metrics["copying"].value < 0
    drawer.training = {"data_sha256": "0" * 64}
    evaluation = genaug.evaluate(drawer, TensorDataset(images, labels), held_out=TensorDataset(*unseen), **FAST)
    assert "copying" not in evaluation.metrics
    assert "trained on other images than these" in evaluation.not_measured["copying"]


QUICK = ["--n", "200", "--updates", "5", "--classifiers", "0", "--features", "pixels", "--device", "cpu", "--json"]


def evaluated(*arguments):
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments), *QUICK])


def test_data_and_size_come_from_the_runs_record(digits, tmp_path):
    images, labels = digits[0]
    write_class_folders(tmp_path / "photos" / "train", images, labels, list(DIGITS))
    run = tmp_path / "run"
    options = [
        "--data",
        f"folder:{tmp_path / 'photos'}",
        "--image-size",
        "16",
        "--labels-per-class",
        "25",
        "--seed",
        "3",
    ]
    options += ["--steps", "1", "--batch-size", "4", "--set", "width=4", "--device", "cpu", "--out", str(run)]
    trained = CliRunner().invoke(app, ["train", "cgan", *options])
    assert trained.exit_code == 0, trained.output
    done = evaluated(run)
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert (report["real_images"], report["shape"]) == (250, [1, 16, 16])
    assert report["data"] == "folder photos, 25 per class (seed 3)"
    assert "was trained on folder:" in done.stderr
    assert genaug.load(run).training["image_size"] == 16
    assert str(tmp_path) not in (run / "config.json").read_text(), "a path may identify its owner"
    (tmp_path / "photos").rename(tmp_path / "moved")
    gone = evaluated(run)
    assert gone.exit_code == 1
    assert "which can't be read now:" in gone.stderr
    assert "Pass --data" in gone.stderr


def test_images_held_out_in_training_are_held_out_in_the_evaluation(digits, tmp_path):
    images, labels = digits[0]
    write_class_folders(tmp_path / "photos", images, labels, list(DIGITS))
    options = ["--data", f"folder:{tmp_path / 'photos'}", "--test-share", "0.25", "--out", tmp_path / "run"]
    tiny = ["--steps", "1", "--batch-size", "8", "--device", "cpu", "--set", "width=4", "--set", "max_width=8"]
    done = CliRunner().invoke(app, ["train", "cgan", *map(str, options), *tiny])
    assert done.exit_code == 0, done.output
    done = evaluated(tmp_path / "run")
    assert done.exit_code == 0, done.output
    assert "no held-out data" not in done.stderr
    assert json.loads(done.stdout)["data"].endswith("without 25% held out")
    other = evaluated(tmp_path / "run", "--test-share", "0.5")
    assert other.exit_code == 1
    assert "wasn't trained with these --test-share" in other.stderr


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({}, "doesn't have a record of its data"),
        ({"data": "TensorDataset"}, "names its data only as 'TensorDataset'"),
        ({"data": "MNIST"}, "Pass --data torchvision:MNIST --root FOLDER."),
        ({"data": "FolderImages"}, "a folder of images that isn't recorded. Pass --data folder:PATH"),
        ({"data": "ClassFolders"}, "Pass --data folder:PATH"),
    ],
)
def test_without_a_record_of_data_the_command_asks_and_never_uses_the_digits(make_generator, record, message, tmp_path):
    generator = make_generator(num_classes=10)
    generator.training = record
    generator.save(tmp_path / "generator")
    done = evaluated(tmp_path / "generator")
    assert done.exit_code == 1
    assert message in " ".join(done.stderr.split())
    assert "Pass --data" in done.stderr


def test_a_record_that_names_the_digits_or_a_torchvision_set_is_followed(make_generator, tmp_path):
    generator = make_generator(num_classes=10, classes=DIGITS)
    generator.training = {"data": "Digits", "image_size": None}
    generator.save(tmp_path / "digits")
    done = evaluated(tmp_path / "digits")
    assert (done.exit_code, json.loads(done.stdout)["data"]) == (0, "digits")
    generator.training = {"data": "MNIST"}
    generator.save(tmp_path / "mnist")
    missing = evaluated(tmp_path / "mnist", "--root", tmp_path)
    assert 'was trained on "torchvision:MNIST", which can\'t be read now: torchvision:MNIST (train)' in missing.stderr


def test_existing_images_have_no_record(digits, tmp_path):
    write_class_folders(tmp_path / "made", *digits[2], list(DIGITS))
    done = evaluated(f"folder:{tmp_path / 'made'}")
    assert done.exit_code == 1
    assert "Pass --data" in done.stderr


@pytest.mark.parametrize("bad", [float("nan"), 0.5])
def test_images_that_arent_bytes_are_rejected(digits, bad):
    class Floats(Drawer):
        def sample(self, n=None, *, labels=None, seed=None):
            images, labels = super().sample(n, labels=labels, seed=seed)
            return torch.full(images.shape, bad), labels

    with pytest.raises(InputError, match="torch.float32.*expected torch.uint8" + (".*NaN" if bad != bad else "")):
        genaug.evaluate(Floats(*digits[2]), TensorDataset(*digits[0]), **FAST)


def test_a_generator_whose_training_diverged_is_rejected(make_generator, digits):
    generator = make_generator(num_classes=10, classes=DIGITS)
    with torch.no_grad():
        next(generator.network.parameters()).fill_(float("nan"))
    with pytest.raises(InputError, match="made images with NaN or infinite values"):
        genaug.evaluate(generator, TensorDataset(*digits[0]), **FAST)


def test_a_classifier_that_diverges_is_an_error_instead_of_a_low_accuracy(digits, monkeypatch):
    monkeypatch.setattr("genaug.evaluation.scores.LEARNING_RATE", 1e30)
    with pytest.raises(TrainingError, match="diverged"):
        genaug.evaluate(Drawer(*digits[2]), TensorDataset(*digits[0]), **FAST)


def test_copying_needs_held_out_images_of_every_class(digits):
    train, (images, labels), fresh = digits
    known = labels != 3
    evaluation = genaug.evaluate(
        Drawer(*fresh), TensorDataset(*train), held_out=TensorDataset(images[known], labels[known]), **FAST
    )
    assert "copying" not in evaluation.metrics
    assert "there are none of '3'" in evaluation.not_measured["copying"]


def test_a_held_out_set_whose_names_are_numbers_is_matched_by_them(digits):
    train, (images, labels), _ = digits
    held_out = TensorDataset(images[labels > 7], labels[labels > 7] - 8)
    held_out.classes = ["8", "9"]
    nameless = Spec(sample=Image(1, 8, 8), classes=10)
    source = Drawer(*train)
    source.spec = nameless
    _, unseen = read_split(source, TensorDataset(*train), held_out, None)
    assert set(unseen.labels.tolist()) == {8, 9}
    assert unseen.spec.num_classes == 10
