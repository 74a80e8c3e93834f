"""The mad-gan backend: k generators on one trunk, the use of labels, and its losses by hand."""

import pytest
import torch
from helpers.players import (
    batch_of,
    check_labels_are_ignored,
    check_losses,
    check_penalties_are_float32,
    generate,
    loss_of,
    losses_of,
    step_of,
)
from pydantic import ValidationError
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import genaug
from genaug.backends import Categorical, Normal, Spec, calls, registry
from genaug.data.reading import Samples
from genaug.modalities.image import Image
from genaug.sources.generator import Generator
from genaug.training.trainer import Trainer
from genaug_mad_gan.backend import MADGAN, MADGANConfig, shares
from genaug_mad_gan.networks import MultiDiscriminator, MultiGenerator, shared_generators
from genaug_mad_gan.objectives import JOINT, SEPARATE, classification_loss, madgan_discriminator, real_score

SHAPES = [(1, 1, 1), (1, 4, 4), (1, 8, 8), (1, 28, 28), (1, 27, 27), (2, 13, 40), (3, 32, 32), (3, 64, 64), (4, 5, 9)]
LOSSES = [*JOINT, *SEPARATE]


@pytest.fixture
def backend():
    return registry.resolve("mad-gan")


@pytest.fixture
def configure(tiny_config):
    return lambda **options: MADGANConfig(**{**tiny_config, "generators": 3, **options})


@pytest.fixture
def mad_gan(backend, configure):
    """An untrained generator whose members differ: ``mad_gan(shape=(1, 8, 8), num_classes=3, generators=3, ...)``."""

    def make(shape=(1, 8, 8), num_classes=3, **options):
        config = configure(**options)
        spec = backend.describe(config, Spec(sample=Image(*shape), classes=num_classes))
        torch.manual_seed(0)
        return Generator("mad-gan", backend, config, spec, calls.kept(backend, config, spec), {})

    return make


class TestShapes:
    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("classes", [3, 0])
    @pytest.mark.parametrize("full", [False, True])
    def test_build_generate_loss_backward(self, backend, configure, shape, classes, full):
        config = configure(full_batch=full)
        spec = backend.describe(config, Spec(sample=Image(*shape), classes=classes))
        nets, step = backend.build(config, spec).eval(), step_of(config, spec)
        labels = torch.arange(7) % 3 if classes else None
        images = generate(backend, nets, step.latents(7), labels)
        assert images.shape == (7, *shape)
        assert float(images.detach().abs().max()) <= 1
        check_losses(backend, config, spec, batch_of(shape, 7, classes))

    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("generators", [1, 10])
    def test_at_least_three_tenths_of_a_generators_multiply_adds_are_not_shared(self, shape, generators):
        network = shared_generators(generators, shape, 0, 64, 32, 256)
        assert unshared_part(network, torch.randn(1, 64), None) >= 0.3
        assert any(p.numel() for p in network.trunk.parameters())

    def test_multiply_adds_by_hand(self):
        """Two layers of 4 to 6 and 6 to 2 numbers: 24 and 12 multiply-adds."""
        trunk, heads = nn.Linear(4, 6), SeparateHeads([Head(6, 2)])
        assert unshared_part(MultiGenerator(1, Ignoring(trunk), heads), torch.randn(1, 4), None) == 12 / 36

    def test_more_generators_than_samples(self, backend, configure):
        config = configure(generators=10)
        spec = backend.describe(config, Spec(sample=Image(1, 8, 8), classes=3))
        for index in range(4):
            _, gradients = losses_of(backend, config, spec, batch_of((1, 8, 8), 4), index)
            assert all(gradient is not None for gradient in gradients["generator"])  # or ranks would drift apart

    def test_outputs_depend_only_on_their_own_image_and_label(self):
        torch.manual_seed(0)
        critic, batch = MultiDiscriminator(3, (1, 8, 8), 3, 4, 8), batch_of((1, 8, 8), 6)
        scores = critic(batch.x, batch.labels)
        assert scores.shape == (6, 4)
        alone = torch.cat([critic(batch.x[i : i + 1], batch.labels[i : i + 1]) for i in range(6)])
        assert torch.allclose(scores, alone, atol=1e-5)

    def test_the_label_reaches_only_the_output_real(self):
        torch.manual_seed(0)
        critic, images = MultiDiscriminator(3, (1, 8, 8), 2, 4, 8), batch_of((1, 8, 8)).x
        outputs = [critic(images, torch.full((4,), label)) for label in range(2)]
        assert torch.equal(outputs[0][:, :-1], outputs[1][:, :-1])
        assert not torch.allclose(outputs[0][:, -1], outputs[1][:, -1])


def test_options_without_effect_are_rejected():
    with pytest.raises(ValidationError, match="diversity has no effect"):
        MADGANConfig(loss="madgan", diversity=0.5)
    config = MADGANConfig(loss="madgan")
    assert MADGANConfig(**config.model_dump(mode="json")) == config, "as a saved generator's is read"


def no_fakes():
    raise AssertionError("the fakes of this step are there already")


def unshared_part(generator, z, labels):
    """The share of one generator's multiply-adds that lies in its head, for these latents."""
    generator.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as in_trunk:
        features = generator.trunk(z, labels)
    with torch.no_grad(), FlopCounterMode(display=False) as in_head:
        generator.heads([features], [0], labels)
    return in_head.get_total_flops() / (in_trunk.get_total_flops() + in_head.get_total_flops())


class SeparateHeads(nn.Module):
    """A head of any kind for each generator: ``networks[i](features, labels)``."""

    def __init__(self, networks):
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, parts, members, labels):
        labels_of = [None] * len(parts) if labels is None else labels.split([len(part) for part in parts])
        samples = zip(members, parts, labels_of, strict=True)
        return torch.cat([self.networks[member](part, of) for member, part, of in samples])


class Ignoring(nn.Module):
    """A module that takes labels but uses features only."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x, labels):
        return self.module(x)


class Head(nn.Module):
    """A linear layer whose output is shaped like an image of one row."""

    def __init__(self, before, after):
        super().__init__()
        self.linear = nn.Linear(before, after)

    def forward(self, x, labels):
        return self.linear(x)[:, None, None]


class TestGenerators:
    def test_the_spec_has_a_latent_for_the_generator(self, backend, configure):
        data = Spec(sample=Image(1, 8, 8), classes=("a", "b"))
        latents = (Normal(size=4), Categorical(name="member", size=3))
        assert backend.describe(configure(), data) == data.model_copy(update={"latents": latents})
        off = backend.describe(configure(conditional=False), data)
        assert (off.num_classes, off.classes, off.takes_labels) == (0, None, False)

    @pytest.mark.parametrize("classes", [3, 0])
    def test_a_fixed_member_selects_that_generator(self, mad_gan, classes):
        """Against the head applied alone, to the features of the same latents."""
        gen = mad_gan(num_classes=classes)
        labels = torch.arange(8) % 3 if classes else None
        z = torch.randn(8, 4)
        for member in range(3):
            members = torch.full((8,), member)
            images = gen.decode(z, labels, member=members, dtype=torch.float32, precision="float32")
            network = gen.network
            alone = network.heads([network.trunk(z, labels)], [member], labels)
            assert torch.allclose(images, alone / 2 + 0.5, atol=1e-5)
        fixed = [gen.sample(**({"labels": labels} if classes else {"n": 8}), seed=0, member=m)[0] for m in range(3)]
        assert not torch.equal(fixed[0], fixed[1])
        assert not torch.equal(fixed[1], fixed[2])

    def test_members_are_drawn_uniformly(self, mad_gan):
        gen = mad_gan()
        images, labels = gen.sample(300, seed=0, dtype=torch.float32)
        by_member = [gen.sample(labels=labels, seed=0, member=m, dtype=torch.float32)[0] for m in range(3)]
        who = torch.stack([(images - own).abs().flatten(1).amax(1) for own in by_member]).argmin(0)
        assert all(70 <= int((who == m).sum()) <= 130 for m in range(3))

    @pytest.mark.parametrize("generators", [1, 3, 7])
    def test_a_sample_does_not_depend_on_its_batch(self, mad_gan, generators):
        gen = mad_gan(generators=generators)
        members = torch.arange(90) * 5 % generators
        labels = torch.arange(90) % 3
        many, _ = gen.sample(labels=labels, seed=0, member=members, dtype=torch.float32)
        few, _ = gen.sample(labels=labels[:11], seed=0, member=members[:11], dtype=torch.float32)
        assert torch.equal(many[:11], few)
        alone, _ = gen.sample(labels=labels[:2], seed=0, member=members[:2], dtype=torch.float32)
        assert torch.equal(many[:2], alone)  # the second has its generator to itself
        mixed = members.clone()
        mixed[11:] = members[11:].flip(0)
        assert torch.equal(many[:11], gen.sample(labels=labels, seed=0, member=mixed, dtype=torch.float32)[0][:11])
        same = members == members[0]
        alike, _ = gen.sample(labels=labels, seed=0, member=int(members[0]), dtype=torch.float32)
        assert torch.equal(many[same], alike[same])

    def test_training_and_evaluation_mode_agree(self, backend, configure):
        """Where nothing depends on the batch: no normalisation, as in networks of the user's own."""
        torch.manual_seed(0)
        trunk, heads = Ignoring(nn.Linear(4, 6)), SeparateHeads([Head(6, 2) for _ in range(3)])
        network, z, member = MultiGenerator(3, trunk, heads), torch.randn(50, 4), torch.arange(50) * 7 % 3
        by_hand = torch.stack([heads.networks[m](trunk(z, None), None)[i] for i, m in enumerate(member.tolist())])
        assert torch.allclose(network.train()(z, None, member), by_hand, atol=1e-6)
        assert torch.allclose(network.eval()(z, None, member), by_hand, atol=1e-6)

    def test_every_and_split_agree_with_each_generator_alone(self):
        torch.manual_seed(0)
        network, z = shared_generators(3, (1, 8, 8), 2, 4, 4, 8).eval(), torch.randn(5, 4)
        labels = torch.tensor([0, 1, 1, 0, 1])
        one = [network(z, labels, torch.full((5,), m)) for m in range(3)]
        assert torch.allclose(network.every(z, labels), torch.cat(one), atol=1e-5)
        split = network.split(z, labels, [2, 0, 3])
        assert torch.allclose(split, torch.cat([one[0][:2], one[2][2:]]), atol=1e-5)

    def test_shares_are_equal_and_the_remainder_rotates(self):
        assert shares(64, 4, 0) == [16] * 4
        assert shares(5, 3, 0) == [2, 2, 1]
        for n, k in [(64, 10), (4, 10), (7, 3), (3, 1)]:
            sizes = [shares(n, k, step) for step in range(k)]
            assert all(sum(size) == n and max(size) - min(size) <= 1 for size in sizes)
            assert [sum(of) for of in zip(*sizes, strict=True)] == [n] * k

    def test_latents_reach_the_image(self, backend, configure):
        config = configure()
        nets = backend.build(config, backend.describe(config, Spec(sample=Image(1, 8, 8), classes=3)))
        z = torch.zeros(2, 4, requires_grad=True)
        latents = {"z": z, "member": torch.tensor([2, 0])}
        generate(backend, nets.eval(), latents, torch.tensor([0, 1])).square().sum().backward()
        assert bool((z.grad != 0).all())


class TestLosses:
    @pytest.mark.parametrize("full", [False, True])
    def test_the_trunk_runs_once_per_step_and_each_head_for_its_own_samples(self, backend, configure, full):
        config = configure(full_batch=full, penalty_every=1)
        spec = backend.describe(config, Spec(sample=Image(1, 8, 8), classes=3))
        nets, step, calls = backend.build(config, spec), step_of(config, spec), []
        generator = nets["generator"]
        generator.trunk.register_forward_hook(lambda module, inputs, out: calls.append(("trunk", len(out))))
        generator.heads.register_forward_hook(
            lambda module, inputs, out: calls.append(("heads", [len(part) for part in inputs[0]]))
        )
        for player in ("generator", "discriminator"):
            loss_of(player, backend, nets, batch_of((1, 8, 8), 6), step)
        assert calls == [("trunk", 6), ("heads", [6, 6, 6] if full else [2, 2, 2])]

    @pytest.mark.parametrize(("gamma", "judged"), [(0.0, [24]), (1.0, [6, 6, 12])])
    def test_the_discriminator_sees_every_generators_full_batch(self, backend, configure, gamma, judged):
        config = configure(full_batch=True, gamma=gamma, penalty_every=1)
        spec = backend.describe(config, Spec(sample=Image(1, 8, 8), classes=3))
        nets, step, calls = backend.build(config, spec), step_of(config, spec), []
        nets["discriminator"].register_forward_hook(lambda module, inputs, out: calls.append(len(out)))
        for player in ("generator", "discriminator"):
            loss_of(player, backend, nets, batch_of((1, 8, 8), 6), step)
        assert calls == [18, 6, *judged]

    @pytest.mark.parametrize("options", [{}, {"conditional": False}])
    def test_r2_is_of_a_batch_to_which_all_generators_add(self, backend, configure, options):
        config = configure(full_batch=True, penalty_every=1, **options)
        spec = backend.describe(config, Spec(sample=Image(1, 8, 8), classes=3))
        nets, step = backend.build(config, spec), step_of(config, spec)
        batch = batch_of((1, 8, 8), 6, classes=spec.num_classes)
        labels = batch.labels
        loss_of("generator", backend, nets, batch, step)
        fakes, z = step.fakes(no_fakes), step_of(config, spec).latents(6)["z"]
        assert fakes.inputs.latents["member"][:6].bincount().tolist() == [2, 2, 2]
        assert sorted(zip(fakes.inputs.latents["member"].tolist(), 3 * list(range(6)), strict=True)) == [
            (member, latent) for member in range(3) for latent in range(6)
        ]
        penalty = loss_of("discriminator", backend, nets, batch, step).log["penalty"]
        discriminator, expected = nets["discriminator"].double(), 0
        for images in (batch.x, fakes.x[:6]):
            images = images.double().requires_grad_()
            (slope,) = torch.autograd.grad(discriminator(images, labels)[:, -1].sum(), images)
            expected += slope.square().sum() / 6
        assert penalty.item() == pytest.approx(expected.item(), rel=1e-4)
        images = nets["generator"].every(z, labels).detach()
        assert torch.allclose(fakes.x[:6], images[fakes.inputs.latents["member"][:6] * 6 + torch.arange(6)], atol=1e-5)

    def test_the_label_and_the_member_change_the_image_after_training(self, backend, configure):
        config = configure(generators=2, diversity=1.0)
        spec = backend.describe(config, Spec(sample=Image(1, 8, 8), classes=3))
        images = torch.stack([torch.full((8, 8), value) for value in (0, 128, 255)]).to(torch.uint8)[:, None]
        data = Samples(images.repeat(8, 1, 1, 1), torch.arange(24) % 3, spec)
        trainer = Trainer(backend, config, data, batch_size=12)
        for index in range(60):
            trainer.step(index)
        z, member = torch.randn(1, 4).repeat(6, 1), torch.tensor([0, 0, 0, 1, 1, 1])
        images = (
            generate(backend, trainer.nets.eval(), {"z": z, "member": member}, torch.arange(6) % 3).detach().flatten(1)
        )
        assert float(torch.nn.functional.pdist(images).min()) > 0.1

    def test_generators_are_recognized_more_often_with_more_diversity(self, backend, configure):
        """The data don't tell the generators apart, so without the term their names are a guess."""
        recognized = {}
        for weight in (0.0, 5.0):
            config = configure(generators=2, diversity=weight, conditional=False)
            spec = backend.describe(config, Spec(sample=Image(1, 8, 8)))
            torch.manual_seed(0)
            data = Samples(torch.randint(0, 256, (64, 1, 8, 8)).to(torch.uint8), None, spec)
            trainer = Trainer(backend, config, data, batch_size=16)
            values = [float(trainer.step(index)["generators_named"]) for index in range(60)]
            recognized[weight] = sum(values[-20:]) / 20
        assert recognized[5.0] > 0.9
        assert recognized[0.0] < 0.8

    @pytest.mark.parametrize("options", [{}, {"full_batch": True, "loss": "madgan"}, {"conditional": False}])
    def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(self, tmp_path, tiny_set, tiny_config, options):
        config = {**tiny_config, "generators": 3, "decay": 0, **options}
        common = {"batch_size": 8, "device": "cpu", "precision": "float32", "config": config, "progress": False}
        complete = genaug.fit("mad-gan", tiny_set, out=tmp_path / "uninterrupted", steps=7, **common)
        genaug.fit("mad-gan", tiny_set, out=tmp_path / "cut", steps=3, **common)
        again = genaug.fit("mad-gan", tiny_set, out=tmp_path / "cut", steps=7, resume=True, **common)
        for one, other in zip(complete.network.state_dict().values(), again.network.state_dict().values(), strict=True):
            assert torch.equal(one, other)

    @pytest.mark.parametrize("full", [False, True])
    def test_a_penalised_step_in_bfloat16(self, tmp_path, tiny_set, tiny_config, full):
        config = {**tiny_config, "generators": 2, "full_batch": full, "penalty_every": 1}
        common = {"batch_size": 8, "device": "cpu", "precision": "bfloat16", "config": config, "progress": False}
        generator = genaug.fit("mad-gan", tiny_set, out=tmp_path / "run", steps=2, **common)
        assert all(bool(tensor.isfinite().all()) for tensor in generator.network.state_dict().values())

    def test_a_saved_generator_loads_and_makes_the_same_samples(self, tmp_path, tiny_set, tiny_config):
        config = {**tiny_config, "generators": 3}
        gen = genaug.fit(
            "mad-gan",
            tiny_set,
            out=tmp_path / "run",
            steps=2,
            batch_size=8,
            config=config,
            device="cpu",
            progress=False,
        )
        loaded = genaug.load(gen.save(tmp_path / "saved"), device="cpu")
        assert loaded.spec == gen.spec
        for fixed in ({}, {"member": 2}):
            assert torch.equal(loaded.sample(9, seed=1, **fixed)[0], gen.sample(9, seed=1, **fixed)[0])


class Stub(nn.Module):
    """A discriminator with outputs a_i s + b_i, of the image's sum s, its "real" one plus the label."""

    def __init__(self, k):
        super().__init__()
        self.slope = nn.Parameter(torch.linspace(-0.3, 0.5, k + 1))
        self.offset = torch.linspace(0.2, -0.4, k + 1)

    def forward(self, images, labels):
        outputs = images.flatten(1).sum(1, keepdim=True) * self.slope + self.offset
        return torch.cat([outputs[:, :-1], outputs[:, -1:] + labels[:, None]], dim=1)


class Scale(nn.Module):
    """A generator that makes w z_0 everywhere in a 1x2x2 image."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))

    def forward(self, x, labels):
        return (self.weight * x[:, 0])[:, None, None, None].expand(-1, 1, 2, 2)


def softmax_by_hand(outputs):
    return outputs.exp() / outputs.exp().sum(1, keepdim=True)


class TestLoss:
    @pytest.fixture
    def hand(self, configure):
        """Both losses of three stub generators, and in float64 what the discriminator puts out for their images."""

        def losses(index=0, **options):
            config = configure(generators=3, **options)
            spec = MADGAN().describe(config, Spec(sample=Image(1, 2, 2), classes=3))
            weights = [0.3, -0.5, 0.9]
            generator = MultiGenerator(3, Ignoring(nn.Identity()), SeparateHeads([Scale(w) for w in weights]))
            nets = nn.ModuleDict({"generator": generator, "discriminator": Stub(3)})
            batch = batch_of((1, 2, 2), 7)
            z = step_of(config, spec, index).latents(7)["z"][:, 0]
            step = step_of(config, spec, index)
            got = [loss_of(player, MADGAN(), nets, batch, step) for player in ("generator", "discriminator")]
            if config.full_batch:
                rows = torch.arange(21)
                members, z, labels = (rows // 7 + rows % 7) % 3, z.repeat(3), batch.labels.repeat(3)
            else:
                members = torch.arange(3).repeat_interleave(torch.tensor(shares(7, 3, index)))
                labels = batch.labels
            fake = (torch.tensor(weights)[members] * z)[:, None, None, None].expand(-1, 1, 2, 2)
            stub = nets["discriminator"].double()
            outputs = [stub(images.double(), of).detach() for images, of in ((batch.x, batch.labels), (fake, labels))]
            nets.float()
            return got, *outputs, members, nets

        return losses

    @pytest.mark.parametrize("full", [False, True])
    def test_the_papers_objective_by_hand(self, hand, full):
        (generator, discriminator), real, fake, members, _ = hand(loss="madgan", gamma=0.0, full_batch=full)
        by_real, by_fake = softmax_by_hand(real), softmax_by_hand(fake)
        of_own = by_fake[torch.arange(len(fake)), members].log()
        batches = [of_own[members == i].sum() / len(real) for i in range(3)]  # of a full batch: its mean
        assert discriminator.value.item() == pytest.approx(float(-by_real[:, 3].log().mean() - sum(batches)), rel=1e-5)
        assert generator.value.item() == pytest.approx(float(-by_fake[:, 3].log().mean()), rel=1e-5)
        (generator, _), *_ = hand(loss="madgan_minimax", gamma=0.0, full_batch=full)
        assert generator.value.item() == pytest.approx(float((1 - by_fake[:, 3]).log().mean()), rel=1e-5)

    @pytest.mark.parametrize("full", [False, True])
    def test_relativistic_by_hand(self, hand, full):
        options = {"gamma": 0.5, "penalty_every": 4, "diversity": 0.7, "full_batch": full}
        (generator, discriminator), real, fake, members, _ = hand(loss="relativistic", **options)
        real_score, fake_score = real[:, 3].repeat(3 if full else 1), fake[:, 3]
        classification = -softmax_by_hand(fake[:, :3])[torch.arange(len(fake)), members].log().mean()
        expected = (1 + (real_score - fake_score).exp()).log().mean() + 0.7 * classification
        assert generator.value.item() == pytest.approx(float(expected), rel=1e-5)
        penalty = 2 * 4 * 0.5**2  # R1 + R2: the slope of "real" is 0.5, in each of four pixels
        expected = (1 + (fake_score - real_score).exp()).log().mean() + 0.7 * classification + 0.5 / 2 * 4 * penalty
        assert discriminator.value.item() == pytest.approx(float(expected), rel=1e-5)
        assert discriminator.log["penalty"].item() == pytest.approx(penalty, rel=1e-5)
        assert discriminator.log["real_score"].item() == pytest.approx(float(real_score.mean()), rel=1e-5)
        recognized = (fake[:, :3].argmax(1) == members).double().mean()
        assert discriminator.log["generators_named"].item() == pytest.approx(float(recognized))
        assert not any(value.requires_grad for value in discriminator.log.values())

    def test_the_score_of_the_joint_softmax_is_the_logit_of_real(self):
        outputs = torch.randn(9, 4, dtype=torch.float64)
        real = softmax_by_hand(outputs)[:, 3:]
        assert torch.allclose(real_score(outputs, "madgan"), (real / (1 - real)).log())
        assert torch.equal(real_score(outputs, "relativistic"), outputs[:, 3:])

    def test_the_papers_discriminator_is_real_or_fake_plus_generator_classification(self):
        """log D_i = log(1 - D_{k+1}) + log P(i | fake): so the generator classification has weight 1."""
        real, fake, members = torch.randn(6, 4).double(), torch.randn(6, 4).double(), torch.arange(6) % 3
        scores = real_score(real, "madgan"), real_score(fake, "madgan")
        apart = JOINT["madgan"].discriminator(*scores) + classification_loss(fake, members)
        assert madgan_discriminator(real, fake, members).item() == pytest.approx(apart.item(), rel=1e-12)

    def test_outputs_are_not_squashed_before_the_cross_entropy(self):
        """A sure and right discriminator loses nothing; with a softmax in front it would lose at least 0.34 of each."""
        outputs = 100 * torch.eye(3)
        assert madgan_discriminator(outputs[2:], outputs[:2], torch.tensor([0, 1])).item() < 1e-6
        assert classification_loss(outputs[:2], torch.tensor([0, 1])).item() < 1e-6

    def test_one_generator_has_the_losses_of_a_plain_gan(self):
        real, fake = torch.randn(6, 2).double(), torch.randn(6, 2).double()
        zeros = torch.zeros(6, dtype=torch.int64)
        plain = [(of[:, 1] - of[:, 0]).sigmoid() for of in (real, fake)]
        expected = -plain[0].log().mean() - (1 - plain[1]).log().mean()
        assert madgan_discriminator(real, fake, zeros).item() == pytest.approx(expected.item())
        assert classification_loss(fake, zeros).item() == 0

    @pytest.mark.parametrize(("every", "steps"), [(1, [0, 1, 2, 3]), (3, [0, 3, 6])])
    def test_penalties_are_evaluated_every_few_steps(self, hand, every, steps):
        taken = [index for index in range(steps[-1] + 1) if "penalty" in hand(index, penalty_every=every)[0][1].log]
        assert taken == steps

    @pytest.mark.parametrize("loss", LOSSES)
    def test_with_and_without_penalty_the_adversarial_part_is_the_same(self, hand, loss):
        (_, with_penalty), *_ = hand(0, gamma=2.0, penalty_every=2, loss=loss)
        (_, without), *_ = hand(0, gamma=0.0, penalty_every=2, loss=loss)
        assert "penalty" not in without.log
        assert with_penalty.value.item() - 2 * with_penalty.log["penalty"].item() == pytest.approx(without.value.item())

    def test_the_discriminators_loss_has_no_gradient_for_the_generators(self, hand):
        (_, discriminator), *_, nets = hand(0)
        discriminator.value.backward()
        assert all(parameter.grad is None for parameter in nets["generator"].parameters())
        assert nets["discriminator"].slope.grad is not None

    @pytest.mark.parametrize("loss", LOSSES)
    @pytest.mark.parametrize("full", [False, True])
    def test_every_objective_runs_with_and_without_augmentation(self, backend, configure, loss, full):
        config = configure(loss=loss, full_batch=full)
        spec = backend.describe(config, Spec(sample=Image(1, 8, 8), classes=3))
        for index in (0, 1):  # with and without penalty
            losses, gradients = losses_of(
                backend, config, spec, batch_of((1, 8, 8)), index, ("translation", "affine", "color", "cutout")
            )
            assert all(loss.value.isfinite() for loss in losses.values())
            assert all(any(float(g.abs().sum()) > 0 for g in gradients[name]) for name in losses)

    def test_the_batch_is_not_modified(self, backend, configure):
        config = configure(penalty_every=1)
        spec = backend.describe(config, Spec(sample=Image(1, 8, 8), classes=3))
        batch = batch_of((1, 8, 8))
        before = batch.x.clone()
        losses_of(backend, config, spec, batch)
        assert torch.equal(batch.x, before)
        assert not batch.x.requires_grad

    def test_an_unconditional_madgan_ignores_the_labels_of_the_data(self, backend, configure):
        check_labels_are_ignored(backend, configure(conditional=False))

    def test_penalties_are_taken_in_float32(self, backend, configure):
        config = configure(penalty_every=1, gamma=1.0)
        spec = backend.describe(config, Spec(sample=Image(1, 8, 8), classes=3))
        check_penalties_are_float32(backend, config, spec, "outputs")


@pytest.mark.parametrize("decay", [0.5, 0.2])
def test_the_learning_rates_of_both_players_decay_in_the_last_part_of_the_run(backend, decay):
    nets = nn.ModuleDict({"generator": nn.Linear(1, 1), "discriminator": nn.Linear(1, 1)})
    config = MADGANConfig(decay=decay) if decay != 0.5 else MADGANConfig()
    assert [player.optimizer.decay for player in backend.players(config, nets)] == [decay, decay]


def test_a_wasserstein_loss_is_rejected_with_a_reason():
    with pytest.raises(ValidationError, match=r"a gradient norm of 1 .* the backend wgan-gp"):
        MADGANConfig(loss="wasserstein")


@pytest.mark.parametrize(
    "options",
    [
        {"generators": 0},
        {"generators": 65},
        {"diversity": -1},
        {"full_batch": "perhaps"},
        {"latent_size": 0},
        {"loss": "wgan"},
        {"gamma": -1},
        {"penalty_every": 0},
        {"lr": float("nan")},
        {"beta1": 1},
        {"color": 1},
    ],
)
def test_options_out_of_bounds(options):
    with pytest.raises(ValidationError, match=next(iter(options))):
        MADGANConfig(**options)
