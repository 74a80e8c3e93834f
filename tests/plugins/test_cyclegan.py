"""The cyclegan backend: its losses and its pool by hand, both directions, and exact resumption."""

import pytest
import torch
from helpers.players import loss_of, step_of
from helpers.stand_ins import Scale
from torch import nn
from torch.nn.functional import l1_loss

import genaug
from genaug.backends import Batch, Condition, Spec, registry
from genaug.data import Unpaired, load_data
from genaug.errors import InputError
from genaug.modalities.image import Image, to_uint8
from genaug.nn.image_pool import ImagePool
from genaug.training.checkpoint import newest_checkpoint
from genaug.training.run_folder import RunFolder
from genaug_cyclegan.backend import CycleGANConfig

SHAPE = (1, 8, 8)
SPEC = Spec(sample=Image(*SHAPE), conditions=(Condition(name="source", sample=Image(*SHAPE)),))
TINY = {"width": 4, "max_width": 8, "blocks": 1, "pool": 6}


def loss(name, factors=(2.0, -1.0, 3.0, 1.0), a=0.5, b=-0.25, **options):
    """A player's loss if generators and discriminators multiply: forward, backward, and the judges of a and b."""
    there, back, judge_a, judge_b = map(Scale, factors)
    config = CycleGANConfig(**options)
    nets = nn.ModuleDict(
        {
            "generator": there,
            "backward": back,
            "discriminator": nn.ModuleDict({"a": judge_a, "b": judge_b}),
            "pool": nn.ModuleDict({domain: ImagePool(config.pool, SHAPE) for domain in "ab"}),
        }
    )
    batch = Batch(torch.full((2, *SHAPE), b), None, {"source": torch.full((2, *SHAPE), a)})
    result = loss_of(name, registry.resolve("cyclegan"), nets, batch, step_of(config, SPEC))
    return result.value.item(), {name: float(value) for name, value in result.log.items()}


class TestLossesByHand:
    """a = 0.5 becomes 1 and back -1; b = -0.25 becomes 0.25 and back 0.5. The scores of a are 3 a, those of b are b."""

    def test_generators(self):
        value, log = loss("generator")
        assert log["adversarial"] == pytest.approx((1 - 1) ** 2 + (0.75 - 1) ** 2)
        assert log["cycle"] == pytest.approx(1.5 + 0.75)
        assert log["identity"] == pytest.approx(0.25 + 1.0)  # -0.25 becomes -0.5, and 0.5 becomes -0.5
        assert value == pytest.approx(0.0625 + 10 * 2.25 + 10 * 0.5 * 1.25)

    def test_weights(self):
        value, log = loss("generator", cycle=2.0, identity=0.0)
        assert value == pytest.approx(0.0625 + 2 * 2.25)
        assert "identity" not in log

    def test_discriminators(self):
        value, log = loss("discriminator")
        of_b = 0.5 * (-0.25 - 1) ** 2 + 0.5 * 1**2
        of_a = 0.5 * (1.5 - 1) ** 2 + 0.5 * 0.75**2
        assert value == pytest.approx(of_b + of_a)
        assert log["real_above_fake"] == 0.5, "for a, not for b"

    def test_dualgan_clips_its_critics_and_takes_differences(self):
        critic, _ = loss("discriminator", loss="wasserstein", clip=1.0)
        generator, log = loss("generator", loss="wasserstein", clip=1.0)
        assert critic == pytest.approx((1 + 0.25) + (0.25 - 0.5))  # both critics multiply by 1 now
        assert log["adversarial"] == pytest.approx(-1 - 0.25)
        assert generator == pytest.approx(-1.25 + 10 * 2.25 + 5 * 1.25)


def test_critics_of_dualgan_are_updated_several_times_and_stay_clipped(digits, tmp_path):
    config = CycleGANConfig(**{**TINY, "loss": "wasserstein", "clip": 0.02})
    players = {p.name: p for p in trainer_of(config).players}
    assert players["discriminator"].updates == 3
    assert players["generator"].updates == 1
    trainer = trainer_of(config)
    for index in range(3):
        trainer.step(index)
    largest = max(float(p.detach().abs().max()) for p in trainer.nets["discriminator"].parameters())
    assert largest <= 0.02 + 2 * 3 * config.lr, "as far as the updates since the last clipping go"


def trainer_of(config):
    from genaug.data.reading import Samples
    from genaug.training.trainer import Trainer

    x = torch.randint(0, 256, (12, *SHAPE), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    data = Samples(x, None, SPEC, None, {"source": x.flip(0)[:9]}, unpaired=True)
    return Trainer(registry.resolve("cyclegan"), config, data, batch_size=4)


class TestPool:
    def exchange(self, pool, values, index=0):
        images = torch.tensor(values, dtype=torch.float32)[:, None, None, None].expand(-1, *SHAPE).contiguous()
        return pool.exchange(images, step_of(None, SPEC, index))[:, 0, 0, 0].tolist()

    def content(self, pool):
        return pool.images[: int(pool.count), 0, 0, 0].tolist()

    def test_until_it_is_full_images_are_stored_and_returned(self):
        pool = ImagePool(5, SHAPE)
        assert self.exchange(pool, [1, 2, 3]) == [1, 2, 3]
        assert self.content(pool) == [1, 2, 3]
        returned = self.exchange(pool, [4, 5, 6])
        assert returned[:2] == [4, 5]
        assert returned[2] in (6, 1, 2, 3), "only the last one meets a full pool"
        assert sorted({*self.content(pool), *returned[2:]}) == [1, 2, 3, 4, 5, 6]

    def test_half_of_the_images_change_places_with_different_stored_ones(self):
        pool, exchanged = ImagePool(20, SHAPE), 0
        self.exchange(pool, range(20))
        for index in range(1, 41):
            new = list(range(20 * index, 20 * index + 10))
            before = self.content(pool)
            returned, after = self.exchange(pool, new, index), self.content(pool)
            old = [value for value in returned if value in before]
            assert len(set(old)) == len(old)
            assert sorted(returned + after) == sorted(new + before), "nothing is lost, nothing is doubled"
            assert all(value in (new[i], *before) for i, value in enumerate(returned))
            exchanged += len(old)
        assert 160 < exchanged < 240

    def test_a_pool_without_places_returns_its_input(self):
        assert self.exchange(ImagePool(0, SHAPE), [1, 2]) == [1, 2]

    def test_more_images_than_places_are_returned(self):
        pool = ImagePool(2, SHAPE)
        assert self.exchange(pool, [1, 2, 3]) == [1, 2, 3]
        returned = self.exchange(pool, [4, 5, 6])
        assert returned[2] == 6
        assert sorted(returned[:2] + self.content(pool)) == [1, 2, 4, 5]


@pytest.fixture(scope="module")
def digits():
    """Digits with bright ink, and other digits, inverted and fewer."""
    images = [(to_uint8(image), label) for image, label in load_data("digits")]
    return Unpaired(images[:300], [(255 - image, label) for image, label in images[300:500]], names=("dark", "light"))


def train(digits, out, steps, config=TINY, **options):
    options = {"batch_size": 8, "checkpoint_every": 2, "device": "cpu", "progress": False, **options}
    return genaug.fit("cyclegan", digits, out=out, steps=steps, config=config, **options)


def test_a_resumed_training_has_the_same_pool_and_weights(digits, tmp_path):
    train(digits, tmp_path / "one", 5)
    train(digits, tmp_path / "two", 2)
    train(digits, tmp_path / "two", 5, resume=True)
    states = [newest_checkpoint(RunFolder(tmp_path / name), torch.device("cpu"))[0]["nets"] for name in ("one", "two")]
    assert int(states[0]["pool.a.count"]) == 6
    assert states[0]["pool.b.images"].abs().sum() > 0
    for name, tensor in states[0].items():
        assert torch.equal(tensor, states[1][name]), name


def test_both_directions_are_saved_and_addressed_by_name(digits, tmp_path):
    train(digits, tmp_path / "run", 2)
    generator = genaug.load(tmp_path / "run", device="cpu")
    images = torch.stack([image for image, _ in digits.a[:4]])
    there, back = generator.translate(images, to="light"), generator.translate(images, to="dark")
    assert generator.domains == ("dark", "light")
    assert there.shape == back.shape == images.shape
    assert not torch.equal(there, back)
    assert torch.equal(generator.translate(images), there)
    encoded = generator.spec.sample.encode(images)
    with torch.no_grad():
        for role, result in (("generator", there), ("backward", back)):
            expected = generator.spec.sample.decode(generator.nets[role](encoded), torch.uint8)
            assert (expected.int() - result.int()).abs().max() <= 3, "bfloat16 on some machines"
    with pytest.raises(InputError, match=r"doesn't know the domain 'zebra': it translates from 'dark' to 'light' and"):
        generator.translate(images, to="zebra")


@pytest.mark.slow
def test_it_learns_to_translate_both_ways_without_pairs(digits, tmp_path):
    config = {"width": 16, "blocks": 2, "lr": 1e-3}
    generator = train(digits, tmp_path / "run", 1500, config, batch_size=32, checkpoint_every=1500)
    a = torch.stack([image for image, _ in digits.a[:100]])
    for images, to in ((a, "light"), (255 - a, "dark")):
        apart = l1_loss(images.float(), 255.0 - images)
        assert l1_loss(generator.translate(images, to=to).float(), 255.0 - images) < 0.4 * apart
