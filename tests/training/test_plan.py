"""A time budget becomes a number of steps, once, and a resumed run keeps it."""

import json
import signal
import time

import pytest

import genaug
from genaug import checks
from genaug.errors import InputError
from genaug.training import plan as planning, run as running
from genaug.training.plan import Budget, Plan
from genaug.training.trainer import Trainer


class Clock:
    """Stands for the module ``time``: it only advances in tests."""

    def __init__(self):
        self.now = time.monotonic()

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    """A step takes 0.5 s and a save 2 s; the start, including reading the data, took 3 s."""
    clock, make_step, write = Clock(), Trainer.step, running.write_checkpoint

    def slow_step(self, index):
        clock.now += clock.per_step
        return make_step(self, index)

    def slow_write(*arguments):
        clock.now += 2
        return write(*arguments)

    clock.per_step = 0.5
    monkeypatch.setattr(Trainer, "step", slow_step)
    monkeypatch.setattr(running, "write_checkpoint", slow_write)
    for module in (planning, running):
        monkeypatch.setattr(module, "time", clock)
    clock.began = clock.now
    clock.now += 3
    return clock


@pytest.fixture
def fit(tiny_config, tiny_set, monkeypatch):
    def run(out, *, began=None, **arguments):
        if began is not None:
            monkeypatch.setattr("genaug.training.fit.time", Frozen(began))
        settings = {"config": tiny_config, "batch_size": 8, "device": "cpu", "precision": "float32", "progress": False}
        return genaug.fit("cgan", tiny_set, out=out, **{**settings, **arguments})

    return run


class Frozen:
    def __init__(self, now):
        self.now = now

    def monotonic(self):
        return self.now


def record(folder):
    return json.loads((folder / "run.json").read_text())


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


@pytest.mark.parametrize("checkpoint_every", [20, 500])
def test_the_run_ends_with_the_budget(fit, tmp_path, clock, checkpoint_every):
    generator = fit(tmp_path, began=clock.began, max_minutes=2, checkpoint_every=checkpoint_every)
    assert 0.9 <= (clock.now - clock.began) / 120 <= 1
    assert record(tmp_path)["steps"] is None
    assert record(tmp_path)["planned_steps"] == generator.training["steps"]
    assert record(tmp_path)["planned_after"] == 20
    assert genaug.load(tmp_path, device="cpu").training["steps"] == generator.training["steps"]


def test_fast_steps_are_timed_for_longer(fit, tmp_path, clock):
    clock.per_step = 0.02
    fit(tmp_path, began=clock.began, max_minutes=1, steps=100)
    assert record(tmp_path)["planned_after"] == 80  # the first of 20, 40, 80, … after 1.2 s


def test_steps_are_an_upper_bound(fit, tmp_path, clock):
    assert fit(tmp_path, began=clock.began, steps=30, max_minutes=1).training["steps"] == 30
    assert clock.now - clock.began < 30


def test_on_a_machine_that_becomes_slower_the_run_ends_soon_after_the_limit(fit, tmp_path, clock, monkeypatch):
    fix = running.TrainingRun._fix_plan

    def fix_and_slow_down(*arguments):
        fix(*arguments)
        clock.per_step = 1.5

    monkeypatch.setattr(running.TrainingRun, "_fix_plan", fix_and_slow_down)
    generator = fit(tmp_path, began=clock.began, max_minutes=1)
    assert 1 <= (clock.now - clock.began) / 60 <= 1.1
    assert generator.training["steps"] < record(tmp_path)["planned_steps"]


@pytest.fixture
def thirty_steps(monkeypatch):
    """Plans 10 more steps after the first 20."""
    monkeypatch.setattr(Budget, "has_timed_enough", lambda self: True)
    monkeypatch.setattr(Budget, "steps_that_fit", lambda self, *_: 10)


@pytest.mark.filterwarnings("ignore:.* holds no complete checkpoint")
@pytest.mark.parametrize(("steps", "checkpoint_every"), [(None, 7), (500, 500)])
def test_a_resumed_run_keeps_the_plan_to_the_bit(fit, tmp_path, thirty_steps, monkeypatch, steps, checkpoint_every):
    """Interrupted after the plan was fixed, and once more with a crash that falls back to an earlier step."""
    budget = {"steps": steps, "max_minutes": 60, "checkpoint_every": checkpoint_every}
    fit(tmp_path / "reference", **budget)
    make_step = Trainer.step

    def interrupted(self, index):
        if index == 24:
            signal.raise_signal(signal.SIGTERM)
        return make_step(self, index)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", interrupted)
        with pytest.raises(SystemExit):
            fit(tmp_path / "run", **budget)
    assert record(tmp_path / "run")["planned_steps"] == 30
    for path in (tmp_path / "run" / "checkpoints").glob("step-0000002*"):
        if checkpoint_every == 7:
            path.unlink()  # as if it was killed before it could save after the step that fixed the plan
    assert fit(tmp_path / "run", resume=True).training["steps"] == 30
    assert weights(tmp_path / "run") == weights(tmp_path / "reference")


def test_rates_decay_over_the_planned_steps(fit, tmp_path, thirty_steps, monkeypatch):
    rates, make_step = {}, Trainer.step

    def noted(self, index):
        log = make_step(self, index)
        rates[index] = self.optimizers[0].param_groups[0]["lr"]
        return log

    monkeypatch.setattr(Trainer, "step", noted)
    fit(tmp_path, steps=500, max_minutes=60)
    first = rates[0]
    assert all(rates[index] == first for index in range(20))
    assert rates[29] == pytest.approx(first / 15)  # a decay over the last half of 30 steps


def test_a_longer_run_replaces_the_plan_and_a_shorter_one_is_rejected(fit, tmp_path, thirty_steps):
    fit(tmp_path, steps=500, max_minutes=60)
    assert fit(tmp_path, steps=500, resume=True).training["steps"] == 30  # the same call again
    with pytest.raises(InputError, match=r"steps was 30, now it is 29\. .*longer, not shorter"):
        fit(tmp_path, steps=29, resume=True)
    assert fit(tmp_path, steps=33, resume=True).training["steps"] == 33
    assert "planned_steps" not in record(tmp_path)


def test_a_run_without_a_length_is_rejected(fit, tmp_path):
    with pytest.raises(InputError, match=r"pass steps= \(--steps\), max_minutes="):
        fit(tmp_path / "run")
    assert not (tmp_path / "run").exists()
    fit(tmp_path / "run", max_minutes=1e-9)  # one step, and no plan yet
    with pytest.raises(InputError, match="stopped before its number of steps was fixed"):
        fit(tmp_path / "run", resume=True)
    assert fit(tmp_path / "run", steps=3, resume=True).training["steps"] == 3


def test_the_remaining_time_is_that_of_the_budget(fit, tmp_path, capsys):
    fit(tmp_path, steps=checks.STEPS, max_minutes=0.01, progress=True)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("training:")]
    assert lines
    assert all("about 1 s left" in line or "about 0 s left" in line for line in lines)


def test_before_the_plan_the_steps_argument_decides():
    plan = Plan(500, 30, 20)
    assert [plan.length(index) for index in (0, 19, 20, 29)] == [500, 500, 30, 30]
    assert plan.end == 30
    assert Plan(None).end is None
