"""An installed package with plugins, for one test."""

import sys
from contextlib import contextmanager
from importlib import invalidate_caches
from textwrap import dedent

from genaug.backends.registry import discover

SLOW = """
    from genaug import hookimpl

    @hookimpl
    def genaug_register_sources(register):
        register("slow", "genaug_odds.parts:slow", summary="a slow source, by prompts")
"""
SLOW_PARTS = """
    import time
    import torch
    from genaug.backends import Spec
    from genaug.modalities import Image
    from genaug.randomness import derive_seed

    class Slow:
        def __init__(self, rest, revision, device, **options):
            self.spec = Spec(sample=Image(3, 8, 8), classes=tuple(options["classes"]))
            self.rest, self.revision, self.device, self.options = rest, revision, device, options

        @property
        def recipe(self):
            return {"source": f"slow:{self.rest}", "revision": self.revision, "options": self.options}

        def sample(self, n=None, *, labels=None, seed=None):
            generator = torch.Generator().manual_seed(seed)
            labels = torch.arange(n) % len(self.options["classes"]) if labels is None else torch.as_tensor(labels)
            images = []
            for label in labels.tolist():
                time.sleep(self.options["seconds"])
                prompt = self.options["prompt"].format(self.options["classes"][label])
                drawn = torch.Generator().manual_seed(derive_seed(seed, prompt, len(images)))
                images.append(torch.randint(256, (3, 8, 8), generator=drawn, dtype=torch.uint8))
            return torch.stack(images) if images else torch.empty(0, 3, 8, 8, dtype=torch.uint8), labels

    def slow(rest, *, device=None, revision=None, prompt="a photo of a {}", classes=("cat", "dog"), seconds=0.0):
        if revision == "main":
            revision = "d" * 40
        if not rest.startswith("/"):
            revision = revision or "c" * 40
        return Slow(rest, revision, device, prompt=prompt, classes=list(classes), seconds=seconds)
"""


@contextmanager
def installed(folder, monkeypatch, plugin=SLOW, parts=SLOW_PARTS, version="1.0"):
    """An installed package ``genaug_odds`` in ``folder``: its hooks, and its module ``parts``."""
    package, info = folder / "genaug_odds", folder / "genaug_odds-1.0.dist-info"
    for place in (package, info):
        place.mkdir(parents=True)
    (package / "__init__.py").write_text(dedent(plugin))
    (package / "parts.py").write_text(dedent(parts))
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: genaug-odds\nVersion: {version}\n")
    (info / "entry_points.txt").write_text("[genaug]\nodds = genaug_odds\n")
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(folder))
        invalidate_caches()
        discover(refresh=True)
        yield
    for name in [name for name in sys.modules if name.startswith("genaug_odds")]:
        del sys.modules[name]
    discover(refresh=True)
