import json
import re
from html.parser import HTMLParser

import pytest

from genaug.demo import ARMS, DemoSettings, classic_augmentation, run_demo
from genaug.demo_report import demo_rows, verdict
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
    assert {p.name for p in out.iterdir()} == {"report.html", "report.json", "samples.png", "generator"}
    assert json.loads((out / "report.json").read_text()) == json.loads(json.dumps(report))


def test_the_report_tells_arms_seeds_differences_and_settings(demo):
    _, report = demo
    assert report["seeds"] == [7, 8]
    assert set(report["arms"]) == set(ARMS)
    for arm in report["arms"].values():
        assert len(arm["accuracies"]) == 2
        assert all(0 <= a <= 1 for a in arm["accuracies"])
        assert arm["mean"] == pytest.approx(sum(arm["accuracies"]) / 2)
    found = report["differences"]["classic + generated - classic"]
    pairs = zip(
        report["arms"]["classic + generated"]["accuracies"], report["arms"]["classic"]["accuracies"], strict=True
    )
    assert found["per_seed"] == pytest.approx([a - b for a, b in pairs])
    assert found["low"] <= found["mean"] <= found["high"]
    assert report["generated_beside_classic"] == found["verdict"]
    assert report["settings"]["updates"] == 3
    assert report["settings"]["test_images"] == 500
    assert report["seconds"]["total"] > 0
    assert report["versions"]["torch"]


def test_the_page_needs_nothing_from_outside(demo):
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


def test_the_pages_numbers_are_the_reports(demo):
    out, _ = demo
    report = json.loads((out / "report.json").read_text())
    page = Page((out / "report.html").read_text())
    _, *rows = page.rows
    assert [row[0] for row in rows] == list(ARMS)
    for name, mean, sd, against_none, _ in rows:
        arm = report["arms"][name]
        assert mean == f"{100 * arm['mean']:.1f} %"
        assert sd == f"{100 * arm['sd']:.1f}"
        if name != "none":
            numbers = [float(n.replace("−", "-")) for n in re.findall(r"[+−]\d+\.\d", against_none)]
            found = report["differences"][f"{name} - none"]
            assert numbers == [round(100 * found[key], 1) for key in ("mean", "low", "high")]
    assert report["verdict"] in page.texts
    assert page.tags.count("circle") == 2 * (len(ARMS) + len(report["differences"]))


def test_one_seed_has_no_interval_and_still_a_page(tmp_path):
    report = run_demo(tmp_path / "one", settings=DemoSettings(**{**vars(TINY), "seeds": 1}), progress=False)
    assert report["verdict"].startswith("No evidence")
    assert demo_rows(report)[1][1][2:4][0] == "–"


def test_the_generator_loads_and_the_same_seed_gives_the_same_report(demo, tmp_path):
    import genaug

    assert genaug.load(demo[0] / "generator").spec.classes == tuple("0123456789")
    again = run_demo(tmp_path / "again", settings=TINY, progress=False)
    assert again["arms"] == demo[1]["arms"]


def test_what_is_in_the_way_is_left_alone(demo, tmp_path):
    with pytest.raises(OutputExistsError, match="--overwrite"):
        run_demo(demo[0], settings=TINY)
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(OutputExistsError, match="left alone"):
        run_demo(tmp_path, settings=TINY, overwrite=True)


def test_settings_that_cant_be_run_are_refused(tmp_path):
    for name, value in {"ratio": 1.0, "updates": 0, "seeds": 0, "seed": -1}.items():
        with pytest.raises(InputError, match=name):
            run_demo(tmp_path, settings=DemoSettings(**{**vars(TINY), name: value}))


@pytest.mark.parametrize(
    ("found", "start", "leave_out"),
    [
        (("helps", "helps", "hurts"), "Generated images helped here, on top", False),
        (("helps", "no evidence", "hurts"), "Generated images helped the bare classifier, but classic", True),
        (("helps", "hurts", "no evidence"), "Generated images helped the bare classifier, but", True),
        (("no evidence", "no evidence", "hurts"), "No evidence", True),
        (("no evidence", "hurts", "hurts"), "No evidence", True),
        (("helps", "no evidence", "helps"), "Generated images helped here, more than classic", False),
        (("hurts", "no evidence", "hurts"), "Generated images hurt", True),
        (("no evidence", "helps", "no evidence"), "Generated images helped here, on top", False),
    ],
)
def test_the_verdict_says_plainly_what_to_do(found, start, leave_out):
    told = verdict(*found)
    assert told.startswith(start)
    assert ("leave" in told.lower()) == leave_out
    assert ("hurt" in told or "worse" in told) == ("hurts" in found[:2])


def test_classic_augmentation_moves_each_image_in_its_own_way():
    import torch

    images = torch.zeros(4, 1, 8, 8)
    images[:, :, 2:6, 3:5] = 1
    moved = classic_augmentation(images, torch.Generator().manual_seed(0))
    assert moved.shape == images.shape
    assert 0 <= float(moved.min()) <= float(moved.max()) <= 1
    assert not torch.allclose(moved[0], moved[1])
    assert torch.equal(moved, classic_augmentation(images, torch.Generator().manual_seed(0)))
