"""``kill -9`` at random moments, then ``--resume``: the final weights are those of a run that never stopped."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from genaug.backends import registry

STEPS = 400
SMALL = ["--set", "width=4", "--set", "max_width=8"]  # every backend of genaug has these


def command(out, backend, *more):
    options = ["--steps", str(STEPS), "--batch-size", "8", "--checkpoint-every", "20", "--device", "cpu"]
    return [sys.executable, "-m", "genaug", "train", backend, "--out", str(out), *options, *SMALL, *more]


def train(out, backend, *more):
    """To the end; on one thread, as sums in another order have other last bits."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command(out, backend, *more), env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return result


def kill_at_random(out, backend, delay, *more):
    """Start, let it get past its first checkpoint since, and kill it a random moment later; None if it was faster."""
    before = {path.name for path in (out / "checkpoints").glob("*.pt")}
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command(out, backend, *more), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while process.poll() is None and not {p.name for p in (out / "checkpoints").glob("*.pt")} - before:
        assert time.monotonic() < deadline, "no checkpoint in two minutes"
        time.sleep(0.005)
    time.sleep(delay)
    process.kill()
    return process.wait(60) == -signal.SIGKILL


def metrics(out):
    """The log without its speeds."""
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in ("images_per_s", "seconds")} for line in lines]


def check_kills(backend, folder, kills):
    reference, killed = folder / "reference", folder / "killed"
    before = time.monotonic()
    train(reference, backend)
    longest = 0.1 * (time.monotonic() - before)
    seed = random.randrange(10**6)
    print(f"random moments from seed {seed}")
    draws, landed = random.Random(seed), 0
    for attempt in range(kills):
        landed += kill_at_random(killed, backend, draws.uniform(0, longest), *(["--resume"] if attempt else []))
    assert landed >= 1, "training ended before any kill: raise STEPS"
    train(killed, backend, "--resume")
    assert (killed / "model.safetensors").read_bytes() == (reference / "model.safetensors").read_bytes()
    assert metrics(killed) == metrics(reference)
    left = [path.name for path in killed.rglob(".*")]
    assert left == [".genaug.jsonl"], "a killed run left something behind"


def test_three_kills(tmp_path):
    check_kills("cgan", tmp_path, 3)


@pytest.mark.slow
@pytest.mark.parametrize("backend", sorted(registry.discover().backends))
def test_ten_kills(backend, tmp_path):
    check_kills(backend, tmp_path, 10)
