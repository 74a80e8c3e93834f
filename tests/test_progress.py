"""The lines that a long command prints without a terminal."""

import time

from genaug.progress import Progress


def test_a_line_of_progress_without_a_known_end_has_no_gap(capsys):
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
        "training:   0 %, about 30 s left  step 3",
    ]
