"""A recipe: a folder with ``recipe.json``, from which a plugin's source is built again, without weights."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from genaug.artifacts.claims import claim
from genaug.artifacts.json_files import parse_own, read_bytes
from genaug.artifacts.manifest import CONFIG_FILE
from genaug.artifacts.paths import reading_from
from genaug.backends.spec import Spec
from genaug.checks import first_problem
from genaug.errors import FormatError, InputError, OutputExistsError

RECIPE_FILE = "recipe.json"
FORMAT_VERSION = 1
MAX_RECIPE_BYTES = 2**20
_DEPTH = 20  # of nested options
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?", re.ASCII)
_OPTIONS = "Choose another folder or pass overwrite=True (--overwrite)."


def _plain(value: Any, depth: int = _DEPTH) -> Any:
    """A value that can be written as JSON and read back as the same."""
    if depth == 0:
        raise ValueError(f"more than {_DEPTH} levels of nesting")
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _plain(inner, depth - 1) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, depth - 1) for inner in value]
    if not isinstance(value, str | int | float | None):
        raise ValueError(f"{type(value).__name__} is not a plain value of JSON")
    if isinstance(value, float) and not abs(value) < float("inf"):
        raise ValueError("not a finite number")
    if isinstance(value, str):
        value.encode()  # UnicodeEncodeError, a ValueError, for lone surrogates
    return value


def _free(name: str) -> str:
    if name in ("device", "revision"):
        raise ValueError(f"{name} is not an option of a recipe")
    return name


Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$"), AfterValidator(_free)]
Plain = Annotated[Any, AfterValidator(_plain)]


class SourceRecipe(BaseModel):
    """How ``genaug.load(source, revision=revision, **options)`` builds a source again.

    ``source`` is "SCHEME:REST", with the scheme of a plugin; ``revision`` is the full hash of a commit if REST is a
    repo on the Hub, and None if it is something else, such as a local path.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    source: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,63}:[^\x00-\x1f\x7f]{1,1000}$")]
    revision: Annotated[str, Field(pattern="^[0-9a-f]{40}$")] | None = None
    options: Annotated[dict[Name, Plain], Field(max_length=100)] = {}

    @model_validator(mode="after")
    def _commit_of_a_repo(self) -> "SourceRecipe":
        if self.revision is not None and not _HUB_ID.fullmatch(self.rest):
            raise ValueError(f"a revision is for a repo on the Hub (owner/name), and {self.rest[:100]!r} isn't one")
        return self

    @property
    def scheme(self) -> str:
        return self.source.partition(":")[0]

    @property
    def rest(self) -> str:
        return self.source.partition(":")[2]


class RecipeManifest(SourceRecipe):
    """The content of ``recipe.json``. ``distribution`` provides the scheme; ``training`` is provenance only."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)

    library: Literal["genaug"] = "genaug"
    format_version: Literal[1] = 1
    spec: Spec
    distribution: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    distribution_version: Annotated[str, Field(pattern=r"^[A-Za-z0-9.+!_-]{1,100}$")]
    license: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.+-]{0,60}$")] | None = None
    training: dict[str, Plain] = {}

    @property
    def sha256(self) -> str:
        """A hash of what decides the samples: the source, its revision, its options and its spec."""
        content = self.model_dump(mode="json", include={"source", "revision", "options", "spec"})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def recipe_of(source: Any) -> SourceRecipe | None:
    """The recipe of a source, by its attribute ``recipe``; None if it has none. Raises ``InputError`` for another form.

    The attribute is a mapping with the fields of ``SourceRecipe``.
    """
    recipe = getattr(source, "recipe", None)
    if recipe is None:
        return None
    try:
        return SourceRecipe.model_validate(recipe)
    except ValidationError as error:
        raise InputError(
            f"{type(source).__name__}.recipe is not a recipe: {first_problem(error)}. Expected source, revision and "
            "options, in plain values."
        ) from error


def is_recipe(folder: Path) -> bool:
    """Whether a folder contains a recipe, and no generator, which has precedence."""
    with reading_from(folder):
        return (folder / RECIPE_FILE).is_file() and not (folder / CONFIG_FILE).exists()


def read_recipe(folder: Path) -> RecipeManifest:
    """Read and validate ``recipe.json``; no more than ``MAX_RECIPE_BYTES`` are read. Raises ``FormatError``, and
    ``ReadError`` if it can't be read."""
    path = folder / RECIPE_FILE
    return parse_recipe(read_bytes(path, MAX_RECIPE_BYTES), str(path))


def parse_recipe(content: bytes, where: str) -> RecipeManifest:
    """Validate the content of a ``recipe.json``. Raises ``FormatError``."""
    fields = parse_own(content, where, limit=MAX_RECIPE_BYTES, version=FORMAT_VERSION)
    try:
        return RecipeManifest.model_validate(fields)
    except ValidationError as error:
        raise FormatError(f"{where} is not a valid recipe: {first_problem(error)}.") from error


def encode_recipe(manifest: RecipeManifest) -> bytes:
    """The content of ``recipe.json``, always the same bytes for the same recipe."""
    return (manifest.model_dump_json(indent=2) + "\n").encode()


def write_recipe(folder: str | Path, manifest: RecipeManifest, overwrite: bool) -> Path:
    """Write ``recipe.json`` and return its folder.

    Raises ``OutputExistsError`` if the folder isn't empty and ``overwrite`` is false, or if it contains a generator,
    only files of others, or a file of this name that genaug didn't write, and ``SaveError`` if writing fails. The
    folder is unchanged then.
    """
    with claim(folder, "generator", replace=overwrite, options=_OPTIONS) as place:
        if (place.path / CONFIG_FILE).exists():
            raise OutputExistsError(f"{place.path} contains a generator; it is left alone. Choose another folder.")
        place.write({RECIPE_FILE: encode_recipe(manifest)})
    return place.path
