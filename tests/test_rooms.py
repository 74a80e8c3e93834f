"""The order of the package's folders: each imports only from those before it, and imports don't form a circle."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "genaug"
GROUND = ("errors", "escaping", "version", "lazy", "randomness", "device", "progress", "checks", "schedules")
ROOMS = (
    *("modalities", "backends", "artifacts", "nn", "data", "sources", "reports", "training", "blend", "labelling"),
    *("evaluation", "anomaly", "hub", "conversion", "studies", "searches", "demo", "integrations", "testing", "cli"),
)
CONVENIENCES = {
    ("sources.generator", "hub.push"),
    ("sources.generator", "reports.traverse"),
    ("training.tuning", "hub.load"),
}
"""Functions that import a later room inside: methods of ``Generator`` that pass themselves to it, and ``fit``, whose
``init`` may be a Hub id, which is loaded only if the run needs it."""


def module_of(name: str) -> str | None:
    """The module of this package that a dotted name is or that defines it; "" for the package itself."""
    parts = name.split(".")
    while parts and not (PACKAGE.joinpath(*parts).with_suffix(".py").exists() or PACKAGE.joinpath(*parts).is_dir()):
        parts.pop()
    return ".".join(parts)


def imports(path: Path) -> set[str]:
    """All modules of this package that a file imports, also inside functions and for type checkers."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        else:
            assert not isinstance(node, ast.ImportFrom), f"{path} has a relative import"
    ours = {
        name.removeprefix("genaug.") if name != "genaug" else "" for name in names if name.split(".")[0] == "genaug"
    }
    return {module_of(name) for name in ours}


@pytest.fixture(scope="module")
def graph() -> dict[str, set[str]]:
    """Module -> the modules that it imports; the packages' ``__init__`` files only export names and are left out."""
    files = {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.stem not in ("__init__", "__main__") and "skeleton" not in path.parts
    }
    dependencies = {
        module: {other for other in imports(path) if (module, other) not in CONVENIENCES}
        for module, path in files.items()
    }
    assert len(dependencies) > 100
    return dependencies


def test_every_module_has_a_room(graph):
    assert {module.split(".")[0] for module in graph} == {*GROUND, *ROOMS}


def test_nothing_imports_a_later_room(graph):
    rank = {**dict.fromkeys(GROUND, 0), **{room: number for number, room in enumerate(ROOMS, 1)}}
    upward = {
        f"{module} imports {other or 'genaug'}"
        for module, others in graph.items()
        for other in others
        if not other or rank[other.split(".")[0]] > rank[module.split(".")[0]]
    }
    assert not upward


def test_no_files_import_each_other_in_a_circle(graph):
    TopologicalSorter({module: others - {module} for module, others in graph.items()}).prepare()


def test_no_folders_import_each_other_in_a_circle(graph):
    folders: dict[str, set[str]] = {}
    for module, others in graph.items():
        room = module.split(".")[0]
        folders.setdefault(room, set()).update({other.split(".")[0] for other in others} - {room})
    TopologicalSorter(folders).prepare()
