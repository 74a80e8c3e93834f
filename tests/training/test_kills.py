"""``kill -9`` at random moments, then ``--resume``: the final weights are those of a run that never stopped."""

import json
import random
import signal
import time

import pytest
from helpers.commands import run, start

from genaug.backends import registry

SMALL = ["--set", "width=4", "--set", "max_width=8"]  # every backend of genaug has these


def command(out, backend, steps, *more):
    options = ["--steps", steps, "--batch-size", 8, "--checkpoint-every", 20, "--device", "cpu"]
    options += ["--threads", 1]  # sums in another order have other last bits
    return ["train", backend, "--out", out, *options, *SMALL, *more]


def kill_at_random(out, log, delay, *command):
    """Start, let it get past its first checkpoint since, and kill it a random moment later; whether it was still
    running."""
    before = {path.name for path in (out / "checkpoints").glob("*.pt")}
    process = start(log, *command)
    deadline = time.monotonic() + 120
    while process.is_alive() and not {p.name for p in (out / "checkpoints").glob("*.pt")} - before:
        assert time.monotonic() < deadline, "no checkpoint in two minutes"
        time.sleep(0.005)
    time.sleep(delay)
    process.kill()
    process.join(60)
    return process.exitcode == -signal.SIGKILL


def metrics(out):
    """The log without its speeds."""
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in ("images_per_s", "seconds")} for line in lines]


def check_kills(backend, folder, kills, steps):
    reference, killed, log = folder / "reference", folder / "killed", folder / "log.txt"
    before = time.monotonic()
    run(log, *command(reference, backend, steps))
    longest = 0.1 * (time.monotonic() - before)
    seed = random.randrange(10**6)
    print(f"random moments from seed {seed}")
    draws, landed = random.Random(seed), 0
    for attempt in range(kills):
        words = command(killed, backend, steps, *(["--resume"] if attempt else []))
        landed += kill_at_random(killed, log, draws.uniform(0, longest), *words)
    assert landed >= 1, "training ended before any kill: take more steps"
    run(log, *command(killed, backend, steps, "--resume"))
    assert (killed / "model.safetensors").read_bytes() == (reference / "model.safetensors").read_bytes()
    assert metrics(killed) == metrics(reference)
    left = [path.name for path in killed.rglob(".*")]
    assert left == [".genaug.jsonl"], "a killed run left something behind"


def test_three_kills(tmp_path):
    check_kills("cgan", tmp_path, 3, steps=160)


@pytest.mark.slow
@pytest.mark.parametrize("backend", sorted(registry.discover().backends))
def test_ten_kills(backend, tmp_path):
    check_kills(backend, tmp_path, 10, steps=400)
