"""Latents: each kind draws from its prior, checks values and goes from one to another."""

import math

import pytest
import torch
from hypothesis import given, settings, strategies as st
from pydantic import ValidationError
from scipy import stats

from genaug.backends import Categorical, Mixture, Normal, Spec, SwissRoll, Uniform
from genaug.backends.latents import Rows, latent_rows, noise_rows, slerp
from genaug.errors import InputError
from genaug.modalities.image import Image

SHAPES = st.integers(1, 5) | st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)
EVEN = st.integers(1, 3).map(lambda pairs: 2 * pairs)
LATENTS = (
    st.builds(Normal, size=SHAPES)
    | st.builds(Uniform, size=SHAPES)
    | st.builds(Mixture, size=EVEN, components=st.integers(1, 6))
    | st.builds(SwissRoll, size=EVEN)
    | st.builds(Categorical, size=st.integers(1, 6))
)
FEW = settings(max_examples=40)


def shape_of(latent):
    if isinstance(latent, Categorical):
        return ()
    return (latent.size,) if isinstance(latent.size, int) else tuple(latent.size)


class TestDraw:
    @FEW
    @given(LATENTS, st.integers(0, 2**63 - 1), st.integers(0, 20))
    def test_draws_have_the_latents_shape_and_pass_its_check(self, latent, seed, n):
        values = latent_rows(latent, seed, 0, n)
        assert latent.shape == shape_of(latent)
        assert tuple(values.shape) == (n, *latent.shape)
        assert values.dtype == (torch.int64 if isinstance(latent, Categorical) else torch.float32)
        assert torch.equal(latent.check(values), values)

    @FEW
    @given(LATENTS, st.integers(0, 2**63 - 1), st.integers(0, 40))
    def test_a_samples_value_does_not_depend_on_how_many_are_drawn(self, latent, seed, start):
        values = latent_rows(latent, seed, 0, start + 3)
        assert torch.equal(latent_rows(latent, seed, start, 3), values[start:])

    def test_draws_follow_their_priors(self):
        normal = latent_rows(Normal(size=(3, 2)), 0, 0, 4000)
        assert stats.kstest(normal.flatten().numpy(), "norm").pvalue > 0.01
        uniform = latent_rows(Uniform(size=(3, 2)), 0, 0, 4000)
        assert stats.kstest(uniform.flatten().numpy(), stats.uniform(-1, 2).cdf).pvalue > 0.01
        counts = latent_rows(Categorical(size=7), 0, 0, 7000).bincount(minlength=7)
        assert stats.chisquare(counts.numpy()).pvalue > 0.01

    def test_dimensions_and_latents_of_other_names_are_independent(self):
        z = latent_rows(Normal(size=(2, 2)), 0, 0, 4000).flatten(1)
        other = latent_rows(Normal(name="y", size=(2, 2)), 0, 0, 4000).flatten(1)
        correlations = torch.corrcoef(torch.cat([z, other], 1).T) - torch.eye(8)
        assert float(correlations.abs().max()) < 0.07

    def test_a_shape_takes_the_numbers_of_as_many_dimensions_in_order(self):
        flat, shaped = latent_rows(Normal(size=6), 3, 5, 4), latent_rows(Normal(size=(2, 3)), 3, 5, 4)
        assert torch.equal(flat.view(4, 2, 3), shaped)
        assert Normal(size=(2, 3)).dimensions == 6

    def test_a_draw_at_the_upper_end_is_the_last_category(self):
        class Ones(Rows):
            def uniform(self, *shape):
                return torch.ones(shape, dtype=torch.float64)

        assert Categorical(size=5).draw(Ones(0, "", 0), 2).tolist() == [4, 4]

    def test_every_call_for_noise_has_its_own_stream(self):
        one, other = noise_rows(0, 0, 6, torch.device("cpu")), noise_rows(0, 4, 2, torch.device("cpu"))
        first, second = one(3, 2), one(3, 2)
        assert first.shape == (6, 3, 2)
        assert first.dtype == torch.float32
        assert not torch.equal(first, second)
        assert torch.equal(other(3, 2), first[4:])
        assert torch.equal(other(3, 2), second[4:])


class TestPlanes:
    """Mixtures and Swiss rolls: each point is taken apart into the independent numbers that it was made from."""

    def test_a_mixture_has_equally_likely_petals(self):
        points = latent_rows(Mixture(size=2, components=5), 0, 0, 5000).double()
        turn = 2 * math.pi / 5
        angles = torch.atan2(points[:, 1], points[:, 0])
        nearest = (angles / turn).round()
        own = turn * nearest
        along = points[:, 0] * own.cos() + points[:, 1] * own.sin()
        across = -points[:, 0] * own.sin() + points[:, 1] * own.cos()
        assert stats.chisquare(nearest.long().remainder(5).bincount(minlength=5).numpy()).pvalue > 0.01
        assert stats.kstest(((along - 1.4) / 0.5).numpy(), "norm").statistic < 0.03  # petals overlap at the center
        assert stats.kstest((across / 0.1).numpy(), "norm").statistic < 0.03
        assert abs(stats.spearmanr(along.numpy(), across.numpy()).statistic) < 0.05

    def test_a_swiss_roll_is_a_spiral_of_two_turns_that_is_equally_dense(self):
        points = latent_rows(SwissRoll(size=2), 0, 0, 5000).double()
        radius, angle = points.norm(dim=1), torch.atan2(points[:, 1], points[:, 0]) / (2 * math.pi)
        turn = angle + (radius - angle).round()  # on the spiral, the radius grows by 1 per turn
        assert float((radius - turn).abs().quantile(0.99)) < 0.15  # three standard deviations
        assert stats.kstest((turn.clamp(0, 2) ** 2 / 4).numpy(), "uniform").statistic < 0.03
        outer = turn > 1
        assert stats.kstest(((radius - turn)[outer] / 0.05).numpy(), "norm").statistic < 0.05

    @pytest.mark.parametrize("kind", [Mixture, SwissRoll])
    def test_planes_are_independent(self, kind):
        points = latent_rows(kind(size=4), 0, 0, 5000)
        correlations = torch.corrcoef(torch.cat([points, points.square()], 1).T)
        assert float(correlations[:2, 2:4].abs().max()) < 0.05
        assert float(correlations[4:6, 6:8].abs().max()) < 0.05

    @pytest.mark.parametrize("kind", [Mixture, SwissRoll])
    def test_an_odd_number_of_dimensions_is_rejected(self, kind):
        with pytest.raises(ValidationError, match="multiple of 2"):
            kind(size=3)

    def test_a_spec_with_them_is_written_and_read_as_json(self):
        latents = (Mixture(name="a", size=4, components=7), SwissRoll(name="b", size=2))
        spec = Spec(sample=Image(1, 8, 8), latents=latents)
        assert Spec.model_validate_json(spec.model_dump_json()) == spec


class TestAxis:
    """The values of a grid over one dimension."""

    def test_values_cover_the_prior_in_order(self):
        quantiles = Normal(size=3).axis(5)
        assert stats.norm.cdf(quantiles.numpy()) == pytest.approx([0.02, 0.26, 0.5, 0.74, 0.98], abs=1e-5)
        assert Uniform(size=1).axis(5).tolist() == [-1, -0.5, 0, 0.5, 1]
        assert Mixture(size=2).axis(3).tolist() == SwissRoll(size=2).axis(3).tolist() == [-2, 0, 2]


class TestCheck:
    @FEW
    @given(LATENTS, st.integers(1, 5), st.data())
    def test_other_shapes_are_rejected_with_the_expected_shape(self, latent, n, data):
        shape = data.draw(st.lists(st.integers(1, 4), max_size=5).map(tuple))
        values = torch.zeros(shape, dtype=torch.int64 if isinstance(latent, Categorical) else torch.float32)
        fits = len(shape) > 0 and (shape[1:] == latent.shape or (len(shape) == 1 and latent.shape == (1,)))
        if fits:
            assert tuple(latent.check(values).shape) == (shape[0], *latent.shape)
            return
        with pytest.raises(InputError, match=r"latent 'z' must have shape \(N,"):
            latent.check(values)

    @pytest.mark.parametrize("latent", [Normal(size=2), Uniform(size=2)])
    def test_floats_of_any_precision_become_float32(self, latent):
        for dtype in (torch.float16, torch.bfloat16, torch.float64):
            assert latent.check(torch.zeros(3, 2, dtype=dtype)).dtype == torch.float32

    @pytest.mark.parametrize("values", [torch.zeros(3, 2, dtype=torch.int64), [[0.0, 0.0]], None, "z", 0.5])
    def test_values_other_than_float_tensors_are_rejected(self, values):
        with pytest.raises(InputError, match="latent 'z' must be a float tensor, got"):
            Normal(size=2).check(values)

    @pytest.mark.parametrize("values", [torch.zeros(3), [0, 1], None])
    def test_categories_other_than_integer_tensors_are_rejected(self, values):
        with pytest.raises(InputError, match="latent 'c' must be an int64 tensor, got"):
            Categorical(name="c", size=2).check(values)

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
    @pytest.mark.parametrize("latent", [Normal(size=(2, 2)), Uniform(size=(2, 2))])
    def test_values_that_are_not_finite_are_rejected(self, latent, value):
        values = torch.zeros(3, 2, 2)
        values[1, 0, 1] = value
        with pytest.raises(InputError, match="holds NaN or infinite values"):
            latent.check(values)

    @pytest.mark.parametrize("category", [-1, 3, 2**40])
    def test_categories_out_of_range_are_rejected(self, category):
        with pytest.raises(InputError, match=r"must hold categories in \[0, 3\)"):
            Categorical(size=3).check(torch.tensor([0, category, 2]))

    def test_an_empty_tensor_passes(self):
        assert Normal(size=(2, 2)).check(torch.zeros(0, 2, 2)).shape == (0, 2, 2)
        assert Categorical(size=3).check(torch.zeros(0, dtype=torch.int64)).shape == (0,)


class TestExpand:
    def test_one_value_for_all_or_one_for_each(self):
        assert Normal(size=(2, 3)).expand(0.5, 4).shape == (4, 2, 3)
        assert Normal(size=3).expand(torch.arange(3.0), 4)[2].tolist() == [0, 1, 2]
        assert Uniform(size=1).expand(torch.arange(4.0), 4).tolist() == [[0], [1], [2], [3]]
        assert Categorical(size=3).expand(2, 4).tolist() == [2, 2, 2, 2]

    @pytest.mark.parametrize("value", [torch.zeros(5, 3), torch.zeros(4, 2), "many", None, [[1], [1, 2]]])
    def test_values_that_do_not_fit_are_rejected(self, value):
        with pytest.raises(InputError, match=r"latent 'z' must be a number or a tensor that fits \(4, 3\)"):
            Normal(size=3).expand(value, 4)


class TestBetween:
    @FEW
    @given(LATENTS, st.integers(0, 1000), st.floats(0, 1))
    def test_interpolation_runs_from_end_to_end_and_stays_valid(self, latent, seed, weight):
        first, second = latent_rows(latent, seed, 0, 4), latent_rows(latent, seed, 4, 4)
        between = latent.between(first, second, torch.full((4,), weight))
        assert between.shape == first.shape
        assert torch.equal(latent.check(between), between)
        start, end = (latent.between(first, second, torch.full((4,), w)) for w in (0.0, 1.0))
        assert torch.allclose(start, first, atol=1e-5)
        assert torch.allclose(end, first if isinstance(latent, Categorical) else second, atol=1e-5)
        if isinstance(latent, (Uniform, Mixture, SwissRoll)):
            assert torch.allclose(between, first + weight * (second - first), atol=1e-6)
        if isinstance(latent, Uniform):
            assert float(between.abs().max()) <= 1

    @FEW
    @given(LATENTS.filter(lambda latent: latent.is_float), st.floats(0, 1))
    def test_varied_values_start_at_their_own_and_end_at_fresh_ones(self, latent, strength):
        own, fresh = latent_rows(latent, 1, 0, 200), latent_rows(latent, 2, 0, 200)
        start, varied, end = (latent.varied(own, fresh, share) for share in (0.0, strength, 1.0))
        assert torch.allclose(start, own, atol=1e-6)
        assert torch.allclose(end, fresh, atol=1e-6)
        rest = math.sqrt(1 - strength**2) if isinstance(latent, Normal) else 1 - strength
        assert torch.allclose(varied, rest * own + strength * fresh, atol=1e-5)

    @FEW
    @given(st.integers(0, 1000), st.floats(0, 1))
    def test_the_length_changes_linearly_between_normals(self, seed, weight):
        latent = Normal(size=(4, 8))
        first, second = latent_rows(latent, seed, 0, 3), latent_rows(latent, seed, 3, 3)
        lengths = [values.flatten(1).norm(dim=1) for values in (first, second)]
        between = latent.between(first, second, torch.full((3,), weight)).flatten(1).norm(dim=1)
        assert torch.allclose(between, lengths[0] + weight * (lengths[1] - lengths[0]), rtol=1e-4)

    def test_each_row_has_its_own_weight(self):
        weight = torch.tensor([0.0, 0.5, 1.0])
        for latent in (Normal(size=(2, 2)), Uniform(size=(2, 2))):
            first, second = latent_rows(latent, 0, 0, 3), latent_rows(latent, 1, 0, 3)
            rows = latent.between(first, second, weight)
            alone = [latent.between(first[i : i + 1], second[i : i + 1], weight[i : i + 1]) for i in range(3)]
            assert torch.allclose(rows, torch.cat(alone), atol=1e-6)

    def test_slerp_by_hand(self):
        first, second = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])
        third = slerp(first, second, torch.tensor([1 / 3]))
        length = 1 + 1 / 3
        assert third[0].tolist() == pytest.approx([length * math.cos(math.pi / 6), length * math.sin(math.pi / 6)])

    @pytest.mark.parametrize("second", [[2.0, 0.0], [-1.0, 0.0]])
    def test_slerp_of_parallel_ends_is_a_straight_line(self, second):
        first, second = torch.tensor([[1.0, 0.0]]), torch.tensor([second])
        assert torch.allclose(slerp(first, second, torch.tensor([0.25])), torch.lerp(first, second, 0.25), atol=1e-5)
