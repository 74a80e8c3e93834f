"""Plugins as users have them: installed distributions with entry points, working and broken."""

import json
import os
import re
import subprocess
import sys
import sysconfig
import textwrap
import venv
from collections.abc import Callable, Iterator
from importlib import invalidate_caches
from pathlib import Path

import pytest
from typer.testing import CliRunner

import genaug
import genaug.testing
from genaug.backends import Spec, calls, discovery, registry
from genaug.backends.registry import Problem, discover, resolve
from genaug.cli import app
from genaug.errors import PluginError
from genaug.modalities import Image

BACKEND = """
    from genaug.backends import Backend, BackendConfig

    class Acme(Backend):
        class Config(BackendConfig):
            latent_size: int = 8

        def build(self, config, spec): ...
        def generate(self, nets, inputs): ...

    class NoConfig(Acme):
        Config = None

    class Unfinished(Backend):
        Config = Acme.Config

    class Stranger: ...
"""

Install = Callable[..., Path]


def plugin(*calls: str) -> str:
    """The source of a plugin whose hook makes these calls."""
    body = "\n    ".join(calls)
    return f"from genaug import hookimpl\n\n@hookimpl\ndef genaug_register_backends(register):\n    {body}\n"


def dedented(source: str) -> str:
    return textwrap.dedent(source).lstrip()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts a distribution "genaug-<name>" with the package "genaug_<name>" on the path, as an installer lays it out."""

    def install(name: str, source: str, *, backend: str = BACKEND, entry_points: str | None = None) -> Path:
        site = tmp_path / name
        package, info = site / f"genaug_{name}", site / f"genaug_{name}-1.2.dist-info"
        package.mkdir(parents=True)
        info.mkdir()
        (package / "__init__.py").write_text(source)
        (package / "backend.py").write_text(dedented(backend))
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: genaug-{name}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(entry_points or f"[genaug]\n{name} = genaug_{name}\n")
        monkeypatch.syspath_prepend(site)
        discover(refresh=True)
        return info

    modules = set(sys.modules)
    monkeypatch.delenv("GENAUG_DISABLE_PLUGINS", raising=False)
    registry._warn_once.cache_clear()
    yield install
    monkeypatch.undo()
    for module in set(sys.modules) - modules:
        if module.startswith("genaug_"):
            del sys.modules[module]
    invalidate_caches()
    discover(refresh=True)


def problem_of(owner: str) -> str:
    (message,) = (problem.message for problem in discover().problems if problem.owner == owner)
    return message


# What works -----------------------------------------------------------------------------------------------------------


def test_our_own_backend_comes_through_an_entry_point() -> None:
    info = discover().backends["cgan"]
    assert (info.distribution, info.target) == ("genaug", "genaug_cgan.backend:CGAN")


def test_installed_plugin_is_listed_without_importing_its_backend(install: Install) -> None:
    install("acme", plugin("register('acme', 'genaug_acme.backend:Acme', summary='tests\\n  only')"))
    info = discover().backends["acme"]
    assert (info.summary, info.distribution, info.version) == ("tests only", "genaug-acme", "1.2")
    assert "genaug_acme.backend" not in sys.modules
    assert type(resolve("acme")).__name__ == "Acme"
    assert "genaug_acme.backend" in sys.modules


def test_the_plugins_are_cached_until_a_refresh(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    info = install("acme", plugin("register('acme', 'genaug_acme.backend:Acme')"))
    assert discover() is discover()
    (info / "entry_points.txt").unlink()
    assert "acme" in discover().backends
    assert "acme" not in discover(refresh=True).backends


# What is broken ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "says"),
    [
        pytest.param("import no_such_module", "No module named 'no_such_module'", id="import"),
        pytest.param("raise SystemExit(3)", "SystemExit: 3", id="exit"),
        pytest.param("def genaug_register_backends(register): ...", "implements no hook. Mark", id="unmarked"),
        pytest.param(
            plugin().replace("register)", "registry)") + "    pass\n", r"'registry'.*can not be found", id="argument"
        ),
        pytest.param(
            plugin("register('b', 'm:C')").replace("backends", "backend"),
            "unknown hook 'genaug_register_backend' .* has these hooks: genaug_register_backends",
            id="mistyped",
        ),
        pytest.param(plugin("1 / 0"), "ZeroDivisionError", id="raises"),
        pytest.param(plugin("register('My GAN', 'm:C')"), "'My GAN' is not a valid name for a backend", id="name"),
        pytest.param(plugin("register('b', 'genaug_bad.backend')"), r"\(package.module:Class\), got 'gen", id="target"),
        pytest.param(plugin("register('b', dict)"), r"must be a string .* got <class 'dict'>", id="class"),
        pytest.param(
            plugin("register('b', 'm:C', summary=3)"), "summary of backend 'b' must be a string", id="summary"
        ),
        pytest.param(plugin("register('b', 'm:C')", "register('b', 'm:D')"), "'b' is registered twice", id="twice"),
    ],
)
def test_broken_plugin_is_named_and_the_others_work(install: Install, source: str, says: str) -> None:
    install("bad", source)
    install("good", plugin("register('good', 'genaug_good.backend:Acme')"))
    install("also_bad", "import no_such_module")
    assert {problem.owner for problem in discover().problems} == {"genaug-bad", "genaug-also_bad"}
    with pytest.warns(registry.PluginWarning) as warned:
        resolve("good")
    assert [str(warning.message).split(": ")[1] for warning in warned] == ["genaug-also_bad", "genaug-bad"]
    assert re.search(says, problem_of("genaug-bad"))


def test_unknown_hook_leaves_the_known_one_working(install: Install) -> None:
    newer = "\n@hookimpl\ndef genaug_from_the_future(): ...\n"
    install("acme", plugin("register('acme', 'genaug_acme.backend:Acme')") + newer)
    assert "genaug_from_the_future" in problem_of("genaug-acme")
    assert "acme" in discover().backends


def test_damaged_metadata_is_a_problem_with_a_remedy(install: Install) -> None:
    install("damaged", plugin(), entry_points="[genaug]\ndamaged\n")
    assert re.search(r"its metadata can't be read \(.*\)\. Run pip check\.", problem_of("an installed package"))


def test_half_removed_plugin_does_not_hide_the_others(install: Install) -> None:
    info = install("gone", plugin())
    (info / "METADATA").unlink()
    (info.parent / "genaug_gone" / "__init__.py").write_text("import genaug_gone.lost")
    invalidate_caches()
    discover(refresh=True)
    assert "'genaug_gone' can't be loaded" in problem_of("unknown")
    assert "cgan" in discover().backends


def test_problems_are_warned_about_once(install: Install, recwarn: pytest.WarningsRecorder) -> None:
    install("bad", "import no_such_module")
    install("good", plugin("register('good', 'genaug_good.backend:Acme')"))
    discover()
    assert not recwarn
    resolve("good")
    resolve("good")
    assert [str(warning.message).partition(" (")[0] for warning in recwarn] == [
        "a plugin doesn't work: genaug-bad: 'genaug_bad' can't be loaded"
    ]


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("genaug_acme.absent:Acme", "No module named 'genaug_acme.absent'"),
        ("genaug_acme.backend:Acne", "no attribute 'Acne'"),
        ("genaug_acme.backend:Stranger", "must be a subclass of genaug.Backend, got <class"),
        (
            "genaug_acme.backend:NoConfig",
            "must have a Config, a subclass of genaug.backends.backend.BackendConfig, got None",
        ),
        ("genaug_acme.backend:Unfinished", "can't be instantiated .*abstract.* build"),
    ],
)
def test_backend_that_cannot_be_used_names_its_distribution(install: Install, target: str, says: str) -> None:
    install("acme", plugin(f"register('acme', {target!r})"))
    with pytest.raises(
        PluginError, match=f"backend 'acme' of genaug-acme 1.2.*{says}.*genaug-acme, or report this to its authors"
    ):
        resolve("acme")


# Duplicate names, and blocking ----------------------------------------------------------------------------------------


def test_duplicate_names_both_owners_and_leaves_the_others_working(install: Install) -> None:
    for name in ("one", "two"):
        install(name, plugin(f"register('same', 'genaug_{name}.backend:Acme')", f"register('{name}', 'm:C')"))
    plugins = discover()
    assert {"cgan", "one", "two"} <= set(plugins.backends)
    assert "same" not in plugins.backends
    assert [problem.owner for problem in plugins.problems] == ["genaug-one and genaug-two"]
    with pytest.warns(registry.PluginWarning), pytest.raises(PluginError, match=r"'same' .* genaug-one .* genaug-two"):
        resolve("same")


def test_no_plugin_silently_replaces_one_of_our_backends(install: Install) -> None:
    install("acme", plugin("register('cgan', 'genaug_acme.backend:Acme')"))
    with pytest.warns(registry.PluginWarning), pytest.raises(PluginError, match=r"'cgan' .*by genaug .* genaug-acme"):
        resolve("cgan")


@pytest.mark.parametrize("word", ["acme", "genaug-acme", "x, Genaug_Acme"])
def test_blocked_plugin_is_not_even_imported(install: Install, monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    install("acme", "raise RuntimeError('imported')")
    monkeypatch.setenv("GENAUG_DISABLE_PLUGINS", word)
    discover(refresh=True)
    assert not discover().problems
    assert "cgan" in discover().backends
    with pytest.raises(PluginError, match=r"'acme' is blocked: GENAUG_DISABLE_PLUGINS contains acme \(genaug-acme\)"):
        resolve("acme")


def test_blocking_one_of_two_resolves_a_duplicate(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("acme", plugin("register('cgan', 'genaug_acme.backend:Acme')"))
    assert "cgan" in discover().duplicates
    monkeypatch.setenv("GENAUG_DISABLE_PLUGINS", "genaug-acme")
    assert discover().backends["cgan"].distribution == "genaug"


# Unknown names ------------------------------------------------------------------------------------------------------


def test_unknown_name_suggests_and_lists(install: Install) -> None:
    install("acme", plugin("register('acme', 'genaug_acme.backend:Acme')"))
    with pytest.raises(PluginError) as caught:
        resolve("ACMEE")
    assert "'ACMEE'. Did you mean 'acme'? Installed backends: " in str(caught.value)
    listed = str(caught.value).partition("Installed backends: ")[2].partition(". ")[0].rstrip(".").split(", ")
    assert listed == sorted(discover().backends)
    assert {"acme", "cgan"} <= set(listed)
    with pytest.raises(PluginError, match="pip install genaug-style-gan3"):
        resolve("style_gan3")


def test_unknown_name_mentions_plugins_that_do_not_work(install: Install) -> None:
    install("bad", "import no_such_module")
    with pytest.warns(registry.PluginWarning), pytest.raises(PluginError, match="not working: genaug-bad; see"):
        resolve("good")
    with pytest.raises(PluginError, match=r"no backend 'bad', because its plugin doesn't work: .*no_such_module"):
        resolve("bad")


def test_uninstalled_checkout_says_how_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "entry_points", lambda group: [])
    discover(refresh=True)
    try:
        with pytest.raises(PluginError, match=r"no backends are installed, not even.*`pip install -e \.`"):
            resolve("cgan")
    finally:
        monkeypatch.undo()
        discover(refresh=True)


# The command ---------------------------------------------------------------------------------------------------------


def test_command_lists_backends_problems_and_blocked_plugins(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("bad", "import no_such_module")
    install("acme", "")
    monkeypatch.setenv("GENAUG_DISABLE_PLUGINS", "acme")
    result = CliRunner().invoke(app, ["plugins"])
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()[1:3]] == sorted(discover().backends)[:2]
    assert "Blocked by GENAUG_DISABLE_PLUGINS: acme (genaug-acme)" in result.stdout
    assert "  genaug-bad: 'genaug_bad' can't be loaded (ModuleNotFoundError" in result.stdout
    listing = json.loads(CliRunner().invoke(app, ["plugins", "--json"]).stdout)
    assert set(listing) == {"backends", "sources", "datasets", "problems", "blocked"}
    assert listing["blocked"] == [{"name": "acme", "distribution": "genaug-acme"}]
    assert [problem["owner"] for problem in listing["problems"]] == ["genaug-bad"]


def test_version_and_module_agree() -> None:
    assert run(sys.executable, "-m", "genaug", "--version") == f"genaug {genaug.__version__}\n"


def test_expected_errors_are_one_message_on_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise PluginError("nothing works. Go home.")

    monkeypatch.setattr(registry, "discover", fail)
    result = CliRunner().invoke(app, ["plugins"])
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "genaug: nothing works. Go home.\n")


@pytest.mark.parametrize(
    "code",
    [
        "import genaug",
        "import genaug.cli; genaug.cli.app(['plugins', '--json'], standalone_mode=False)",
        "import genaug.cli; genaug.cli.app(['--help'], standalone_mode=False)",
        "from genaug.backends.registry import *\ntry: resolve('x')\nexcept PluginError: pass\nelse: exit(1)",
    ],
)
def test_listing_plugins_imports_nothing_heavy(code: str) -> None:
    heavy = {"torch", "torchvision", "numpy", "scipy", "sklearn", "matplotlib", "rich", "huggingface_hub"}
    if "cli" not in code:
        heavy.add("pydantic")  # typer itself imports it to run a command
    script = f"{code}\nimport sys\nprint('\\n', sorted({heavy} & set(sys.modules)))"
    assert run(sys.executable, "-c", script).splitlines()[-1].strip() == "[]"


# The real thing ------------------------------------------------------------------------------------------------------


def run(*command: str | Path) -> str:
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    process = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def test_third_party_wheel_installs_works_and_uninstalls(tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "genaug_acme").mkdir(parents=True)
    (project / "genaug_acme" / "__init__.py").write_text(plugin("register('acme', 'genaug_acme.backend:Acme')"))
    (project / "genaug_acme" / "backend.py").write_text(dedented(BACKEND))
    (project / "pyproject.toml").write_text(
        dedented("""
            [build-system]
            requires = ["hatchling"]
            build-backend = "hatchling.build"

            [project]
            name = "genaug-acme"
            version = "0.3.1"
            dependencies = ["genaug"]

            [project.entry-points.genaug]
            acme = "genaug_acme"
        """)
    )
    pip = ("-m", "pip", "--isolated")
    run(
        sys.executable,
        *pip,
        "wheel",
        "--no-index",
        "--no-build-isolation",
        "--no-deps",
        "--wheel-dir",
        tmp_path,
        project,
    )
    (wheel,) = tmp_path.glob("*.whl")

    # A separate environment that also has the packages installed here, including editable installs.
    venv.create(tmp_path / "venv", symlinks=os.name != "nt")
    places = {"base": str(tmp_path / "venv"), "platbase": str(tmp_path / "venv")}
    site = Path(sysconfig.get_path("purelib", "venv", places))
    (site / "ours.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    python = Path(sysconfig.get_path("scripts", "venv", places)) / "python"

    def listed() -> dict[str, str]:
        listing = json.loads(run(python, "-m", "genaug", "plugins", "--json"))
        assert listing["problems"] == []
        return {backend["name"]: f"{backend['distribution']} {backend['version']}" for backend in listing["backends"]}

    before = listed()
    run(python, *pip, "install", "--no-index", "--no-deps", wheel)
    assert listed() == before | {"acme": "genaug-acme 0.3.1"}
    resolved = run(
        python, "-c", "from genaug.backends.registry import resolve; print(type(resolve('acme')).__module__)"
    )
    assert resolved == "genaug_acme.backend\n"
    run(python, *pip, "uninstall", "--yes", "genaug-acme")
    assert listed() == before
    assert "cgan" in before


def test_a_problem_is_formatted_as_one_line() -> None:
    assert str(Problem("genaug-acme", "it broke.")) == "genaug-acme: it broke."


# Plugins that raise, print or never finish ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "says"),
    [
        pytest.param("import pytest\npytest.skip('no', allow_module_level=True)", "Skipped: no", id="skipped"),
        pytest.param(
            "class PanicException(BaseException): ...\nraise PanicException('ow')", "PanicException: ow", id="panic"
        ),
        pytest.param("raise GeneratorExit", "GeneratorExit", id="generator"),
        pytest.param(
            plugin("raise BaseException('x')"), "registering its backends failed: BaseException: x", id="hook"
        ),
        pytest.param(r"raise ValueError('\x1b[31m\u202e')", re.escape(r"ValueError: \x1b[31m\u202e"), id="characters"),
    ],
)
def test_any_error_of_a_plugin_leaves_the_others_working(install: Install, source: str, says: str) -> None:
    install("bad", source)
    install("good", plugin("register('good', 'genaug_good.backend:Acme')"))
    assert re.search(says, problem_of("genaug-bad"))
    assert "good" in discover().backends


def test_ctrl_c_during_an_import_is_not_swallowed(install: Install) -> None:
    with pytest.raises(KeyboardInterrupt):
        install("bad", "raise KeyboardInterrupt")


def test_a_plugin_that_never_finishes_is_stopped_and_named(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "TIME_LIMIT", 0.2)
    forever = "while True:\n    try: time.sleep(60)\n    except Exception: pass\n"
    install("slow", f"import time\n{forever}")
    install("later", "import time\n" + plugin("time.sleep(60)"))
    install("good", plugin("register('good', 'genaug_good.backend:Acme')"))
    assert "takes more than 0.2 s" in problem_of("genaug-slow")
    assert "block it by its name in GENAUG_DISABLE_PLUGINS" in problem_of("genaug-slow")
    assert "registering its backends failed: it takes more than" in problem_of("genaug-later")
    assert "good" in discover().backends


NOISE = "import os, sys\nprint('noise A')\nprint('noise B', file=sys.stderr)\nos.system('echo noise C')\n"


def test_a_plugins_output_does_not_corrupt_json_and_is_shown_with_debug(install: Install, tmp_path: Path) -> None:
    install("loud", NOISE + plugin("print('noise D')", "register('loud', 'genaug_loud.backend:Acme')"))

    def listed(*options: str) -> subprocess.CompletedProcess[str]:
        code = "from genaug.cli import main; main()"
        paths = {**os.environ, "PYTHONPATH": str(tmp_path / "loud")}
        words = [sys.executable, "-c", code, *options, "plugins", "--json"]
        return subprocess.run(words, capture_output=True, text=True, env=paths, check=True)

    process = listed()
    assert "loud" in [backend["name"] for backend in json.loads(process.stdout)["backends"]]
    assert process.stderr == "noise C\n"
    process = listed("--debug")
    json.loads(process.stdout)
    assert "genaug-loud printed: noise A noise B noise D" in process.stderr


FAULTY = """
    import torch
    from torch import nn
    from genaug.backends import Backend, BackendConfig, Loss, Player, adam

    class Acme(Backend):
        class Config(BackendConfig):
            latent_size: int = 4
            fault: str = ""

        def describe(self, config, data):
            if config.fault == "describe":
                return 5
            return super().describe(config, data)

        def build(self, config, spec):
            if config.fault == "build":
                raise SystemExit(0)
            if config.fault == "no networks":
                return {}
            size = spec.shape[0] * spec.shape[1] * spec.shape[2]
            net = nn.Sequential(nn.Linear(4, size), nn.Unflatten(1, spec.shape))
            net.fault = config.fault
            return nn.ModuleDict({"generator": net})

        def generate(self, nets, inputs):
            if nets["generator"].fault == "generate":
                raise IndexError("no such layer")
            return nets["generator"](inputs.latents["z"])

        def players(self, config, nets):
            if config.fault == "players":
                return [5]
            return [Player("one", nets["generator"].parameters(), self.loss, adam(1e-3))]

        def loss(self, nets, batch, step):
            if step.config.fault == "loss":
                return None
            if step.config.fault == "gradient":
                return Loss(torch.zeros(()))
            return Loss(nets["generator"](step.latents(len(batch.x))["z"]).square().mean())
"""


def test_a_backend_that_exits_fails_its_checks(install: Install) -> None:
    install("acme", plugin("register('acme', 'genaug_acme.backend:Acme')"), backend=FAULTY)
    results = list(genaug.testing.run_checks("acme", config={"fault": "build"}))
    assert any(result.outcome == "failed" and "SystemExit" in result.why for result in results)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("describe", "describe failed (TypeError: expected a Spec, got int)"),
        ("build", "build failed (SystemExit: 0)"),
        ("no networks", "build failed (TypeError: expected an nn.ModuleDict"),
        ("players", "players failed (AttributeError"),
        ("loss", "loss of player 'one' failed (AttributeError"),
        ("gradient", "loss of player 'one' failed (RuntimeError"),
        ("generate", "generate failed (IndexError: no such layer)"),
    ],
)
def test_a_backend_that_fails_is_named_with_its_distribution(
    install: Install, tmp_path: Path, tiny_set: object, fault: str, says: str
) -> None:
    install("acme", plugin("register('acme', 'genaug_acme.backend:Acme')"), backend=FAULTY)
    good = genaug.fit("acme", tiny_set, out=tmp_path / "run", steps=1, batch_size=4, device="cpu", progress=False)
    assert good.sample(2)[0].shape == (2, 1, 8, 8)
    with pytest.raises(PluginError) as failed:
        genaug.fit("acme", tiny_set, out=tmp_path / "bad", steps=1, batch_size=4, config={"fault": fault}, device="cpu")
    assert str(failed.value).startswith(f"backend 'acme' of genaug-acme 1.2: {says}")
    assert str(failed.value).endswith("Reinstall or update genaug-acme, or report this to its authors.")


MANY = """
    from torch import nn
    from genaug.backends import Backend, BackendConfig

    class Many(Backend):
        class Config(BackendConfig):
            latent_size: int = 4

        keeps = ("second", "first")

        def build(self, config, spec):
            return nn.ModuleDict({name: nn.Linear(1, 1) for name in ("first", "second", "third")})

        def generate(self, nets, inputs):
            raise NotImplementedError

        def score(self, nets, x, labels):
            return x.flatten(1).sum(1)

    class Forgets(Many):
        keeps = ("first", "fourth", "fifth")
"""


def test_kept_networks_are_those_that_the_backend_keeps_in_its_order(install: Install) -> None:
    install("acme", plugin("register('many', 'genaug_acme.backend:Many')"), backend=MANY)
    many, spec = registry.resolve("many"), Spec(sample=Image(1, 8, 8))
    assert list(calls.built(many, many.Config(), spec)) == ["first", "second", "third"]
    assert list(calls.kept(many, many.Config(), spec)) == ["second", "first"]


def test_networks_that_are_kept_but_not_built_are_named(install: Install) -> None:
    install("acme", plugin("register('forgets', 'genaug_acme.backend:Forgets')"), backend=MANY)
    forgets, spec = registry.resolve("forgets"), Spec(sample=Image(1, 8, 8))
    for build in (calls.built, calls.kept):
        with pytest.raises(PluginError, match=r"genaug-acme .*: build failed .*with 'fourth', 'fifth' in it"):
            build(forgets, forgets.Config(), spec)


def test_backends_are_listed_by_the_optional_methods_they_offer(install: Install) -> None:
    hook = plugin("register('many', 'genaug_acme.backend:Many'); register('broken', 'genaug_acme.nothing:Broken')")
    install("acme", hook, backend=MANY)
    assert {"aae", "autoencoder", "bigan", "infogan", "vae"} <= set(registry.offering("encode"))
    for method, others in (("encode", {"cgan", "many"}), ("classify", {"many", "vae"}), ("score", {"cgan", "vae"})):
        assert "infogan" in registry.offering(method)
        assert not others & set(registry.offering(method))
    assert {"bigan", "many"} <= set(registry.offering("score"))
    assert "many" not in registry.offering("players")
    assert {"bigan", "cgan", "infogan", "mad-gan", "ssgan", "wgan-gp"} <= set(registry.offering("players"))
    assert [registry.resolve("many").offers(method) for method in ("players", "encode", "score")] == [
        False,
        False,
        True,
    ]
