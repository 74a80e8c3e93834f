"""Sampling, decoding, saving and loading a generator."""

import json
import os
import re
import subprocess
import sys

import pytest
import torch
from torch import nn

import genaug
from genaug.artifacts.figures import read_evaluation, write_evaluation
from genaug.backends import Categorical, Normal, Spec, Uniform
from genaug.backends.latents import latent_rows
from genaug.errors import FormatError, InputError, PluginError
from genaug.modalities import Image
from genaug.sources.chunks import chunk_size
from genaug.sources.generator import Generator

SEED = 5


@pytest.fixture
def generator(make_generator):
    return make_generator()


@pytest.fixture
def unlabelled(make_generator):
    return make_generator(num_classes=0)


class TestSample:
    def test_n_samples_with_labels_drawn_uniformly(self, generator):
        images, labels = generator.sample(400, seed=SEED)
        assert (images.shape, images.dtype) == ((400, 1, 8, 8), torch.uint8)
        assert (labels.shape, labels.dtype) == ((400,), torch.int64)
        counts = torch.bincount(labels, minlength=4)
        assert len(counts) == 4
        assert int(counts.min()) > 60

    def test_samples_have_the_labels_that_are_passed(self, generator):
        expected = torch.tensor([3, 0, 0, 2, 1, 3])
        images, labels = generator.sample(labels=expected, seed=SEED)
        assert torch.equal(labels, expected)
        assert len(images) == 6

    @pytest.mark.parametrize("labels", [[1, 2], (1, 2), torch.tensor([1, 2], dtype=torch.int32)])
    def test_labels_may_be_any_integers(self, generator, labels):
        assert generator.sample(labels=labels, seed=0)[1].tolist() == [1, 2]

    def test_a_generator_without_labels_returns_none(self, unlabelled):
        images, labels = unlabelled.sample(5, seed=SEED)
        assert labels is None
        assert images.shape == (5, 1, 8, 8)
        assert not torch.equal(images[0], images[1])

    @pytest.mark.parametrize("n", [0, 1])
    def test_none_or_one(self, generator, n):
        images, labels = generator.sample(n, seed=SEED)
        assert images.shape == (n, 1, 8, 8)
        assert labels.shape == (n,)
        assert generator.sample(labels=[], seed=SEED)[0].shape == (0, 1, 8, 8)

    @pytest.mark.parametrize("shape", [(3, 13, 40), (1, 27, 27), (4, 4, 4)])
    def test_shapes(self, make_generator, shape):
        assert make_generator(shape=shape).sample(3, seed=0)[0].shape == (3, *shape)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
    def test_floats_are_in_the_unit_interval_and_round_to_the_bytes(self, generator, dtype):
        floats, _ = generator.sample(300, seed=SEED, dtype=dtype, precision="float32")
        exact, _ = generator.sample(300, seed=SEED, precision="float32")
        assert floats.dtype == dtype
        assert 0 <= float(floats.min()) < float(floats.max()) <= 1
        slack = {torch.bfloat16: 1.0, torch.float16: 0.2}.get(dtype, 1e-3)
        assert float((floats.double() * 255 - exact).abs().max()) <= 0.5 + slack

    def test_bfloat16_is_close_to_float32(self, generator):
        exact, _ = generator.sample(100, seed=SEED, dtype=torch.float32, precision="float32")
        rough, _ = generator.sample(100, seed=SEED, dtype=torch.float32, precision="bfloat16")
        assert float((exact - rough).abs().mean()) < 0.02
        assert not torch.equal(exact, rough)


class TestReproducibility:
    @pytest.fixture
    def small_chunks(self, generator, monkeypatch):
        """Chunks of 128, so that 300 and 1000 samples take several."""
        monkeypatch.setattr("genaug.sources.chunks.chunk_size", lambda *_: 128)
        return generator

    def test_sample_i_does_not_depend_on_the_number_of_samples(self, small_chunks):
        images, labels = small_chunks.sample(1000, seed=SEED)
        for n in (1, 3, 128, 129, 300):
            fewer, fewer_labels = small_chunks.sample(n, seed=SEED)
            assert torch.equal(fewer, images[:n])
            assert torch.equal(fewer_labels, labels[:n])
        assert len({bytes(image.numpy().tobytes()) for image in images}) > 990

    def test_sample_i_does_not_depend_on_the_number_without_labels(self, make_generator, monkeypatch):
        monkeypatch.setattr("genaug.sources.chunks.chunk_size", lambda *_: 64)
        unlabelled = make_generator(num_classes=0)
        assert torch.equal(unlabelled.sample(150, seed=1)[0][:70], unlabelled.sample(70, seed=1)[0])

    def test_a_smaller_chunk_changes_no_bit_of_a_sample(self, make_generator, monkeypatch):
        """In float32 on one machine."""
        generator = make_generator(shape=(3, 32, 32), width=16, max_width=64)
        assert chunk_size(generator.spec, generator.device) == 64
        samples = generator.sample(100, seed=SEED, dtype=torch.float32, precision="float32")[0]
        monkeypatch.setattr("genaug.sources.chunks.chunk_size", lambda *_: 256)
        assert torch.equal(generator.sample(100, seed=SEED, dtype=torch.float32, precision="float32")[0], samples)

    def test_sample_i_depends_on_its_own_label_only(self, small_chunks):
        one, other = torch.arange(300) % 4, torch.arange(300) // 3 % 4
        images, others = (small_chunks.sample(labels=labels, seed=SEED)[0] for labels in (one, other))
        same = one == other
        assert 0 < int(same.sum()) < 300
        assert torch.equal(images[same], others[same])
        assert not torch.equal(images[~same], others[~same])

    def test_passing_the_drawn_labels_gives_the_same_samples_as_n(self, small_chunks):
        images, labels = small_chunks.sample(200, seed=SEED)
        assert torch.equal(small_chunks.sample(labels=labels, seed=SEED)[0], images)

    def test_different_seeds_give_different_samples(self, generator):
        images = [generator.sample(labels=[0, 1, 2], seed=seed)[0] for seed in (0, 1, 2**63 - 1)]
        assert not torch.equal(images[0], images[1])
        assert not torch.equal(images[1], images[2])

    def test_without_a_seed_samples_depend_on_torchs_rng(self, generator):
        torch.manual_seed(3)
        first, second = generator.sample(4), generator.sample(4)
        torch.manual_seed(3)
        again = generator.sample(4)
        assert torch.equal(first[0], again[0])
        assert torch.equal(first[1], again[1])
        assert not torch.equal(first[0], second[0])

    def test_a_seeded_sample_leaves_torchs_rng_unchanged(self, generator, tmp_path):
        generator.save(tmp_path / "g")
        before = torch.random.get_rng_state()
        generator.sample(10, seed=0)
        generator.decode(torch.zeros(2, 4), [0, 1])
        genaug.load(tmp_path / "g", device="cpu").sample(3, seed=1)
        assert torch.equal(torch.random.get_rng_state(), before)


class TestMemory:
    def test_the_network_never_gets_more_than_a_chunk(self, generator, monkeypatch):
        sizes = []
        generate = generator._backend.generate
        monkeypatch.setattr(
            generator._backend,
            "generate",
            lambda nets, inputs: (sizes.append(len(inputs.latents["z"])), generate(nets, inputs))[1],
        )
        generator.sample(5000, seed=0)
        generator.sample(1, seed=0)
        generator.decode(torch.zeros(3000, 4), torch.zeros(3000, dtype=torch.int64))
        assert len(set(sizes)) == 1
        assert sizes[0] <= 1024

    @pytest.mark.parametrize("side", [1, 8, 32, 64, 512, 2048])
    def test_a_chunk_has_a_bounded_number_of_pixels(self, side, make_generator):
        generator = make_generator()
        generator.spec = generator.spec.model_copy(update={"sample": Image(3, side, side)})
        chunk = chunk_size(generator.spec, generator.device)
        assert 1 <= chunk <= 1024
        assert chunk == 1 or chunk * side * side <= 2**16


class TestDecode:
    def test_the_latents_of_a_seed_give_its_samples(self, generator):
        images, labels = generator.sample(20, seed=SEED)
        z = latent_rows(Normal(size=4), SEED, 0, 20)
        assert torch.equal(generator.decode(z, labels), images)
        assert torch.equal(generator.decode(z=z, labels=labels.tolist()), images)
        assert torch.equal(generator.decode(z.double(), labels), images)
        assert torch.equal(generator.decode(z[:3], labels[:3]), images[:3])
        floats = generator.decode(z, labels, dtype=torch.float32)
        assert torch.equal(floats, generator.sample(20, seed=SEED, dtype=torch.float32)[0])

    def test_without_labels(self, unlabelled):
        z = latent_rows(Normal(size=4), SEED, 0, 6)
        assert torch.equal(unlabelled.decode(z), unlabelled.sample(6, seed=SEED)[0])

    def test_latents_that_require_a_gradient(self, generator):
        images = generator.decode(torch.zeros(2, 4, requires_grad=True), [0, 1], dtype=torch.float32)
        assert not images.requires_grad

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({}, r"expects the latents \['z'\], got \[\]"),
            ({"w": torch.zeros(2, 4)}, r"expects the latents \['z'\], got \['w'\]"),
            ({"z": torch.zeros(2, 4), "w": torch.zeros(2, 4)}, r"got \['w', 'z'\]"),
            ({"z": torch.zeros(2, 5)}, r"latent 'z' must have shape \(N, 4\), got \(2, 5\)"),
            ({"z": torch.zeros(4)}, r"latent 'z' must have shape \(N, 4\), got \(4,\)"),
            ({"z": torch.zeros(2, 4, dtype=torch.int64)}, "latent 'z' must be a float tensor, got torch.int64"),
            ({"z": [[0.0] * 4] * 2}, "latent 'z' must be a float tensor, got list"),
            ({"z": torch.zeros(3, 4)}, "decode got 2 labels for 3 samples; it needs one per sample"),
        ],
    )
    def test_latents_that_do_not_fit(self, generator, arguments, message):
        with pytest.raises(InputError, match=message):
            generator.decode(**arguments, labels=[0, 1])

    def test_labels_must_fit_too(self, generator, unlabelled):
        z = torch.zeros(2, 4)
        with pytest.raises(InputError, match="decode needs labels: this generator takes 4 classes"):
            generator.decode(z)
        with pytest.raises(InputError, match="label 4 is unknown"):
            generator.decode(z, [0, 4])
        with pytest.raises(InputError, match="takes no labels"):
            unlabelled.decode(z, [0, 1])


class TestCodes:
    """A generator with a continuous and a categorical code, as in InfoGAN."""

    @pytest.fixture
    def coded(self, make_generator):
        generator = make_generator(num_classes=0)
        latents = (
            Normal(size=4),
            Categorical(name="c", size=3),
            Uniform(name="u", size=2),
        )
        generator.spec = generator.spec.model_copy(update={"latents": latents})

        def generate(nets, inputs):
            latents = inputs.latents
            assert latents["c"].dtype == torch.int64
            values = torch.stack([latents["c"] / 2, latents["u"][:, 0], latents["z"][:, 0].tanh()], 1)
            return values.repeat_interleave(22, 1)[:, :64].reshape(-1, 1, 8, 8)

        generator._backend.generate = generate
        return generator

    def test_codes_are_drawn_and_decoded_by_name(self, coded):
        images, _ = coded.sample(50, seed=SEED)
        latents = {latent.name: latent_rows(latent, SEED, 0, 50) for latent in coded.spec.latents}
        assert latents["c"].unique().tolist() == [0, 1, 2]
        assert torch.equal(coded.decode(**latents), images)
        assert torch.equal(coded.decode(latents["z"], u=latents["u"], c=latents["c"].to(torch.int32)), images)

    def test_fixed_codes_do_not_change_how_others_are_drawn(self, coded):
        latents = {latent.name: latent_rows(latent, SEED, 0, 50) for latent in coded.spec.latents}
        images, _ = coded.sample(50, seed=SEED, c=2)
        assert torch.equal(images, coded.decode(**{**latents, "c": torch.full((50,), 2)}))
        each = torch.arange(50) % 3
        images, _ = coded.sample(50, seed=SEED, c=each, u=[0.5, -1])
        assert torch.equal(images, coded.decode(latents["z"], c=each, u=torch.tensor([[0.5, -1.0]]).expand(50, 2)))
        one, _ = coded.sample(1, seed=SEED, c=2, u=0)
        assert torch.equal(one, coded.decode(latents["z"][:1], c=torch.tensor([2]), u=torch.zeros(1, 2)))

    @pytest.mark.parametrize(
        ("latents", "message"),
        [
            ({"member": 1}, r"no option or latent 'member'; this generator's latents: \['c', 'u', 'z'\]"),
            ({"c": 3}, r"'c' must hold categories in \[0, 3\)"),
            ({"c": 0.5}, "'c' must be an int64 tensor"),
            ({"c": [0, 1]}, r"'c' must be a number or a tensor that fits \(5,\)"),
            ({"u": torch.zeros(3, 2)}, r"'u' must be a number or a tensor that fits \(5, 2\)"),
            ({"u": "high"}, "'u' must be a number or a tensor"),
        ],
    )
    def test_fixed_codes_that_do_not_fit(self, coded, latents, message):
        with pytest.raises(InputError, match=message):
            coded.sample(5, **latents)

    @pytest.mark.parametrize(
        ("c", "message"),
        [
            (torch.tensor([0, 3]), r"'c' must hold categories in \[0, 3\)"),
            (torch.tensor([-1, 0]), r"'c' must hold categories in \[0, 3\)"),
            (torch.tensor([0.0, 1.0]), "'c' must be an int64 tensor"),
            (torch.tensor([[0], [1]]), r"'c' must have shape \(N,\), got \(2, 1\)"),
            (torch.tensor([0, 1, 2]), r"latents of different lengths: \[2, 3\]"),
        ],
    )
    def test_categories_that_do_not_fit(self, coded, c, message):
        with pytest.raises(InputError, match=message):
            coded.decode(torch.zeros(2, 4), c=c, u=torch.zeros(2, 2))


class TestResults:
    def test_samples_can_be_trained_on(self, generator):
        images, labels = generator.sample(8, seed=0, dtype=torch.float32)
        assert not images.is_inference()
        assert not labels.is_inference()
        classifier = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
        nn.functional.cross_entropy(classifier(images), labels).backward()
        assert float(classifier[1].weight.grad.abs().sum()) > 0
        decoded = generator.decode(torch.zeros(2, 4), [0, 1], dtype=torch.float32).requires_grad_()
        decoded.square().sum().backward()
        images[0] = 0  # in place

    def test_sampling_inside_autocast_or_no_grad_changes_nothing(self, generator):
        expected, _ = generator.sample(8, seed=0, precision="float32")
        with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
            assert torch.equal(generator.sample(8, seed=0, precision="float32")[0], expected)

    def test_a_wrong_shape_is_the_backends_fault(self, generator, monkeypatch):
        monkeypatch.setattr(
            generator._backend,
            "generate",
            lambda nets, inputs: torch.zeros(len(inputs.latents["z"]), 1, 8, 9),
        )
        with pytest.raises(
            PluginError, match=r"generate failed .*images of the spec's shape \(1, 8, 8\), got \(1, 8, 9\)"
        ):
            generator.sample(1)

    def test_the_network_is_in_evaluation_mode_without_gradients(self, generator):
        assert not generator.network.training
        assert not any(parameter.requires_grad for parameter in generator.network.parameters())


class TestBadInput:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({}, r"sample expects either n= \(the number of samples\) or labels="),
            ({"n": 2, "labels": [0, 1]}, "or labels= .*, not both"),
            ({"n": -1}, "n must be an integer of 0 or more, got -1"),
            ({"n": 2.0}, "n must be an integer of 0 or more, got 2.0"),
            ({"n": True}, "n must be an integer"),
            ({"n": "3"}, "n must be an integer"),
            ({"labels": [0, 4]}, "label 4 is unknown: the generator has 4 classes, from 0"),
            ({"labels": [-1]}, "0 or more, got -1"),
            ({"labels": torch.tensor([0.0, 1.0])}, "labels must be integers"),
            ({"labels": torch.eye(4)}, "one-hot"),
            ({"labels": ["cat"]}, "labels must be integers, got strings"),
            ({"labels": 3}, "labels must be integers"),
            ({"n": 2, "seed": -1}, "seed must be an integer"),
            ({"n": 2, "seed": 0.5}, "seed must be an integer"),
            ({"n": 2, "dtype": torch.int64}, "dtype must be torch.uint8 or a float dtype, got torch.int64"),
            ({"n": 2, "precision": "float16"}, "precision must be one of auto, float32, bfloat16, got 'float16'"),
        ],
    )
    def test_sample(self, generator, arguments, message):
        with pytest.raises(InputError, match=message):
            generator.sample(**arguments)

    def test_labels_for_a_generator_without_labels(self, unlabelled):
        with pytest.raises(InputError, match=r"takes no labels: it was trained without"):
            unlabelled.sample(labels=[0])

    def test_an_unknown_label_is_named_with_the_classes(self, make_generator):
        named = make_generator(num_classes=2, classes=("cat", "dog"))
        with pytest.raises(InputError, match=r"label 2 is unknown: the generator has 2 classes \(cat, dog\)"):
            named.sample(labels=[0, 2])

    @pytest.mark.parametrize("device", ["cuda:99", "nonsense", "cpu:x"])
    def test_a_device_that_is_missing(self, generator, device, tmp_path):
        with pytest.raises(InputError, match=r"can't be used here .* Use device='cpu'"):
            generator.to(device)
        generator.save(tmp_path / "g")
        with pytest.raises(InputError, match="can't be used here"):
            genaug.load(tmp_path / "g", device=device)


class TestObject:
    def test_to_moves_in_place_and_returns_itself(self, generator):
        assert generator.to("cpu") is generator
        assert generator.to(torch.device("cpu")).device == torch.device("cpu")

    def test_repr(self, make_generator):
        text = repr(make_generator(num_classes=2, classes=("cat", "dog")))
        assert re.fullmatch(r"Generator\(cgan, 1x8x8, 2 classes \(cat, dog\), [\d,]+ parameters, cpu\)", text)


class TestSaveAndLoad:
    def test_a_fresh_process_samples_the_same_bits(self, make_generator, tmp_path):
        generator = make_generator(shape=(3, 12, 10), num_classes=3, classes=("a", "b", "ç"))
        assert generator.save(tmp_path / "new" / "g") == tmp_path / "new" / "g"
        script = (
            "import sys, torch, genaug\n"
            "generator = genaug.load(sys.argv[1], device='cpu')\n"
            "images, labels = generator.sample(70, seed=5)\n"
            "torch.save({'images': images, 'labels': labels, 'spec': generator.spec.model_dump_json(),\n"
            "            'config': generator.config.model_dump_json(), 'training': str(generator.training)},\n"
            "           sys.argv[2])"
        )
        threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
        arguments = [sys.executable, "-c", script, str(tmp_path / "new" / "g"), str(tmp_path / "out.pt")]
        subprocess.run(arguments, check=True, env={**os.environ, **threads}, timeout=300)
        loaded = torch.load(tmp_path / "out.pt", weights_only=True)
        images, labels = generator.sample(70, seed=5)
        assert torch.equal(loaded["images"], images)
        assert torch.equal(loaded["labels"], labels)
        assert loaded["spec"] == generator.spec.model_dump_json()
        assert loaded["config"] == generator.config.model_dump_json()
        assert loaded["training"] == str(generator.training)

    def test_loading_restores_every_bit(self, generator, tmp_path):
        loaded = genaug.load(generator.save(tmp_path / "g"), device="cpu")
        expected = generator.network.state_dict()
        assert list(loaded.network.state_dict()) == list(expected)
        assert all(torch.equal(tensor, expected[name]) for name, tensor in loaded.network.state_dict().items())
        assert loaded.spec == generator.spec
        assert loaded.config == generator.config
        assert loaded.training == generator.training == {"note": "untrained", "nothing": None}
        assert not loaded.network.training
        assert not any(parameter.requires_grad for parameter in loaded.network.parameters())
        loaded.save(tmp_path / "again")
        for name in ("config.json", "model.safetensors"):
            assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "g" / name).read_bytes()

    def test_recorded_figures_are_copied(self, generator, tmp_path):
        write_evaluation(generator.save(tmp_path / "g"), {"fid": {"value": 1.5}})
        copy = genaug.load(tmp_path / "g", device="cpu").save(tmp_path / "copy")
        assert read_evaluation(copy).metrics["fid"].value == 1.5
        assert read_evaluation(generator.save(tmp_path / "unmeasured")) is None

    def test_a_buffer_that_is_not_saved_is_computed_on_load(self, register_backend, tmp_path):
        class Network(nn.Module):
            def __init__(self):
                super().__init__()
                self.weight = nn.Parameter(torch.rand(4))
                self.register_buffer("ramp", torch.linspace(-1, 1, 64), persistent=False)

            def forward(self, z):
                return (self.ramp + (z * self.weight).mean(1, keepdim=True)).clamp(-1, 1).reshape(-1, 1, 8, 8)

        class Ramp(genaug.Backend):
            class Config(genaug.backends.BackendConfig):
                latent_size: int = 4
                offset: float | None = 1.0

            def build(self, config, spec):
                return nn.ModuleDict({"generator": Network()})

            def generate(self, nets, inputs):
                return nets["generator"](inputs.latents["z"])

        register_backend("ramp", Ramp)
        config = Ramp.Config(offset=None)
        spec = Ramp().describe(config, Spec(sample=Image(1, 8, 8)))
        generator = Generator("ramp", Ramp(), config, spec, Ramp().build(config, spec), {})
        before = torch.random.get_rng_state()
        loaded = genaug.load(generator.save(tmp_path / "g"), device="cpu")
        assert torch.equal(torch.random.get_rng_state(), before)  # building the network drew its first weights
        assert torch.equal(loaded.sample(3, seed=0)[0], generator.sample(3, seed=0)[0])
        assert loaded.config.offset is None

    def test_weights_that_share_memory_or_are_slices_are_saved(self, generator, tmp_path):
        state = generator.network.state_dict()
        with torch.no_grad():
            norm = generator.network.stem.norm
            norm.gain.weight = norm.offset.weight
        loaded = genaug.load(generator.save(tmp_path / "g"), device="cpu")
        assert set(loaded.network.state_dict()) == set(state)

    def test_the_config_file_is_readable_json(self, generator, tmp_path):
        generator.save(tmp_path / "g")
        content = json.loads((tmp_path / "g" / "config.json").read_text())
        assert content["backend"] == "cgan"
        assert content["library"] == "genaug"
        assert content["spec"]["sample"] == {"kind": "image", "channels": 1, "height": 8, "width": 8}
        assert content["spec"]["classes"] == {"count": 4}
        assert sorted(path.name for path in (tmp_path / "g").iterdir()) == [
            ".genaug.jsonl",
            "config.json",
            "model.safetensors",
        ]

    def test_a_missing_directory_is_named(self, tmp_path):
        with pytest.raises(FormatError, match="is not a directory"):
            genaug.load(tmp_path / "nowhere")


class TestImagesThatAreNotFinite:
    @pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
    @pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
    def test_they_are_an_error_and_do_not_become_black(self, generator, monkeypatch, value, dtype):
        make = generator._backend.generate

        def with_value(*arguments):
            images = make(*arguments)
            images[2, 0, 3, 3] = value
            return images

        monkeypatch.setattr(generator._backend, "generate", with_value)
        with pytest.raises(InputError, match="made images with NaN or infinite values; expected finite ones"):
            generator.sample(5, seed=SEED, dtype=dtype)
        with pytest.raises(InputError, match="NaN or infinite"):
            generator.decode(torch.zeros(4, 4), labels=torch.arange(4), dtype=dtype)
        assert generator.sample(2, seed=SEED, dtype=dtype)[0].shape[0] == 2  # without the third one

    def test_large_values_are_valid(self, generator, monkeypatch):
        """Their sum overflows, and they are clamped."""
        make = generator._backend.generate
        monkeypatch.setattr(generator._backend, "generate", lambda *arguments: make(*arguments).fill_(3e38))
        assert int(generator.sample(5, seed=SEED)[0].min()) == 255

    def test_latents_that_are_not_finite_are_rejected_by_name(self, generator):
        z = torch.zeros(2, 4)
        z[1, 2] = float("nan")
        with pytest.raises(InputError, match="latent 'z' holds NaN or infinite values"):
            generator.decode(z, labels=[0, 1])
        with pytest.raises(InputError, match="latent 'z' holds NaN or infinite values"):
            generator.sample(2, z=z, seed=0)
