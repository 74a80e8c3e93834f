"""Anomaly scores and the scikit-learn detector, with generators whose scores can be computed by hand."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from helpers.stripes import Judged, Painted, bars, column_variance, generator_of, stripes
from sklearn.base import clone, is_outlier_detector
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks
from torch.utils.data import TensorDataset

import genaug
from genaug.anomaly import AnomalyDetector
from genaug.anomaly.scoring import choose_method
from genaug.data.reading import Samples, fingerprint
from genaug.errors import DataWarning, InputError
from genaug.modalities.image import to_pil

NORMAL, NEW, ODD = stripes(120), stripes(80, seed=2), bars(80)
QUICK = {"steps": 60, "batch_size": 32, "progress": False}


@pytest.fixture(scope="module")
def detector():
    return AnomalyDetector(generator_of(), progress=False).fit(NORMAL)


@pytest.fixture(scope="module", params=[Painted, Judged])
def with_encoder(request):
    """With an encoder that was trained for a generator without, izi and izi_f."""
    return AnomalyDetector(generator_of(request.param), "encoder", **{**QUICK, "steps": 150}).fit(NORMAL)


class TestScore:
    def test_a_reconstruction_scores_by_its_squared_error(self):
        scores = genaug.anomaly.score(generator_of(), ODD)
        assert scores.dtype == np.float64
        np.testing.assert_allclose(scores, column_variance(ODD), rtol=1e-3, atol=1e-6)
        assert scores.min() > genaug.anomaly.score(generator_of(), NEW).max()

    def test_with_labels_the_class_that_fits_best_counts(self):
        generator = generator_of(classes=["light", "dark"])
        np.testing.assert_allclose(genaug.anomaly.score(generator, ODD), column_variance(ODD), rtol=1e-3, atol=1e-6)

        class OnlyLight(type(generator.backend)):
            def encode(self, nets, x, labels):
                latents = super().encode(nets, x, labels)
                return {"z": torch.where(labels[:, None] == 0, latents["z"], 3.0)}

        np.testing.assert_allclose(
            genaug.anomaly.score(generator_of(OnlyLight, classes=2), ODD), column_variance(ODD), rtol=1e-3, atol=1e-6
        )

    def test_the_discriminator_scores_by_what_it_finds_unrealistic(self):
        expected = 4 * column_variance(ODD)  # from -1 to 1
        for generator in (generator_of(Judged), generator_of(Judged, classes=3)):
            scores = genaug.anomaly.score(generator, ODD, method="discriminator")
            np.testing.assert_allclose(scores, expected, rtol=1e-3, atol=1e-6)

    def test_images_in_every_form_give_the_same(self):
        generator = generator_of()
        forms = [NEW.numpy(), NEW[:, 0].numpy(), NEW.permute(0, 2, 3, 1).numpy(), NEW.flatten(1), NEW.float() / 255]
        forms += [NEW.numpy().astype(np.uint16), NEW.to(torch.int64)]
        forms += [NEW.flatten(1).tolist(), TensorDataset(NEW, torch.arange(80)), [to_pil(image) for image in NEW]]
        forms += [(NEW.flatten(1) / 255).numpy(), list(NEW.numpy()[:, 0])]
        expected = genaug.anomaly.score(generator, NEW)
        for form in forms:
            np.testing.assert_array_equal(genaug.anomaly.score(generator, form), expected)

    def test_a_score_does_not_depend_on_the_other_images(self, with_encoder):
        many = torch.cat([ODD] * 4)  # more than a chunk
        for source in (generator_of(), with_encoder):
            scores = genaug.anomaly.score(source, many)
            np.testing.assert_array_equal(scores[:80], scores[240:])
            np.testing.assert_array_equal(genaug.anomaly.score(source, many[5:6]), scores[5:6])

    def test_a_detector_scores_by_its_own_method(self, with_encoder):
        np.testing.assert_array_equal(genaug.anomaly.score(with_encoder, ODD), with_encoder.anomaly_scores(ODD))
        with pytest.raises(InputError, match="fitted with method 'encoder'"):
            genaug.anomaly.score(with_encoder, ODD, method="reconstruction")

    def test_nothing_of_it_imports_torch_before_it_is_used(self):
        code = "import genaug, sys; assert 'anomaly' in dir(genaug); genaug.anomaly; assert 'torch' not in sys.modules"
        subprocess.run([sys.executable, "-c", code], check=True)


class TestBadInput:
    @pytest.mark.parametrize(
        ("images", "message"),
        [
            (torch.zeros(3, 3, 32, 32, dtype=torch.uint8), r"images of shape \(1, 6, 6\).*got .* \(3, 3, 32, 32\)"),
            (torch.zeros(3, 1, 7, 6, dtype=torch.uint8), r"got an array of shape \(3, 1, 7, 6\)"),
            (torch.zeros(3, 3, 6, 6, dtype=torch.uint8), r"got an array of shape \(3, 3, 6, 6\)"),
            (torch.zeros(6, 6, dtype=torch.uint8), r"It is a single image: pass image\[None\]"),
            (to_pil(NEW[0]), r"got a single one\. Pass a list"),
            (torch.full((2, 1, 6, 6), 1.5), r"must lie in \[0, 1\]"),
            (torch.full((2, 1, 6, 6), -1.0), r"must lie in \[0, 1\]"),
            (torch.full((2, 1, 6, 6), torch.nan), "some of these pixels are NaN"),
            (torch.full((2, 1, 6, 6), torch.inf), r"must lie in \[0, 1\]"),
            (torch.zeros(0, 1, 6, 6, dtype=torch.uint8), "has no images: expected at least one"),
            ([], "the data is empty"),
            (TensorDataset(torch.zeros(0, 1, 6, 6)), "the data is empty"),
            (np.full((2, 36), 256), "uint8 images or floats"),
            (np.zeros((2, 36), dtype=bool), "uint8 images or floats"),
            (np.zeros((2, 36), dtype=complex), "uint8 images or floats"),
            (np.full((2, 36), 300, dtype=np.uint16), "uint8 images or floats"),
            (np.array([["a"] * 36]), "takes arrays of images"),
            (np.array(3), r"got an array of shape \(\)"),
            ("photos", "map-style dataset"),
            (None, "map-style dataset"),
            (7, "map-style dataset"),
            (TensorDataset(torch.zeros(2, 3, 9, 9)), r"images of 1x6x6 \(channels first\), the data has 3x9x9"),
            ([NEW[0], NEW[0, :, :3]], "item 1 of the data has shape"),
            ([[1.0], [1.0, 2.0]], "takes arrays of images"),
        ],
    )
    def test_what_is_not_images_of_this_generator_is_an_error_of_one_sentence(self, images, message):
        with pytest.raises(InputError, match=message) as caught:
            genaug.anomaly.score(generator_of(), images)
        assert "\n" not in str(caught.value)
        with pytest.raises(InputError):
            AnomalyDetector(generator_of()).fit(images)

    @pytest.mark.parametrize(
        ("generator", "method", "message"),
        [
            (
                generator_of(Painted),
                "reconstruction",
                r"has none\. Use method='encoder', which trains one",
            ),
            (generator_of(), "discriminator", "can't score samples"),
            (generator_of(), "magic", "method must be one of reconstruction, encoder, discriminator, got 'magic'"),
            (generator_of(Painted), None, r"one has to be trained on normal images first\. Pass the result of"),
            (generator_of(), "encoder", "one has to be trained on normal images first"),
            (generator_of(Judged), None, "or use method='discriminator'"),
            ("runs/vae", None, "anomaly scores need a Generator, .* got str"),
            (genaug.SamplePool.from_dataset(TensorDataset(NEW)), None, "got SamplePool"),
        ],
    )
    def test_methods_that_a_generator_does_not_offer(self, generator, method, message):
        with pytest.raises(InputError, match=message):
            genaug.anomaly.score(generator, NEW, method=method)

    def test_an_encoder_that_recovers_only_some_latents_cannot_reconstruct(self, tiny_set, tmp_path):
        config = {"categories": [3], "continuous": 1, "width": 4, "max_width": 8, "hidden": 16, "latent_size": 4}
        generator = genaug.fit("infogan", tiny_set, out=tmp_path / "run", steps=1, batch_size=8, config=config)
        assert choose_method(generator, None) == "encoder"
        with pytest.raises(InputError, match=r"doesn't recover z\. Use method='encoder'"):
            genaug.anomaly.score(generator, tiny_set, method="reconstruction")
        images = tiny_set.tensors[0]
        detector = AnomalyDetector(generator, false_alarms=0.2, **{**QUICK, "steps": 2}).fit(images)  # with categories
        assert np.isfinite(detector.anomaly_scores(images)).all()

    @pytest.mark.parametrize("rate", [0, 1, -1, 2, float("nan"), "5%", None])
    def test_rates_that_are_none(self, rate):
        with pytest.raises(InputError, match="false_alarms must be a number between 0 and 1"):
            AnomalyDetector(generator_of(), false_alarms=rate).fit(NORMAL)

    @pytest.mark.parametrize("held_out", [0, 1, "x"])
    def test_shares_that_are_none(self, held_out):
        with pytest.raises(InputError, match="held_out must be a number between 0 and 1"):
            AnomalyDetector(generator_of(Painted), held_out=held_out).fit(NORMAL)

    def test_too_few_normal_images_for_the_rate(self):
        message = r"false_alarms=0.05 needs at least 19 held-out normal images, and there are 18. Pass 19 or more"
        with pytest.raises(InputError, match=message):
            AnomalyDetector(generator_of()).fit(NORMAL[:18])
        AnomalyDetector(generator_of()).fit(NORMAL[:19])
        with pytest.raises(InputError, match=r"there are 18 \(0.2 of 90\). Pass 95 or more normal images"):
            AnomalyDetector(generator_of(Painted), **QUICK).fit(NORMAL[:90])
        with pytest.raises(InputError, match="leaves 1 to train the encoder on"):
            AnomalyDetector(generator_of(Painted), false_alarms=0.5, held_out=0.5, **QUICK).fit(NORMAL[:3])

    @pytest.mark.parametrize("options", [{"steps": 0}, {"batch_size": 0}, {"seed": -1}, {"steps": 1.5}])
    def test_numbers_that_make_no_sense(self, options):
        with pytest.raises(InputError, match=next(iter(options))):
            AnomalyDetector(generator_of(Painted), **options).fit(NORMAL)

    def test_a_generator_that_scores_nan(self):
        class Broken(Judged):
            def score(self, nets, x, labels):
                return super().score(nets, x, labels) * torch.nan

        with pytest.raises(InputError, match="scores that are NaN or infinite"):
            genaug.anomaly.score(generator_of(Broken), NEW, method="discriminator")


class TestDetector:
    def test_the_threshold_is_that_of_the_normal_images(self, detector):
        scores = np.sort(column_variance(NORMAL).numpy())
        assert detector.n_held_out_ == 120
        assert detector.threshold_ == pytest.approx(scores[120 - 6], rel=1e-2)  # floor(121 * 0.05) is 6
        assert detector.offset_ == -detector.threshold_
        assert (detector.anomaly_scores(NORMAL) > detector.threshold_).sum() <= 6

    def test_it_follows_the_conventions_of_scikit_learn(self, detector):
        scores = detector.anomaly_scores(ODD)
        np.testing.assert_array_equal(detector.score_samples(ODD), -scores)
        np.testing.assert_allclose(detector.decision_function(ODD), detector.threshold_ - scores)
        assert (detector.predict(ODD) == -1).all()
        assert (detector.predict(NEW) == 1).mean() > 0.8
        at_threshold = detector.decision_function(NORMAL)
        assert (detector.predict(NORMAL) == np.where(at_threshold >= 0, 1, -1)).all()
        assert at_threshold.min() < 0 < at_threshold.max()
        assert (at_threshold == 0).sum() >= 1  # the image that the threshold comes from is normal
        assert (AnomalyDetector(generator_of(), progress=False).fit_predict(NORMAL) == detector.predict(NORMAL)).all()
        assert is_outlier_detector(detector)

    def test_an_encoder_is_trained_for_any_generator(self, with_encoder):
        assert with_encoder.method_ == "encoder"
        assert with_encoder.n_held_out_ == 24
        assert with_encoder.anomaly_scores(NEW).mean() < with_encoder.anomaly_scores(ODD).mean() / 3
        near = (with_encoder.reconstruct(NEW).float() - NEW.float()).square().mean()
        assert near < (NEW.float() - NEW.float().mean()).square().mean() / 2

    def test_held_out_images_are_not_in_the_encoders_training(self, monkeypatch):
        import genaug.anomaly.detector as module

        trained = []
        original = module.train_encoder
        monkeypatch.setattr(
            module,
            "train_encoder",
            lambda generator, images, **o: trained.append(images) or original(generator, images, **o),
        )
        detector = AnomalyDetector(generator_of(Painted), **{**QUICK, "steps": 1}).fit(NORMAL)
        rest = {image.numpy().tobytes() for image in trained[0]}
        held_out = [image for image in NORMAL if image.numpy().tobytes() not in rest]
        assert (len(rest), len(held_out)) == (96, 24)
        assert detector.threshold_ == pytest.approx(np.sort(detector.anomaly_scores(torch.stack(held_out)))[-1])

    def test_the_seed_determines_everything(self):
        def scores(seed):
            return (
                AnomalyDetector(generator_of(Painted), seed=seed, **{**QUICK, "steps": 5})
                .fit(NORMAL)
                .anomaly_scores(ODD)
            )

        np.testing.assert_array_equal(scores(1), scores(1))
        assert (scores(1) != scores(2)).any()
        generator = generator_of(Painted)  # seeds torch
        before = torch.random.get_rng_state()
        AnomalyDetector(generator, **{**QUICK, "steps": 2}).fit(NORMAL)
        assert torch.equal(torch.random.get_rng_state(), before)

    def test_the_generator_does_not_change(self):
        generator = generator_of(Judged)
        before = {name: tensor.clone() for name, tensor in generator.nets.state_dict().items()}
        AnomalyDetector(generator, "encoder", **{**QUICK, "steps": 3}).fit(NORMAL)
        assert all(torch.equal(tensor, before[name]) for name, tensor in generator.nets.state_dict().items())
        assert not generator.nets.training
        assert not any(module._forward_hooks for module in generator.nets.modules())

    def test_the_images_of_the_generators_training_are_warned_of(self):
        record = {"data_sha256": fingerprint(Samples(NORMAL, None, generator_of().spec))}
        with pytest.warns(DataWarning, match="there will be more false alarms"):
            AnomalyDetector(generator_of(**record), progress=False).fit(NORMAL)
        AnomalyDetector(generator_of(**record), progress=False).fit(NEW)

    def test_before_fit_it_says_so(self):
        for method in ("anomaly_scores", "predict", "decision_function", "score_samples", "reconstruct", "draw"):
            with pytest.raises(NotFittedError):
                getattr(AnomalyDetector(generator_of()), method)(NEW)

    def test_the_size_in_the_generators_record_is_that_of_datasets(self):
        large = TensorDataset(NEW.repeat_interleave(2, 2).repeat_interleave(2, 3))
        with pytest.raises(InputError, match="1x12x12"):
            genaug.anomaly.score(generator_of(), large)
        assert len(genaug.anomaly.score(generator_of(image_size=6), large)) == 80


class TestScikitLearn:
    CHECKS = (
        "check_estimator_cloneable",
        "check_estimator_repr",
        "check_estimator_tags_renamed",
        "check_valid_tag_types",
        "check_no_attributes_set_in_init",
        "check_get_params_invariance",
        "check_set_params",
        "check_mixin_order",
    )

    @pytest.mark.parametrize("name", CHECKS)
    def test_its_own_checks_that_need_no_data_pass(self, name):
        check = getattr(estimator_checks, name, None)
        if check is None:
            pytest.skip(f"this version of scikit-learn has no {name}")
        check("AnomalyDetector", AnomalyDetector(generator_of(), progress=False))

    def test_methods_do_not_depend_on_order_or_batches(self, detector):
        order = torch.randperm(80, generator=torch.Generator().manual_seed(0))
        for method in ("predict", "decision_function", "score_samples"):
            call = getattr(detector, method)
            np.testing.assert_array_equal(call(ODD)[order], call(ODD[order]))
            np.testing.assert_array_equal(np.concatenate([call(part) for part in ODD.split(7)]), call(ODD))

    def test_predicting_changes_nothing_and_fitting_again_gives_the_same(self, detector):
        before = dict(detector.__dict__)
        detector.predict(ODD)
        assert detector.__dict__ == before
        again = clone(detector).fit(NORMAL)
        assert (again.threshold_, again.generator) == (detector.threshold_, detector.generator)
        assert again.fit(NORMAL).threshold_ == detector.threshold_

    def test_it_is_pickled_with_its_networks(self, detector, with_encoder):
        for fitted in (detector, with_encoder):
            copy = pickle.loads(pickle.dumps(fitted))
            np.testing.assert_array_equal(copy.anomaly_scores(ODD), fitted.anomaly_scores(ODD))
            assert copy.threshold_ == fitted.threshold_
        assert pickle.loads(pickle.dumps(AnomalyDetector(generator_of()))).method is None

    def test_it_works_in_a_pipeline_on_rows(self, detector):
        rows, odd = NORMAL.flatten(1).numpy() / 255 * 2 - 1, ODD.flatten(1).numpy() / 255 * 2 - 1
        pipeline = make_pipeline(FunctionTransformer(lambda x: (x + 1) / 2), clone(detector)).fit(rows)
        assert pipeline[-1].n_features_in_ == 36
        np.testing.assert_allclose(pipeline.decision_function(odd), detector.decision_function(ODD), atol=1e-9)
        assert (pipeline.predict(odd) == -1).all()
        pipeline.set_params(anomalydetector__false_alarms=0.5).fit(rows)
        assert pipeline[-1].threshold_ < detector.threshold_


class TestPictures:
    def test_the_most_anomalous_images_stand_beside_their_reconstructions(self, detector):
        images = torch.cat([NEW, ODD])
        picture = detector.draw(images, 3)
        assert picture.height > picture.width / 2
        worst = images[int(detector.anomaly_scores(images).argmax())]
        pixels = np.asarray(picture.convert("L"))
        first = np.asarray(to_pil(worst).resize((48, 48), 0))
        assert any((pixels[27 : 27 + 48, x : x + 48] == first).all() for x in range(picture.width - 47))
        decoded = np.asarray(to_pil(detector.reconstruct(worst[None])[0]).resize((48, 48), 0))
        assert any((pixels[27 : 27 + 48, x : x + 48] == decoded).all() for x in range(picture.width - 47))

    def test_a_discriminator_has_no_reconstructions(self):
        detector = AnomalyDetector(generator_of(Judged), "discriminator", progress=False).fit(NORMAL)
        assert (
            detector.draw(ODD, 4).width < AnomalyDetector(generator_of(), progress=False).fit(NORMAL).draw(ODD, 4).width
        )
        with pytest.raises(InputError, match="makes no reconstructions"):
            detector.reconstruct(ODD)
        with pytest.raises(InputError, match="count must be an integer of 1 or more"):
            detector.draw(ODD, 0)


def test_the_discriminators_features_count_if_there_are_any():
    scores = [
        AnomalyDetector(generator_of(kind), "encoder", **{**QUICK, "steps": 1}).fit(NORMAL).anomaly_scores(ODD)
        for kind in (Painted, Judged)
    ]
    assert (scores[1] > scores[0]).all()


def test_the_anomaly_score_is_that_of_the_paper():
    from genaug.anomaly.judging import Features, distances

    generator = generator_of(Judged)
    x, generated = torch.rand(4, 1, 6, 6) * 2 - 1, torch.rand(4, 1, 6, 6) * 2 - 1
    layer = generator.nets["discriminator"]
    expected = (x - generated).square().mean((1, 2, 3)) + (layer(x) - layer(generated)).square().mean(1)
    with Features(generator) as features:
        assert torch.allclose(distances(features, x, generated, None), expected)
