"""Random command lines over a folder of somebody's own files: ``python tests/helpers/fuzz_commands.py --commands 500``.

No command may end in a traceback or an unexpected error, hang, print a control character, or change a file that was
there. Ends with one line of JSON: how many commands ran, the exit codes, and what went wrong.
"""

import argparse
import collections
import hashlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

ODD_NAMES = ["[red]bold[/red]", "\x1b[31mred", "two\nlines", "right\u202eleft", "Łoś", "a b", "`|<script>`", "-n"]
NUMBERS = [
    "0",
    "1",
    "2",
    "3",
    "-1",
    "1e20",
    "9" * 20,
    "9" * 5000,
    "nan",
    "inf",
    "1e309",
    "0.5",
    "",
    " ",
    "٣",
    "x",
    "1_0",
]
DEVICES = ["cpu", "cuda", "cuda:99", "cuda:" + "9" * 30, "meta", "mps", "", "no such", "cpu:7", "xla", "\x1b[31m"]
SETTINGS = [
    "width=4",
    "width=1e20",
    "width=NaN",
    "width=-1",
    "=",
    "a",
    "a=b=c",
    "width=" + "[" * 5000,
    'x={"a":',
    "loss=\x1b",
]
SETTINGS += ["width=" + "9" * 5000, "latent_size=1e309", "\x1b[31m=3", "width=null", 'width="\\ud800"', "lr=Infinity"]
BACKENDS = ["cgan", "infogan", "wgan-gp", "mad-gan", "cgna", "", "../cgan", "\x1b[31m", "a" * 5000, "cgan\n", "ſ"]
REPOS = [
    "owner/name",
    "owner",
    "a/b/c",
    "",
    "own er/name",
    "\x1b/x",
    "../..",
    "owner/" + "n" * 300,
    "-x/y",
    "owner/name@main",
]

TEMPTING = ["picture.png", "link.png", "project", "nested/deep", "photos", "link", "notes.txt", "empty", ".hidden"]


def make_files(root: Path) -> None:
    """What a user may have: pictures, texts, files that are called as genaug's are, odd names, links, damage."""
    from PIL import Image

    drawn = random.Random(0)
    for folder in ("photos/cat", "photos/dog", "split/train/a", "split/train/b", "split/test/a", "split/test/b"):
        (root / folder).mkdir(parents=True)
        for number in range(4):
            pixels = bytes(drawn.randrange(256) for _ in range(8 * 8))
            Image.frombytes("L", (8, 8), pixels).save(root / folder / f"{number}.png")
    for name in ODD_NAMES:
        (root / "odd" / name).mkdir(parents=True)
        Image.new("RGB", (9, 7)).save(root / "odd" / name / "one.png")
    os.makedirs(os.path.join(os.fsencode(root), b"bytes", b"\xff\xfe"))
    Image.new("L", (8, 8)).save(root / "bytes" / "\udcff\udcfe" / "\udcff.png")
    (root / "broken" / "a").mkdir(parents=True)
    (root / "broken" / "a" / "empty.png").touch()
    (root / "broken" / "a" / "text.png").write_text("no picture")
    (root / "notes.txt").write_text("mine\n")
    (root / ".hidden").mkdir()
    (root / ".hidden" / "key").write_text("secret")
    (root / "empty").mkdir()
    (root / "picture.png").write_bytes((root / "photos" / "cat" / "0.png").read_bytes())
    foreign = {
        "study.json": '{"hypothesis": 5}',
        "cells.jsonl": '{"cell": 1}\nno JSON\n',
        "run.json": "[" * 5000,
        "report.json": '{"kind": "study", "format_version": 1e309}',
        "report.html": "<p>mine</p>",
        "config.json": '{"library": "genaug", "spec": {"sample": {"kind": "image", "channels": 1e309}}}',
        "model.safetensors": "\x08",
        "samples.json": '{"folders": 5}',
        "evaluation.json": '{"metrics": {"fid": "low"}}',
        "metrics.jsonl": '{"step": "one"}\n',
        "README.md": "---\na: &a [*a]\n---\nmine",
        "neighbours.png": "mine",
        "interpolation.png": "mine",
        "genaug.json": "{}",
    }
    for folder in ("project", "nested/deep"):
        (root / folder).mkdir(parents=True)
        for name, content in foreign.items():
            (root / folder / name).write_text(content)
        for name in ("generators", "checkpoints", "samples"):
            (root / folder / name).mkdir()
            (root / folder / name / "mine.txt").write_text("mine")
    (root / "link").symlink_to(root / "photos")
    (root / "link.png").symlink_to(root / "picture.png")
    (root / "dead").symlink_to(root / "nowhere")
    (root / "loop").symlink_to(root / "loop")
    os.mkfifo(root / "pipe")


def snapshot(root: Path) -> dict[str, str]:
    """What every file, folder and link is, by its path."""
    found = {}
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder, name)
            if path.is_symlink():
                found[str(path)] = f"link to {os.readlink(path)}"
            elif path.is_file():
                found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
            else:
                found[str(path)] = "folder" if path.is_dir() else "special"
    return found


class TimeIsUp(BaseException):
    """No ``Exception``, so that nothing goes on after it."""


class Lines:
    """Random command lines. ``mine`` are paths of the user's, ``generators`` those that load."""

    def __init__(self, seed: int, mine: list[str], generators: list[str]) -> None:
        self._random = random.Random(seed)
        self._mine, self._generators = mine, generators

    def line(self) -> list[str]:
        makers = [self.train, self.sample, self.traverse, self.evaluate, self.study, self.push, self.pull, self.other]
        makers += [self.anomaly, self.translate]
        words = self._random.choices(makers, [5, 5, 3, 2, 2, 2, 3, 3, 3, 2])[0]()
        if self._random.random() < 0.05:
            words.insert(
                self._random.randrange(len(words) + 1), self._random.choice(["--nonsense", "\x1b[31m", "--", ""])
            )
        return [*self._some(["--debug"], 0.03), *words]

    def train(self) -> list[str]:
        words = ["train", self._pick(BACKENDS, "cgan"), *self._data(), *self._out(0.9), *self._numbers("--batch-size")]
        words += self._numbers("--seed", "--labels-per-class", "--checkpoint-every", "--max-minutes", "--image-size")
        words += self._option("--set", SETTINGS) + self._option("--augment", ["translation", "x", "color", "\x1b"])
        words += self._option("--balance", ["uniform", "sqrt", "x", ""])
        words += self._option("--precision", ["auto", "float32", "bfloat16", "float16", ""])
        words += self._flags("--resume", "--overwrite")
        return [*words, "--device", self._pick(DEVICES, "cpu"), "--steps", self._pick(NUMBERS, "2"), *_TINY["train"]]

    def sample(self) -> list[str]:
        words = ["sample", self._source(), *self._out(0.95), *self._numbers("--seed"), *self._flags("--overwrite")]
        words += self._random.choice([["--n", self._small()], ["--per-class", self._small()], [], ["--n", "1"]])
        words += self._option("--class", ["0", "9", "ten", "", "-1", "9" * 30, "\x1b"]) + self._option(
            "--set", SETTINGS
        )
        return [*words, "--device", self._pick(DEVICES, "cpu")]

    def traverse(self) -> list[str]:
        words = ["traverse", self._source(), *self._out(0.95), *self._numbers("--seed"), *self._flags("--overwrite")]
        words += self._option("--labels", ["0", "0,1", "", ",", "99", "-1", "9" * 30, "a"])
        words += self._option("--axes", ["z.0", "z.0,z.1", "", "z", "z.99", "z." + "9" * 5000, "\x1b"])
        return [*words, "--steps", self._pick(NUMBERS, "2"), "--device", "cpu"]

    def translate(self) -> list[str]:
        words = ["translate", self._source(), *self._data(), *self._out(0.95), *self._flags("--overwrite")]
        words += self._option("--to", ["b", "", "zebra", "\x1b"]) + self._option("--split", ["test", "", "all"])
        return [*words, *self._numbers("--seed", "--image-size"), "--device", self._pick(DEVICES, "cpu")]

    def evaluate(self) -> list[str]:
        words = ["evaluate", self._source(), *self._data(), *self._out(0.7), *self._numbers("--labels-per-class")]
        words += self._numbers("--image-size", "--training-seed", "--seed") + self._flags("--overwrite", "--json")
        words += self._option("--features", ["pixels", "timm:", "timm:nope", "inception:", "", "\x1b"])
        words += self._option("--test-data", self._data_names())
        return [*words, "--device", "cpu", "--n", self._pick(NUMBERS, "200"), "--updates", "1", "--classifiers", "0"]

    def anomaly(self) -> list[str]:
        words = ["anomaly", self._source(), *self._data(), *self._out(0.95), *self._numbers("--image-size", "--seed")]
        words += self._option("--normal", self._data_names()) + self._some(["--normal", "digits"], 0.5)
        words += self._option("--method", ["reconstruction", "encoder", "discriminator", "", "\x1b"])
        words += self._numbers("--false-alarms") + self._flags("--overwrite", "--json")
        return [*words, "--steps", self._pick(NUMBERS, "2"), "--device", self._pick(DEVICES, "cpu")]

    def study(self) -> list[str]:
        words = ["study", *self._data(), *self._option("--source", [*BACKENDS, *self._generators]), *self._out(1)]
        words += self._option("--source", ["folder:photos", "photos", "folder:", "folder:nowhere"])
        words += self._numbers("--image-size") + self._option("--classifier", ["small", "timm:nope", "", "\x1b"])
        words += self._flags("--resume", "--overwrite", "--explore", "--json") + self._option("--set", SETTINGS)
        words += ["--ratio", self._pick(NUMBERS, "0.5"), "--seeds", self._pick(["0", "1", "1e20", "9" * 30], "2")]
        return [*words, "--updates", "1", "--steps", "1", "--labels-per-class", self._pick(["1", "9" * 9], "2")]

    def push(self) -> list[str]:
        words = [
            "push",
            self._source(),
            self._pick(REPOS, "owner/name"),
            "--dry-run",
            *self._flags("--force", "--json"),
        ]
        words += self._option("--license", ["mit", "", "no such license", "\x1b"])
        return (
            words
            + self._option("--tag", ["v1", "", "a b", "\x1b", "x" * 300])
            + self._option("--message", ["", "\x1b"])
        )

    def pull(self) -> list[str]:
        words = ["pull", self._pick(REPOS, "owner/name"), *self._out(0.5), *self._flags("--force", "--json")]
        return words + self._option("--revision", ["main", "", "a b", "..", "\x1b", "x" * 300])

    def other(self) -> list[str]:
        name = self._pick([*BACKENDS, *ODD_NAMES, "class", "_", "genaug"], f"mine{self._random.randrange(10**6)}")
        return self._random.choice(
            [
                ["plugins", *self._flags("--json")],
                ["new-plugin", name],
                ["check-backend", self._pick(["", "nope", "\x1b[31m", "a" * 5000], "nope"), *self._flags("--json")],
                ["check-backend", "cgan", "--set", self._random.choice(["a=1", "width=1e20", "=", "width=NaN"])],
                ["recipe", self._source(), *self._out(0.9), *self._option("--set", SETTINGS)],
                ["demo", "--seed", self._random.choice(["-1", "1e20", "nan", "9" * 30])],
                ["demo", "--out", self._random.choice([name for name in self._mine if name != "empty"])],
                [self._random.choice(["", "nonsense", "\x1b[31m", "--version", "--help", "train\n"])],
                [self._random.choice(["train", "sample", "study", "pull"]), "--help"],
                [self._random.choice(["sample", "traverse", "pull", "push", "new-plugin"])],
            ]
        )

    def _pick(self, odd: list[str], good: str, chance: float = 0.85) -> str:
        return good if self._random.random() < chance else self._random.choice(odd)

    def _some(self, words: list[str], chance: float) -> list[str]:
        return words if self._random.random() < chance else []

    def _option(self, name: str, values: list[str]) -> list[str]:
        return self._some([name, self._random.choice(values)], 0.2)

    def _numbers(self, *names: str) -> list[str]:
        return [word for name in names for word in self._some([name, self._pick(NUMBERS, "4")], 0.15)]

    def _small(self) -> str:
        return self._random.choice([number for number in NUMBERS if number != "1_0"])

    def _flags(self, *names: str) -> list[str]:
        return [word for name in names for word in self._some([name], 0.35)]

    def _paths(self) -> list[str]:
        odd = [
            "",
            ".",
            "..",
            "\0",
            "a" * 300,
            "a/" * 3000,
            "notes.txt/x",
            "link/new",
            "dead/x",
            "loop/x",
            "~nobody/x",
            "/dev/null",
        ]
        return [
            *odd,
            *self._mine,
            *self._mine,
            "\udcff",
            "x\ny",
            "bytes/\udcff\udcfe",
            "picture.png",
            "link.png",
            "pipe",
        ]

    def _out(self, chance: float) -> list[str]:
        odd = self._random.choice([self._paths(), TEMPTING])
        new = f"new/{self._random.randrange(40)}{self._random.choice(['', '', '.png'])}"
        return self._some(["--out", self._pick(odd, new, 0.6)], chance)

    def _source(self) -> str:
        odd = [*self._paths(), *REPOS, "folder:photos", "folder:broken", "folder:bytes", "folder:odd", "folder:"]
        return self._pick(odd, self._random.choice(self._generators))

    def _data_names(self) -> list[str]:
        odd = ["digits", "digts", "", "folder:", "torchvision:", "torchvision:MNIST", "torchvision:Nope", "\x1b[31m"]
        return [*odd, *(f"folder:{path}" for path in self._paths())]

    def _data(self) -> list[str]:
        good = self._random.choice(["digits", "folder:photos", "folder:split", "folder:odd"])
        return [
            *self._some(["--data", self._pick(self._data_names(), good)], 0.6),
            *self._option("--root", self._paths()),
        ]


_TINY = {"train": ["--set", "width=4", "--set", "max_width=8"]}


def run(words: list[str], seconds: float) -> tuple[int, str, str]:
    """Run one command here: its exit code, its output, and what went wrong otherwise ("" for nothing)."""
    from typer.testing import CliRunner

    from genaug.cli import app

    def too_long(number: int, frame: object) -> None:
        raise TimeIsUp

    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(int(seconds))
    try:
        result = CliRunner().invoke(app, words)
    except TimeIsUp:
        return -1, "", "hangs"
    finally:
        signal.alarm(0)
    wrong = []
    if result.exit_code not in (0, 1, 2) or not isinstance(result.exception, SystemExit | None):
        wrong.append(f"ends with {result.exit_code}, {result.exception!r}")
    if "Traceback" in result.output and "--debug" not in words:
        wrong.append("traceback")
    if result.exit_code == 1 and "genaug: " not in result.stderr and words[0] != "check-backend":
        wrong.append("no sentence")
    strange = sorted({sign for sign in result.output if not sign.isprintable() and sign != "\n"})
    if strange and "--debug" not in words:
        wrong.append(f"prints {strange}")
    return result.exit_code, result.output, ", ".join(wrong)


def fuzz(root: Path, commands: int, seed: int, seconds: float = 60, tell: bool = False) -> dict[str, object]:
    """Run so many commands in ``root``, which is filled first; what they did, and each that went wrong."""
    make_files(root)
    os.chdir(root)
    before = snapshot(root)
    mine = sorted(
        {str(Path(path).relative_to(root)) for path in before if Path(path).parent.parent in (root, root.parent)}
    )
    run(["train", "cgan", "--steps", "1", "--batch-size", "4", "--out", "made/cgan", *_TINY["train"]], seconds)
    run(["train", "infogan", "--steps", "1", "--batch-size", "4", "--out", "made/infogan", "--set", "width=4"], seconds)
    lines = Lines(seed, mine, ["made/cgan", "made/infogan"])
    codes, faults = collections.Counter[int](), []
    for number in range(commands):
        words = lines.line()
        began = time.monotonic()
        code, output, wrong = run(words, seconds)
        codes[code] += 1
        now = snapshot(root)
        changed = [path for path, state in before.items() if now.get(path) != state]
        if changed:
            wrong += f" changed {changed[:5]}"
            before = {path: state for path, state in now.items() if path in before}
        if wrong:
            shown = [word if len(word) < 100 else f"{word[:20]}… ({len(word)})" for word in words]
            faults.append({"number": number, "command": shown, "wrong": wrong.strip(", "), "output": output[-700:]})
        if tell:
            print(f"{number} {time.monotonic() - began:.1f} s {code} {words!r:.150} {wrong}", file=sys.stderr)
    return {"commands": commands, "seed": seed, "exit_codes": dict(sorted(codes.items())), "faults": faults}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commands", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tell", action="store_true", help="tell each command on stderr")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HOME": f"{folder}/hub", "HOME": f"{folder}/home", "COLUMNS": "200"}
        root = Path(folder, "user")
        root.mkdir()
        print(json.dumps(fuzz(root, options.commands, options.seed, tell=options.tell)))


if __name__ == "__main__":
    main()
