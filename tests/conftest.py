"""Set before anything imports torch, matplotlib or albumentations, and without importing them."""

import gc
import multiprocessing
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))  # for tests/helpers, also in spawned workers, which inherit the path
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the tests run in two workers, whose threads would compete
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # or it asks a server for its newest version
os.environ.pop("GENAUG_DISABLE_PLUGINS", None)

# What processes of the start method "forkserver" have in memory; those of "spawn" take seconds to import it.
multiprocessing.get_context("forkserver").set_forkserver_preload(
    [
        *("genaug.cli.train", "genaug.training.fit", "genaug.blend.mixed", "genaug.studies.jobs"),
        *("sklearn.datasets", "torch._dynamo", "torchvision.transforms.v2"),
    ]
)

settings.register_profile("genaug", deadline=None)  # on busy cores anything may take long
settings.load_profile("genaug")


def pytest_collection_finish():
    """The garbage collector needn't search the libraries and thousands of tests that are in memory from here on."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def few_samples_for_statistics():
    """Trainings of a few steps would spend most of their time on the 4,096 samples for batch-norm statistics."""
    from genaug.training import statistics

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "SAMPLES", 256)
        yield


@pytest.fixture(scope="module")
def all_samples_for_statistics(few_samples_for_statistics):
    """Batch-norm statistics as outside of the tests."""
    from genaug.training import statistics

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "SAMPLES", 4096)
        yield


@pytest.fixture(scope="session")
def tiny_config():
    """Options that make the ``cgan`` backend small enough to train for a test."""
    return {"width": 4, "max_width": 8, "latent_size": 4}


@pytest.fixture(scope="session")
def tiny_set():
    """A dataset of 40 uint8 images 1x8x8 of four classes."""
    import torch
    from torch.utils.data import TensorDataset

    drawn = torch.Generator().manual_seed(0)
    return TensorDataset(torch.randint(0, 256, (40, 1, 8, 8), generator=drawn).to(torch.uint8), torch.arange(40) % 4)


@pytest.fixture(scope="module")
def no_table_pictures():
    """See ``helpers.quick_tables``."""
    from helpers.quick_tables import no_pictures

    with pytest.MonkeyPatch.context() as patch:
        no_pictures(patch)
        yield


@pytest.fixture(scope="module")
def quick_tables(no_table_pictures):
    """See ``helpers.quick_tables``."""
    from helpers.quick_tables import few_modes_and_trees

    with pytest.MonkeyPatch.context() as patch:
        few_modes_and_trees(patch)
        yield


@pytest.fixture
def make_generator(tiny_config):
    """Builds untrained ``cgan`` generators: ``make_generator(shape=(1, 8, 8), num_classes=4, ...)``."""
    import torch
    from torch import nn

    from genaug.backends import Spec, calls, registry
    from genaug.modalities.image import Image
    from genaug.sources.generator import Generator

    def make(shape=(1, 8, 8), num_classes=4, classes=None, weights_seed=0, **config):
        backend = registry.resolve("cgan")
        options = backend.Config(**{**tiny_config, **config})
        spec = backend.describe(options, Spec(sample=Image(*shape), classes=classes or num_classes))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(weights_seed)
            nets = calls.kept(backend, options, spec)
            for module in nets.modules():  # as if trained: classes differ, and images aren't all mid-gray
                if isinstance(module, nn.Embedding):
                    nn.init.normal_(module.weight, 1.0, 0.5)
        return Generator("cgan", backend, options, spec, nets, {"note": "untrained", "nothing": None})

    return make


@pytest.fixture
def register_backend():
    """Makes a backend class known under a name for one test, as an installed plugin would."""
    from genaug.backends import registry

    with ExitStack() as stack:
        yield lambda name, backend_class: stack.enter_context(registry.added(name, backend_class))


@pytest.fixture
def small_disk(tmp_path):
    """``small_disk("2m")`` mounts a disk of that size for the test; skips where that isn't allowed."""
    mounted = []

    def mount(size):
        disk = tmp_path / "disk"
        disk.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("no permission to mount a small disk")
        mounted.append(disk)
        return disk

    yield mount
    for disk in mounted:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.fixture
def quick_objectives(monkeypatch):
    """The objectives of a search with little training of their own."""
    from genaug.searches import objectives

    monkeypatch.setattr(objectives, "_UPDATES", 10)
    monkeypatch.setattr(objectives, "_GENERATED", 200)
    monkeypatch.setattr(objectives, "_STUDY", {"ratios": (0.5,), "seeds": 2, "updates": 5})
