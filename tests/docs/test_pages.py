"""Every page of the documentation is followed: its code blocks run in their order; and the site builds."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from helpers.pages import blocks_of, follow
from helpers.tiny_files import write_jpegs

ROOT = Path(__file__).parents[2]
CARDS = ("digits-cgan", "mnist-cgan")
ELSEWHERE = {"docs/write-a-plugin.md"}  # followed to the letter by test_fresh_environment.py
FOUND = sorted(
    str(path.relative_to(ROOT))
    for pattern in ("docs/**/*.md", "plugins/*/README.md", "model_cards/*/README.md")
    for path in ROOT.glob(pattern)
)
PAGES = [page for page in FOUND if page not in ELSEWHERE and blocks_of(ROOT / page)]
NEEDS = {
    "docs/how-to/albumentations.md": "albumentations",
    "docs/how-to/diffusion.md": "diffusers",
    "docs/how-to/search.md": "optuna",
    "docs/how-to/tables.md": "imblearn",
    "docs/how-to/timm.md": "timm",
    "docs/how-to/vary-photos.md": "diffusers",
    "plugins/genaug_tabular/README.md": "pandas",
}
PIPELINES = {"digits": "dit", "text-to-image": "stable_diffusion", "style": "lora"}


@pytest.fixture
def folder(tmp_path, page, make_generator):
    """What a reader has: a checkout's generators, photos in class folders, and the runs that other pages leave."""
    text = (ROOT / page).read_text()
    for name in CARDS:
        shutil.copytree(ROOT / "model_cards" / name, tmp_path / "model_cards" / name)
    if not any(out in text for out in ("--out runs/digits\n", 'out="runs/digits"')):
        shutil.copytree(ROOT / "model_cards" / CARDS[0], tmp_path / "runs" / "digits")
    if "photos" in text:
        write_jpegs(tmp_path / "photos" / "train", each=70, sides=(34, 40))
        write_jpegs(tmp_path / "photos" / "test", each=10, sides=(34, 40), seed=1)
        if "--out runs/photos\n" not in text:
            make_generator((3, 32, 32), 2, ("cat", "dog")).save(tmp_path / "runs" / "photos")
    if "--data incoming" in text:
        write_jpegs(tmp_path / "incoming", each=4, sides=(34, 40), seed=2)
    if "folder:people" in text:
        for file in write_jpegs(tmp_path / "people", each=70, sides=(34, 40)).rglob("*.jpg"):
            file.rename(file.with_stem(f"patient{int(file.stem) // 4}_{file.stem}"))
    return tmp_path


@pytest.fixture
def hub(folder, page):
    """The Hub as the pages have it: owner/name, and this repository's generators under their published names."""
    from helpers.client_at import local_hub

    import genaug

    with local_hub(folder) as hub:
        if "owner/name" in (ROOT / page).read_text():
            example = genaug.load(folder / "model_cards" / CARDS[0], device="cpu")
            example.push("owner/name", license="apache-2.0", tag="v1.0")
        for name in CARDS:
            files = {path.name: path.read_bytes() for path in (folder / "model_cards" / name).iterdir()}
            hub.repo(f"genaug/{name}", files)
        publish_pipelines(hub, (ROOT / page).read_text(), folder / "pipelines")
        yield hub


def publish_pipelines(hub, text, folder):
    """Tiny pipelines of diffusers under the names that a page has for them."""
    from helpers import tiny_pipelines

    for name, build in PIPELINES.items():
        if "diffusers:owner/" in text and f"owner/{name}" in text:
            built = getattr(tiny_pipelines, build)(folder / name)
            files = (path for path in built.rglob("*") if path.is_file())
            hub.repo(f"owner/{name}", {path.relative_to(built).as_posix(): path.read_bytes() for path in files})


class WithoutLabels:
    """Stands for a generator that was trained without labels: digits of all classes, or of the category ``c1``."""

    def __init__(self, generator):
        from genaug.backends import Categorical

        codes = (*generator.spec.latents, Categorical(name="c1", size=10))
        self.generator = generator
        self.spec = generator.spec.model_copy(update={"classes": None, "latents": codes})

    def sample(self, n=None, *, labels=None, seed=None, c1=None):
        assert labels is None
        import torch

        drawn = torch.randint(10, (n,), generator=torch.Generator().manual_seed(seed % 2**63))
        return self.generator.sample(labels=drawn if c1 is None else c1, seed=seed)[0], None


def names_of_labels(folder):
    """The page about labels says what its names stand for, and leaves it to the reader to have that."""
    import genaug
    from genaug.data.datasets import few_per_class, load_data

    train_set, gan = load_data("digits"), WithoutLabels(genaug.load(folder / "model_cards" / CARDS[0], device="cpu"))
    sets = {
        "train_set": train_set,
        "labelled_set": few_per_class(train_set, 20),
        "test_set": load_data("digits", split="test"),
    }
    return {**sets, "gan": gan, "infogan": gan}


GIVEN = {"docs/labels.md": names_of_labels}


@pytest.mark.parametrize("page", PAGES)
def test_page(page, folder, hub, monkeypatch):
    pytest.importorskip(NEEDS.get(page, "genaug"))
    given = GIVEN[page](folder) if page in GIVEN else {}
    ran = follow(ROOT / page, folder, monkeypatch, **given)
    assert ran == sum(block.reason is None and block.language != "text" for block in blocks_of(ROOT / page))


def test_a_block_is_left_out_for_a_reason_that_is_known():
    """The list is here, so that nothing is left out by the way: a new one is to be seen in a review."""
    left_out = {(page, block.reason) for page in FOUND for block in blocks_of(ROOT / page) if block.reason is not None}
    assert left_out == {
        ("docs/evaluate.md", "takes minutes"),
        ("docs/gallery.md", "takes minutes"),
        ("docs/how-to/few-labels.md", "takes minutes"),
        ("docs/how-to/images-made-elsewhere.md", "needs the real Hub"),
        ("docs/how-to/photos.md", "takes minutes"),
        ("docs/how-to/private-hub.md", "needs a server"),
        ("docs/how-to/pull-and-push.md", "needs the real Hub"),
        ("docs/how-to/several-gpus.md", "needs several GPUs"),
        ("docs/how-to/shards.md", "installs packages"),
        ("docs/how-to/shards.md", "needs a server"),
        ("docs/hub.md", "needs the real Hub"),
        ("docs/index.md", "installs packages"),
        ("docs/labels.md", "takes minutes"),
        ("docs/papers.md", "takes minutes"),
        ("docs/performance.md", "takes minutes"),
        ("docs/results.md", "takes minutes"),
        ("docs/study.md", "takes minutes"),
    }


@pytest.mark.parametrize(
    "text",
    [
        "```python\n",
        "    ```python\n    1\n    ```\n",
        "```pyhton\n1\n```\n",
        "```\n1\n```\n",
        "<!-- not run: no time -->\n```python\n1\n```\n",
        "<!-- not run: takes minutes -->\nText.\n\n```python\n1\n```\n",
        "```text\ngenaug plugins\n```\n",
        "```python\nassert False\n```\n",
        "```bash\ngenaug sample nothing --n 1\n```\n",
        "```bash\nfalse\n```\n",
    ],
)
def test_what_is_not_run_and_what_fails_is_noticed(text, tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(AssertionError):
        follow(page, tmp_path, monkeypatch)


def test_the_site_builds_without_a_warning(tmp_path):
    if find_spec("mkdocs") is None or find_spec("mkdocstrings") is None or find_spec("material") is None:
        pytest.skip("needs mkdocs-material and mkdocstrings: pip install -e '.[docs]'")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    for name in ("mnist-cgan.png", "blend.png"):
        assert (tmp_path / "site" / "pictures" / name).read_bytes().startswith(b"\x89PNG")
