"""Files that would run code or exhaust the memory: each is rejected with a message, and nothing happens."""

import gc
import resource
import sys
import time
from pathlib import Path
from tempfile import mkdtemp

import pytest
from helpers.hostile_pickles import cases

import genaug
from genaug.conversion.contents import read
from genaug.conversion.listing import sections
from genaug.errors import FormatError, ReadError

MARK = Path(mkdtemp()) / "executed"
CASES = cases(MARK)


@pytest.fixture(scope="module")
def executions():
    """What has been executed, opened for writing or imported since the list was emptied."""
    events = []

    def hook(event, args):
        if event in ("exec", "os.system", "subprocess.Popen", "os.posix_spawn", "pickle.find_class", "socket.connect"):
            events.append((event, args[:1]))

    sys.addaudithook(hook)
    return events


def test_there_are_enough_of_them():
    assert len(CASES) >= 60


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_file_is_rejected_quickly_and_changes_nothing(name, tmp_path, executions):
    content, expected = CASES[name]
    file = tmp_path / "file.pkl"
    file.write_bytes(content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    executions.clear()
    gc.collect()
    start = time.process_time()
    with pytest.raises(FormatError) as error:
        read(file)
    seconds = time.process_time() - start
    assert seconds < 1
    assert not executions
    message = str(error.value)
    assert any(part in message for part in expected), message
    assert str(file) in message
    assert len(message) < 500 + len(str(file))
    with pytest.raises(FormatError):
        genaug.convert(file, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.pkl"]
    assert not MARK.exists()
    scale = 1 if sys.platform == "darwin" else 1024
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * scale
    assert grown <= 2 * len(content) + 64 * 2**20


def test_inert_objects_of_known_packages_are_listed_but_never_made(tmp_path, executions):
    content = b"\x80\x02}X\x01\x00\x00\x00xctraining.evil\nrun\n(X\x02\x00\x00\x00rmtRs."
    (tmp_path / "a.pkl").write_bytes(content)
    executions.clear()
    titles = {title: rows for title, _, rows in sections(read(tmp_path / "a.pkl"))}
    assert titles["Other entries"] == [("x", "training.evil.run")]
    assert not executions


def test_names_that_a_terminal_would_obey_are_escaped(tmp_path):
    (tmp_path / "a.pkl").write_bytes(b"c\x1b[31mos\nsystem\n.")
    with pytest.raises(FormatError, match=r"\\x1b") as error:
        read(tmp_path / "a.pkl")
    assert "\x1b" not in str(error.value)


@pytest.mark.parametrize("place", ["missing.pkl", "folder", "/dev/zero", "a\0b"])
def test_what_is_no_file_is_rejected(place, tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(genaug.GenaugError):
        read(tmp_path / place)


@pytest.mark.parametrize("place", ["missing.pkl", "owner/name", "https://hub/network.pkl"])
def test_what_is_not_on_this_machine_is_named(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ReadError, match=f"there is no file {place} here.*convert downloads nothing"):
        read(place)


@pytest.mark.parametrize("path", [None, 3, b"network.pkl", ["network.pkl"]])
def test_what_cannot_be_a_path_is_named(path, tmp_path):
    (tmp_path / "a.pkl").write_bytes(b"x")
    for call in (lambda: genaug.convert(path, tmp_path / "out"), lambda: genaug.load(path)):
        with pytest.raises(genaug.errors.InputError, match=type(path).__name__):
            call()


def test_a_pipe_is_rejected_without_waiting(tmp_path):
    import os

    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FormatError, match="not a file"):
        read(tmp_path / "pipe")


def test_a_file_beyond_the_limit_is_rejected(tmp_path):
    file = tmp_path / "large.pkl"
    with open(file, "wb") as large:
        large.truncate(2**34 + 1)
    with pytest.raises(FormatError, match="limit"):
        read(file)


def test_a_sparse_file_of_gigabytes_costs_nothing(tmp_path):
    file = Path(tmp_path / "sparse.pkl")
    with open(file, "wb") as sparse:
        sparse.write(b"\x80\x04\x8e" + (2**33).to_bytes(8, "little"))
        sparse.truncate(2**33 + 100)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(FormatError):
        read(file)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**16
