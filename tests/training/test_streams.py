"""Batches and draws: everything depends on (seed, step), and slices make up the global batch."""

import pytest
import torch

from genaug.backends import Batch, Categorical, Condition, Fakes, Inputs, Normal, Spec, Uniform
from genaug.data.reading import Samples
from genaug.modalities.image import Image
from genaug.training.distributed import World
from genaug.training.streams import Batches, TrainingStep

CPU = torch.device("cpu")
LATENTS = (
    Normal(size=3),
    Uniform(name="u", size=2),
    Categorical(name="c", size=5),
)


def data_of(n, labelled=True):
    """Image i has the value i everywhere and the label i."""
    images = torch.arange(n, dtype=torch.uint8)[:, None, None, None].expand(n, 1, 2, 3).contiguous()
    return Samples(images, torch.arange(n) if labelled else None, Spec(sample=Image(1, 2, 3), classes=n))


def stream(n=10, batch_size=4, seed=0, world=None):
    data = data_of(n)
    return Batches(data, data.spec, batch_size, seed, CPU, world or World())


def step_of(seed=0, index=0, world=None, policy=()):
    step = TrainingStep(
        None,
        Spec(sample=Image(1, 8, 8), latents=LATENTS),
        [],
        seed=seed,
        device=CPU,
        dtype=torch.float32,
        world=world or World(),
        policy=policy,
    )
    step.begin(index)
    return step


class TestBatches:
    @pytest.mark.parametrize(("n", "batch_size"), [(10, 4), (10, 10), (3, 8), (1, 5), (7, 1)])
    def test_every_image_is_visited_once_per_epoch(self, n, batch_size):
        batches = stream(n, batch_size)
        labels = torch.cat([batches.batch(index).labels for index in range(3 * n)])
        assert all(len(batches.batch(index).labels) == batch_size for index in range(4))
        for epoch in labels[: len(labels) // n * n].reshape(-1, n):
            assert sorted(epoch.tolist()) == list(range(n))

    def test_epochs_and_seeds_have_different_orders(self):
        first, second = (stream(50, 50).batch(epoch).labels for epoch in (0, 1))
        assert not torch.equal(first, second)
        assert not torch.equal(first, torch.arange(50))
        assert not torch.equal(first, stream(50, 50, seed=1).batch(0).labels)

    def test_random_access_gives_the_same_batches_as_a_sequence(self):
        sequence = stream()
        expected = [sequence.batch(index).labels.tolist() for index in range(12)]
        jumping = stream()
        assert [jumping.batch(index).labels.tolist() for index in reversed(range(12))] == expected[::-1]
        assert stream().batch(7).labels.tolist() == expected[7]

    def test_images_keep_their_labels_and_are_in_minus_one_to_one(self):
        batch = stream(255, 255).batch(0)
        assert batch.x.dtype == torch.float32
        assert batch.x.shape == (255, 1, 2, 3)
        assert torch.allclose(batch.x[:, 0, 0, 0], batch.labels / 127.5 - 1)
        spec = Spec(sample=Image(1, 1, 1))
        data = Samples(torch.tensor([0, 255], dtype=torch.uint8)[:, None, None, None], None, spec)
        extremes = Batches(data, spec, 2, 0, CPU, World()).batch(0)
        assert sorted(extremes.x.flatten().tolist()) == [-1, 1]
        assert extremes.labels is None

    @pytest.mark.parametrize("size", [2, 4])
    def test_slices_make_up_the_global_batch(self, size):
        whole = stream(10, 8)
        parts = [stream(10, 8, world=World(rank, size)) for rank in range(size)]
        for index in range(5):
            labels = torch.cat([part.batch(index).labels for part in parts])
            assert torch.equal(labels, whole.batch(index).labels)

    def test_conditions_come_with_their_sample(self):
        small = Image(1, 1, 2)
        spec = Spec(sample=Image(1, 2, 3), conditions=[Condition(name="small", sample=small)])
        data = data_of(10)
        others = data.x[:, :, :1, :2] + 100
        data = Samples(data.x, None, spec, None, {"small": others})
        batches = Batches(data, spec, 4, 0, CPU, World())
        for index in range(5):
            batch = batches.batch(index)
            assert batch.conditions["small"].shape == (4, 1, 1, 2)
            assert batch.conditions["small"].dtype == torch.float32
            assert torch.allclose(batch.conditions["small"][:, 0, 0, 0], batch.x[:, 0, 0, 0] + 100 / 127.5)
        without = spec.model_copy(update={"conditions": ()})
        assert Batches(data, without, 4, 0, CPU, World()).batch(0).conditions == {}

    def test_batches_do_not_share_memory_with_the_data(self):
        data = data_of(4)
        batches = Batches(data, data.spec, 4, 0, CPU, World())
        batches.batch(0).x.fill_(9)
        assert data.x.flatten(1)[:, 0].tolist() == [0, 1, 2, 3]


class TestTrainingStep:
    def test_draws_depend_on_seed_and_step_only(self):
        def draws(step):
            return [step.normal(4, 3), step.uniform(4, 2), *step.latents(4).values(), torch.rand(3)]

        one = draws(step_of(1, 7))
        torch.rand(100)
        again = step_of(1, 3)
        draws(again)
        again.begin(7)
        assert all(torch.equal(a, b) for a, b in zip(one, draws(again), strict=True))
        for other in (draws(step_of(1, 8)), draws(step_of(2, 7))):
            assert not any(torch.equal(a, b) for a, b in zip(one, other, strict=True))

    @pytest.mark.parametrize("size", [2, 3])
    def test_slices_make_up_the_global_batch(self, size):
        whole, parts = step_of(0, 5), [step_of(0, 5, World(rank, size)) for rank in range(size)]
        for draw in (
            lambda step, n: step.normal(n, 3),
            lambda step, n: step.uniform(n),
            lambda step, n: step.uniform(n, 1, 1, 1),
            lambda step, n: step.latents(n)["z"],
            lambda step, n: step.latents(n)["c"],
        ):
            assert torch.equal(torch.cat([draw(part, 4) for part in parts]), draw(whole, 4 * size))

    def test_augmentation_is_sliced_too(self):
        images = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
        policy = ("translation", "color")
        whole = step_of(0, 5, policy=policy).augment(images)
        parts = [step_of(0, 5, World(rank, 2), policy).augment(images[4 * rank : 4 * rank + 4]) for rank in range(2)]
        assert torch.allclose(torch.cat(parts), whole, atol=1e-6)
        assert not torch.equal(whole, images)

    def test_layers_draw_differently_in_each_process(self):
        step_of(0, 5, World(0, 2))
        first = torch.rand(4)
        step_of(0, 5, World(1, 2))
        assert not torch.equal(torch.rand(4), first)

    def test_latents_follow_the_spec(self):
        latents = step_of().latents(4000)
        assert set(latents) == {"z", "u", "c"}
        assert latents["z"].shape == (4000, 3)
        assert float(latents["z"].std()) == pytest.approx(1, abs=0.05)
        assert latents["u"].shape == (4000, 2)
        assert -1 <= float(latents["u"].min()) < -0.98
        assert 0.98 < float(latents["u"].max()) <= 1
        assert (latents["c"].shape, latents["c"].dtype) == ((4000,), torch.int64)
        assert int(torch.bincount(latents["c"], minlength=5).min()) > 650
        assert int(latents["c"].max()) == 4

    def test_draws_of_one_step_differ(self):
        step = step_of()
        assert not torch.equal(step.latents(4)["z"], step.latents(4)["z"])

    def test_fakes_are_made_once_per_step(self):
        step, steps = step_of(), []

        def make():
            steps.append(step.index)
            return Fakes(torch.zeros(1), Inputs({}, None, None))

        assert step.fakes(make) is step.fakes(make)
        step.begin(1)
        step.fakes(make)
        assert steps == [0, 1]
        assert step.index == 1

    def test_fakes_have_a_gradient_for_any_first_player_and_leave_other_parameters_frozen(self):
        weight, other = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
        spec = Spec(sample=Image(1, 8, 8))
        step = TrainingStep(
            None, spec, [weight, other], seed=0, device=CPU, dtype=torch.float32, world=World(), policy=()
        )
        step.begin(0)
        weight.requires_grad_(False)  # during an update of the other player, only its parameters are free
        fakes = step.fakes(lambda: Fakes(3 * weight, Inputs({}, None, None)))
        assert not weight.requires_grad
        assert other.requires_grad
        weight.requires_grad_(True)  # the update of the player that trains the generator
        fakes.x.sum().backward()
        assert weight.grad.tolist() == [3, 3]

    def test_a_failure_of_fakes_leaves_parameters_frozen_and_can_be_retried(self):
        weight = torch.nn.Parameter(torch.ones(2)).requires_grad_(False)
        spec = Spec(sample=Image(1, 8, 8))
        step = TrainingStep(None, spec, [weight], seed=0, device=CPU, dtype=torch.float32, world=World(), policy=())
        step.begin(0)
        with pytest.raises(ZeroDivisionError):
            step.fakes(lambda: 1 / 0)
        assert not weight.requires_grad
        assert step.fakes(lambda: Fakes(weight, Inputs({}, None, None))).x is weight

    def test_inputs_have_the_batchs_labels_and_conditions_and_new_latents(self):
        step, x = step_of(), torch.zeros(4, 1, 8, 8)
        batch = Batch(x, torch.arange(4), {"source": x + 1})
        one, other = step.inputs(batch), step.inputs(batch)
        assert set(one.latents) == {"z", "u", "c"}
        assert all(len(values) == 4 for values in one.latents.values())
        assert torch.equal(one.labels, batch.labels)
        assert torch.equal(one.conditions["source"], x + 1)
        assert not torch.equal(one.latents["z"], other.latents["z"])
        first, second = one.noise(3, 2), one.noise(3, 2)
        assert first.shape == (4, 3, 2)
        assert first.dtype == torch.float32
        assert not torch.equal(first, second)

    def test_float32_switches_autocast_off(self):
        step = TrainingStep(
            None, Spec(sample=Image(1, 8, 8)), [], seed=0, device=CPU, dtype=torch.bfloat16, world=World(), policy=()
        )
        left = torch.ones(2, 2)
        with step.networks():
            assert (left @ left).dtype == torch.bfloat16
            with step.float32():
                assert (left @ left).dtype == torch.float32
