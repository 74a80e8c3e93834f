"""Exit codes and messages of the command line when something fails, on any console."""

import errno
import io
import os
import subprocess
import sys
from typing import get_args, get_type_hints

import pytest
from typer.testing import CliRunner

import genaug
from genaug.artifacts.paths import reading_from
from genaug.cli import app, printing
from genaug.errors import FormatError, InputError, ReadError
from genaug.escaping import escaped, in_html, one_line
from genaug.hub.sections import cell

HOSTILE = "a\x1b[31m\nb\r\x00\u202ec\udcff\u2028|`<b>[red]"


def failing(error, monkeypatch, *options):
    """The result of ``genaug plugins`` if ``error`` is raised in it."""

    def fail():
        raise error

    monkeypatch.setattr("genaug.backends.registry.discover", fail)
    return CliRunner().invoke(app, [*options, "plugins"])


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (InputError("use\nanother"), 1, "genaug: use another\n"),
        (
            PermissionError(errno.EACCES, "Permission denied", "a/b"),
            1,
            "genaug: a/b can't be accessed (Permission denied)",
        ),
        (
            OSError(errno.ENAMETOOLONG, "File name too long", "x" * 5000),
            1,
            "xxx can't be accessed (File name too long)",
        ),
        (RuntimeError("Symlink loop from 'x'"), 1, "links lead in a circle"),
        (MemoryError(), 1, "genaug: not enough memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), 1, "genaug: not enough memory"),
        (RecursionError("too deep"), 70, "genaug: unexpected error: RecursionError: too deep."),
        (ZeroDivisionError("x\n\x1b[31m"), 70, r"genaug: unexpected error: ZeroDivisionError: x \x1b[31m."),
        (KeyboardInterrupt(), 130, "genaug: interrupted."),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 1, ""),
    ],
)
def test_every_failure_ends_in_one_sentence_and_a_code(monkeypatch, error, code, message):
    result = failing(error, monkeypatch)
    assert result.exit_code == code
    assert message in result.stderr
    assert result.stderr.count("\n") == bool(message)
    assert result.stdout == ""


@pytest.mark.parametrize("error", [InputError("use another"), ZeroDivisionError("odd")])
def test_debug_shows_the_traceback_and_the_same_code(monkeypatch, error):
    plain, debug = failing(error, monkeypatch), failing(error, monkeypatch, "--debug")
    assert "Traceback" not in plain.stderr
    assert debug.stderr.startswith("Traceback (most recent call last)")
    assert debug.stderr.endswith(plain.stderr)
    assert debug.exit_code == plain.exit_code
    monkeypatch.setenv("GENAUG_DEBUG", "1")
    assert "Traceback" in failing(error, monkeypatch).stderr


def test_errors_of_the_system_name_the_path_and_become_ours():
    with pytest.raises(ReadError, match="given can't be accessed"), reading_from("given"):
        raise OSError(errno.EIO, "Input/output error")
    with pytest.raises(FormatError), reading_from("given"):
        raise FormatError("stays")
    with pytest.raises(ZeroDivisionError), reading_from("given"):
        raise ZeroDivisionError


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_locked_folder_is_named(tmp_path):
    (tmp_path / "locked").mkdir()
    (tmp_path / "locked").chmod(0)
    for call in (genaug.load, genaug.load_study):
        with pytest.raises(ReadError, match="locked"):
            call(tmp_path / "locked" / "run")


@pytest.mark.parametrize("call", [genaug.load, genaug.load_study])
def test_a_path_that_the_system_rejects_is_named(tmp_path, call):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(ReadError, match=r"a can't be accessed.*use a shorter one"):
        call(tmp_path / ("a" * 300))
    with pytest.raises((ReadError, FormatError), match="loop"):
        call(tmp_path / "loop")


def test_odd_names_are_escaped_in_messages_html_and_markdown():
    expected = r"a\x1b[31m\nb\r\x00\u202ec\udcff\u2028|`<b>[red]"
    assert escaped(HOSTILE) == expected
    assert escaped("Łoś, 猫, naïve, 👩\u200d🚒 – ×") == "Łoś, 猫, naïve, 👩\u200d🚒 – ×"
    assert one_line("two\n  lines\x07") == r"two lines\x07"
    assert str(InputError(HOSTILE)).isprintable()
    assert in_html(HOSTILE).isprintable() is False  # line breaks are kept
    assert in_html("<b>\u202e") == r"&lt;b&gt;\u202e"
    assert cell(HOSTILE) == r"a\\x1b\[31m b \\x00\\u202ec\\udcff \|'&lt;b&gt;\[red]"


def test_errors_derived_from_pythons_keep_their_message():
    for kind in (InputError, ReadError, genaug.errors.OutputExistsError, genaug.errors.SaveError):
        assert str(kind("what to do")) == "what to do"


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [("utf-8", "– × … Łoś 猫 ?"), ("cp1252", "– × … ?os ? ?"), ("ascii", "- x ... ?os ? ?")],
)
def test_characters_that_an_encoding_lacks_are_replaced(monkeypatch, encoding, expected):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)
    monkeypatch.setattr(sys, "stdout", stream)
    printing.use_any_console()
    print("– × … Łoś 猫 \udcff", end="")
    assert stream.buffer.getvalue().decode(encoding) == expected


@pytest.mark.parametrize("stream", [None, io.StringIO()])
def test_commands_run_without_a_console(monkeypatch, stream):
    if stream is not None:
        stream.close()
    monkeypatch.setattr(sys, "stdout", stream)
    printing.use_any_console()
    if stream is None:
        printing.say("anything")
    printing.give_up_stdout()


def test_a_table_prints_names_literally(capsys):
    table = printing.table("[b]t[/b]", ["name", "[x]"], [["[red]a[/nope]", ":smile:"], [HOSTILE, "1"]])
    printing.console().print(table)
    out = capsys.readouterr().out
    for text in ("[b]t[/b]", "[x]", "[red]a[/nope]", ":smile:", r"a\x1b[31m"):
        assert text in out
    assert "\x1b" not in out


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_behind_stdout_ends_in_one_sentence():
    code = "from genaug.cli import main; main()"
    with open("/dev/full", "w") as full:
        process = subprocess.run(
            [sys.executable, "-c", code, "plugins"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (process.returncode, process.stderr.count("\n")) == (1, 1)
    assert "No space left" in process.stderr


def test_a_closed_pipe_is_quiet():
    code = "from genaug.cli import main; main()"
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.run([sys.executable, "-c", code, "plugins"], stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (process.returncode, process.stderr) == (1, "")


BOUNDS = {
    "search": ["--batch-size", "--image-size", "--seed", "--steps", "--trials"],
    "train": [
        "--steps",
        "--freeze-discriminator",
        "--image-size",
        "--labels-per-class",
        "--batch-size",
        "--seed",
        "--checkpoint-every",
        "--threads",
        "--patience",
    ],
    "sample": ["--n", "--per-class", "--seed", "--shards", "--workers", "--threads"],
    "traverse": ["--seed", "--steps"],
    "study": ["--seeds", "--image-size", "--updates", "--batch-size", "--steps", "--workers"],
    "evaluate": [
        "--labels-per-class",
        "--training-seed",
        "--image-size",
        "--n",
        "--classifiers",
        "--updates",
        "--seed",
        "--threads",
    ],
    "anomaly": ["--steps", "--image-size", "--seed"],
    "translate": ["--image-size", "--seed", "--threads"],
    "demo": ["--seed"],
}


def test_every_number_of_every_command_has_bounds():
    """Read from the commands themselves, so that a new option can't be forgotten."""
    options = {}
    for command in app.registered_commands:
        for name, (kind, *annotations) in _options(command.callback):
            if int in (kind, *get_args(kind)):
                assert None not in (annotations[0].min, annotations[0].max), (command.callback, name)
                options.setdefault(command.callback.__name__, []).append("--" + name.replace("_", "-"))
    assert {name: sorted(flags) for name, flags in options.items()} == {n: sorted(o) for n, o in BOUNDS.items()}


def _options(callback):
    """Names and annotations, as (type, typer's option)."""
    hints = get_type_hints(callback, include_extras=True)
    return [(name, get_args(hint)) for name, hint in hints.items() if get_args(hint) and name != "return"]


@pytest.mark.parametrize("value", ["1e20", "9" * 20, "-1"])
@pytest.mark.parametrize("command", BOUNDS)
def test_numbers_out_of_bounds_are_usage_errors(command, value):
    rest = {"train": ["cgan"], "sample": ["x", "--out", "y"], "traverse": ["x", "--out", "y"], "evaluate": ["x"]}
    rest |= {"anomaly": ["x", "--data", "digits", "--out", "y"], "search": ["cgan"]}
    rest["translate"] = ["x", "--data", "digits", "--out", "y"]
    for option in BOUNDS[command]:
        result = CliRunner().invoke(app, [command, *rest.get(command, []), option, value])
        assert result.exit_code == 2, (option, result.output)


@pytest.mark.parametrize(
    "arguments",
    [
        {"steps": 10**8},
        {"steps": 10**5000},
        {"batch_size": 10**6},
        {"image_size": 10**5},
        {"checkpoint_every": 10**20},
        {"max_minutes": float("inf")},
        {"max_minutes": float("nan")},
    ],
)
def test_fit_rejects_numbers_out_of_bounds(arguments, tiny_set, tmp_path):
    with pytest.raises(InputError, match=next(iter(arguments))):
        genaug.fit("cgan", tiny_set, out=tmp_path / "run", **{"steps": 1, **arguments})
    assert not (tmp_path / "run").exists()


def test_more_images_than_fit_into_memory_are_rejected(make_generator):
    with pytest.raises(InputError, match="n must be 100,000,000 at most"):
        make_generator().sample(10**9)
    with pytest.raises(InputError, match=r"100,000,000 images need 2,384.2 GiB, more memory than there is"):
        make_generator(shape=(1, 80, 80)).sample(10**8, dtype=__import__("torch").float32)
