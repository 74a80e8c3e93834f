"""The scripts behind docs/performance.md, tiny, and the page that is written from their records."""

import json
import os

import pytest
import torch

from benchmarks.common import pairs
from benchmarks.common.machine import PACKAGES, machine
from benchmarks.common.record import RESULTS, Record
from benchmarks.speed import (
    gpu,
    growth,
    loader,
    on_the_fly,
    performance_page,
    pool_refresh,
    sampling,
    scale,
    start,
    targets,
)
from genaug import MixedDataset
from genaug.nn.classifier import SmallCNN

LINUX = pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads the memory from /proc")


@pytest.fixture
def run(tmp_path, capfd):
    """Calls a script for two rounds: the rows of its result, which are those of its record."""

    def call(script, *arguments):
        record = tmp_path / "speed.jsonl"
        script.main(["--rounds", "2", "--results", str(record), *map(str, arguments), "--json"])
        rows = json.loads(capfd.readouterr().out.splitlines()[-1])["rows"]
        topics = dict.fromkeys(row["topic"] for row in rows)
        assert rows == [row for topic in topics for row in Record(record).rows({"topic": topic})]
        for row in rows:
            assert row["threads"] == torch.get_num_threads()
            assert all(len(values) == 2 and min(values) > 0 for values in row["figures"].values())
        return rows

    return call


@pytest.fixture
def quick_sampling(monkeypatch):
    tiny = {"width": 4, "max_width": 8}
    for script in (gpu, growth, loader, on_the_fly, pool_refresh, sampling):
        untrained = script.untrained
        monkeypatch.setattr(
            script, "untrained", lambda *shape, untrained=untrained, **rest: untrained(*shape, **rest, **tiny)
        )


@pytest.fixture
def quick_step(monkeypatch):
    pytest.importorskip("timm")
    monkeypatch.setattr(
        on_the_fly.timm,
        "create_model",
        lambda name, num_classes, in_chans: SmallCNN((in_chans, 32, 32), num_classes, width=4),
    )


def test_sides_take_turns_and_every_second_round_is_reversed():
    calls = []
    sides = {name: lambda name=name: calls.append(name) or float(len(calls)) for name in "abc"}
    assert pairs.alternate(sides, 3) == {"a": [1, 6, 7], "b": [2, 5, 8], "c": [3, 4, 9]}
    assert "".join(calls) == "abccbaabc"


def test_the_machine_and_its_versions():
    row = machine()
    assert set(performance_page.MACHINE) <= set(row)
    assert row["torch"] == torch.__version__.partition("+")[0] or row["torch"] == torch.__version__
    assert all(row[name] for name in PACKAGES)


def test_loader(run, monkeypatch, quick_sampling):
    monkeypatch.setattr(loader, "IMAGES", {0: 64, 2: 64})
    monkeypatch.setattr(loader, "INSIDE", 4)
    monkeypatch.setattr(loader, "MORE_TENSORS", 2)
    rows = run(loader)
    assert [row["case"] for row in rows] == [
        f"digits {kind}, {workers} workers" for workers in (0, 2) for kind in ("through PIL", "as uint8 tensors")
    ]
    for row in rows:
        assert set(row["figures"]) == {"blend", "copy", *targets.OTHER_WAYS}


def test_the_loader_reads_jpeg_files_of_all_classes(tmp_path):
    from zipfile import ZipFile

    from helpers.tiny_files import write_jpegs

    write_jpegs(tmp_path / "cifar10" / "train", each=8)
    with ZipFile(tmp_path / "cifar10.zip", "w") as archive:
        for file in sorted((tmp_path / "cifar10").rglob("*.jpg")):
            archive.write(file, file.relative_to(tmp_path))
    (tmp_path / "out").mkdir()
    real = loader.unpack(tmp_path / "cifar10.zip", 8, tmp_path / "out")
    half = loader.every_second(real)
    assert (len(real), len(half)) == (8, 4)
    assert sorted(set(real.targets)) == [0, 1]
    assert half[1][1] == real[2][1]
    assert torch.equal(half[1][0], real[2][0])


def test_a_pass_with_another_share_is_an_error(make_generator):
    real = loader.every_second(loader.pil_set(None, 40))
    mixed = MixedDataset(real, make_generator(classes=real.classes), ratio=0.5)
    order = list(range(40))
    loader.check(mixed, order, mixed.targets)
    with pytest.raises(ValueError, match=r"a share of 0\.475 of the items"):
        loader.check(mixed, order[:19] + order[:1] + order[20:39] + order[:1], mixed.targets)
    with pytest.raises(ValueError, match="labels"):
        loader.check(mixed, order, mixed.targets.flip(0) * 0)


def test_sampling(run, monkeypatch, quick_sampling):
    monkeypatch.setattr(sampling, "SIZES", (8, 16))
    rows = run(sampling, "--samples", 40)
    assert [row["case"] for row in rows] == list(sampling.SHAPES)
    assert set(rows[0]["figures"]) == {"float32", "bare float32", "bfloat16", "bare bfloat16", "forward"}
    assert set(rows[0]["batch_sizes"].values()) <= {8, 16}


def test_the_bare_loop_has_to_make_the_same_images():
    images = torch.full((2, 1, 4, 4), 9, dtype=torch.uint8)
    sampling.check(images, images + 1)
    with pytest.raises(ValueError, match="2 levels"):
        sampling.check(images, images - 2)


def test_on_the_fly(run, quick_sampling, quick_step):
    rows = run(on_the_fly, "--batch", 8)
    assert [row["case"] for row in rows] == list(on_the_fly.SHAPES)
    assert set(rows[0]["figures"]) == {"without", "generator", "pool", "forward"}


def test_pool_refresh(run, quick_sampling, quick_step):
    (row,) = run(pool_refresh, "--real", 20, "--pool", 4)
    assert set(row["figures"]) == {"refreshed", "kept", "forward"}
    sides = pool_refresh.sides_of(20, 4, "resnet18")
    images = {}
    for name in ("refreshed", "kept"):
        images[name] = [sides[name]._mixed.pool.images]
        sides[name]()
        images[name].append(sides[name]._mixed.pool.images)
    assert torch.equal(*images["kept"])
    assert not torch.equal(*images["refreshed"])


@LINUX
def test_scale(run, monkeypatch, tmp_path):
    monkeypatch.setattr(scale, "apart", scale.measure)  # in this process, which has imported torch
    monkeypatch.setattr(scale, "resident", iter(range(100, 1000, 50)).__next__)
    (row,) = run(scale, "--images", 400, "--folder", tmp_path)
    assert row["case"] == "400 real and 400 generated"
    assert row["figures"]["bound"] == [400 * 28 * 28] * 2
    assert row["figures"]["memory"] == [50, 50]


def test_start(run, monkeypatch):
    calls = []
    monkeypatch.setattr(start, "call", calls.append)
    (row,) = run(start)
    assert set(row["figures"]) == set(start.COMMANDS)
    assert calls[:4] == list(start.COMMANDS.values())


def test_the_commands_start():
    start.call(start.COMMANDS["python"])
    with pytest.raises(start.subprocess.CalledProcessError):
        start.call(["-c", "raise SystemExit(1)"])


def test_growth(run, monkeypatch, quick_sampling, tmp_path):
    for name, values in {
        "SIDES": (8, 16),
        "BATCHES": (4, 8),
        "RATIOS": (0.3, 0.9),
        "BLENDED": (0.0, 0.5),
        "WORKERS": (0, 1),
        "SOURCES": (1, 2),
        "BATCH": 8,
        "SAMPLES": 4,
    }.items():
        monkeypatch.setattr(growth, name, values)
    rows = run(growth, "--images", 32)
    assert [row["case"] for row in rows] == ["image size", "batch", "ratio", "ratio of the blend", "workers", "sources"]
    assert set(rows[0]["figures"]) == {"8", "16"}
    assert (tmp_path / growth.FIGURE).read_bytes().startswith(b"\x89PNG")
    assert f"![growth of the costs](../benchmarks/results/{growth.FIGURE})" in performance_page.page(tmp_path)


def test_the_committed_page_is_what_the_committed_records_say():
    committed = (performance_page.DOCS / "performance.md").read_text(encoding="utf-8")
    command = "run python benchmarks/speed/performance_page.py"
    assert committed == performance_page.page(RESULTS), f"docs/performance.md is out of date: {command}"


def line_of(page, label):
    return next(line for line in page.splitlines() if label in line)


def test_a_page_without_records_says_that_nothing_is_measured(tmp_path):
    performance_page.main(["--results", str(tmp_path), "--docs", str(tmp_path)])
    page = (tmp_path / "performance.md").read_text()
    assert "Nothing has been measured yet." in page
    assert page.count("| not measured yet |") == sum(len(topic.targets) for topic in targets.TOPICS)
    assert "## Growth" not in page


def test_records_become_rows_with_verdicts(tmp_path):
    record = Record(tmp_path / "speed.jsonl")

    def add(topic, case, figures):
        record.add({"topic": topic, "case": case}, {**machine(), "load_before": 0.5, "figures": figures})

    blend = {"blend": [1.0, 2.0, 1.0], "real": [1.1, 2.4, 1.3], "concat": [0.8, 1.7, 0.9], "coin": [2, 4, 2]}
    add(
        "loader",
        "MNIST through PIL, 0 workers",
        {**blend, "inside": [30, 50, 40], "sample": [300, 500, 400], "copy": [0.001] * 3},
    )
    add("on the fly", "32 pixels", {"without": [1, 2], "generator": [1.1, 2.3], "pool": [1, 2], "forward": [0.05, 0.1]})
    add("start", "commands", {"python": [0.01], "import": [0.05], "help": [0.3], "plugins": [0.4]})
    Record(tmp_path / "shards.jsonl").add({"n": 9}, {"seconds_each": {"one": [9.0, 8.0], "ray": [5.0, 4.0]}})
    page = performance_page.page(tmp_path)
    rows = {
        "| the real images alone |": "| 1.20 (1.10 to 1.30) | ≥ 1 | yes | 1,300 | 3 |",
        "`ConcatDataset` and": "| 0.85 (0.80 to 0.90) | ≥ 1 | **no** | 900 | 3 |",
        "32 pixels | samples from a generator": "| 12.5% (10.0% to 15.0%) | ≤ 15% | yes | 5.0% | 2 |",
        "`import genaug`": "| 0.040 (0.040 to 0.040) | ≤ 0.06 | yes | – | 1 |",
        "`genaug plugins` |": "| 0.400 (0.400 to 0.400) | ≤ 0.35 | **no** | 0.010 | 1 |",
        "| shards | one process |": "| 1.90 (1.80 to 2.00) | ≥ 1.6 | yes | 2.00 | 2 |",
    }
    for label, cells in rows.items():
        assert line_of(page, label).endswith(cells)
    assert f"torch {machine()['torch']}" in page
    assert "other programs kept 0.5 to 0.5 cores busy" in page


def test_records_of_a_gpu_get_sections(tmp_path):
    assert "\n## On a GPU\n\nNothing has been measured yet" in performance_page.page(tmp_path)
    key = {"topic": "pool refreshed on a GPU", "case": "32 pixels"}
    figures = {"refreshed": [1.01, 1.02], "kept": [1, 1], "forward": [0.01, 0.01]}
    Record(tmp_path / "speed.jsonl").add(key, {**machine(), "device": "Some GPU", "figures": figures})
    page = performance_page.page(tmp_path)
    assert "Measured on Some GPU." in page
    own = page[page.index("## New samples for every epoch, on a GPU") :]
    assert line_of(own, "a pool that is kept").endswith("| 1.5% (1.0% to 2.0%) | ≤ 2% | yes | – | 2 |")


def test_a_second_measurement_replaces_the_first(run, monkeypatch, tmp_path):
    monkeypatch.setattr(start, "call", lambda command: None)
    run(start)
    run(start)
    assert len((tmp_path / "speed.jsonl").read_text().splitlines()) == 1


def test_the_rows_of_a_gpu(run, tmp_path, monkeypatch, quick_sampling, quick_step):
    for name, value in {
        "REAL": 40,
        "POOL": 4,
        "SAMPLED": 20,
        "BATCH": 4,
        "CONFIG": {"width": 4, "max_width": 8},
    }.items():
        monkeypatch.setattr(gpu, name, value)
    monkeypatch.setattr(gpu, "trainings", lambda device: {"batches of 4": {"bare": list, "float32": list}})
    rows = run(gpu, "--device", "cpu", "--trace", tmp_path / "trace.json")
    assert {row["device"] for row in rows} == {"cpu"}
    assert [row["topic"] for row in rows] == [
        f"{topic} on a GPU" for topic in ("loader", "sampling", "on the fly", "pool refreshed", "training")
    ]
    assert json.loads((tmp_path / "trace.json").read_text())["traceEvents"]


def test_without_a_gpu_the_rows_of_a_gpu_are_left_out(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="no GPU"):
        gpu.main([])
