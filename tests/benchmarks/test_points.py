"""Training on mixtures of Gaussians, and the measures of the scripts that do it."""

import pytest
import torch
from torch import nn

from benchmarks.papers import mad_gan_1d, mixtures_2d
from benchmarks.papers.points import CHUNK, DenseHeads, Mixture, PointStream, PointTrainer, Unlabelled, with_networks
from genaug.backends import registry

LINE = mad_gan_1d.DATA


def draws(mixture, n, seed=0):
    return mixture.draw(n, torch.Generator().manual_seed(seed))


class TestMixture:
    def test_points_have_the_means_and_deviations_asked_for(self):
        mixture = Mixture(torch.tensor([[0.0, 5.0], [100.0, -5.0]]), torch.tensor([1.0, 3.0]))
        points = draws(mixture, 20_000)
        high = points[:, 0] > 50
        assert abs(float(high.float().mean()) - 0.5) < 0.02
        for which, mean, std in ((~high, (0, 5), 1), (high, (100, -5), 3)):
            assert torch.allclose(points[which].mean(0), torch.tensor(mean) * 1.0, atol=0.1)
            assert torch.allclose(points[which].std(0), torch.full((2,), std * 1.0), rtol=0.03)

    def test_shares_count_a_point_at_its_nearest_mode_if_it_is_near_enough(self):
        mixture = Mixture(torch.tensor([[0.0], [10.0]]), torch.tensor([1.0, 2.0]))
        points = torch.tensor([[-2.9], [2.9], [3.1], [4.5], [5.5], [15.9], [16.1], [9.0]])
        assert mixture.shares(points).tolist() == [2 / 8, 3 / 8]

    def test_real_points_are_of_high_quality(self):
        assert float(LINE.shares(draws(LINE, 50_000)).sum()) == pytest.approx(0.9973, abs=2e-3)
        for mixture in mixtures_2d.MIXTURES.values():  # in two dimensions 1 - exp(-9 / 2)
            assert float(mixture.shares(draws(mixture, 50_000)).sum()) == pytest.approx(0.9889, abs=3e-3)

    def test_the_stream_depends_on_seed_and_index_only(self):
        one, other = PointStream(LINE, 8, 0), PointStream(LINE, 8, 0)
        first, second = one.batch(0).x, one.batch(1).x
        assert first.shape == (8, 1, 1, 1)
        assert torch.equal(other.batch(1).x, second)
        assert torch.equal(other.batch(0).x, first)
        assert not torch.equal(first, second)
        assert not torch.equal(PointStream(LINE, 8, 1).batch(0).x, first)


class TestTraining:
    @pytest.fixture
    def trainer(self):
        return PointTrainer(mad_gan_1d.backend(3), {**mad_gan_1d.OPTIONS, "generators": 3}, LINE, 16, 0)

    def test_the_loss_is_the_plugins_own(self, trainer):
        plugin = type(registry.resolve("mad-gan"))
        assert isinstance(trainer.backend, plugin)
        for name in ("players", "generate", "generator_loss", "discriminator_loss", "fakes"):
            assert getattr(type(trainer.backend), name) is getattr(plugin, name)

    def test_the_networks_are_those_of_the_authors(self, trainer):
        nets = trainer.nets
        counts = [
            sum(p.numel() for p in part.parameters()) for part in (nets["generator"].trunk, nets["discriminator"])
        ]
        assert counts == [64 * 128 + 128 + 128 * 128 + 128, 128 + 128 + 128 * 128 + 128 + 128 * 4 + 4]
        heads = nets["generator"].heads
        assert [tuple(p.shape) for p in heads.parameters()] == [(3, 128, 1), (3, 1, 1)]
        layers = [module for module in nets.modules() if isinstance(module, nn.Linear)]
        assert len(layers) == 5
        assert not any(bias.any() for bias in (*heads.biases, *(layer.bias for layer in layers)))
        assert all(torch.allclose(w.std(), torch.tensor((2 / (128 + 1)) ** 0.5), rtol=0.3) for w in heads.weights[0])

    def test_latents_are_uniform_and_the_same_for_all_generators(self, trainer):
        calls = []
        trainer.nets["generator"].trunk.register_forward_pre_hook(lambda module, inputs: calls.append(inputs[0]))
        trainer.step(0)
        (z,) = calls
        assert z.shape == (16, 64)
        assert -1 <= float(z.min()) < -0.9
        assert 0.9 < float(z.max()) <= 1

    def test_samples_by_each_generator_equally_many(self, trainer):
        heads = trainer.nets["generator"].heads
        nn.init.zeros_(heads.weights[0])
        heads.biases[0].data = torch.arange(3.0)[:, None, None]
        n = CHUNK + 5
        points_made = trainer.sample(n, averaged=False).flatten()
        counts = points_made.long().bincount().tolist()
        assert sum(counts) == n
        assert max(counts) - min(counts) <= 2
        assert not torch.equal(trainer.sample(9, averaged=True).flatten(), points_made[:9])
        assert trainer.nets["generator"].training

    def test_a_learning_rate_that_is_given_holds(self, trainer):
        trainer.change(lr=0.0)
        trainer.step(0)
        before = [p.clone() for p in trainer.nets.parameters()]
        trainer.step(1)
        assert all(torch.equal(p, q) for p, q in zip(before, trainer.nets.parameters(), strict=True))
        trainer.change(lr=1e-2)
        trainer.step(2)
        assert not all(torch.equal(p, q) for p, q in zip(before, trainer.nets.parameters(), strict=True))

    def test_an_option_that_is_given_holds(self, trainer):
        trainer.change(1e-3, diversity=0.0, gamma=0.0)
        assert "penalty" not in trainer.step(0)
        assert "penalty" not in trainer.step(4)
        trainer.change(1e-3, gamma=0.02)
        assert "penalty" in trainer.step(8)
        assert trainer.draws.config.diversity == 0

    def test_a_plain_gan_learns_one_gaussian(self):
        target = Mixture(torch.tensor([[2.0, -1.0]]), torch.tensor([0.5]))

        def generator():
            return Unlabelled(nn.Linear(4, 32), nn.LeakyReLU(0.2), nn.Linear(32, 2), nn.Unflatten(1, (2, 1, 1)))

        def critic():
            return Unlabelled(nn.Flatten(), nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))

        backend = with_networks("cgan", generator, critic)
        trainer = PointTrainer(backend, {"lr": 5e-3, "latent_size": 4, "gamma": 0.1}, target, 64, 0)
        assert float(target.shares(trainer.sample(500, averaged=True)).sum()) < 0.2
        for index in range(300):
            trainer.step(index)
        assert float(target.shares(trainer.sample(500, averaged=True)).sum()) > 0.7


def test_dense_heads_are_layers_of_their_own():
    torch.manual_seed(0)
    heads = DenseHeads(3, (4, 5, 2), nn.ELU(), nn.Linear)
    parts = [torch.randn(6, 4) for _ in range(2)]
    points_made = heads(parts, [2, 0], None)
    assert points_made.shape == (12, 2, 1, 1)
    for member, x, got in zip([2, 0], parts, points_made.flatten(1).split(6), strict=True):
        first, second = ((heads.weights[i][member], heads.biases[i][member]) for i in range(2))
        hidden = nn.functional.elu(x @ first[0] + first[1])
        assert torch.allclose(got, hidden @ second[0] + second[1], atol=1e-6)
    assert not torch.equal(heads.weights[0][0], heads.weights[0][1])


class TestMetric:
    def test_kl_by_hand(self):
        """Two bins with real points, halves of them; 3/4 and 1/4 of the samples that lie in these."""
        real = torch.tensor([[0.1], [0.2], [20.1], [20.2]])
        points_made = torch.tensor([[0.3], [0.4], [0.1], [20.3], [50.0]])
        shares_found = mad_gan_1d.measure(points_made, real)
        expected = 0.75 * torch.tensor(1.5).log() + 0.25 * torch.tensor(0.5).log()
        assert shares_found["kl"] == pytest.approx(float(expected))
        assert shares_found["elsewhere"] == pytest.approx(0.2)

    def test_real_points_against_real_points(self):
        shares_found = mad_gan_1d.measure(draws(LINE, 2**18), draws(LINE, 2**18, seed=1))
        assert shares_found["kl"] < 2e-3
        assert shares_found["modes"] == 5
        assert shares_found["elsewhere"] < 1e-3

    def test_a_mode_with_less_than_a_fifth_of_its_mass_is_not_found(self):
        points = draws(LINE, 10_000)
        last = (points[:, 0] - 110).abs() < 10
        few = torch.cat([points[~last], points[last][::6]])
        assert mad_gan_1d.measure(few, points)["modes"] == 4

    def test_means_of_the_mixtures(self):
        ring, grid = mixtures_2d.MIXTURES["ring"], mixtures_2d.MIXTURES["grid"]
        assert ring.means.shape == (8, 2)
        assert torch.allclose(ring.means.norm(dim=1), torch.ones(8))
        assert grid.means.shape == (25, 2)
        assert float(torch.nn.functional.pdist(grid.means).min()) == 2
