"""The lines of progress that a long command prints without a terminal."""

import time

from genaug.progress import Progress


def test_a_bar_within_another_one_prints_nothing(capsys):
    with Progress("outer", 2) as outer:
        with Progress("inner", 2) as inner:
            inner.tell("one", now=True)
        outer.tell("two", now=True)
    with Progress("silent", 2, enabled=False), Progress("next", 2) as next_one:
        next_one.tell("three", now=True)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["outer", "next"]


def test_parts_that_arent_known_are_left_out_of_a_line(capsys):
    with Progress("training", None) as progress:
        progress.tell("step 1", now=True)
        progress.limit(time.monotonic() + 30.4)
        progress.tell("step 2", now=True)
        progress.set_total(4)
        progress.tell("step 3", now=True)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "training: step 1",
        "training: about 30 s left  step 2",
        "training:   0%, about 30 s left  step 3",
    ]
