"""``genaug.fit``: reproducible, resumable bit for bit, and careful with files on disk."""

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.utils.data import Subset, TensorDataset

import genaug
from genaug.artifacts import claims
from genaug.backends import Backend, BackendConfig, Batch, Loss, Player, adam, registry
from genaug.errors import InputError, OutputExistsError, PluginError, SaveError, TrainingError, TrainingWarning
from genaug.training import statistics
from genaug.training.trainer import Trainer
from genaug_cgan.backend import CGAN

STEPS = 12


@pytest.fixture
def fit(tiny_config, tiny_set):
    """``genaug.fit`` with a tiny network, tiny data and few steps."""

    def run(out, backend="cgan", dataset=None, **arguments):
        config = arguments.pop("config", tiny_config if backend == "cgan" else {})
        defaults = {"steps": STEPS, "batch_size": 8, "checkpoint_every": 4, "device": "cpu", "precision": "float32"}
        dataset = tiny_set if dataset is None else dataset
        return genaug.fit(backend, dataset, out=out, config=config, **{**defaults, **arguments})

    return run


@pytest.fixture
def at_step(monkeypatch):
    """``at_step(7, action)`` calls ``action`` after step 7."""
    make_step = Trainer.step

    def install(at, action):
        def patched(self, index):
            log = make_step(self, index)
            if index == at:
                action()
            return log

        monkeypatch.setattr(Trainer, "step", patched)

    return install


@pytest.fixture(autouse=True)
def usual_signals():
    """pytest itself may run where SIGINT is ignored; signals are as in a shell, and restored afterwards."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


def newest_state(folder):
    return torch.load(max((folder / "checkpoints").glob("*.pt")), weights_only=True)


def logged(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def same(one, other):
    """Whether two nested states are equal, bit for bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def assert_same_run(one, other):
    assert weights(one) == weights(other)
    assert same(newest_state(one), newest_state(other))
    assert (one / "config.json").read_bytes() == (other / "config.json").read_bytes()


def steps_of(folder):
    return sorted(int(path.stem.split("-")[1]) for path in (folder / "checkpoints").glob("*.pt"))


@pytest.fixture(scope="module")
def reference(tmp_path_factory, tiny_set, tiny_config):
    """An uninterrupted run."""
    out = tmp_path_factory.mktemp("reference") / "run"
    arguments = {"batch_size": 8, "checkpoint_every": 4, "device": "cpu", "precision": "float32", "progress": False}
    genaug.fit("cgan", tiny_set, out=out, steps=STEPS, config=tiny_config, **arguments)
    return out


class TestARun:
    def test_the_folder_loads_and_gives_what_fit_returned(self, fit, tmp_path):
        generator = fit(tmp_path / "run")
        images, _ = generator.sample(20, seed=1)
        loaded = genaug.load(tmp_path / "run", device="cpu")
        assert torch.equal(loaded.sample(20, seed=1)[0], images)
        assert loaded.spec == generator.spec
        assert generator.spec.num_classes == 4
        assert generator.training["steps"] == loaded.training["steps"] == STEPS
        assert images.float().std() > 1

    def test_the_same_seed_gives_the_same_weights(self, fit, tmp_path, reference):
        torch.manual_seed(99)
        fit(tmp_path / "again")
        assert_same_run(tmp_path / "again", reference)
        fit(tmp_path / "other", seed=1)
        assert weights(tmp_path / "other") != weights(reference)

    def test_the_number_of_saves_changes_nothing(self, fit, tmp_path, reference):
        fit(tmp_path / "run", checkpoint_every=100)
        assert_same_run(tmp_path / "run", reference)

    def test_torchs_rng_is_unchanged(self, fit, tmp_path):
        before = torch.random.get_rng_state()
        fit(tmp_path / "run", steps=2)
        assert torch.equal(torch.random.get_rng_state(), before)

    def test_the_files_in_the_folder(self, reference):
        names = {"run.json", "metrics.jsonl", "samples", "checkpoints", "config.json", "model.safetensors"}
        assert {path.name for path in reference.iterdir()} - {"tensorboard", ".genaug.jsonl"} == names
        assert [path.name for path in sorted((reference / "samples").iterdir())] == [
            f"step-{step:08d}.png" for step in (4, 8, 12)
        ]
        assert steps_of(reference) == [8, 12]
        assert {path.suffix for path in (reference / "checkpoints").iterdir()} == {".pt", ".json"}

    def test_metrics(self, reference):
        lines = logged(reference)
        assert [line["step"] for line in lines] == [1, 4, 5, 8, 10, 12]
        for line in lines:
            assert {"loss/generator", "loss/discriminator", "images_per_s", "seconds"} <= set(line)
        assert [line["step"] for line in lines if line.get("diversity", -1) >= 0] == [4, 8, 12]

    def test_without_labels_all_samples_are_one_class(self, fit, tmp_path, tiny_set):
        fit(tmp_path / "run", dataset=TensorDataset(tiny_set.tensors[0]), steps=2)
        assert logged(tmp_path / "run")[-1]["diversity"] >= 0
        assert genaug.load(tmp_path / "run", device="cpu").sample(3, seed=0)[1] is None

    def test_augment_and_bfloat16_and_image_size(self, fit, tmp_path):
        policy = ("translation", "affine", "color", "cutout")
        generator = fit(tmp_path / "run", steps=3, augment=policy, precision="bfloat16", image_size=9)
        assert generator.spec.shape == (1, 9, 9)
        assert generator.training["precision"] == "bfloat16"
        assert generator.training["augment"] == list(policy)

    @pytest.mark.parametrize("label", [-1, torch.ones(40, dtype=torch.int64), "a.jpg", 33.5, None])
    def test_a_backend_without_labels_accepts_anything_as_a_label(self, tmp_path, tiny_config, label):
        items = [(torch.rand(1, 8, 8), label) for _ in range(4)]
        small = {"steps": 1, "batch_size": 4, "device": "cpu", "progress": False}
        generator = genaug.fit("cgan", items, out=tmp_path / "a", config={**tiny_config, "conditional": False}, **small)
        assert generator.spec.num_classes == 0
        if label is not None:
            with pytest.raises(InputError, match="the dataset's labels must be"):
                genaug.fit("cgan", items, out=tmp_path / "b", config=tiny_config, **small)
            assert not (tmp_path / "b").exists()

    def test_classes_without_images_cause_a_warning(self, fit, tmp_path, tiny_set):
        images, labels = tiny_set.tensors
        with pytest.warns(TrainingWarning, match="no training sample is of class 0, 2, so the generator"):
            fit(tmp_path / "gaps", dataset=TensorDataset(images, 2 * (labels % 2) + 1), steps=1)

    def test_more_than_twenty_classes(self, fit, tmp_path, tiny_set):
        images, labels = tiny_set.tensors
        with pytest.warns(TrainingWarning, match="class 0, 1, 2, 3, 4, 5, 6, 7, …, so"):
            fit(tmp_path / "run", dataset=TensorDataset(images, labels + 30), steps=2)
        assert logged(tmp_path / "run")[-1]["diversity"] >= 0

    def test_tensorboard_has_the_log_if_it_is_installed(self, reference, fit, tmp_path, monkeypatch):
        accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
        events = accumulator.EventAccumulator(str(reference / "tensorboard")).Reload()
        assert {"loss/generator", "diversity"} <= set(events.Tags()["scalars"])
        assert [event.step for event in events.Scalars("diversity")] == [4, 8, 12]
        monkeypatch.setattr("genaug.training.run_folder.find_spec", lambda name: None)
        fit(tmp_path / "run")
        assert not (tmp_path / "run" / "tensorboard").exists()

    def test_in_another_thread(self, fit, tmp_path, reference):
        thread = threading.Thread(target=lambda: fit(tmp_path / "run"))
        thread.start()
        thread.join()
        assert weights(tmp_path / "run") == weights(reference)


class TestResume:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_after_a_signal(self, fit, tmp_path, reference, at_step, capsys, monkeypatch, number):
        at_step(5, lambda: signal.raise_signal(number))
        ending = KeyboardInterrupt if number == signal.SIGINT else SystemExit
        with pytest.raises(ending) as caught:
            fit(tmp_path / "run")
        if number == signal.SIGTERM:
            assert caught.value.code == 143
        output = capsys.readouterr().err
        at_once = output.index(f"{number.name} received: finishing this step, then saving.")
        assert at_once < output.index(f"stopped after step 6: {number.name} received")
        assert "--resume" in output
        assert genaug.load(tmp_path / "run", device="cpu").training["steps"] == 6
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        monkeypatch.undo()
        fit(tmp_path / "run", resume=True)
        assert "resuming at step 6" in capsys.readouterr().err
        assert_same_run(tmp_path / "run", reference)
        assert [line["step"] for line in logged(tmp_path / "run")] == [1, 4, 5, 6, 8, 10, 12]

    def test_a_second_signal_ends_at_once_and_damages_nothing(self, fit, tmp_path, reference, at_step, monkeypatch):
        def press_twice():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

        at_step(5, press_twice)
        with pytest.raises(KeyboardInterrupt):
            fit(tmp_path / "run")
        monkeypatch.undo()
        assert steps_of(tmp_path / "run") == [4]
        assert genaug.load(tmp_path / "run", device="cpu").training["steps"] == 4
        fit(tmp_path / "run", resume=True)
        assert_same_run(tmp_path / "run", reference)

    def test_a_second_signal_between_the_files_of_a_save(self, fit, tmp_path, reference, at_step, monkeypatch):
        replace_file = os.replace

        def interrupted(source, target):
            replace_file(source, target)
            if str(target).endswith("model.safetensors"):
                monkeypatch.setattr(claims.os, "replace", replace_file)
                raise KeyboardInterrupt

        at_step(5, lambda: monkeypatch.setattr(claims.os, "replace", interrupted))
        with pytest.raises(KeyboardInterrupt):
            fit(tmp_path / "run")
        monkeypatch.undo()
        assert genaug.load(tmp_path / "run", device="cpu").training["steps"] == 4, "all of its files or none"
        assert [path.name for path in (tmp_path / "run").rglob(".*")] == [".genaug.jsonl"]
        fit(tmp_path / "run", resume=True)
        assert_same_run(tmp_path / "run", reference)

    def test_a_signal_at_the_last_step_is_not_swallowed(self, fit, tmp_path, at_step, reference, capsys):
        at_step(STEPS - 1, lambda: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            fit(tmp_path / "run")
        assert "training is finished" in capsys.readouterr().err
        assert_same_run(tmp_path / "run", reference)

    def test_an_ignored_signal_stays_ignored(self, fit, tmp_path, at_step, reference):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        at_step(5, lambda: signal.raise_signal(signal.SIGINT))
        fit(tmp_path / "run")
        assert_same_run(tmp_path / "run", reference)

    def test_after_many_stops_of_a_time_budget(self, fit, tmp_path, reference, capsys):
        done = []
        for attempt in range(STEPS):
            generator = fit(tmp_path / "run", max_minutes=1e-9, resume=attempt > 0)
            done.append(generator.training["steps"])
        assert done == list(range(1, STEPS + 1))
        assert "the time is up" in capsys.readouterr().err
        assert_same_run(tmp_path / "run", reference)
        assert [line["step"] for line in logged(tmp_path / "run")] == done

    def test_after_an_exception(self, fit, tmp_path, reference, at_step, monkeypatch):
        """Steps after the last checkpoint are trained again, and logged once."""

        def fail():
            raise RuntimeError("power cut")

        at_step(10, fail)
        with pytest.raises(RuntimeError, match="power cut"):
            fit(tmp_path / "run")
        with open(tmp_path / "run" / "metrics.jsonl", "a") as file:
            file.write('{"step": 10, "x": 1}\n{"step": 11, "los')  # what a crash can leave
        monkeypatch.undo()
        fit(tmp_path / "run", resume=True)
        assert_same_run(tmp_path / "run", reference)
        assert [line["step"] for line in logged(tmp_path / "run")] == [1, 4, 5, 8, 10, 12]

    def test_for_more_steps_than_at_first(self, fit, tmp_path, tiny_config):
        """Exactly as a longer run, if no learning rate depends on the run's length."""
        config = {**tiny_config, "decay": 0}
        fit(tmp_path / "reference", config=config)
        fit(tmp_path / "run", steps=5, config=config)
        fit(tmp_path / "run", steps=STEPS, resume=True, config=config)
        assert_same_run(tmp_path / "run", tmp_path / "reference")

    def test_of_a_finished_run(self, fit, tmp_path, reference):
        fit(tmp_path / "run")
        generator = fit(tmp_path / "run", resume=True)
        assert generator.training["steps"] == STEPS
        assert genaug.load(tmp_path / "run", device="cpu").training["steps"] == STEPS
        assert weights(tmp_path / "run") == weights(reference)

    def test_with_nothing_to_resume_it_starts_and_says_so(self, fit, tmp_path, reference, capsys):
        fit(tmp_path / "run", resume=True)
        assert f"{tmp_path / 'run'} holds no complete checkpoint: starting at step 0." in capsys.readouterr().err
        assert_same_run(tmp_path / "run", reference)

    @pytest.mark.parametrize("damage", ["flipped", "truncated", "unsealed"])
    def test_a_damaged_checkpoint_is_skipped(self, fit, tmp_path, reference, capsys, damage):
        fit(tmp_path / "run", steps=8)
        newest = tmp_path / "run" / "checkpoints" / "step-00000008.pt"
        content = bytearray(newest.read_bytes())
        if damage == "unsealed":
            newest.with_name(newest.name + ".json").unlink()
        else:
            content[len(content) // 2] ^= 1
            newest.write_bytes(content if damage == "flipped" else content[:100])
        capsys.readouterr()
        fit(tmp_path / "run", resume=True)
        output = capsys.readouterr().err
        assert f"{newest} is damaged and was skipped" in output
        assert "resuming at step 4" in output
        assert_same_run(tmp_path / "run", reference)

    def test_if_all_checkpoints_are_damaged_new_ones_are_kept(self, fit, tmp_path, reference, at_step, monkeypatch):
        fit(tmp_path / "run")
        for path in (tmp_path / "run" / "checkpoints").glob("*.pt"):
            path.write_bytes(b"")
        at_step(5, lambda: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            fit(tmp_path / "run", resume=True)
        assert steps_of(tmp_path / "run") == [4, 6]
        monkeypatch.undo()
        fit(tmp_path / "run", resume=True)
        assert_same_run(tmp_path / "run", reference)

    def test_an_interrupted_export_is_repaired(self, fit, tmp_path, reference):
        fit(tmp_path / "run")
        (tmp_path / "run" / "model.safetensors").write_bytes(b"half")
        fit(tmp_path / "run", resume=True)
        assert_same_run(tmp_path / "run", reference)

    @pytest.mark.parametrize(
        ("name", "arguments"),
        [
            ("seed", {"seed": 1}),
            ("batch_size", {"batch_size": 4}),
            ("augment", {"augment": ["color"]}),
            ("config", {"config": {"width": 4, "max_width": 8, "latent_size": 5}}),
            ("precision", {"precision": "bfloat16"}),
            ("image_size", {"image_size": 8}),
        ],
    )
    def test_other_settings_are_rejected_by_name(self, fit, tmp_path, name, arguments):
        fit(tmp_path / "run", steps=1)
        before = weights(tmp_path / "run"), (tmp_path / "run" / "run.json").read_bytes()
        with pytest.raises(InputError, match=f"can't be resumed: {name} was .*, now it is"):
            fit(tmp_path / "run", resume=True, **arguments)
        assert (weights(tmp_path / "run"), (tmp_path / "run" / "run.json").read_bytes()) == before

    def test_only_differences_are_named(self, fit, tmp_path):
        fit(tmp_path / "run", steps=1)
        config = {"width": 8, "max_width": 8, "latent_size": 4}
        with pytest.raises(InputError) as caught:
            fit(tmp_path / "run", resume=True, seed=1, config=config)
        assert "resumed: config was {'width': 4}, now it is {'width': 8}; seed was 0, now it is 1. Continue" in str(
            caught.value
        )
        with pytest.raises(InputError, match="backend was 'cgan', now it is 'wgan-gp'"):
            fit(tmp_path / "run", resume=True, backend="wgan-gp")

    def test_arguments_default_to_those_of_the_run(self, tmp_path, tiny_set, tiny_config, monkeypatch):
        settings = {"config": tiny_config, "batch_size": 6, "seed": 3, "augment": ["color"], "image_size": 9}
        settings |= {"device": "cpu", "precision": "bfloat16", "checkpoint_every": 4}
        genaug.fit("cgan", tiny_set, out=tmp_path / "reference", steps=8, **settings)
        genaug.fit("cgan", tiny_set, out=tmp_path / "run", steps=6, **settings)
        genaug.fit("cgan", tiny_set, out=tmp_path / "run", steps=8, resume=True, config={"width": 4})
        before, after = (json.loads((tmp_path / name / "run.json").read_text()) for name in ("reference", "run"))
        assert before.pop("run") != after.pop("run"), "another run"
        assert before == after
        assert genaug.fit("cgan", tiny_set, out=tmp_path / "run", resume=True).training["steps"] == 8

    def test_a_run_is_not_made_shorter(self, fit, tmp_path):
        fit(tmp_path / "run", steps=6)
        before = (tmp_path / "run" / "run.json").read_bytes()
        with pytest.raises(InputError, match=r"steps was 6, now it is 5\. A run can be made longer, not shorter"):
            fit(tmp_path / "run", steps=5, resume=True)
        assert (tmp_path / "run" / "run.json").read_bytes() == before

    def test_another_version_of_the_plugin_causes_a_warning(self, fit, tmp_path, monkeypatch):
        fit(tmp_path / "run", steps=2)
        fit(tmp_path / "run", steps=3, resume=True)
        registered = registry.discover()
        newer = {
            **registered.backends,
            "cgan": replace(registered.backends["cgan"], distribution="genaug-acme", version="2.0"),
        }
        monkeypatch.setattr(registry, "discover", lambda **_: replace(registered, backends=newer))
        with pytest.warns(
            TrainingWarning, match=r"was started with genaug [\d.]+ and continues with genaug-acme 2\.0: .*Install"
        ) as caught:
            fit(tmp_path / "run", steps=4, resume=True, progress=False)
        assert caught[0].filename == __file__
        with pytest.warns(TrainingWarning, match="was started with genaug "):
            fit(tmp_path / "run", steps=5, resume=True, progress=False)

    def test_networks_that_have_changed_are_an_error(self, fit, tmp_path, monkeypatch):
        fit(tmp_path / "run", steps=1)
        build = CGAN.build
        more = {"more": torch.nn.Linear(1, 1)}
        monkeypatch.setattr(CGAN, "build", lambda *arguments: torch.nn.ModuleDict({**build(*arguments), **more}))
        with pytest.raises(TrainingError, match=r"doesn't fit the backend's networks .* see run\.json.*more"):
            fit(tmp_path / "run", steps=2, resume=True)

    def test_other_data_are_rejected(self, fit, tmp_path, tiny_set):
        fit(tmp_path / "run", steps=1)
        with pytest.raises(InputError, match="the content of the training data has changed"):
            fit(tmp_path / "run", resume=True, dataset=Subset(tiny_set, range(39)))
        images, labels = tiny_set.tensors
        with pytest.raises(InputError, match="the content of the training data has changed"):
            fit(tmp_path / "run", resume=True, dataset=TensorDataset(images, labels.flip(0)))

    @pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff"])
    def test_a_damaged_run_file_is_named(self, fit, tmp_path, content):
        fit(tmp_path / "run", steps=1)
        (tmp_path / "run" / "run.json").write_bytes(content)
        with pytest.raises(InputError, match=r"run\.json is damaged"):
            fit(tmp_path / "run", resume=True)


CHILD = """
    import json, signal, sys, time, torch, genaug
    from torch.utils.data import TensorDataset
    from genaug.training import statistics
    from genaug.training.trainer import Trainer

    statistics.SAMPLES = int(sys.argv[5])
    out, config, stop_at, resume = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "resume"
    signal.signal(signal.SIGINT, signal.default_int_handler)
    rng = torch.Generator().manual_seed(0)
    data = TensorDataset(torch.randint(0, 256, (40, 1, 8, 8), generator=rng).to(torch.uint8), torch.arange(40) % 4)
    make_step = Trainer.step

    def waiting(self, index):
        if index == stop_at:
            print("here", flush=True)
            time.sleep(1 if resume else 600)
        return make_step(self, index)

    Trainer.step = waiting
    genaug.fit("cgan", data, out=out, steps=12, batch_size=8, checkpoint_every=4, device="cpu", precision="float32",
               config=config, resume=resume)
"""


class TestProcesses:
    @pytest.fixture
    def child(self, tmp_path, tiny_config):
        processes = []

        def start(stop_at, resume=False):
            arguments = [str(tmp_path / "run"), json.dumps(tiny_config), str(stop_at), "resume" if resume else "new"]
            arguments.append(str(statistics.SAMPLES))
            process = subprocess.Popen(
                [sys.executable, "-c", textwrap.dedent(CHILD), *arguments],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
            )
            processes.append(process)
            assert process.stdout.readline() == "here\n", process.stderr.read()
            return process

        yield start
        for process in processes:
            process.kill()
            process.communicate()

    @pytest.mark.slow
    def test_kill_and_ctrl_c(self, child, fit, tmp_path, reference):
        """Killed in the middle of step 9 without a message, resumed, interrupted, resumed."""
        killed = child(stop_at=9)
        killed.kill()
        assert killed.wait(60) == -signal.SIGKILL
        assert genaug.load(tmp_path / "run", device="cpu").training["steps"] == 8
        interrupted = child(stop_at=9, resume=True)
        interrupted.send_signal(signal.SIGINT)
        _, output = interrupted.communicate(timeout=120)
        assert interrupted.returncode == -signal.SIGINT  # the exit status of Python after an uncaught KeyboardInterrupt
        assert "stopped after step 10: SIGINT received" in output
        assert "KeyboardInterrupt" in output
        assert genaug.load(tmp_path / "run", device="cpu").training["steps"] == 10
        fit(tmp_path / "run", resume=True)
        assert_same_run(tmp_path / "run", reference)
        assert [line["step"] for line in logged(tmp_path / "run")] == [1, 4, 5, 8, 10, 12]


class TestFolder:
    def test_an_existing_run_is_an_error(self, fit, tmp_path):
        fit(tmp_path / "run", steps=1)
        before = weights(tmp_path / "run")
        with pytest.raises(OutputExistsError, match=r"exists and is not empty.*--overwrite.*--resume"):
            fit(tmp_path / "run", seed=1)
        assert weights(tmp_path / "run") == before

    def test_overwrite_replaces_the_run_and_keeps_other_files(self, fit, tmp_path, reference):
        fit(tmp_path / "run", steps=3, seed=1, checkpoint_every=1)
        (tmp_path / "run" / "notes.txt").write_text("mine")
        fit(tmp_path / "run", overwrite=True)
        assert_same_run(tmp_path / "run", reference)
        assert steps_of(tmp_path / "run") == steps_of(reference)
        assert [line["step"] for line in logged(tmp_path / "run")] == [1, 4, 5, 8, 10, 12]
        assert len(list((tmp_path / "run" / "samples").iterdir())) == 3
        assert (tmp_path / "run" / "notes.txt").read_text() == "mine"

    @pytest.mark.parametrize("arguments", [{}, {"overwrite": True}, {"resume": True}])
    @pytest.mark.parametrize("run_file", [None, '{"name": "my jogging track"}'])
    def test_a_folder_of_photos_is_unchanged(self, fit, tmp_path, arguments, run_file):
        (tmp_path / "photos" / "samples").mkdir(parents=True)
        (tmp_path / "photos" / "samples" / "cat.jpg").write_text("mine")
        if run_file is not None:
            (tmp_path / "photos" / "run.json").write_text(run_file)
        with pytest.raises((OutputExistsError, InputError)):
            fit(tmp_path / "photos", **arguments)
        assert (tmp_path / "photos" / "samples" / "cat.jpg").read_text() == "mine"
        assert not (tmp_path / "photos" / "config.json").exists()

    def test_a_file_in_the_way(self, fit, tmp_path):
        (tmp_path / "run").write_text("mine")
        with pytest.raises(OutputExistsError, match="is a file"):
            fit(tmp_path / "run", overwrite=True)

    @pytest.mark.parametrize("backend", ["ssgan", "infogan"])
    def test_what_fails_in_the_first_step_leaves_nothing_and_the_old_run_unchanged(self, fit, tmp_path, backend):
        tiny = registry.resolve(backend).tiny
        with pytest.raises(InputError, match="at least 2 images"):
            fit(tmp_path / "deep" / "run", backend, config=tiny, batch_size=1)
        assert not (tmp_path / "deep" / "run").exists()
        fit(tmp_path / "run", backend, config=tiny, steps=2)
        before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
        with pytest.raises(InputError, match="at least 2 images"):
            fit(tmp_path / "run", backend, config=tiny, batch_size=1, overwrite=True)
        assert before == {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}

    def test_unusable_data_leave_the_old_run_unchanged(self, fit, tmp_path):
        fit(tmp_path / "run", steps=1)
        before = weights(tmp_path / "run")
        with pytest.raises(InputError, match="item 0"):
            fit(tmp_path / "run", overwrite=True, dataset=[torch.full((1, 8, 8), 2.0)])
        assert weights(tmp_path / "run") == before


class TestDisk:
    def test_a_disk_that_fills_up_while_saving(self, fit, tmp_path, monkeypatch, at_step, reference):
        def fill():
            def full(_):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            monkeypatch.setattr(os, "fsync", full)

        at_step(7, fill)
        with pytest.raises(SaveError, match=r"could not write to .*disk is full"):
            fit(tmp_path / "run")
        assert genaug.load(tmp_path / "run", device="cpu").training["steps"] == 4
        assert steps_of(tmp_path / "run") == [4]
        assert [path.name for path in (tmp_path / "run").rglob(".*")] == [".genaug.jsonl"]
        monkeypatch.undo()
        fit(tmp_path / "run", resume=True)
        assert_same_run(tmp_path / "run", reference)

    @pytest.fixture
    def disk(self, small_disk):
        return small_disk("2m")

    def test_a_disk_that_is_really_full(self, fit, disk, reference, at_step, monkeypatch):
        def fill():
            left = os.statvfs(disk)
            (disk / "ballast").write_bytes(b"0" * (left.f_bavail * left.f_bsize))

        at_step(5, fill)
        with pytest.raises(SaveError, match="disk is full"):
            fit(disk / "run")
        assert genaug.load(disk / "run", device="cpu").training["steps"] == 4
        monkeypatch.undo()
        (disk / "ballast").unlink()
        fit(disk / "run", resume=True)
        assert weights(disk / "run") == weights(reference)
        assert [line["step"] for line in logged(disk / "run")] == [1, 4, 5, 8, 10, 12]

    def test_a_disk_that_becomes_read_only(self, fit, disk, at_step):
        at_step(5, lambda: subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True))
        with pytest.raises(SaveError, match="read-only"):
            fit(disk / "run")
        assert genaug.load(disk / "run", device="cpu").training["steps"] == 4

    def test_a_disk_that_is_read_only_from_the_start(self, fit, disk):
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises(SaveError, match="read-only"):
            fit(disk / "run")


class Dot(nn.Module):
    """One weight, painted everywhere."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.1))

    def forward(self, z):
        return torch.tanh(self.weight + 0 * z.sum(1))[:, None, None, None].expand(-1, 1, 8, 8)


class Toy(Backend):
    """The smallest backend; tests change one part of it. ``loss`` is that of both players."""

    class Config(BackendConfig):
        latent_size: int = 2

    def build(self, config, spec):
        return nn.ModuleDict({"generator": Dot(), "other": Dot()})

    def generate(self, nets, inputs):
        return nets["generator"](inputs.latents["z"])

    def player(self, name, parameters, **options):
        return Player(name, parameters, lambda *arguments: self.loss(name, *arguments), adam(0.01), **options)

    def players(self, config, nets):
        return [self.player(name, nets[name].parameters()) for name in ("generator", "other")]

    def loss(self, player, nets, batch, step):
        return Loss(nets[player].weight.square())


@pytest.fixture
def train_toy(register_backend, fit, tmp_path):
    """Trains a class derived from Toy."""

    def run(backend_class, **arguments):
        register_backend("toy", backend_class)
        return fit(tmp_path / "toy", backend="toy", **arguments)

    return run


class TestLossesThatAreNotFinite:
    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_the_last_finite_state_stays(self, train_toy, tmp_path, value):
        class Breaking(Toy):
            def loss(self, player, nets, batch, step):
                broken = value if step.index == 6 and player == "other" else 1.0
                return Loss(nets[player].weight * broken)

        with pytest.raises(
            TrainingError, match=r"loss/other is no longer finite.*at step 8\..*holds the state of step 4"
        ):
            train_toy(Breaking)
        assert genaug.load(tmp_path / "toy", device="cpu").training["steps"] == 4
        assert [line["step"] for line in logged(tmp_path / "toy")] == [1, 4, 5]

    def test_a_finite_loss_with_a_gradient_that_is_not(self, train_toy, tmp_path):
        """The last step before a checkpoint makes weights infinite; the loss would show it a step later."""

        class Breaking(Toy):
            def loss(self, player, nets, batch, step):
                weight = nets[player].weight
                return Loss((weight * 0).sqrt() if step.index == 7 else weight.square())

        with pytest.raises(TrainingError, match=r"a weight is no longer finite.*at step 8.*the state of step 4"):
            train_toy(Breaking)
        loaded = genaug.load(tmp_path / "toy", device="cpu")
        assert loaded.training["steps"] == 4
        assert all(tensor.isfinite().all() for tensor in loaded.network.state_dict().values())
        assert steps_of(tmp_path / "toy") == [4]

    def test_before_the_first_save_no_state_is_mentioned(self, train_toy):
        class Breaking(Toy):
            def loss(self, player, nets, batch, step):
                return Loss(nets[player].weight * float("nan"))

        with pytest.raises(TrainingError, match="No state was saved"):
            train_toy(Breaking)


class TestPlayers:
    def test_several_updates_per_step_get_separate_batches(self, train_toy):
        updates = []

        class Several(Toy):
            def players(self, config, nets):
                one, _ = super().players(config, nets)
                return [one, self.player("other", nets["other"].parameters(), updates=3)]

            def loss(self, player, nets, batch, step):
                updates.append((step.index, player, batch.x.sum().item()))
                return super().loss(player, nets, batch, step)

        train_toy(Several, steps=4)
        assert [player for _, player, _ in updates] == ["generator", "other", "other", "other"] * 4
        sums = [value for _, player, value in updates if player == "other"]
        assert len(set(sums)) == 12
        assert [value for _, player, value in updates if player == "generator"] == sums[::3]

    def test_only_the_player_that_is_updated_learns(self, train_toy):
        states = []

        class Watched(Toy):
            def loss(self, player, nets, batch, step):
                states.append({name: float(net.weight.detach()) for name, net in nets.items()})
                free = [name for name, net in nets.items() if net.weight.requires_grad]
                assert free == [player]
                return Loss(nets["generator"].weight.square() + nets["other"].weight.square())

        train_toy(Watched, steps=2)
        before, between, after = states[:3]
        assert before["generator"] != between["generator"]
        assert before["other"] == between["other"] != after["other"]
        assert between["generator"] == after["generator"]

    def test_players_may_share_parameters(self, train_toy):
        """InfoGAN's critic and the head that reads the codes share a trunk."""
        learned = []

        class Sharing(Toy):
            def players(self, config, nets):
                both = [*nets["generator"].parameters(), *nets["other"].parameters()]
                return [self.player("both", both), self.player("other", nets["other"].parameters())]

            def loss(self, player, nets, batch, step):
                learned.append((player, float(nets["other"].weight.detach())))
                return Loss(nets["other"].weight.square() + nets["generator"].weight * 0)

        train_toy(Sharing, steps=2)
        values = [value for _, value in learned]
        assert len(set(values)) == 4  # each update moved it

    def test_parameters_of_no_player_are_constant(self, train_toy, tmp_path):
        class Lonely(Toy):
            def players(self, config, nets):
                return super().players(config, nets)[:1]

            def loss(self, player, nets, batch, step):
                return Loss(nets["generator"].weight.square() + nets["other"].weight)

        train_toy(Lonely, steps=3)
        assert newest_state(tmp_path / "toy")["nets"]["other.weight"].item() == pytest.approx(0.1)

    def test_the_average_is_a_moving_average_with_warm_up(self, train_toy, tmp_path):
        path = []

        class Watched(Toy):
            def loss(self, player, nets, batch, step):
                if player == "generator":
                    path.append(float(nets["generator"].weight.detach()))
                return super().loss(player, nets, batch, step)

        generator = train_toy(Watched, steps=10)
        path = [*path[1:], newest_state(tmp_path / "toy")["nets"]["generator.weight"].item()]
        average = path[0]
        for step, value in enumerate(path[1:], start=1):
            decay = min(0.999, (1 + step) / (10 + step))
            average = decay * average + (1 - decay) * value
        assert generator.network.weight.item() == pytest.approx(average, rel=1e-5)
        assert abs(average - path[-1]) > 1e-4


class TestWrongBackends:
    def test_no_generator_among_the_networks(self, train_toy, tmp_path):
        class Nameless(Toy):
            def build(self, config, spec):
                return nn.ModuleDict({"other": Dot()})

        with pytest.raises(PluginError, match="with 'generator' in it"):
            train_toy(Nameless)
        assert not (tmp_path / "toy").exists()

    @pytest.mark.parametrize("names", [[], ["generator", "generator"]])
    def test_players_without_distinct_names(self, train_toy, names):
        class Odd(Toy):
            def players(self, config, nets):
                return [self.player(name, [nn.Parameter(torch.zeros(1))]) for name in names]

        with pytest.raises(PluginError, match="at least one player, with distinct names"):
            train_toy(Odd)

    def test_images_of_the_wrong_shape(self, train_toy):
        class Square(Toy):
            def generate(self, nets, inputs):
                return super().generate(nets, inputs)[..., :7]

        with pytest.raises(PluginError, match="expected images of the spec's shape"):
            train_toy(Square)


class TestArguments:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"steps": 0}, "steps must be an integer of 1 or more, got 0"),
            ({"steps": 1.5}, "steps must be an integer"),
            ({"steps": True}, "steps must be an integer"),
            ({"batch_size": -1}, "batch_size must be an integer of 1 or more, got -1"),
            ({"checkpoint_every": 0}, "checkpoint_every must be"),
            ({"image_size": 0}, "image_size must be"),
            ({"max_minutes": 0}, "max_minutes must be above 0 and at most .*, got 0"),
            ({"max_minutes": float("nan")}, "max_minutes must be above 0"),
            ({"seed": -1}, "seed must be an integer"),
            ({"precision": "fp16"}, "precision must be one of"),
            ({"device": "cuda:77"}, "can't be used here"),
            ({"augment": ["flip"]}, "augment must be distinct names among"),
            ({"overwrite": True, "resume": True}, "pass only one of them"),
            (
                {"config": {"tilt": 1}},
                r"doesn't fit backend 'cgan': tilt is unknown. Its options: latent_size, width, .*conditional",
            ),
            ({"config": {"width": 1}}, "doesn't fit backend 'cgan': width must be greater than or equal to 4"),
            ({"dataset": []}, "the dataset is empty"),
            ({"dataset": [torch.randn(1, 8, 8) * 3] * 3}, "pass the dataset without its Normalize transform"),
            ({"dataset": [torch.randn(3, 30) * 3] * 3}, r"If they are series .* pass genaug\.data\.SeriesDataset"),
        ],
    )
    def test_invalid_arguments_are_named_and_nothing_is_written(self, fit, tmp_path, arguments, message):
        with pytest.raises(InputError, match=message):
            fit(tmp_path / "run", **arguments)
        assert not (tmp_path / "run").exists()

    def test_an_unknown_backend(self, fit, tmp_path):
        with pytest.raises(PluginError, match=r"no backend 'cgam'. Did you mean 'cgan'\?"):
            fit(tmp_path / "run", backend="cgam")
        assert not (tmp_path / "run").exists()

    def test_without_progress_nothing_is_printed(self, fit, tmp_path, capsys):
        fit(tmp_path / "run", steps=2, progress=False)
        captured = capsys.readouterr()
        assert captured.out == captured.err == ""


class Painter(Toy):
    """Makes its samples of a condition; ``seen`` are the batches that its losses were given."""

    conditions = ("source",)
    seen: list[Batch] = []  # noqa: RUF012

    def generate(self, nets, inputs):
        return (inputs.conditions["source"] + super().generate(nets, inputs)).tanh()

    def loss(self, player, nets, batch, step):
        self.seen.append(batch)
        return super().loss(player, nets, batch, step)


class TestConditions:
    @pytest.fixture
    def pairs(self, tiny_set):
        """Items (x, label, {"source": x turned by a quarter}), and another condition that nobody needs."""
        return [(x, int(label), {"other": x, "source": x.rot90(1, (1, 2))}) for x, label in tiny_set]

    def test_a_backend_gets_those_that_it_needs_with_every_sample(self, train_toy, pairs):
        Painter.seen.clear()
        generator = train_toy(Painter, dataset=pairs, steps=2)
        assert [condition.name for condition in generator.spec.conditions] == ["source"]
        assert Painter.seen
        for batch in Painter.seen:
            assert list(batch.conditions) == ["source"]
            assert torch.equal(batch.conditions["source"], batch.x.rot90(1, (2, 3)))

    def test_one_that_is_missing_is_named_and_nothing_is_written(self, train_toy, pairs, tiny_set, tmp_path):
        for dataset in (tiny_set, [(*item[:2], {"other": item[0]}) for item in pairs]):
            with pytest.raises(InputError, match="item 0 of the dataset lacks the condition 'source'"):
                train_toy(Painter, dataset=dataset, steps=1)
            assert not (tmp_path / "toy").exists()

    def test_a_backend_that_needs_none_trains_as_without_them(self, fit, pairs, tmp_path):
        generator = fit(tmp_path / "run", dataset=pairs, steps=2)
        assert generator.spec.conditions == ()
        fit(tmp_path / "without", dataset=[item[:2] for item in pairs], steps=2)
        assert weights(tmp_path / "run") == weights(tmp_path / "without")

    def test_a_resumed_run_continues_bit_for_bit(self, train_toy, pairs, tmp_path):
        train_toy(Painter, dataset=pairs, steps=6)
        (tmp_path / "toy").rename(tmp_path / "reference")
        train_toy(Painter, dataset=pairs, steps=3)
        train_toy(Painter, dataset=pairs, steps=6, resume=True)
        assert_same_run(tmp_path / "toy", tmp_path / "reference")


class TestUnlabeledSamples:
    @pytest.fixture
    def partly(self, tiny_set):
        x, labels = tiny_set.tensors
        return TensorDataset(x, labels.where(torch.arange(len(labels)) % 3 > 0, -1))

    def test_a_backend_that_takes_them_gets_labels_of_minus_one(self, train_toy, partly):
        class Semi(Painter):
            conditions = ()
            takes_unlabelled = True

            def generate(self, nets, inputs):
                return Toy.generate(self, nets, inputs)

        Semi.seen.clear()
        generator = train_toy(Semi, dataset=partly, steps=5)
        labels = torch.cat([batch.labels for batch in Semi.seen])
        assert set(labels.tolist()) == {-1, 0, 1, 2, 3}
        assert generator.spec.num_classes == 4
        assert set(generator.sample(40, seed=0)[1].tolist()) <= {0, 1, 2, 3}

    def test_any_other_refuses_them(self, train_toy, partly, tmp_path):
        with pytest.raises(InputError, match="the dataset's labels must be 0 or more, got -1"):
            train_toy(Toy, dataset=partly, steps=1)
        assert not (tmp_path / "toy").exists()


class TestModalities:
    def test_a_backend_for_other_samples_is_refused(self, train_toy, tmp_path):
        class Sounds(Toy):
            modalities = ("sound", "series")

        with pytest.raises(
            InputError, match=r"backend 'toy' can't be trained on images: it is for samples of kind sound or series\."
        ):
            train_toy(Sounds, steps=1)
        assert not (tmp_path / "toy").exists()

    def test_a_backend_for_several_is_trained_on_each(self, train_toy):
        class Both(Toy):
            modalities = ("sound", "image")

        assert train_toy(Both, steps=1).spec.sample.kind == "image"


def test_all_kept_networks_are_saved_and_loaded_by_role(train_toy, tmp_path):
    class KeepsBoth(Toy):
        keeps = ("other", "generator")

        def generate(self, nets, inputs):
            return nets["other"](inputs.latents["z"]) * nets["generator"].weight

    generator = train_toy(KeepsBoth, steps=4)
    assert list(generator.nets) == ["other", "generator"]
    assert generator.network is generator.nets["other"]
    loaded = genaug.load(tmp_path / "toy", device="cpu")
    assert list(loaded.nets) == ["other", "generator"]
    assert torch.equal(loaded.sample(3, seed=0)[0], generator.sample(3, seed=0)[0])
