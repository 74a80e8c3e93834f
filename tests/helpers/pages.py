"""Pages of documentation as a reader follows them: their code blocks run one after another, in one folder.

Only training and measuring are cut short. A block that can't run here says so in the page, in a comment above its fence
that readers don't see: ``<!-- not run: takes minutes -->``.
"""

import importlib
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass

from helpers.quick_tables import few_modes_and_trees
from typer.testing import CliRunner

REASONS = {
    "installs packages",
    "needs a server",
    "needs several GPUs",
    "needs the real Hub",
    "takes minutes",
}
LANGUAGES = {"bash", "json", "python", "text", "toml"}
COMMAND = re.compile(r"^\s*(\$ |[A-Z_]+=\S+ )?(genaug|python|pip|hf|make|pytest|torchrun|mkdocs)\b", re.MULTILINE)
STEPS, BATCH, UPDATES, SEEDS, REPLICATES = 2, 8, 2, 2, 2
LABELLING = 80  # updates of the classifiers behind with_labels, which has to be sure of some samples

_FENCE = re.compile(
    r"^(?:<!-- not run: (?P<reason>.*?) -->\n+)?^(?P<fence>```+)(?P<info>[^\n]*)\n(?P<text>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)
_MARK = re.compile(r"<!--\s*not run")
_ANY_FENCE = re.compile(r"^\s*(```|~~~)", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A code block; ``line`` is that of its first line of code, ``reason`` why it isn't run, if it isn't."""

    language: str
    text: str
    line: int
    reason: str | None


def blocks_of(page):
    """The code blocks of a page in their order. Fails where a fence or a mark isn't of the form that is understood."""
    content = page.read_text()
    found = list(_FENCE.finditer(content))
    assert 2 * len(found) == len(_ANY_FENCE.findall(content)), f"{page}: a fence that isn't closed, or is indented"
    assert len(_MARK.findall(content)) == sum(match["reason"] is not None for match in found), (
        f"{page}: a mark that isn't right above a code block"
    )
    blocks = []
    for match in found:
        language = match["info"].split(" ")[0]
        line = content.count("\n", 0, match.start("text")) + 1
        assert language in LANGUAGES, f"{page}:{line}: no known language: {language!r}"
        assert match["reason"] is None or match["reason"] in REASONS, f"{page}:{line}: no known reason"
        blocks.append(Block(language, match["text"], line, match["reason"]))
    return blocks


def follow(page, folder, monkeypatch, **given):
    """Run the page's blocks in ``folder``: Python in one namespace, which starts with ``given``, and commands.

    A ``loader`` that a block makes gives one batch. Returns how many blocks ran.
    """
    monkeypatch.chdir(folder)
    cut_short(monkeypatch)
    names, ran = {"__name__": "__page__", **given}, 0
    for block in blocks_of(page):
        where = f"{page}:{block.line}"
        if block.reason is not None:
            continue
        if block.language == "python":
            before = names.get("loader")
            exec(compile("\n" * (block.line - 1) + block.text, str(page), "exec"), names)
            if names.get("loader") is not before:
                next(iter(names["loader"]))
        elif block.language == "bash":
            for command in commands_of(block.text):
                run_command(command, folder, where)
        elif block.language == "json":
            json.loads(block.text)
        elif block.language == "toml":
            tomllib.loads(block.text)
        else:
            assert not COMMAND.search(block.text), f"{where}: commands belong into a bash block, which is run"
            continue
        ran += 1
    return ran


def commands_of(text):
    """The lines of a shell block, with those that end in a backslash joined; comments left out."""
    lines = text.replace("\\\n", " ").splitlines()
    return [line for line in map(str.strip, lines) if line and not line.startswith("#")]


def run_command(command, folder, where):
    """``genaug`` in this process, which has imported torch already; anything else in a shell."""
    words = shlex.split(command, comments=True)
    if words[0] == "genaug":
        from genaug.cli import app

        done = CliRunner().invoke(app, words[1:])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, f"{where}: {command}\n{done.output}"
        return
    path = f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}"
    shell = ["bash", "-e", "-c", command]
    done = subprocess.run(shell, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, f"{where}: {command}\n{done.stdout}{done.stderr}"


def cut_short(monkeypatch):
    """Every training takes a few steps of small networks, a search two trials, a study few seeds."""
    import genaug
    from genaug.backends import registry

    few_modes_and_trees(monkeypatch)
    fit, study, evaluate, search = genaug.fit, genaug.study, genaug.evaluate, genaug.search
    train_classifier = importlib.import_module("genaug.nn.classifier").train_classifier

    def brief_fit(backend, *args, steps, batch_size=64, config=(), **rest):
        starts = not isinstance(backend, str) or "init" in rest or rest.get("resume")  # from networks of a size
        small = dict(config) if starts else {**dict(config), **registry.resolve(backend).tiny}
        return fit(backend, *args, steps=min(steps, STEPS), batch_size=min(batch_size, BATCH), config=small, **rest)

    def brief_study(train, *args, seeds=10, updates=500, **rest):
        if not hasattr(train, "read_rows"):  # classifiers of tables aren't trained in updates
            updates = min(updates, UPDATES)
            rest["batch_size"] = min(rest.get("batch_size", 64), BATCH)
        return study(train, *args, seeds=min(seeds, SEEDS), updates=updates, **rest)

    def brief_evaluation(*args, classifiers=3, **rest):
        return evaluate(*args, classifiers=min(classifiers, 1), replicates=REPLICATES, **rest)

    def brief_search(*args, steps=2000, trials=20, **rest):
        return search(*args, steps=min(steps, STEPS), trials=min(trials, 2), **rest)

    def brief_classifier(most):
        return lambda *args, updates, **rest: train_classifier(*args, updates=min(updates, most), **rest)

    def brief_training(*args, updates, **rest):
        return trained(*args, updates=min(updates, UPDATES), **rest)

    trained = importlib.import_module("genaug.nn.recurrent").trained
    briefer = {
        "genaug": {"fit": brief_fit, "study": brief_study, "evaluate": brief_evaluation, "search": brief_search},
        "genaug.integrations.generated_rows": {"default_steps": lambda _: STEPS},
        "genaug.training.fit": {"fit": brief_fit},
        "genaug.studies.sources": {"fit": brief_fit},
        "genaug.searches.search": {"search": brief_search},
        "genaug.searches.trials": {"fit": brief_fit},
        "genaug.studies.study": {"study": brief_study},
        "genaug.evaluation.evaluate": {"evaluate": brief_evaluation},
        "genaug.evaluation.scores": {"train_classifier": brief_classifier(UPDATES)},
        "genaug.evaluation.series_judges": {"trained": brief_training},
        "genaug.evaluation.series_prediction": {"trained": brief_training},
        "genaug.studies.networks": {"train_classifier": brief_classifier(UPDATES)},
        "genaug.labelling.learner": {"train_classifier": brief_classifier(LABELLING)},
    }
    for module, names in briefer.items():
        for name, brief in names.items():
            monkeypatch.setattr(importlib.import_module(module), name, brief)
