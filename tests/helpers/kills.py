"""Ends a process just before it changes the file system for the n-th time, like ``kill -9``.

``python kills.py run|study FOLDER START STRIDE`` does so with a training run or a study at every STRIDE-th point, and
prints a line of JSON for each, with the results of ``resume`` and ``overwrite`` in the folder. All work is done in
forks of a process that never trained, since torch can't train in the fork of a process that did.
"""

import contextlib
import importlib
import json
import os
import shutil
import sys
import warnings
from functools import partial
from pathlib import Path

CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate")


def killed_at(point, action):
    """Run ``action`` in a fork that ends at the ``point``-th change. Returns whether it reached that point."""
    child = os.fork()
    if child == 0:
        count = 0

        def hook(event, arguments):
            nonlocal count
            changes = event in CHANGES or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR))
            if changes and not str(arguments[0]).startswith("/dev"):
                count += 1
                if count > point:
                    os._exit(9)

        try:
            sys.addaudithook(hook)
            action()
            os._exit(0)
        except BaseException as error:
            print("in the child:", repr(error), file=sys.__stderr__, flush=True)
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 9)
    return code == 9


def in_a_fork(action):
    """The result of ``action`` in a fork, which must be JSON, or the ``repr`` of its error."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            result = action()
        except BaseException as error:
            result = repr(error)
        os.write(writer, json.dumps(result).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        content = file.read()
    os.waitpid(child, 0)
    return json.loads(content)


def train(out, **options):
    import genaug

    small = {"width": 4, "max_width": 8, "latent_size": 4}
    common = {"batch_size": 8, "checkpoint_every": 1, "device": "cpu", "precision": "float32", "progress": False}
    genaug.fit("cgan", DATA, out=out, steps=2, config=small, **common, **options)
    return (out / "model.safetensors").read_bytes().hex()[-64:], len((out / "metrics.jsonl").read_text().splitlines())


def study(out, **options):
    from helpers.toy import ToySet, linear

    import genaug
    from genaug.studies import Recipe

    generator = Recipe("cgan", steps=1, batch_size=2, config={"width": 4, "max_width": 8, "latent_size": 4})
    common = {"labels_per_class": 3, "seeds": 2, "ratios": (0.8,), "updates": 2, "batch_size": 8, "device": "cpu"}
    report = genaug.study(
        *(ToySet(20, 0), ToySet(20, 1)),
        sources={"generator": generator},
        classifier=linear,
        classic=keep,
        progress=False,
        **{**common, "out": out, **options},
    )
    return report.details["scores"], report.details["failures"]


def keep(image):
    return image


def main(kind, folder, start, stride):
    action = {"run": train, "study": study}[kind]
    folder = Path(folder)
    reference = in_a_fork(partial(action, folder / "reference"))
    for old in (False, True):  # a first one, and one that replaces another
        point = int(start)
        while True:
            out = folder / f"{old}-{point}"
            if old:
                shutil.copytree(folder / "reference", out)
            if not killed_at(point, partial(action, out, overwrite=old)):
                break
            out.mkdir(exist_ok=True)
            shutil.copytree(out, copy := out.with_name(f"{out.name}-copy"))
            outcome = {"old": old, "point": point}
            for option, where in (("resume", out), ("overwrite", copy)):
                result = in_a_fork(partial(action, where, **{option: True}))
                outcome[option] = "as never killed" if result == reference else result
                left = {path.name for pattern in (".*", "*.run") for path in where.rglob(pattern)}
                outcome[f"{option} leaves"] = sorted(left - {".genaug.jsonl"})
            print(json.dumps(outcome), flush=True)
            shutil.rmtree(out)
            shutil.rmtree(copy)
            point += int(stride)
        print(json.dumps({"old": old, "points": point}), flush=True)


if __name__ == "__main__":
    import torch
    from torch.utils.data import TensorDataset

    from genaug.backends import registry

    for module in (
        "torch._dynamo",
        "torch.utils.tensorboard",
        "matplotlib.pyplot",
        "genaug.studies.study",
        "helpers.toy",
    ):
        with contextlib.suppress(ImportError):
            importlib.import_module(module)  # once here instead of in every fork
    registry.resolve("cgan")
    warnings.simplefilter("ignore")  # a run to resume may have no checkpoint yet
    torch.set_num_threads(1)
    random = torch.Generator().manual_seed(0)
    DATA = TensorDataset(torch.randint(0, 256, (16, 1, 8, 8), generator=random).to(torch.uint8), torch.arange(16) % 4)
    main(*sys.argv[1:])
