"""A long training needs no more memory than a short one."""

import os
import subprocess
import sys
import textwrap

import pytest

SCRIPT = """
    import sys, genaug
    from genaug.data import load_data
    from genaug.training.run import TrainingRun

    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096 / 2**20

    step = TrainingRun.step
    def measured(self, index):
        step(self, index)
        if index in (500, 4999):
            print(resident())
    TrainingRun.step = measured
    small = {"width": 8, "max_width": 16}
    genaug.fit("cgan", load_data("digits"), out=sys.argv[1], steps=5000, batch_size=16, config=small, device="cpu")
"""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads the resident memory from /proc")
def test_memory_grows_by_at_most_20_mb_from_step_500_to_5000(tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(tmp_path / "run")]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    assert result.returncode == 0, result.stderr
    early, late = map(float, result.stdout.split()[:2])
    assert late - early <= 20, f"{early:.0f} MiB at step 500, {late:.0f} MiB at step 5,000"
