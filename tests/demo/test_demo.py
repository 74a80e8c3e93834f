import itertools
import json
import re
from html.parser import HTMLParser

import pytest
from PIL import Image

import genaug
from genaug.demo import run as demo_module
from genaug.demo.report import demo_rows, verdict
from genaug.demo.run import ARMS, COMPARISONS, DemoSettings, classic_augmentation, run_demo
from genaug.errors import InputError, OutputExistsError

TINY = DemoSettings(
    labels_per_class=2, generator_steps=2, generator_batch_size=4, updates=3, batch_size=8, seeds=2, seed=7
)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "run"
    return out, run_demo(out, settings=TINY, progress=False)


class Page(HTMLParser):
    """Tags, attributes, the text and the table's cells."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.texts, self.rows, self._cell = [], [], [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self._cell = []
        if tag == "small" and self._cell is not None:
            self._cell.append("\n")

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.rows[-1].append("".join(self._cell))
            self._cell = None

    def handle_data(self, data):
        self.texts.append(data)
        if self._cell is not None:
            self._cell.append(data)


def test_everything_is_written(demo):
    out, report = demo
    assert {p.name for p in out.glob("[!.]*")} == {"report.html", "report.json", "samples.png", "generator"}
    assert json.loads((out / "report.json").read_text()) == json.loads(json.dumps(report))


def test_the_report_contains_arms_seeds_differences_and_settings(demo):
    _, report = demo
    assert report["seeds"] == [7, 8]
    assert set(report["arms"]) == set(ARMS)
    for arm in report["arms"].values():
        assert len(arm["accuracies"]) == 2
        assert all(0 <= a <= 1 for a in arm["accuracies"])
        assert arm["mean"] == pytest.approx(sum(arm["accuracies"]) / 2)
    difference = report["differences"]["classic + generated - classic"]
    pairs = zip(
        report["arms"]["classic + generated"]["accuracies"], report["arms"]["classic"]["accuracies"], strict=True
    )
    assert difference["per_seed"] == pytest.approx([a - b for a, b in pairs])
    assert difference["low"] <= difference["mean"] <= difference["high"]
    assert report["generated_beside_classic"] == difference["verdict"]
    assert report["settings"]["updates"] == 3
    assert report["settings"]["test_images"] == 500
    assert report["seconds"]["total"] > 0
    assert report["versions"]["torch"]


def test_the_page_is_self_contained(demo):
    text = (demo[0] / "report.html").read_text()
    page = Page(text)
    assert not {"script", "link", "iframe", "object", "base"} & set(page.tags)
    assert "://" not in text
    assert "@import" not in text
    assert "url(" not in text
    sources = [value for name, value in page.attributes if name in ("src", "href", "srcset", "xlink:href")]
    assert len(sources) == 1
    assert sources[0].startswith("data:image/png;base64,")
    assert all(value for name, value in page.attributes if name in ("alt", "aria-label"))


def test_the_page_shows_the_numbers_of_the_report(demo):
    out, _ = demo
    report = json.loads((out / "report.json").read_text())
    page = Page((out / "report.html").read_text())
    _, *rows = page.rows
    assert [row[0] for row in rows] == list(ARMS)
    for name, mean, sd, against_none, _ in rows:
        arm = report["arms"][name]
        assert mean == f"{100 * arm['mean']:.1f}%"
        assert sd == f"{100 * arm['sd']:.1f}"
        if name != "none":
            numbers = [float(n.replace("−", "-")) for n in re.findall(r"[+−]\d+\.\d", against_none)]
            difference = report["differences"][f"{name} - none"]
            assert numbers == [round(100 * difference[key], 1) for key in ("mean", "low", "high")]
    assert report["verdict"] in page.texts
    assert page.tags.count("circle") == 2 * (len(ARMS) + len(report["differences"]))


def test_one_seed_has_no_interval_and_still_a_page(tmp_path):
    report = run_demo(tmp_path / "one", settings=DemoSettings(**{**vars(TINY), "seeds": 1}), progress=False)
    assert report["verdict"].startswith("No evidence")
    assert demo_rows(report)[1][1][2:4][0] == "–"


def test_the_generator_loads_and_the_same_seed_gives_the_same_report(demo, tmp_path):
    assert genaug.load(demo[0] / "generator").spec.class_names == tuple("0123456789")
    again = run_demo(tmp_path / "again", settings=TINY, progress=False)
    assert again["arms"] == demo[1]["arms"]


def test_existing_files_are_left_alone(demo, tmp_path):
    with pytest.raises(OutputExistsError, match="--overwrite"):
        run_demo(demo[0], settings=TINY)
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(OutputExistsError, match="left alone"):
        run_demo(tmp_path, settings=TINY, overwrite=True)
    (tmp_path / "report.json").write_text("{}")
    with pytest.raises(OutputExistsError, match=r"report\.json.*left alone"):
        run_demo(tmp_path, settings=TINY, overwrite=True)
    assert (tmp_path / "thesis.tex").exists()


def test_a_demo_interrupted_while_writing_leaves_nothing_behind(demo, tmp_path, monkeypatch):
    _, report = demo
    sheet, generator = Image.new("L", (2, 2)), genaug.load(demo[0] / "generator")
    out = tmp_path / "out"
    monkeypatch.setattr(demo_module, "_run", lambda *_: (report, generator, sheet))
    for state in ("new", "overwritten"):
        with monkeypatch.context() as broken:
            broken.setattr(demo_module, "demo_html", interrupt)
            with pytest.raises(KeyboardInterrupt):
                run_demo(out, overwrite=True)
        assert [p.name for p in tmp_path.iterdir()] == ([] if state == "new" else ["out"])
        run_demo(out, overwrite=True)
        assert genaug.load(out / "generator").spec == generator.spec


def interrupt(*_):
    raise KeyboardInterrupt


def test_invalid_settings_are_rejected(tmp_path):
    for name, value in {"ratio": 1.0, "updates": 0, "seeds": 0, "seed": -1}.items():
        with pytest.raises(InputError, match=name):
            run_demo(tmp_path, settings=DemoSettings(**{**vars(TINY), name: value}))


def comparisons(*verdicts):
    return dict(zip((f"{arm} - {baseline}" for arm, baseline in COMPARISONS), verdicts, strict=True))


@pytest.mark.parametrize(
    ("verdicts", "conclusion"),
    [
        (
            # classic, generated and both against none; generated and both against classic
            ("helps", "helps", "helps", "hurts", "helps"),
            "Generated images helped here, on top of classic augmentation.",
        ),
        (
            ("helps", "helps", "helps", "hurts", "no evidence"),
            "Generated images helped the bare classifier, but classic augmentation did better; added to classic "
            "augmentation, they made no measurable difference. Here, use classic augmentation and leave the generator "
            "out.",
        ),
        (
            ("no evidence", "helps", "no evidence", "no evidence", "no evidence"),
            "Generated images helped the bare classifier, but not measurably more than classic did; added to classic "
            "augmentation, they made no measurable difference. Here, compare again with more seeds before you use "
            "either.",
        ),
        (
            ("hurts", "helps", "no evidence", "helps", "hurts"),
            "Generated images helped here, more than classic augmentation; added to classic augmentation, they made it "
            "worse. Here, use generated images in its place, or compare again with better augmentation.",
        ),
        (
            ("hurts", "no evidence", "hurts", "helps", "helps"),
            "No evidence that generated images help here: alone they made no measurable difference; the two together "
            "did better than classic augmentation alone, but worse than neither. Leave them out.",
        ),
        (
            ("no evidence", "hurts", "no evidence", "hurts", "no evidence"),
            "Generated images alone hurt here; added to classic augmentation, they made no measurable difference. "
            "Leave them out.",
        ),
    ],
)
def test_the_verdict_says_what_to_do(verdicts, conclusion):
    assert verdict(comparisons(*verdicts)) == conclusion


def test_the_verdict_only_says_what_was_measured():
    for verdicts in itertools.product(["helps", "hurts", "no evidence"], repeat=len(COMPARISONS)):
        classic, alone, both, over_classic, beside = verdicts
        conclusion = verdict(comparisons(*verdicts))
        on_top = both == beside == "helps"
        in_its_place = alone == over_classic == "helps" and not on_top
        assert ("helped here" in conclusion) == (on_top or in_its_place), (
            "only if it is better than both none and classic"
        )
        assert ("on top of" in conclusion) == on_top
        assert ("in its place" in conclusion) == in_its_place
        assert ("helped the bare classifier" in conclusion) == (alone == "helps" and not on_top and not in_its_place)
        assert ("Leave them out" in conclusion) == (alone != "helps" and not on_top)
        if not on_top:
            assert ("No evidence that" in conclusion) == (alone == "no evidence")
            assert ("hurt here" in conclusion) == (alone == "hurts")
            assert ("made it worse" in conclusion) == (beside == "hurts")
            assert ("together did better than classic" in conclusion) == (beside == "helps")
            assert ("worse than neither" in conclusion) == (beside == "helps" and both == "hurts")
        assert "classic augmentation did better" not in conclusion or over_classic == "hurts"
        assert "use classic augmentation" not in conclusion or (classic == "helps" and beside != "helps")


def test_classic_augmentation_moves_each_image_differently():
    import torch

    images = torch.zeros(4, 1, 8, 8)
    images[:, :, 2:6, 3:5] = 1
    moved = classic_augmentation(images, torch.Generator().manual_seed(0))
    assert moved.shape == images.shape
    assert 0 <= float(moved.min()) <= float(moved.max()) <= 1
    assert not torch.allclose(moved[0], moved[1])
    assert torch.equal(moved, classic_augmentation(images, torch.Generator().manual_seed(0)))
