"""Callbacks of a training: the guard of discriminators, sample grids, and functions of the user's own."""

import json

import pytest
import torch
from helpers.translators import brighter
from PIL import Image as Picture

import genaug
from genaug.backends import Categorical, Condition, Normal, Spec
from genaug.data.reading import Samples
from genaug.errors import InputError
from genaug.modalities import Image
from genaug.nn.objectives import score_log
from genaug.sources.generator import Generator
from genaug.training.callbacks import DiscriminatorGuard, SampleGrids, Snapshot, without_sample_grids
from genaug.training.run_folder import RunFolder

SHAPE, CLASSES = (1, 4, 4), 3
LATENTS = (Normal(size=2), Categorical(name="member", size=4))


def snapshot(step, folder, lines, generator=None, metrics=None, saving=True):
    return Snapshot(step, {} if metrics is None else metrics, saving, lambda: generator, folder, lines.append)


class TestDiscriminatorGuard:
    @staticmethod
    def warnings(shares, tmp_path):
        """The warnings for these shares of pairs, one every 50 steps."""
        lines, guard = [], DiscriminatorGuard()
        for number, share in enumerate(shares):
            metrics = {} if share is None else {"real_above_fake": share}
            guard(snapshot(50 * (number + 1), tmp_path, lines, metrics=metrics))
        return lines

    def test_it_warns_once_if_the_discriminator_has_won(self, tmp_path):
        lines = self.warnings([0.7] + [0.995] * 25, tmp_path)
        assert len(lines) == 1
        assert "since step 50 " in lines[0]
        assert "--augment" in lines[0]

    @pytest.mark.parametrize("shares", [[0.98] * 30, [0.995] * 9, ([0.995] * 9 + [0.9]) * 3, [None] * 30])
    def test_it_is_silent_unless_the_discriminator_has_won(self, tmp_path, shares):
        assert self.warnings(shares, tmp_path) == []

    def test_the_share_of_pairs(self):
        log = score_log(torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([0.0, 3.0, 2.0, 4.0]))
        assert float(log["real_above_fake"]) == 0.5
        assert float(log["real_score"]) == 2.5
        assert float(log["fake_score"]) == 2.25


class Noise:
    """A generator of noise that depends on the seed, or is one image for each label and member."""

    def __init__(self, kind):
        self.kind = kind

    def sample(self, n=None, *, labels=None, seed=None, member=None):
        if self.kind == "broken":
            raise RuntimeError("the network exploded.")
        labels = torch.zeros(n, dtype=torch.int64) if labels is None else labels
        images = torch.randint(0, 256, (len(labels), *SHAPE), generator=torch.Generator().manual_seed(0))
        if self.kind.startswith("varied"):
            images = torch.randint(0, 256, images.shape, generator=torch.Generator().manual_seed(seed))
            alike = {"varied but class 1": labels == 1, "varied but classes 0 to 4": labels < 5}.get(self.kind)
            if alike is not None:
                images[alike] = 7
        elif self.kind == "one per class":
            images = images[labels]
        else:
            images = images[labels * 4 + (member if member is not None else torch.randint(0, 4, labels.shape))]
        return images.to(torch.uint8), labels


class TestSampleGrids:
    @staticmethod
    def observe(tmp_path, kind, num_classes=CLASSES, latents=LATENTS, conditions=(), saving=True, labels=None):
        """The metrics that are added, and the printed lines."""
        if labels is None and num_classes:
            labels = torch.arange(90) % (num_classes if isinstance(num_classes, int) else len(num_classes))
        count = 90 if labels is None else len(labels)
        x = torch.randint(0, 256, (count, *SHAPE), generator=torch.Generator().manual_seed(7)).to(torch.uint8)
        spec = Spec(sample=Image(*SHAPE), classes=num_classes, latents=latents, conditions=conditions)
        folder, metrics, lines = RunFolder(tmp_path / "run"), {}, []
        with folder.claimed("a test", overwrite=False, resume=False):
            grids = SampleGrids(Samples(x, labels, spec), spec, folder)
            grids(snapshot(5, folder.path, lines, Noise(kind), metrics, saving))
        return metrics, lines

    @pytest.mark.parametrize("num_classes", [0, CLASSES])
    def test_varied_samples(self, tmp_path, num_classes):
        metrics, lines = self.observe(tmp_path, "varied", num_classes)
        names = ["diversity", "diversity_same_category", *(f"diversity/{label}" for label in range(num_classes))]
        assert metrics == dict.fromkeys(names, pytest.approx(1, abs=0.1))
        assert not lines
        assert [path.name for path in (tmp_path / "run" / "samples").iterdir()] == ["step-00000005.png"]

    def test_generators_with_one_image_each(self, tmp_path):
        metrics, lines = self.observe(tmp_path, "one per member")
        assert metrics["diversity_same_category"] == 0
        assert metrics["diversity"] == pytest.approx(
            0.75, abs=0.15
        )  # two of four generators differ three times of four
        assert len(lines) == 1
        assert "samples of one class and one member differ 0% as much as real ones" in lines[0]

    def test_one_image_per_class(self, tmp_path):
        metrics, lines = self.observe(tmp_path, "one per class", latents=(Normal(size=2),))
        assert metrics == dict.fromkeys(["diversity", "diversity/0", "diversity/1", "diversity/2"], 0)
        assert len(lines) == 1
        assert "samples of one class differ 0% as much as real ones" in lines[0]

    def test_the_worst_classes_are_named(self, tmp_path):
        metrics, lines = self.observe(
            tmp_path, "varied but class 1", num_classes=("ant", "bee", "cat"), latents=LATENTS[:1]
        )
        assert metrics.keys() == {"diversity", "diversity/ant", "diversity/bee", "diversity/cat"}
        assert metrics["diversity/bee"] == 0
        assert metrics["diversity"] == pytest.approx(2 / 3, abs=0.1)
        assert metrics["diversity/cat"] == pytest.approx(1, abs=0.1)
        assert len(lines) == 1
        assert lines[0].startswith("warning: at step 5 samples of class 1 ('bee') 0% differ less than half as much")
        _, lines = self.observe(tmp_path / "most", "varied but classes 0 to 4", num_classes=6, latents=LATENTS[:1])
        assert "one class differ 17% as much as real ones (least of all class 0 0%, 1 0%, 2 0%)" in lines[0]

    def test_the_rarest_of_many_classes_are_measured(self, tmp_path):
        labels = torch.cat(
            [torch.arange(30).repeat_interleave(4), torch.arange(30, 39).repeat_interleave(2), torch.tensor([39])]
        )
        metrics, _ = self.observe(tmp_path, "varied", num_classes=40, latents=LATENTS[:1], labels=labels)
        assert metrics.keys() == {"diversity", *(f"diversity/{label}" for label in [*range(11), *range(30, 39)])}
        assert metrics["diversity/30"] == pytest.approx(1, abs=0.4)

    def test_a_failing_generator_does_not_prevent_the_checkpoint(self, tmp_path):
        assert self.observe(tmp_path, "broken") == (
            {},
            ["warning: no sample grid after step 5: the network exploded."],
        )

    def test_there_is_no_grid_between_checkpoints_or_with_several_conditions(self, tmp_path):
        conditions = [Condition(name=name, sample=Image(*SHAPE)) for name in ("source", "mask")]
        assert self.observe(tmp_path, "broken", saving=False) == ({}, [])
        assert self.observe(tmp_path / "conditions", "broken", conditions=conditions) == ({}, [])
        assert not list(tmp_path.rglob("*.png"))

    @pytest.mark.parametrize("unpaired", [False, True])
    def test_a_translator_has_a_grid_of_input_beside_output(self, tmp_path, unpaired):
        """With pairs the true images follow, 200; without, these are translated back, to 190."""
        generator = brighter(SHAPE)
        generator.offers = lambda method: unpaired
        x = torch.full((8, *SHAPE), 200, dtype=torch.uint8)
        data = Samples(x, None, generator.spec, None, {"source": x - 150}, unpaired=unpaired)
        folder, metrics, lines = RunFolder(tmp_path / "run"), {}, []
        with folder.claimed("a test", overwrite=False, resume=False):
            SampleGrids(data, generator.spec, folder)(snapshot(5, folder.path, lines, generator, metrics, True))
        assert (metrics, lines) == ({}, [])
        grid = Picture.open(tmp_path / "run" / "samples" / "step-00000005.png").convert("L")
        values = {grid.getpixel((left, grid.height - 10)) for left in range(grid.width)}
        assert values - {255} == {50, 90, 200} | ({190} if unpaired else set())


class TestCallbacksOfFit:
    @pytest.fixture
    def fit(self, tiny_config, tiny_set):
        def run(out, callbacks, steps=12, **arguments):
            fixed = {"batch_size": 8, "checkpoint_every": 4, "device": "cpu", "precision": "float32", "progress": False}
            settings = {**fixed, "config": tiny_config, **arguments}
            return genaug.fit("cgan", tiny_set, out=out, steps=steps, callbacks=callbacks, **settings)

        return run

    @staticmethod
    def logged(folder):
        return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]

    def test_they_are_called_in_order_at_the_logged_steps_with_the_metrics(self, fit, tmp_path):
        snapshots, order = [], []

        def first(snapshot):
            order.append("first")
            snapshots.append((snapshot.step, snapshot.saving, dict(snapshot.metrics), snapshot.folder))

        fit(tmp_path / "run", [first, lambda snapshot: order.append("second")])
        lines = self.logged(tmp_path / "run")
        assert [step for step, *_ in snapshots] == [line["step"] for line in lines] == [1, 4, 5, 8, 10, 12]
        assert [saving for _, saving, *_ in snapshots] == [False, True, False, True, False, True]
        assert order == ["first", "second"] * 6
        for (_, saving, metrics, folder), line in zip(snapshots, lines, strict=True):
            assert {"loss/generator", "loss/discriminator"} <= set(metrics)
            assert ("diversity" in metrics) == saving, "what the sample grids add is there already"
            assert all(line[name] == value for name, value in metrics.items())
            assert folder == tmp_path / "run"

    def test_a_study_trains_without_sample_grids_and_gets_the_same_weights(self, fit, tmp_path):
        fit(tmp_path / "run", [])
        with without_sample_grids():
            fit(tmp_path / "study", [])
        assert (tmp_path / "run" / "samples").is_dir()
        assert not (tmp_path / "study" / "samples").exists()
        assert not any("diversity" in line for line in self.logged(tmp_path / "study"))
        weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("run", "study")]
        assert weights[0] == weights[1]

    def test_metrics_that_a_callback_adds_are_logged(self, fit, tmp_path):
        fit(tmp_path / "run", [lambda snapshot: snapshot.metrics.update(double=2.0 * snapshot.step)])
        assert [line["double"] for line in self.logged(tmp_path / "run")] == [2, 8, 10, 16, 20, 24]

    def test_the_generator_of_a_snapshot_is_that_of_its_step_and_does_not_affect_training(self, fit, tmp_path):
        samples = {}

        def draw(snapshot):
            generator = snapshot.generator()
            assert isinstance(generator, Generator)
            assert generator.training["steps"] == snapshot.step
            samples[snapshot.step] = generator.sample(4, seed=0)[0]

        last = fit(tmp_path / "run", [draw])
        fit(tmp_path / "without", [])
        weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("run", "without")]
        assert weights[0] == weights[1]
        assert torch.equal(samples[12], last.sample(4, seed=0)[0])
        assert not torch.equal(samples[1], samples[12])

    def test_lines_of_a_callback_are_printed(self, fit, tmp_path, capsys):
        fit(tmp_path / "run", [lambda snapshot: snapshot.say(f"seen {snapshot.step}")], steps=1, progress=True)
        assert "seen 1" in capsys.readouterr().err

    @pytest.mark.parametrize("error", [RuntimeError("no more"), KeyboardInterrupt(), InputError("no more")])
    def test_an_exception_ends_the_training_and_earlier_checkpoints_remain(self, fit, tmp_path, error):
        def fail(snapshot):
            if snapshot.step == 8:
                raise error

        fit(tmp_path / "reference", [])
        with pytest.raises(type(error)) as caught:
            fit(tmp_path / "run", [fail])
        assert caught.value is error
        assert [path.name for path in (tmp_path / "run" / "checkpoints").glob("*.pt")] == ["step-00000004.pt"]
        assert genaug.load(tmp_path / "run", device="cpu").training["steps"] == 4
        assert [line["step"] for line in self.logged(tmp_path / "run")] == [1, 4, 5]
        fit(tmp_path / "run", [], resume=True)
        weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("reference", "run")]
        assert weights[0] == weights[1]
        assert [line["step"] for line in self.logged(tmp_path / "run")] == [1, 4, 5, 8, 10, 12]
