"""Who may write into a folder, what is replaced, and what a process leaves if it is killed at any point."""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from helpers.kills import killed_at

from genaug.artifacts import folders, locks
from genaug.artifacts.claims import claim, discard
from genaug.artifacts.folders import resolve, sweep, temporary_name
from genaug.artifacts.marker import Marker
from genaug.errors import InputError, OutputExistsError, SaveError

OLD = {"config.json": b"old", "0/a": b"1", "0/b": b"2", "1/c": b"3"}
NEW = {"config.json": b"new", "0/a": b"4", "2/d": b"5"}


def files(folder):
    """The files of a folder by name, without genaug's journals."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != ".genaug.jsonl")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def write(folder, contents, *, replace=False, keep=True, kind="samples"):
    with claim(folder, kind, replace=replace) as place, place.filling(keep=keep) as new:
        for name, content in contents.items():
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            (new / name).write_bytes(content)


class TestSingleFiles:
    def test_a_declared_file_is_written_at_once(self, tmp_path):
        with claim(tmp_path / "out", "samples") as place:
            place.declare(["a/0", "a/1"])
            place.put("a/0", b"0")
            assert files(tmp_path / "out") == {"a/0": b"0", ".genaug.lock": (place.path / ".genaug.lock").read_bytes()}
            place.put("a/0", b"1")
        assert files(tmp_path / "out") == {"a/0": b"1"}
        with claim(tmp_path / "out", "samples", replace=True) as place:
            assert place.files == {"a/0", "a/1"}

    def test_a_file_of_somebody_else_stays(self, tmp_path):
        with claim(tmp_path / "out", "samples") as place:
            (place.path / "b").write_bytes(b"mine")
            with pytest.raises(OutputExistsError, match="genaug didn't write what is there"):
                place.put("b", b"0")
            place.declare(["a/0"])
            (tmp_path / "far").mkdir()
            (place.path / "a").symlink_to(tmp_path / "far")
            with pytest.raises(OutputExistsError):
                place.put("a/0", b"0")
        assert (tmp_path / "out" / "b").read_bytes() == b"mine"
        assert not list((tmp_path / "far").iterdir())

    def test_what_a_killed_process_was_writing_is_removed(self, tmp_path):
        def write_one():
            with claim(tmp_path / "out", "samples", replace=True) as place:
                place.declare(["a"])
                place.put("a", b"0")

        point = 0
        while killed_at(point, write_one):
            with claim(tmp_path / "out", "samples", replace=True) as place:
                left = {path.name for path in place.path.iterdir()}
                assert left <= {"a", ".genaug.jsonl", ".genaug.lock"}, point
                place.clear()
            point += 1
        assert point > 3


class TestPaths:
    def test_a_missing_folder_in_a_path_does_not_lead_elsewhere(self, tmp_path):
        (tmp_path / "user").mkdir()
        (tmp_path / "user" / "thesis").write_text("mine")
        assert resolve(tmp_path / "nope" / ".." / "user") == tmp_path / "user"
        with pytest.raises(OutputExistsError, match="not empty"):
            write(tmp_path / "nope" / ".." / "user", {"a": b""})
        assert files(tmp_path) == {"user/thesis": b"mine"}

    def test_home_and_links(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        (tmp_path / "far").mkdir()
        (tmp_path / "link").symlink_to("far")
        (tmp_path / "dangling").symlink_to("away")
        write("~/link/out", {"a": b"1"})
        write("~/dangling", {"b": b"2"})
        assert files(tmp_path) == {"far/out/a": b"1", "away/b": b"2"}

    @pytest.mark.parametrize(
        ("path", "error"),
        [
            ("a" * 300, InputError),
            ("b/" * 3000, InputError),
            ("nul\0", InputError),
            ("~nobody-of-this-name/x", InputError),
            ("loop", InputError),
            ("file", OutputExistsError),
            ("file/x", SaveError),
            ("file/x/y", SaveError),
            ("link/x", SaveError),
        ],
    )
    def test_paths_that_cannot_be_folders_are_errors_with_a_sentence(self, tmp_path, monkeypatch, path, error):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "file").write_text("mine")
        (tmp_path / "loop").symlink_to("loop")
        (tmp_path / "link").symlink_to("file")
        with pytest.raises(error) as caught:
            write(path, {"a": b""})
        assert str(caught.value).endswith(".")
        assert files(tmp_path) == {"file": b"mine", "link": b"mine"}


class TestLock:
    def test_the_error_of_a_second_writer_names_the_first(self, tmp_path):
        with claim(tmp_path / "out", "run", what="a training run (cgan, seed 3)"):
            process = f"{os.getpid()} on {folders.this_process().host}"
            message = rf"is being written to by a training run \(cgan, seed 3\) \(process {process}, since 2.*Wait"
            for options in ({}, {"replace": True}, {"replace": True, "join": True}):
                with pytest.raises(OutputExistsError, match=message), claim(tmp_path / "out", "run", **options):
                    pass
        assert list(tmp_path.iterdir()) == []
        write(tmp_path / "out", {"a": b"1"})

    def test_another_process_gets_an_error_and_a_fork_releases_nothing(self, tmp_path):
        with claim(tmp_path / "out", "run") as place:
            place.write({"a": b"1"})
            script = (
                "import sys; from genaug.artifacts.claims import claim\n"
                "with claim(sys.argv[1], 'run', replace=True): pass"
            )
            done = subprocess.run([sys.executable, "-c", script, tmp_path / "out"], capture_output=True, text=True)
            assert "OutputExistsError" in done.stderr
            assert "is being written to by" in done.stderr
            if (child := os.fork()) == 0:
                with contextlib.suppress(BaseException), contextlib.ExitStack() as inherited:
                    inherited.push(place)
                os._exit(0)
            os.waitpid(child, 0)
            assert (tmp_path / "out" / ".genaug.lock").exists()
        assert not (tmp_path / "out" / ".genaug.lock").exists()

    def test_only_one_of_many_threads_gets_it(self, tmp_path):
        outcomes, start = [], threading.Barrier(8)

        def attempt():
            start.wait()
            try:
                with claim(tmp_path / "out", "run", replace=True) as place:
                    place.write({"a": b""})
                    time.sleep(0.5)
                outcomes.append("wrote")
            except OutputExistsError:
                outcomes.append("error")

        threads = [threading.Thread(target=attempt) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["error"] * 7 + ["wrote"]

    @pytest.fixture
    def left(self, tmp_path):
        """The lock that a killed process left."""
        script = "import sys; from genaug.artifacts.claims import claim\nwith claim(sys.argv[1], 'run'): input()"
        child = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "out")], stdin=subprocess.PIPE)
        lock = tmp_path / "out" / ".genaug.lock"
        while not lock.exists() or not lock.read_bytes():
            time.sleep(0.01)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        yield lock
        child.stdin.close()
        child.wait()

    def test_that_of_a_killed_process_is_taken_over_even_if_it_is_a_zombie(self, left):
        write(left.parent, {"a": b"1"}, kind="run")
        assert files(left.parent) == {"a": b"1"}

    def test_another_process_with_the_same_number_is_distinguished(self, left):
        fields = json.loads(left.read_bytes())
        left.write_text(json.dumps({**fields, "pid": os.getpid()}))
        write(left.parent, {"a": b"1"}, kind="run")
        if fields["started"]:
            own = folders.this_process()
            left.write_text(json.dumps({**fields, "pid": os.getppid(), "started": folders._start(os.getppid())}))
            with pytest.raises(OutputExistsError, match=f"process {os.getppid()}"):
                write(left.parent, {}, replace=True, kind="run")
            assert own.started

    @pytest.mark.parametrize("change", [{"host": "elsewhere"}, {"space": 1}])
    def test_that_of_another_host_or_container_is_not_taken_over(self, left, change):
        left.write_text(json.dumps({**json.loads(left.read_bytes()), **change}))
        with pytest.raises(
            OutputExistsError, match=rf"unknown whether it is still running: if it isn't, remove {left}\."
        ):
            write(left.parent, {}, replace=True, kind="run")
        left.unlink()
        write(left.parent, {"a": b""}, replace=True, kind="run")

    @pytest.mark.parametrize("content", [b"mine", b"{}", b"[" * 10**5, b'{"host": 1}'])
    def test_one_that_cannot_be_read_is_an_error_that_names_it(self, left, content):
        left.write_bytes(content)
        with pytest.raises(OutputExistsError, match=r"\.genaug\.lock is damaged, or genaug didn't write it"):
            write(left.parent, {}, replace=True, kind="run")
        assert left.read_bytes() == content

    def test_one_that_is_empty_was_left_by_a_kill(self, left):
        left.write_bytes(b"")
        write(left.parent, {"a": b"1"}, kind="run")
        assert files(left.parent) == {"a": b"1"}

    def test_a_link_instead_of_it_is_not_followed(self, tmp_path):
        (tmp_path / "thesis").write_text("")
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / ".genaug.lock").symlink_to("../thesis")
        with pytest.raises(SaveError):
            write(tmp_path / "out", {"a": b""})
        assert (tmp_path / "thesis").read_text() == ""


def test_a_process_that_lost_the_folder_does_not_write_to_it(tmp_path):
    out = tmp_path / "out"
    with claim(out, "run") as first:
        first.write({"a": b"1"})
        out.rename(tmp_path / "moved")
        with claim(out, "run") as second:
            second.write({"b": b"2"})
            for action in (lambda: first.write({"b": b"3"}), first.clear, first.check_held):
                with pytest.raises(SaveError, match="no longer held by this process"):
                    action()
        assert files(out) == {"b": b"2"}
    assert files(out) == {"b": b"2"}


class TestMarker:
    def test_only_what_it_lists_is_replaced_or_removed(self, tmp_path):
        out = tmp_path / "out"
        write(out, {"a": b"1", "sub/b": b"2", "sub/c": b"3"})
        (out / "sub" / "mine").write_bytes(b"mine")
        (out / "study.json").write_bytes(b"mine")
        write(out, {"a": b"4", "d/e": b"5"}, replace=True, keep=False)
        assert files(out) == {"a": b"4", "d/e": b"5", "sub/mine": b"mine", "study.json": b"mine"}
        before = files(out)
        for name in ("study.json", "sub/mine", "sub", "study.json/x"):
            message = f"out/{name.removesuffix('/x')} is needed.*left alone"
            with pytest.raises(OutputExistsError, match=message):
                write(out, {"a": b"6", name: b"7"}, replace=True, keep=False)
            assert files(out) == before
        discard(out)
        assert files(out) == {"sub/mine": b"mine", "study.json": b"mine"}

    def test_a_folder_without_one_is_left_alone_even_with_replace(self, tmp_path):
        (tmp_path / "run.json").write_text("{}")
        with pytest.raises(OutputExistsError, match=r"genaug didn't write what it contains \(run\.json"):
            write(tmp_path, {"a": b""}, replace=True)
        assert [path.name for path in tmp_path.iterdir()] == ["run.json"]

    def test_a_folder_of_another_kind_is_left_alone(self, tmp_path):
        write(tmp_path / "out", {"a": b""}, kind="study")
        with pytest.raises(OutputExistsError, match="contains a study, not samples"):
            write(tmp_path / "out", {"b": b""}, replace=True)

    def test_links_are_not_followed(self, tmp_path):
        out, far = tmp_path / "out", tmp_path / "far"
        write(out, {"sub/a": b"1", "b": b"2"})
        far.mkdir()
        (out / "sub" / "a").rename(far / "a")
        (out / "sub").rmdir()
        (out / "sub").symlink_to(far)
        (out / "b").rename(far / "b")
        (out / "b").symlink_to(far / "b")
        for name in ("sub/a", "b"):
            with pytest.raises(OutputExistsError, match="left alone"):
                write(out, {name: b"3"}, replace=True)
        write(out, {"c": b"3"}, replace=True, keep=False)
        discard(out)
        assert files(far) == {"a": b"1", "b": b"2"}
        assert (out / "b").is_symlink()

    @pytest.mark.parametrize(
        "name", ["../thesis", "/etc/passwd", "sub/../../thesis", "", "./a", "a//b", "a\\b", "a\0", ".genaug.lock", 3]
    )
    def test_names_that_lead_elsewhere_are_an_error(self, tmp_path, name):
        out = tmp_path / "out"
        write(out, {"a": b"1"})
        (tmp_path / "thesis").write_text("mine")
        with open(out / ".genaug.jsonl", "a") as file:
            file.write(json.dumps({"files": [name]}) + "\n")
        for action in (lambda: write(out, {"a": b"2"}, replace=True, keep=False), lambda: discard(out)):
            with pytest.raises(OutputExistsError, match="all are left alone"):
                action()
        assert files(tmp_path) == {"out/a": b"1", "thesis": b"mine"}

    @pytest.mark.parametrize("content", ["mine\n", "{}\n", '{"library": "genaug"}\n', "[" * 10**5 + "\n", "\xff\n"])
    def test_one_that_genaug_did_not_write_is_an_error(self, tmp_path, content):
        (tmp_path / ".genaug.jsonl").write_text(content)
        with pytest.raises(OutputExistsError, match="all are left alone"):
            write(tmp_path, {"a": b""}, replace=True)
        assert [path.name for path in tmp_path.iterdir()] == [".genaug.jsonl"]

    def test_a_line_that_was_cut_short_does_not_count(self, tmp_path):
        write(tmp_path / "out", {"a": b"1"})
        with open(tmp_path / "out" / ".genaug.jsonl", "a") as file:
            file.write('{"files": ["thes')
        write(tmp_path / "out", {"b": b"2"}, replace=True)
        assert Marker.read(tmp_path / "out").files == {"a", "b"}

    def test_a_failure_restores_everything_and_removes_new_files(self, tmp_path):
        with pytest.raises(KeyboardInterrupt), claim(tmp_path / "new" / "out", "samples"):
            raise KeyboardInterrupt
        assert list(tmp_path.iterdir()) == []
        write(tmp_path / "out", {"a": b"1"})
        with (
            pytest.raises(SaveError, match="No such file"),
            claim(tmp_path / "out", "samples", replace=True) as place,
            place.filling(keep=False) as new,
        ):
            (new / "missing" / "b").write_bytes(b"2")
        assert files(tmp_path / "out") == {"a": b"1"}


class TestKills:
    def test_at_every_point_of_a_new_folder(self, tmp_path):
        points, complete = 0, 0
        while True:
            out = tmp_path / str(points)
            if not killed_at(points, lambda out=out: write(out, NEW)):
                break
            points += 1
            try:
                with claim(out, "samples"):  # without replace=True
                    pass
                assert files(out) == {}
            except OutputExistsError:
                complete += 1
                assert files(out) == NEW
        assert points > 12
        assert 0 < complete < 8

    def test_at_every_point_of_a_replacement_all_is_old_or_all_is_new(self, tmp_path):
        points = 0
        outcomes = set()
        while True:
            out = tmp_path / str(points)
            write(out, OLD)
            (out / "0" / "mine").write_bytes(b"mine")
            if not killed_at(points, lambda out=out: write(out, NEW, replace=True, keep=False)):
                break
            points += 1
            with pytest.raises(OutputExistsError, match="not empty"):
                write(out, {"a": b""})
            content = files(out)
            assert content.pop("0/mine") == b"mine"
            assert content in (OLD, NEW)
            outcomes.add(content == NEW)
            assert [path.name for path in out.glob(".*")] == [".genaug.jsonl"]
            write(out, NEW, replace=True, keep=False)
            assert files(out) == {**NEW, "0/mine": b"mine"}
        assert outcomes == {False, True}
        assert points > 15

    def test_at_every_point_of_a_removal(self, tmp_path):
        points = 0
        while True:
            out = tmp_path / str(points)
            write(out, OLD)
            write(out / "nested", {"e": b"6"})
            (out / "nested" / "mine").write_bytes(b"mine")
            with claim(out, "samples", replace=True) as place:
                place.declare(["nested/"])
            if not killed_at(points, lambda out=out: discard(out)):
                break
            points += 1
            discard(out)
            assert files(out) == {"nested/mine": b"mine"}
        assert points > 12

    def test_files_that_the_owner_added_after_the_kill_stay(self, tmp_path):
        write(tmp_path / "out", OLD)
        point = 0
        while killed_at(point, lambda: write(tmp_path / "out", NEW, replace=True)):
            if list((tmp_path / "out").glob(".genaug-*/new/2/d")):
                (tmp_path / "out" / "2").mkdir(exist_ok=True)
                (tmp_path / "out" / "2" / "d").write_bytes(b"mine")
                break
            point += 1
        write(tmp_path / "out", {"x": b"y"}, replace=True)
        assert files(tmp_path / "out") == {**OLD, "2/d": b"mine", "x": b"y"}


class TestTemporaryFiles:
    def test_only_those_of_ended_processes_are_removed(self, tmp_path):
        def leave():
            (tmp_path / f".{temporary_name()}").write_bytes(b"0" * 1000)
            (tmp_path / f"blob.{temporary_name('incomplete')}").write_bytes(b"0" * 1000)

        if (child := os.fork()) == 0:
            leave()
            os._exit(0)
        os.waitpid(child, 0)
        (dead,) = tmp_path.glob(".genaug-*")
        leave()
        own = {path for path in tmp_path.iterdir() if f"-{os.getpid()}-" in path.name}
        elsewhere = tmp_path / dead.name.replace(folders._host_hash(), "0" * 8)
        mine = {elsewhere, tmp_path / ".rsync.part", tmp_path / ".mine.123-abcd.part", tmp_path / f"{dead.name}.txt"}
        for path in mine:
            path.write_text("mine")
        sweep(tmp_path)
        assert set(tmp_path.iterdir()) == own | mine

    def test_sweeping_a_missing_folder(self, tmp_path):
        sweep(tmp_path / "missing")


def test_a_lock_that_this_process_left_by_an_interruption_is_taken_over(tmp_path):
    """Between the creation of the lock and its entry in the list of own locks."""
    with claim(tmp_path / "out", "run"):
        content = (tmp_path / "out" / ".genaug.lock").read_bytes()
    (tmp_path / "out").mkdir()
    Path(tmp_path / "out" / ".genaug.lock").write_bytes(content)
    assert not locks._own_locks
    write(tmp_path / "out", {"a": b"1"})
