"""The steps of a new user outside the checkout: install the wheels of genaug and of a plugin, and use them."""

import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from helpers.tiny_files import write_jpegs

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r'^```(\w+)(?: title="(.*?)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
STEPS = re.compile(r"(steps[= ])2000\b")

pytestmark = pytest.mark.slow


class Environment:
    """A virtual environment that sees every package installed here except genaug and its plugins."""

    def __init__(self, folder):
        self.home = folder / "venv"
        venv.create(self.home, symlinks=os.name != "nt")
        paths = {"base": str(self.home), "platbase": str(self.home)}
        self.site = Path(sysconfig.get_path("purelib", "venv", paths))
        self.scripts = Path(sysconfig.get_path("scripts", "venv", paths))
        others = folder / "others"
        others.mkdir()
        for path in map(Path, sys.path):
            for entry in path.iterdir() if path.name in ("site-packages", "dist-packages") else ():
                ours = entry.name.startswith(("genaug", "_editable_impl_genaug")) or entry.suffix == ".pth"
                if not ours and not (others / entry.name).exists():
                    (others / entry.name).symlink_to(entry)
        (self.site / "others.pth").write_text(f"{others}\n")
        offline = {"pip": 'pip --isolated "$1" --no-index --no-build-isolation "${@:2}"', "pytest": 'pytest "$@"'}
        for name, command in offline.items():
            (self.scripts / name).write_text(f"#!/bin/bash\nexec {self.scripts}/python -m {command}\n")
            (self.scripts / name).chmod(0o755)

    def run(self, command, cwd, fails=False):
        variables = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
        path = f"{self.scripts}{os.pathsep}{variables['PATH']}"
        process = subprocess.run(
            ["bash", "-e", "-c", command], cwd=cwd, env={**variables, "PATH": path}, capture_output=True, text=True
        )
        assert bool(process.returncode) == fails, process.stdout + process.stderr
        return process.stdout + process.stderr

    def uninstall(self, name, cwd):
        self.run(f"python -m pip uninstall --yes {name}", cwd)

    def backends(self, cwd):
        report = json.loads(self.run("genaug plugins --json", cwd))
        assert report["problems"] == []
        return {backend["name"]: backend["distribution"] for backend in report["backends"]}

    def installed(self):
        return {path.name for folder in (self.site, self.scripts) for path in folder.iterdir()} - {"__pycache__"}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheels")
    for project in (ROOT, ROOT / "examples" / "plugin"):
        command = [
            sys.executable,
            "-m",
            "pip",
            "--isolated",
            "wheel",
            "--no-index",
            "--no-build-isolation",
            "--no-deps",
        ]
        subprocess.run([*command, "--wheel-dir", folder, project], check=True, capture_output=True)
    return {path.name.split("-")[0]: path for path in folder.glob("*.whl")}


@pytest.fixture(scope="module")
def environment(tmp_path_factory, wheels):
    """An environment with genaug's wheel, which is uninstalled without a trace at the end."""
    folder = tmp_path_factory.mktemp("environment")
    new = Environment(folder)
    before = new.installed()
    new.run(f"pip install {wheels['genaug']}", folder)
    where = new.run("python -c 'import genaug; print(genaug.__file__)'", folder)
    assert Path(where.strip()).is_relative_to(new.site)
    yield new
    new.uninstall("genaug", folder)
    assert new.installed() == before


def blocks(page):
    """(language, title, text) of each code block, with shorter trainings."""
    matches = BLOCK.findall((ROOT / page).read_text())
    return [(language, title, STEPS.sub(r"\g<1>20", text)) for language, title, text in matches]


def test_the_quickstart(environment, tmp_path):
    first = next(text for language, _, text in blocks("README.md") if language == "python")
    (tmp_path / "quickstart.py").write_text(f"{first}images, labels = next(iter(loader))\nprint(tuple(images.shape))\n")
    assert "(64, 1, 8, 8)" in environment.run("python quickstart.py", tmp_path)
    assert environment.backends(tmp_path)["cgan"] == "genaug"


def test_a_timm_training_with_a_plugins_generator(environment, wheels, tmp_path):
    pytest.importorskip("timm")
    before, backends = environment.installed(), environment.backends(tmp_path)
    environment.run(f"pip install {wheels['genaug_small_vae']}", tmp_path)
    assert environment.backends(tmp_path) == {**backends, "small-vae": "genaug-small-vae"}
    for split in ("train", "val"):
        write_jpegs(tmp_path / "photos" / split, each=8)
    small = "--image-size 16 --steps 20 --batch-size 8 --device cpu --set width=8"
    environment.run(f"genaug train small-vae --data folder:photos {small} --out runs/photos", tmp_path)
    (tmp_path / "timm_train.py").write_text((ROOT / "examples" / "timm_train.py").read_text())
    training = "python timm_train.py photos runs/photos --model test_resnet --img-size 32 --batch-size 6 --workers 1"
    assert "epoch 1: training loss" in environment.run(f"{training} --epochs 2", tmp_path)

    environment.uninstall("genaug-small-vae", tmp_path)
    assert environment.backends(tmp_path) == backends
    assert environment.installed() == before
    output = environment.run("genaug sample runs/photos --n 1 --out x.png", tmp_path, fails=True)
    assert 'pip install "genaug-small-vae>=0.1.0"' in output
    assert "Traceback" not in output


def test_the_page_about_plugins_followed_literally(environment, tmp_path):
    backends, outputs = environment.backends(tmp_path), []
    for language, title, text in blocks("docs/write-a-plugin.md"):
        if language == "bash":
            outputs += ((line, environment.run(line, tmp_path)) for line in text.splitlines())
        elif title.startswith("genaug-sketch/"):
            (tmp_path / title).write_text(text)
    autoencoder, gan = (output for line, output in outputs if line == "genaug check-backend sketch")
    assert all("sketch keeps the contract." in output for output in (autoencoder, gan))
    assert "skipped" not in autoencoder
    assert "skipped check_labels_reach_images" in gan
    assert re.search(r"\d\d passed in", dict(outputs)["pytest genaug-sketch"])
    assert (tmp_path / "sketch.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in (tmp_path / "dist").iterdir()] == ["genaug_sketch-0.1.0-py3-none-any.whl"]
    assert "genaug-sketch" in dict(outputs)["genaug plugins"]

    recipe = tmp_path / "genaug-sketch" / "genaug_sketch" / "backend.py"
    recipe.write_text(recipe.read_text().replace("            nn.Tanh(),\n", ""))
    broken = environment.run("genaug check-backend sketch", tmp_path, fails=True)
    (example,) = (text for language, _, text in blocks("docs/write-a-plugin.md") if text.startswith("failed"))
    number = re.compile(r"-?\d+\.\d+")
    assert number.sub("N", example.strip()) in number.sub("N", broken)
    environment.uninstall("genaug-sketch", tmp_path)
    assert environment.backends(tmp_path) == backends
