import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import genaug
from genaug.backends import registry
from genaug.cli import app
from genaug.cli.settings import parse_settings

TINY = ["--steps", "2", "--batch-size", "4", "--labels-per-class", "2", "--set", "width=4", "--set", "max_width=8"]


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "run"
    result = run("train", "cgan", "--data", "digits", "--out", folder, *TINY)
    assert result.exit_code == 0, result.output
    return folder


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["demo"],
        ["train"],
        ["sample"],
        ["translate"],
        ["traverse"],
        ["plugins"],
        ["study"],
        ["evaluate"],
        ["anomaly"],
        ["recipe"],
        ["push"],
        ["pull"],
        ["convert"],
        ["check-backend"],
        ["new-plugin"],
    ],
)
def test_help_imports_no_torch(command):
    code = "import sys; from genaug.cli import main; sys.argv = ['genaug', *sys.argv[1:], '--help']\n"
    code += "try: main()\nexcept SystemExit as end: assert not end.code\nassert 'torch' not in sys.modules"
    result = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "Usage:" in result.stdout


@pytest.mark.parametrize(
    "command",
    [
        "demo",
        "train",
        "sample",
        "translate",
        "traverse",
        "study",
        "evaluate",
        "anomaly",
        "recipe",
        "push",
        "pull",
        "convert",
        "check-backend",
        "new-plugin",
    ],
)
def test_every_option_is_explained(command):
    from typer.main import get_command

    for parameter in get_command(app).commands[command].params:
        assert getattr(parameter, "help", None), f"--{parameter.name} has no help text"


def test_a_run_folder_loads_with_the_options_of_the_backend(trained):
    generator = genaug.load(trained)
    assert generator.config.width == 4
    assert generator.spec.shape == (1, 8, 8)


def test_train_from_a_folder_of_images(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "train" / name).mkdir(parents=True)
        for i in range(4):
            Image.new("RGB", (9 + i, 12), (i, 0, 0)).save(tmp_path / "train" / name / f"{i}.png")
    data = ["--data", f"folder:{tmp_path}", "--out", tmp_path / "run"]
    result = run("train", "cgan", *data, *TINY)
    assert result.exit_code == 1
    assert "--image-size" in result.output
    assert "Traceback" not in result.output
    assert run("train", "cgan", *data, *TINY, "--image-size", "8").exit_code == 0
    assert genaug.load(tmp_path / "run").spec.class_names == ("cat", "dog")


def test_a_run_is_resumed_by_its_folder_alone(tmp_path):
    out = ["--out", tmp_path / "run"]
    options = [
        "--data",
        "digits",
        "--labels-per-class",
        "3",
        "--seed",
        "2",
        "--batch-size",
        "4",
        "--checkpoint-every",
        "2",
    ]
    small = ["--set", "width=4", "--set", "max_width=8"]
    assert run("train", "cgan", *out, *options, *small, "--steps", "3").exit_code == 0
    before = json.loads((tmp_path / "run" / "run.json").read_text())
    assert run("train", "--resume", *out).exit_code == 0
    assert json.loads((tmp_path / "run" / "run.json").read_text()) == before
    assert run("train", "--resume", *out, "--steps", "4").exit_code == 0
    assert genaug.load(tmp_path / "run").training["steps"] == 4
    result = run("train", "--resume", *out, "--labels-per-class", "2")
    assert (result.exit_code, "labels_per_class was 3, now it is 2" in result.output) == (1, True)
    result = run("train", "--resume", *out, "--set", "width=8")
    assert (result.exit_code, "config was {'width': 4}, now it is {'width': 8}. Continue" in result.output) == (1, True)
    assert "doesn't contain a run to continue" in run("train", "--resume", "--out", tmp_path / "nowhere").output
    assert "name the backend to train" in run("train").output


def test_a_run_of_a_script_is_resumed_with_data(tmp_path, tiny_config):
    from genaug.data.datasets import load_data

    genaug.fit("cgan", load_data("digits"), out=tmp_path / "run", steps=1, batch_size=4, config=tiny_config)
    result = run("train", "--resume", "--out", tmp_path / "run")
    assert (result.exit_code, "Pass --data" in result.output) == (1, True)
    assert run("train", "--resume", "--out", tmp_path / "run", "--data", "digits", "--steps", "2").exit_code == 0
    assert run("train", "--resume", "--out", tmp_path / "run", "--steps", "3").exit_code == 0


def test_a_relative_folder_is_found_from_another_working_directory(tmp_path, monkeypatch):
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for shade in range(4):
            Image.new("L", (8, 8), 40 * shade).save(tmp_path / "photos" / name / f"{shade}.png")
    monkeypatch.chdir(tmp_path)
    small = ["--set", "width=4", "--set", "max_width=8", "--batch-size", "4", "--steps", "1"]
    assert run("train", "cgan", "--data", "folder:photos", "--out", "run", *small).exit_code == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run("train", "--resume", "--out", "../run", "--steps", "2").exit_code == 0
    assert "photos" not in (tmp_path / "run" / "config.json").read_text(), "a path would be published with the weights"


def test_sample_writes_a_grid_and_does_not_replace_it(trained, tmp_path):
    grid = tmp_path / "grid.png"
    assert run("sample", trained, "--per-class", "3", "--out", grid).exit_code == 0
    before = grid.read_bytes()
    result = run("sample", trained, "--n", "5", "--out", grid)
    assert result.exit_code == 1
    assert "--overwrite" in result.output
    assert grid.read_bytes() == before
    assert run("sample", trained, "--n", "5", "--out", grid, "--overwrite").exit_code == 0
    assert grid.read_bytes() != before
    assert Image.open(grid).format == "PNG"


def test_sample_writes_class_folders_with_the_generators_own_pixels(trained, tmp_path):
    out = tmp_path / "samples"
    assert run("sample", trained, "--per-class", "2", "--seed", "5", "--out", out, "--device", "cpu").exit_code == 0
    assert sorted(p.name for p in out.iterdir() if p.is_dir()) == list("0123456789")
    labels = [label for label in range(10) for _ in range(2)]
    images, _ = genaug.load(trained, device="cpu").sample(labels=labels, seed=5)
    for index, label in enumerate(labels):
        pixels = np.asarray(Image.open(out / str(label) / f"{index % 2:05d}.png"))
        assert np.array_equal(pixels, images[index, 0].numpy())
    record = json.loads((out / "samples.json").read_text())
    assert record["count"] == 20
    assert record["counts"] == [2] * 10
    assert record["seed"] == 5
    assert run("sample", trained, "--n", "1", "--out", out).exit_code == 1


def test_sample_generates_some_classes_only(trained, tmp_path):
    nines = ("sample", trained, "--class", "9", "--n", "45", "--seed", "5", "--device", "cpu", "--out")
    assert run(*nines, tmp_path / "nines").exit_code == 0
    images, _ = genaug.load(trained, device="cpu").sample(labels=[9] * 45, seed=5)
    for index, path in enumerate(sorted((tmp_path / "nines").glob("*/*.png"))):
        assert path.relative_to(tmp_path / "nines").as_posix() == f"9/{index:05d}.png"
        assert np.array_equal(np.asarray(Image.open(path)), images[index, 0].numpy())
    assert run(*nines, tmp_path / "nines").exit_code == 0, "the same command continues"
    result = run("sample", trained, "--class", "8", "--n", "45", "--seed", "5", "--out", tmp_path / "nines")
    assert result.exit_code == 1
    assert 'of_classes was ["9"], now it is ["8"]' in " ".join(result.output.split())
    two = ["--class", "9", "--class", "3", "--n", "5", "--out", tmp_path / "two"]
    assert run("sample", trained, *two).exit_code == 0
    assert json.loads((tmp_path / "two" / "samples.json").read_text())["counts"] == [0, 0, 0, 3, 0, 0, 0, 0, 0, 2]
    assert run(*nines, tmp_path / "nines.png").exit_code == 0
    width, height = Image.open(tmp_path / "nines.png").size
    assert width < 4 * height, "rows of 10"
    result = run("sample", trained, "--class", "ten", "--per-class", "1", "--out", tmp_path / "x")
    assert result.exit_code == 1
    assert "names the unknown class 'ten'; valid are 0 to 9" in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (["train", "nonesuch", "--out", "{tmp}/x"], "nonesuch", 1),
        (["train", "cgan", "--data", "digts", "--out", "{tmp}/x"], "Did you mean 'digits'", 1),
        (["train", "cgan", "--out", "{tmp}/x", "--set", "width"], "KEY=VALUE", 2),
        (["train", "cgan", "--out", "{tmp}/x", "--set", "wdth=3"], "width", 1),
        (["train", "cgan", "--out", "{tmp}/x", "--steps", "0"], "steps", 2),
        (["train", "cgan", "--out", "{tmp}/x", "--labels-per-class", "1000"], "fewer than the 1000", 1),
        (["sample", "{tmp}/nowhere", "--n", "1", "--out", "{tmp}/x"], "nowhere", 1),
        (["sample", "{tmp}", "--out", "{tmp}/x"], "--per-class", 2),
        (["sample", "{tmp}", "--n", "1", "--per-class", "1", "--out", "{tmp}/x"], "--per-class", 2),
    ],
)
def test_mistakes_end_in_one_sentence(tmp_path, arguments, message, code):
    result = run(*(argument.format(tmp=tmp_path) for argument in arguments))
    assert result.exit_code == code
    assert message in result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "x").exists()


def test_settings_are_json_if_possible():
    pairs = ["a=1", "b=1e-3", "c=true", "d=hinge", 'e="7"', "f=[1, 2]", "g=x=y", "h="]
    expected = {"a": 1, "b": 1e-3, "c": True, "d": "hinge", "e": "7", "f": [1, 2], "g": "x=y", "h": ""}
    assert parse_settings(pairs) == expected


def test_the_demo_rejects_a_folder_in_use_before_it_starts(tmp_path):
    (tmp_path / "file").write_text("")
    result = run("demo", "--out", tmp_path)
    assert result.exit_code == 1
    assert "--overwrite" in result.output


def test_the_demo_prints_the_table_and_the_path_of_the_report(tmp_path, monkeypatch):
    from genaug.demo import run as demo

    tiny = demo.DemoSettings(labels_per_class=1, generator_steps=1, generator_batch_size=4, updates=1, seeds=2)
    monkeypatch.setattr(demo, "DemoSettings", lambda seed: tiny)
    result = run("demo", "--out", tmp_path / "demo")
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "demo" / "report.json").read_text())
    for arm in report["arms"].values():
        assert f"{100 * arm['mean']:.1f}%" in result.output
    assert report["verdict"][:30] in result.output
    assert "report.html" in result.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "", "--data", "digits"], "there is no backend ''"),
        (["train", "vae", "--data", "digits", "--set", "depth=3"], "doesn't fit backend 'vae': depth is unknown. Its"),
        (["train", "vae", "--data", "digits", "--set", "hidden=1.5"], "hidden must be an integer, got 1.5"),
        (["train", "vae", "--data", "digits", "--set", "beta=-1"], "beta must be greater than or equal to 0, got -1."),
        (["train", "vae", "--data", "digits", "--set", "conditional=3"], "conditional must be true or false, got 3."),
        (
            ["train", "aae", "--data", "digits", "--set", "prior=mixture", "--set", "latent_size=3"],
            "backend 'aae': prior 'mixture' is one of planes: latent_size must be even, got 3. Its",
        ),
        (["train", "vae", "--data", "nowhere"], "unknown data 'nowhere'. It is not a folder either. Expected"),
    ],
)
def test_options_that_dont_fit_are_described_in_plain_words(tmp_path, words, message):
    result = CliRunner().invoke(app, [*words, "--steps", "1", "--out", str(tmp_path / "run")])
    assert result.exit_code == 1
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_study_trains_a_backend_and_takes_a_generators_folder(trained, tmp_path):
    tiny = ["--steps", "1", "--set", "width=4", "--set", "max_width=8", "--updates", "2", "--batch-size", "8"]
    few = ["--labels-per-class", "2", "--seeds", "2", "--ratio", "0.5", "--device", "cpu"]
    sources = ["--source", "cgan", "--source", trained, "--out", tmp_path / "study"]
    result = run("study", "--data", "digits", *sources, *tiny, *few, "--json")
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout.splitlines()[-1])
    report = genaug.load_study(tmp_path / "study")
    assert (summary["verdict"], summary["ratio"], summary["source"]) == (report.verdict, report.ratio, report.source)
    kinds = report.details["settings"]["sources"]
    assert kinds["cgan"]["steps"] == 1
    assert "pretrained" in kinds["run"]["trained"]
    assert kinds["run"]["saw"] == "20 images"
    result = run("study", *sources, *tiny, *few)
    assert result.exit_code == 1
    assert "--resume" in result.output
    result = run("study", *sources, *tiny, *few, "--resume")
    assert result.exit_code == 0, result.output
    assert "classic + " in result.output
    assert " ".join(report.sentence.split())[:40] in " ".join(result.output.split())


def test_study_of_images_generated_earlier(tmp_path):
    images, tiny = tmp_path / "images", ["--updates", "2", "--batch-size", "8", "--device", "cpu"]
    assert run("sample", "model_cards/digits-cgan", "--per-class", "5", "--out", images).exit_code == 0
    few = ["--labels-per-class", "2", "--seeds", "2", "--ratio", "0.5"]
    result = run("study", "--source", f"folder:{images}", *few, *tiny, "--out", tmp_path / "study")
    assert result.exit_code == 0, result.output
    source = genaug.load_study(tmp_path / "study").details["settings"]["sources"]["images"]
    assert (source["type"], source["saw"]) == ("SamplePool of 50 images", "unknown: it has no record of that")
    result = run("study", "--source", images, *few, *tiny, "--out", tmp_path / "other")
    assert result.exit_code == 1
    assert f"pass folder:{images}" in result.output


def test_study_with_a_separate_test_set(tmp_path):
    from PIL import Image

    for name in ("photos", "others"):
        for label in ("cat", "dog"):
            (tmp_path / name / label).mkdir(parents=True)
            for shade in range(3):
                Image.new("L", (8, 8), 40 * shade + 9 * len(name + label)).save(
                    tmp_path / name / label / f"{shade}.png"
                )
    photos = ["study", "--data", f"folder:{tmp_path / 'photos'}", "--out", tmp_path / "study"]
    result = run(*photos)
    assert result.exit_code == 1
    assert "Name a test set with --test-data." in result.output
    result = run(*photos, "--test-data", f"folder:{tmp_path / 'photos'}")
    assert result.exit_code == 1
    assert "6 of 6 test images are in the training set too" in result.output


def faces(folder, people=6):
    """Gray pictures of people in two classes, one of each person in either."""
    for name in ("happy", "sad"):
        (folder / name).mkdir(parents=True)
        for i in range(people):
            Image.effect_noise((8, 8), 30 + 10 * i).save(folder / name / f"p{i}_{name}.png")
    return f"folder:{folder}"


def test_train_reads_what_is_not_held_out_and_prints_a_summary(tmp_path):
    data = faces(tmp_path / "faces")
    (tmp_path / "faces" / "notes.txt").write_text("")
    split = ["--test-share", "0.34", "--group-by", r"(p\d)_"]
    result = run("train", "cgan", "--data", data, *split, "--out", tmp_path / "run", *TINY)
    assert result.exit_code == 0, result.output
    assert f"read 8 images of 2 classes from {tmp_path / 'faces'} (train); left out 1: 1 not images (.txt)" in (
        result.stderr
    )
    share = ["--test-share", "0.34", "--group-by", "(q)"]
    result = run("train", "cgan", "--data", data, *share, "--out", tmp_path / "other", *TINY)
    assert result.exit_code == 1
    assert "happy/p0_happy.png" in result.output
    assert not (tmp_path / "other").exists()


def test_study_holds_out_a_share(tmp_path):
    tiny = ["--seeds", "2", "--updates", "1", "--batch-size", "4", "--steps", "1", "--device", "cpu"]
    sets = ["--data", faces(tmp_path / "faces"), "--test-share", "0.34", "--group-by", r"(p\d)_"]
    result = run("study", *sets, *tiny, "--set", "width=4", "--set", "max_width=8", "--out", tmp_path / "study")
    assert result.exit_code == 0, result.output
    settings = genaug.load_study(tmp_path / "study").details["settings"]
    assert (settings["train"]["images"], settings["test"]["images"]) == (8, 4)
    result = run("study", *sets, "--test-data", "digits", "--out", tmp_path / "other")
    assert result.exit_code == 1
    assert "pass one of them" in result.output


def test_evaluate_names_a_damaged_test_image(trained, tmp_path):
    for split in ("train", "test"):
        faces(tmp_path / "faces" / split)
    damaged = tmp_path / "faces" / "test" / "sad" / "p3_sad.png"
    damaged.write_bytes(damaged.read_bytes()[:60])
    result = run("evaluate", trained, "--data", f"folder:{tmp_path / 'faces'}")
    assert result.exit_code == 1
    assert str(damaged) in result.output


def test_a_flat_folder_trains_a_generator_without_labels(tmp_path):
    (tmp_path / "flat").mkdir()
    for i in range(8):
        Image.effect_noise((8, 8), 20 * i).save(tmp_path / "flat" / f"{i}.png")
    small = ["--set", "width=4", "--set", "max_width=8", "--set", "hidden=8", "--steps", "1", "--batch-size", "4"]
    result = run("train", "infogan", "--data", f"folder:{tmp_path / 'flat'}", "--out", tmp_path / "run", *small)
    assert result.exit_code == 0, result.output
    assert "read 8 images without classes" in result.output
    result = run("train", "cgan", "--data", f"folder:{tmp_path / 'flat'}", "--out", tmp_path / "other", *TINY)
    assert result.exit_code == 1
    assert "carries no label" in result.output


def test_a_tilde_is_the_home_directory_in_every_path(trained, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    faces(tmp_path / "home" / "faces")
    assert run("train", "cgan", "--data=folder:~/faces", "--out=~/run", *TINY).exit_code == 0
    assert run("sample", "~/run", "--per-class", "1", "--out=~/samples").exit_code == 0
    assert run("sample", "~/run", "--per-class", "1", "--out=~/sheet.png").exit_code == 0
    generator = genaug.load("~/run", device="cpu")
    generator.save("~/saved")
    generator.traverse("~/sheets", steps=2)
    genaug.SamplePool(generator, size=4, path="~/pool")
    with pytest.raises(genaug.errors.FormatError, match=r"report\.json is missing"):
        genaug.load_study("~/run")
    written = {path.name for path in (tmp_path / "home").iterdir()}
    assert {"faces", "run", "samples", "sheet.png", "saved", "sheets", "pool"} <= written
    assert list((tmp_path / "here").iterdir()) == []


def test_a_backends_options_are_listed():
    out = run("plugins", "cgan").stdout
    assert out.startswith("cgan: class-conditional convolutional GAN (genaug")
    lines = {line.split()[0]: " ".join(line.split()) for line in out.splitlines()[3:] if line}
    assert set(lines) == set(registry.resolve("cgan").Config.model_fields)
    assert lines["latent_size"] == "latent_size 64 from 1 to 1024 dimensions of the normal latent z"
    assert lines["lr"].startswith("lr 0.001 above 0 to 0.1 Adam's")
    assert lines["beta2"].startswith("beta2 0.99 from 0 to below 1 ")
    assert lines["conditional"].startswith("conditional true true, false ")
    assert "projection, embedding, concatenation, none" in lines["conditioning"]
    assert "there is no backend 'nope'" in run("plugins", "nope").stderr


@pytest.mark.parametrize("name", registry.discover().backends)
def test_every_option_says_what_it_can_be(name):
    fields = json.loads(run("plugins", name, "--json").stdout)["properties"]
    lines = run("plugins", name).stdout.splitlines()[3:]
    assert [line.split()[0] for line in lines] == list(fields) == list(registry.resolve(name).Config.model_fields)
    for line, field in zip(lines, fields.values(), strict=True):
        assert field["description"]
        assert line.endswith(f"  {field['description']}")
        assert len(line.removesuffix(field["description"]).split()) > 2, "a default and values"
