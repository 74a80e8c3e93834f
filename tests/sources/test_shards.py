"""Shards hold the samples of an ordinary export, whoever writes them, and are readable by other tools."""

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time

import fsspec
import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder
from typer.testing import CliRunner

from genaug.cli import app
from genaug.errors import InputError, OutputExistsError, SaveError
from genaug.sources import shards
from genaug.sources.export import write_samples
from genaug.sources.shards import write_shards
from tests.helpers.fakes import FakeSource, UnlabelledSource


class Batched(FakeSource):
    batch_size = 8


def write(out, source=None, n=100, **options):
    return write_shards(source or Batched(), out, **{"n": n, "shards": 4, "seed": 3, "progress": False, **options})


def read_tars(paths):
    """The pixels and the class of each image by its number."""
    samples = {}
    for path in sorted(paths):
        with tarfile.open(path) as archive:
            files = {entry.name: archive.extractfile(entry).read() for entry in archive}
        for name, content in files.items():
            if name.endswith(".png"):
                label = files.get(name.replace(".png", ".cls"))
                pixels = np.asarray(Image.open(io.BytesIO(content)))
                samples[int(name.removesuffix(".png"))] = pixels, None if label is None else int(label)
    return samples


@pytest.mark.parametrize("options", [{"n": 100}, {"n": None, "per_class": 25}, {"n": 40, "classes": ["1", "3"]}])
def test_the_images_are_those_of_an_ordinary_export(tmp_path, options):
    count = write(tmp_path / "shards", **options)
    samples = read_tars((tmp_path / "shards").glob("*.tar"))
    assert sorted(samples) == list(range(count))
    folder = write_samples(Batched(), tmp_path / "folder", seed=3, progress=False, **options)
    others = ImageFolder(folder)
    assert len(others) == count
    ordered = sorted(samples.values(), key=lambda pair: pair[1])  # stable: a class's images stay in order
    for (pixels, label), (image, other) in zip(ordered, others, strict=True):
        assert np.array_equal(pixels, np.asarray(image)[..., 0])
        assert int(others.classes[other]) == label


def test_names_say_how_many_there_are_and_the_record_what_they_are(tmp_path):
    assert write(tmp_path) == 100
    assert sorted(path.name for path in tmp_path.glob("*.tar")) == [f"{i:05d}-of-00004.tar" for i in range(4)]
    record = json.loads((tmp_path / "samples.json").read_text())
    assert record["complete"] is True
    assert (record["count"], record["shards"], record["form"], sum(record["counts"])) == (100, 4, "tar", 100)


def test_files_are_the_same_bytes_each_time(tmp_path):
    for name in ("one", "two"):
        write(tmp_path / name)
    for path in (tmp_path / "one").glob("*.tar"):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_shards_without_labels_hold_images_only(tmp_path):
    class Unlabelled(UnlabelledSource):
        batch_size = 8

    write(tmp_path, Unlabelled())
    assert {label for _, label in read_tars(tmp_path.glob("*.tar")).values()} == {None}


def test_a_stopped_export_writes_only_what_is_missing(tmp_path):
    class Stopping(Batched):
        left = 5

        def sample(self, n=None, **options):
            type(self).left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            return super().sample(n, **options)

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "stopped", Stopping())
    ready = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "stopped").glob("*.tar")}
    assert len(ready) == 1
    Stopping.left = 1000
    write(tmp_path / "stopped", Stopping())
    write(tmp_path / "other", Stopping())
    for path in (tmp_path / "other").glob("*.tar"):
        assert path.read_bytes() == (tmp_path / "stopped" / path.name).read_bytes()
    assert all((tmp_path / "stopped" / name).stat().st_mtime_ns == at for name, at in ready.items())


def test_other_settings_and_other_files_are_left_alone(tmp_path):
    write(tmp_path / "shards")
    before = {path.name: path.read_bytes() for path in (tmp_path / "shards").iterdir()}
    for options, message in (
        ({"seed": 4}, "seed was 3, now it is 4"),
        ({"shards": 2}, "shards was 4, now it is 2"),
        ({"source": Batched(shape=(1, 5, 5))}, "shape was"),
    ):
        with pytest.raises(OutputExistsError, match=message):
            write(tmp_path / "shards", **options)
    with pytest.raises(OutputExistsError, match="other settings"):
        write_samples(Batched(), tmp_path / "shards", n=100, seed=3, progress=False)
    assert {path.name: path.read_bytes() for path in (tmp_path / "shards").iterdir()} == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(OutputExistsError, match="genaug didn't write"):
        write(tmp_path / "mine")
    write(tmp_path / "shards", shards=2, overwrite=True)
    assert len(list((tmp_path / "shards").glob("*.tar"))) == 2


def test_a_url_gets_the_same_files_and_is_continued(tmp_path):
    url = f"memory://{tmp_path.name}"
    write(url)
    write(tmp_path / "local")
    system = fsspec.filesystem("memory")
    for path in (tmp_path / "local").glob("*.tar"):
        assert system.cat_file(f"/{tmp_path.name}/{path.name}") == path.read_bytes()
    system.rm_file(f"/{tmp_path.name}/00002-of-00004.tar")
    write(url)
    assert system.exists(f"/{tmp_path.name}/00002-of-00004.tar")
    with pytest.raises(OutputExistsError, match="seed was 3, now it is 9"):
        write(url, seed=9)
    with pytest.raises(InputError, match="Remove those at the URL first"):
        write(url, overwrite=True)
    system.pipe_file("/other/notes.txt", b"mine")
    with pytest.raises(OutputExistsError, match=r"other files, such as notes\.txt"):
        write("memory://other")


def test_parquet_files_are_what_datasets_reads(tmp_path):
    pytest.importorskip("pyarrow", reason="writes Parquet")
    from pyarrow import parquet

    write(tmp_path / "parquet", form="parquet")
    write(tmp_path / "tar")
    samples = read_tars((tmp_path / "tar").glob("*.tar"))
    table = parquet.read_table(tmp_path / "parquet" / "00001-of-00004.parquet")
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert features["image"]["_type"] == "Image"
    for row in table.to_pylist():
        pixels, label = samples[int(row["image"]["path"].removesuffix(".png"))]
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(row["image"]["bytes"]))), pixels)
        assert row["label"] == label


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shards": 14}, r"100 images in batches of 8 don't suffice for 14 shards.*at most shards=13"),
        ({"shards": 0}, "shards must be"),
        ({"form": "zip"}, "form must be one of 'tar', 'parquet'"),
        ({"engine": "spark"}, "engine must be"),
        ({"workers": 2}, "is for engine='ray'"),
        ({"per_class": 3}, "pass either n"),
        ({"out": "nonsense://bucket/x"}, "can't be opened"),
        ({"out": "gs://bucket/x"}, "can't be opened .*gcsfs"),
    ],
)
def test_arguments_that_cannot_be_used(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        write(options.pop("out", tmp_path / "out"), **options)
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_reported(small_disk):
    disk = small_disk("1M")
    with pytest.raises(SaveError, match="The disk is full"):
        write(disk / "out", n=2000)


def test_the_command_writes_shards(tmp_path):
    arguments = ["sample", "model_cards/digits-cgan", "--n", "3000", "--out", str(tmp_path / "out"), "--seed", "5"]
    result = CliRunner().invoke(app, [*arguments, "--shards", "3"])
    assert result.exit_code == 0, result.output
    assert "3,000 images in" in result.output
    assert len(list((tmp_path / "out").glob("*.tar"))) == 3
    result = CliRunner().invoke(app, [*arguments, "--engine", "ray"])
    assert result.exit_code == 2
    assert "--shards" in result.output


def test_ray_that_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'genaug\[ray\]'"):
        write(tmp_path / "out", engine="ray")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("place", ["folder", "memory://elsewhere"])
def test_shards_that_went_elsewhere_are_missed(tmp_path, monkeypatch, place):
    out = place if "://" in place else tmp_path / place
    monkeypatch.setattr(shards, "check_ray", lambda: None)
    monkeypatch.setattr(shards, "run", lambda write, missing, workers: iter([25] * len(missing)))
    with pytest.raises(SaveError, match=r"4 shards, such as 00000-of-00004\.tar, aren't in .*don't share this place"):
        write(out, engine="ray")


def test_a_damaged_record_at_a_url_is_left_alone():
    fsspec.filesystem("memory").pipe_file("/damaged/samples.json", b"{bad")
    with pytest.raises(OutputExistsError, match=r"memory://damaged contains samples .*json is missing or damaged"):
        write("memory://damaged")


@pytest.mark.slow
def test_two_processes_of_ray_write_what_one_process_does_and_continue_after_a_kill(tmp_path):
    pytest.importorskip("ray", reason="generates on Ray")
    command = [sys.executable, "-m", "genaug", "sample", "model_cards/digits-cgan", "--n", "60000", "--shards", "12"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def start(name, *arguments):
        return subprocess.Popen([*command, "--out", str(tmp_path / name), *arguments], env=environment)

    ray = ("--engine", "ray", "--workers", "2")
    process = start("ray", *ray)
    deadline = time.monotonic() + 300
    while len(list((tmp_path / "ray").glob("*.tar"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    ready = {path: path.stat().st_mtime_ns for path in (tmp_path / "ray").glob("*.tar")}
    assert 2 <= len(ready) < 12
    assert start("ray", *ray).wait() == 0
    assert start("one").wait() == 0
    assert all(path.stat().st_mtime_ns == at for path, at in ready.items())
    assert len(list((tmp_path / "one").glob("*.tar"))) == 12
    for path in (tmp_path / "one").glob("*.tar"):
        assert path.read_bytes() == (tmp_path / "ray" / path.name).read_bytes()
