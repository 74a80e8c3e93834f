"""Pushing and loading in separate processes, as users do, with only environment variables that select the Hub."""

import hashlib
import os
import subprocess
import sys
import time

import pytest
from helpers.hub_faults import hung_in_the_body
from helpers.local_hub import LocalHub

from genaug.artifacts import manifest

SCRIPT = """
import hashlib, sys, genaug
generator = genaug.load("owner/digits", revision=sys.argv[1], device="cpu")
print(hashlib.sha256(generator.sample(40, seed=5)[0].numpy().tobytes()).hexdigest())
"""


@pytest.fixture
def run(tmp_path):
    """Runs Python in a fresh process whose environment selects this Hub and a separate cache."""
    hub = LocalHub()

    def run(*arguments, home="home", meanwhile=None, **environment):
        names = {
            **{name: value for name, value in os.environ.items() if not name.startswith("HF_")},
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(tmp_path / home),
            "HF_TOKEN": "hf_owner",
            "OMP_NUM_THREADS": "1",
            **environment,
        }
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen([sys.executable, *arguments], env=names, **pipes) as process:
            if meanwhile is not None:
                meanwhile(process)
            output, errors = process.communicate(timeout=300)
        assert process.returncode == 0 or meanwhile is not None, output + errors
        return output.strip()

    run.hub = hub
    yield run
    hub.close()


def test_publish_tag_and_load_in_fresh_processes(run, make_generator, tmp_path):
    generator = make_generator()
    folder = generator.save(tmp_path / "run")
    expected = hashlib.sha256(generator.sample(40, seed=5)[0].numpy().tobytes()).hexdigest()
    run("-m", "genaug", "push", str(folder), "owner/digits", "--license", "mit", "--tag", "v1.0")
    run.hub.put("owner/digits", {"config.json": b"{}"})  # the tag stays where it is
    assert run("-c", SCRIPT, "v1.0", home="fresh") == expected


@pytest.mark.slow
def test_without_a_network(run, make_generator):
    generator = make_generator()
    run.hub.repo("owner/digits", manifest.encode_generator(generator.manifest_fields(), generator.nets.state_dict()))
    loaded = run("-c", SCRIPT, "main")
    run.hub.close()
    assert run("-c", SCRIPT, "main", HF_HUB_OFFLINE="1") == loaded
    assert run("-c", SCRIPT, "main") == loaded  # with a warning on stderr


@pytest.mark.slow
def test_a_process_that_is_killed_in_the_middle_of_a_download(run, make_generator):
    generator = make_generator()
    run.hub.repo("owner/digits", manifest.encode_generator(generator.manifest_fields(), generator.nets.state_dict()))
    run.hub.fault("GET /cdn/", hung_in_the_body, times=1)

    def kill(process):
        while not run.hub.asked("GET /cdn/"):
            time.sleep(0.01)
        time.sleep(0.5)
        process.kill()

    assert run("-c", SCRIPT, "main", meanwhile=kill) == ""
    expected = hashlib.sha256(generator.sample(40, seed=5)[0].numpy().tobytes()).hexdigest()
    assert run("-c", SCRIPT, "main") == expected
