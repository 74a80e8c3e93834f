"""``genaug new-plugin``: a working plugin to start from."""

import re
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from genaug.cli.printing import say

_FILES = (
    "pyproject.toml",
    "README.md",
    "genaug_small_vae/__init__.py",
    "genaug_small_vae/backend.py",
    "tests/test_backend.py",
)
_NAMES = re.compile(r"genaug_small_vae|genaug-small-vae|SmallVAE|\bsmall-vae\b")


def new_plugin(
    name: Annotated[str, typer.Argument(help="The backend's name: lower-case letters, digits, '-' and '_'.")],
) -> None:
    """Write a plugin, a small variational autoencoder with its tests, into the new folder genaug-NAME."""
    from genaug.artifacts.claims import claim
    from genaug.backends.registry import discover
    from genaug.errors import InputError, OutputExistsError

    if not re.fullmatch(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*", name):
        raise InputError(
            f"{name!r} is not a valid name for a backend. Use lower-case letters, digits, and '-' or '_' between them."
        )
    existing = discover().backends.get(name)
    if existing is not None:
        raise InputError(f"a backend {name!r} is installed already, by {existing.distribution}. Choose another name.")
    folder = Path(f"genaug-{name.replace('_', '-')}")
    if folder.exists():
        raise OutputExistsError(f"{folder} exists. Choose another name, or move it away.")
    with claim(folder, "plugin") as place:
        place.write({file: text.encode() for file, text in skeleton(name).items()})
        place.hand_over()
    say(
        f"{folder} is a working plugin with a variational autoencoder. To try it, and then change it:\n\n"
        f'  pip install -e "{folder}[test]"\n'
        f"  pytest {folder}\n"
        f"  genaug train {name} --data digits --steps 2000\n\n"
        f"The backend is in {folder}/{_package(name)}/backend.py."
    )


def skeleton(name: str) -> dict[str, str]:
    """The files of a plugin by path: those of ``examples/plugin`` under another name."""
    names = {
        "genaug_small_vae": _package(name),
        "genaug-small-vae": f"genaug-{name.replace('_', '-')}",
        "SmallVAE": "".join(part.capitalize() for part in re.split("[-_]", name)),
        "small-vae": name,
    }

    def renamed(text: str) -> str:
        return _NAMES.sub(lambda match: names[match[0]], text)

    source = files("genaug") / "skeleton"  # in a checkout, a link to examples/plugin
    return {renamed(file): renamed(source.joinpath(file).read_text(encoding="utf-8")) for file in _FILES}


def _package(name: str) -> str:
    return f"genaug_{name.replace('-', '_')}"
