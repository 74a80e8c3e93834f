"""The commands print on any console, and without one."""

import io
import os
import subprocess
import sys

import pytest
from rich.console import Console
from rich.table import Table

from genaug.cli.printing import use_any_console


@pytest.mark.parametrize(
    ("encoding", "text", "printed"),
    [
        ("cp1252", "−3 % … Łoś é", b"-3 % \x85 ?os \xe9"),
        ("ascii", "−3 × 4 ≥ 5 – é ﬁ 犬", b"-3 x 4 >= 5 - e fi ?"),
        ("utf-8", "−3 犬", "−3 犬".encode()),
    ],
)
def test_characters_that_a_console_lacks_are_replaced(monkeypatch, encoding, text, printed):
    out = {name: io.BytesIO() for name in ("stdout", "stderr")}
    for name, stream in out.items():
        monkeypatch.setattr(sys, name, io.TextIOWrapper(stream, encoding, newline=""))
    use_any_console()
    print(text, end="", flush=True)
    print(text, end="", file=sys.stderr, flush=True)
    assert [stream.getvalue() for stream in out.values()] == [printed, printed]


def test_a_table_is_printed_if_lines_cannot_be_drawn(monkeypatch):
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, "cp1252"))
    use_any_console()
    table = Table("arm", "gain")
    table.add_row("classic", "−0.5 ± 0.1")
    Console(highlight=False).print(table)
    sys.stdout.flush()
    assert "-0.5 ± 0.1" in out.getvalue().decode("cp1252")


def test_without_a_console_output_is_discarded(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    use_any_console()
    print("discarded")
    print("discarded, too", file=sys.stderr)
    sys.stdout.close()
    sys.stderr.close()


@pytest.mark.skipif(os.name != "posix", reason="closes the standard streams as a shell does")
def test_a_command_runs_with_closed_streams(tmp_path):
    small = "--steps 1 --batch-size 4 --labels-per-class 1 --set width=4 --set max_width=8 --device cpu"
    command = f"{sys.executable} -m genaug train cgan {small} --out run >&- 2>&- <&-"
    process = subprocess.run(["sh", "-c", command], cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert process.returncode == 0
    assert (tmp_path / "run" / "model.safetensors").is_file()
