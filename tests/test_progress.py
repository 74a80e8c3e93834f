"""The lines of progress that a long command prints without a terminal."""

import time

from genaug.progress import Progress


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
