"""``genaug new-plugin``: a plugin that works, to be made one's own."""

import re
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from genaug.cli.printing import say

_FILES = ("pyproject.toml", "README.md", "genaug_vae/__init__.py", "genaug_vae/backend.py", "tests/test_backend.py")
_NAMES = re.compile(r"genaug_vae|genaug-vae|VAE|\bvae\b")


def new_plugin(
    name: Annotated[str, typer.Argument(help="What the backend will be called: lower-case letters, digits, '-', '_'.")],
) -> None:
    """Write a plugin, a small variational autoencoder with its tests, into the new folder genaug-NAME."""
    from genaug.artifacts.claims import claim
    from genaug.backends.registry import discover
    from genaug.errors import InputError, OutputExistsError

    if not re.fullmatch(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*", name):
        raise InputError(f"{name!r} is no name for a backend. Use lower-case letters, digits, and '-' or '_' inside.")
    taken = discover().backends.get(name)
    if taken is not None:
        raise InputError(f"a backend {name!r} is installed already, by {taken.distribution}. Choose another name.")
    folder = Path(f"genaug-{name.replace('_', '-')}")
    if folder.exists():
        raise OutputExistsError(f"{folder} exists. Choose another name, or move it away.")
    with claim(folder, "plugin") as place:
        place.write({file: text.encode() for file, text in skeleton(name).items()})
        place.hand_over()
    say(
        f"{folder} holds a plugin that works: a variational autoencoder. To try it, and to make it your own:\n\n"
        f'  pip install -e "{folder}[test]"\n'
        f"  pytest {folder}\n"
        f"  genaug train {name} --data digits --steps 2000\n\n"
        f"Its recipe is {folder}/{_package(name)}/backend.py."
    )


def skeleton(name: str) -> dict[str, str]:
    """The files of a plugin by their paths: those of ``examples/plugin`` under another name."""
    there = {
        "genaug_vae": _package(name),
        "genaug-vae": f"genaug-{name.replace('_', '-')}",
        "VAE": "".join(part.capitalize() for part in re.split("[-_]", name)),
        "vae": name,
    }

    def renamed(text: str) -> str:
        return _NAMES.sub(lambda found: there[found[0]], text)

    source = files("genaug") / "skeleton"  # in a checkout, a link to examples/plugin
    return {renamed(file): renamed(source.joinpath(file).read_text(encoding="utf-8")) for file in _FILES}


def _package(name: str) -> str:
    return f"genaug_{name.replace('-', '_')}"
