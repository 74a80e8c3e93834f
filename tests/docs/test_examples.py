"""The examples run as a user would run them, on a few images."""

import importlib.util
import re
from pathlib import Path

import pytest
from helpers.tiny_files import CIFAR_CLASSES, write_cifar10, write_jpegs

from genaug.testing import check_backend

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))


def imported(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_timm_train(make_generator, tmp_path, capsys):
    timm = pytest.importorskip("timm")
    make_generator((3, 16, 16), 2, ("dog", "cat")).save(tmp_path / "generator")
    write_jpegs(tmp_path / "photos" / "train", each=8)
    write_jpegs(tmp_path / "photos" / "val", each=2)
    script = imported(EXAMPLES / "timm_train.py")
    (model,) = timm.list_models("test_resnet")
    accuracy = script.main([
        str(tmp_path / "photos"), str(tmp_path / "generator"), "--model", model, "--img-size", "32",
        "--epochs", "2", "--batch-size", "6", "--workers", "0",
    ])  # fmt: skip
    assert accuracy in (0, 25, 50, 75, 100)
    assert re.findall(r"epoch (\d): training loss \d", capsys.readouterr().out) == ["0", "1"]


def test_torchvision_train(make_generator, tmp_path, monkeypatch, capsys):
    write_cifar10(tmp_path, monkeypatch)
    make_generator((3, 32, 32), 10, tuple(CIFAR_CLASSES)).save(tmp_path / "generator")
    script = imported(EXAMPLES / "torchvision_train.py")
    accuracy = script.main([
        str(tmp_path), str(tmp_path / "generator"), "--model", "squeezenet1_1",
        "--epochs", "2", "--batch-size", "50", "--workers", "0",
    ])  # fmt: skip
    assert accuracy % 5 == 0
    assert re.findall(r"epoch (\d): training loss \d", capsys.readouterr().out) == ["0", "1"]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_examples_are_short_and_genaug_takes_a_few_lines_of_them(path):
    lines = path.read_text().splitlines()
    assert len(lines) <= 80
    code = "\n".join(lines).split('"""', 2)[2].splitlines()
    assert 2 <= sum("genaug" in line or "augment" in line or "set_epoch" in line for line in code) <= 5


def test_the_plugin_keeps_the_contract(register_backend, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES / "plugin")
    from genaug_small_vae.backend import SmallVAE

    register_backend("small-vae", SmallVAE)
    assert {result.outcome for result in check_backend("small-vae")} == {"passed"}
    lines = sum(len(path.read_text().splitlines()) for path in (EXAMPLES / "plugin" / "genaug_small_vae").glob("*.py"))
    assert lines <= 100
