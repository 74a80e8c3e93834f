"""Samples of a source that pass filters."""

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import genaug
from genaug.backends import Backend, BackendConfig, Normal, Spec
from genaug.errors import InputError
from genaug.modalities import Image
from genaug.randomness import category_rows, uniform_rows
from genaug.sources.filtered import FilterReport
from genaug.sources.generator import Generator

CLASSES = 3


class Damaged:
    """A class per gray level, of which some samples show another one: class c with probability ``wrong[c]``."""

    batch_size = 64

    def __init__(self, wrong=(0.3, 0.3, 0.3), classes=CLASSES):
        self.wrong = torch.tensor(wrong)
        self.spec = Spec(sample=Image(1, 2, 2), classes=classes)
        self.drawn = 0

    def sample(self, n=None, *, labels=None, seed=None):
        count = len(labels) if n is None else n
        shown = category_rows(CLASSES, seed, "labels", 0, count) if labels is None else labels
        self.drawn += count
        draws = torch.from_numpy(uniform_rows(seed, "damage", 0, count, 2))
        level = torch.where(draws[:, 0] < self.wrong[shown], (shown + 1) % CLASSES, shown) * 80
        images = (level[:, None] + (draws[:, 1:] * 40)).to(torch.uint8)
        return images.expand(-1, 4).reshape(count, 1, 2, 2).contiguous(), shown if self.spec.takes_labels else None


def classify(images):
    """Logits of the gray levels: surest in the middle of a level."""
    level = images.mean((1, 2, 3)) * 255
    middles = torch.arange(CLASSES) * 80 + 20
    return -(level[:, None] - middles).abs() / 20


def right(images, labels):
    return (images.flatten(1).float().mean(1) // 80).long() == labels


class TestAgreement:
    def test_only_samples_that_the_classifier_assigns_to_their_class_are_kept(self):
        source = genaug.filtered(Damaged(), agree=classify)
        labels = torch.arange(300) % CLASSES
        raw, _ = Damaged().sample(labels=labels, seed=1)
        assert 0.6 < right(raw, labels).float().mean() < 0.8
        images, kept = source.sample(labels=labels, seed=1)
        assert torch.equal(kept, labels)
        assert right(images, labels).all()
        report = source.report
        assert sum(report.candidates) == sum(report.accepted) + sum(report.rejected["agree"])
        assert 0.6 < report.acceptance_rate < 0.8

    def test_confidence_is_the_probability_of_the_prediction(self):
        source = genaug.filtered(Damaged(), agree=classify, min_confidence=0.95)
        images, labels = source.sample(200, seed=2)
        probabilities = classify(images.float() / 255).softmax(1)
        assert (probabilities.gather(1, labels[:, None]) >= 0.95).all()
        assert (classify(Damaged().sample(200, seed=2)[0].float() / 255).softmax(1).amax(1) < 0.95).any()

    def test_a_source_without_labels_is_filtered_by_confidence_alone(self):
        source = genaug.filtered(Damaged(classes=None), agree=classify, min_confidence=0.95)
        images, labels = source.sample(100, seed=2)
        assert labels is None
        assert (classify(images.float() / 255).softmax(1).amax(1) >= 0.95).all()

    def test_a_module_judges_in_evaluation_mode_and_keeps_its_own(self):
        class Flaky(nn.Module):
            def forward(self, images):
                return torch.zeros(len(images), 2) if self.training else classify(images)

        model = Flaky().train()
        images, labels = genaug.filtered(Damaged(), agree=model).sample(50, seed=0)
        assert right(images, labels).all()
        assert model.training


class TestSampling:
    def test_sample_i_does_not_depend_on_the_number_of_samples(self):
        labels = torch.arange(120) % CLASSES
        source = genaug.filtered(Damaged((0.8, 0.1, 0.5)), agree=classify)
        many, few = (source.sample(labels=labels[:count], seed=3)[0] for count in (120, 17))
        assert torch.equal(many[:17], few)
        assert not torch.equal(many[:17], source.sample(labels=labels[:17], seed=4)[0])
        drawn, classes = source.sample(40, seed=5)
        again, _ = source.sample(11, seed=5)
        assert torch.equal(drawn[:11], again)
        assert len(classes.unique()) == CLASSES

    def test_a_class_costs_in_proportion_to_its_own_acceptance(self):
        inner = Damaged((0.9, 0, 0))
        source = genaug.filtered(inner, agree=classify)
        source.sample(labels=torch.ones(200, dtype=torch.int64), seed=0)
        assert inner.drawn == 200
        source.sample(labels=torch.tensor([0] * 20), seed=0)
        assert 100 < inner.drawn - 200 < 20 * 10 * 4
        assert source.report.acceptance_per_class[1:] == (1.0, None)

    def test_a_class_of_which_nothing_passes_ends_with_the_rates(self):
        inner = Damaged((1, 0, 0))
        source = genaug.filtered(inner, agree=classify, max_tries=100)
        with pytest.raises(InputError, match=r"too few samples of class 0 pass the filters: 0 of \d+ candidates"):
            source.sample(labels=torch.tensor([0, 1, 2] * 50), seed=0)
        assert inner.drawn < 3000, "it doesn't try every sample a hundred times"
        assert right(*source.sample(labels=torch.tensor([1, 2] * 50), seed=0)).all()

    def test_the_global_random_state_is_left_alone(self):
        before = torch.get_rng_state()
        genaug.filtered(Damaged(), agree=classify).sample(10, seed=0)
        assert torch.equal(torch.get_rng_state(), before)

    def test_in_a_blend_and_a_pool(self):
        labels = torch.arange(30) % CLASSES
        real = TensorDataset(Damaged((0, 0, 0)).sample(labels=labels, seed=8)[0], labels)
        mixed = genaug.MixedDataset(real, genaug.filtered(Damaged(), agree=classify), ratio=0.5)
        for index in range(30, 60):
            image, label = mixed[index]
            assert right(image[None], torch.tensor([label]))[0]
        pool = genaug.SamplePool(genaug.filtered(Damaged(), agree=classify), size=30)
        assert right(pool.images, pool.labels).all()


def test_the_report_is_a_table():
    report = FilterReport(("cat", "polar bear"), (1200, 0), (300, 0), {"agree": (900, 0)})
    assert str(report).splitlines() == [
        "class       candidates  accepted  rejected by agree",
        "cat              1,200     25.0%                900",
        "polar bear           0         –                  0",
    ]


class TestStoredSamples:
    def test_they_are_filtered_once_and_counted(self):
        pool = genaug.SamplePool(Damaged((0.5, 0.1, 0)), size=300)
        good = right(pool.images, pool.labels)
        source = genaug.filtered(pool, agree=classify)
        assert source.supply == pool.labels[good].bincount().tolist()
        images, labels = source.sample(labels=pool.labels[good], seed=0)
        assert sorted(images.flatten(1).tolist()) == sorted(pool.images[good].flatten(1).tolist())
        assert source.report.accepted == tuple(source.supply)
        assert source.report.candidates == (100, 100, 100)
        assert right(images, labels).all()

    def test_a_class_of_which_none_passes_is_an_error(self):
        with pytest.raises(InputError, match="class 0 pass the filters: 0 of 10"):
            genaug.filtered(genaug.SamplePool(Damaged((1, 0, 0)), size=30), agree=classify)


class TestCopies:
    def test_identical_and_nearly_identical_samples_are_rejected(self):
        rng = torch.Generator().manual_seed(0)
        real = torch.randint(0, 256, (100, 1, 4, 4), generator=rng, dtype=torch.uint8)
        new = torch.randint(0, 256, (50, 1, 4, 4), generator=rng, dtype=torch.uint8)
        near = real[50:].clone()
        near[:, 0, 0, 0] ^= 1
        samples = torch.cat([real[:50], near, new])
        source = genaug.filtered(genaug.SamplePool.from_dataset([*samples]), no_copies_of=[*real])
        kept = {tuple(row) for row in source.sample(source.supply[0], seed=0)[0].flatten(1).tolist()}
        assert kept <= {tuple(row) for row in new.flatten(1).tolist()}
        assert len(kept) > 40
        assert source.report.rejected["no_copies_of"][0] == 150 - len(kept)


class Scored(Backend):
    """A generator of gray levels, whose discriminator's score is the brightness."""

    class Config(BackendConfig):
        pass

    keeps = ("generator", "discriminator")

    def build(self, config, spec):
        return nn.ModuleDict({"generator": nn.Identity(), "discriminator": nn.Identity()})

    def generate(self, nets, inputs):
        return (inputs.latents["z"] / 3)[:, :, None, None].expand(-1, 1, 2, 2)

    def score(self, nets, x, labels):
        return x.mean((1, 2, 3)) * 3


def scored():
    spec = Spec(sample=Image(1, 2, 2), classes=None, latents=(Normal(size=1),))
    return Generator("scored", Scored(), Scored.Config(), spec, Scored().build(None, spec), {})


class TestScores:
    def test_samples_below_the_least_score_are_rejected(self):
        generator = scored()
        images, _ = genaug.filtered(generator, min_score=0.5).sample(100, seed=0)
        assert (generator.score(images) >= 0.5).all()
        assert (generator.score(generator.sample(100, seed=0)[0]) < 0.5).any()

    def test_rejection_sampling_prefers_high_scores_without_a_threshold(self):
        generator = scored()
        before = generator.score(generator.sample(2000, seed=0)[0])
        source = genaug.filtered(generator, discriminator_rejection=True)
        after = generator.score(source.sample(2000, seed=0)[0])
        assert after.mean() > before.mean() + 0.3
        assert after.min() < before.mean(), "low scores remain possible"

    def test_the_acceptance_probability_is_that_of_the_paper(self):
        from genaug.sources.filters import DiscriminatorRejection

        generator = scored()
        rule = DiscriminatorRejection(generator, generator)
        scores = generator.score(generator.sample(1000, seed=0)[0]).double()
        largest = scores.max()
        log_odds = (scores - largest) - torch.log(1 - torch.exp(scores - largest - 1e-6))
        expected = torch.sigmoid(log_odds - log_odds.quantile(0.8)).mean()
        images = generator.sample(20_000, seed=7)[0]
        assert rule.accepts(images, None, 5).float().mean() == pytest.approx(float(expected), abs=0.02)


class TestBadInput:
    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({}, "needs a filter"),
            ({"min_confidence": 0.9}, "needs a classifier"),
            ({"agree": classify, "min_confidence": 0}, "above 0 and at most 1"),
            ({"agree": classify, "min_confidence": 1.5}, "above 0 and at most 1"),
            ({"agree": classify, "min_confidence": "0.9"}, "above 0 and at most 1"),
            ({"agree": "classifier"}, "must be a classifier"),
            ({"min_score": 0.1}, "min_score= needs a generator whose discriminator was kept"),
            ({"discriminator_rejection": True}, "discriminator_rejection= needs a generator"),
            ({"agree": classify, "max_tries": 0}, "max_tries"),
            ({"no_copies_of": []}, "no_copies_of= is empty"),
            ({"no_copies_of": [torch.zeros(1, 3, 3, dtype=torch.uint8)]}, "1x3x3, the source makes 1x2x2"),
        ],
    )
    def test_it_is_refused_in_a_sentence(self, options, words):
        with pytest.raises(InputError, match=words):
            genaug.filtered(Damaged(), **options)

    def test_a_classifier_of_other_classes(self):
        with pytest.raises(InputError, match=r"returned \(1, 2\) for 1 samples; expected logits of shape \(1, 3\)"):
            genaug.filtered(Damaged(), agree=lambda x: x.flatten(1)[:, :2]).sample(1, seed=0)

    def test_agreement_without_labels_needs_a_confidence(self):
        with pytest.raises(InputError, match="compares labels, and this source has none"):
            genaug.filtered(Damaged(classes=None), agree=classify)

    def test_a_finite_score(self):
        with pytest.raises(InputError, match="finite number"):
            genaug.filtered(scored(), min_score=float("nan"))
