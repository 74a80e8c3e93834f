"""The schema of the Hub's answer that describes a repo."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from genaug.checks import first_problem
from genaug.errors import FormatError

_Size = Annotated[int, Field(ge=0, le=2**63 - 1)]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class LargeFile(_Answer):
    """A file stored with Git LFS."""

    sha256: str | None = None
    size: _Size | None = None


class Sibling(_Answer):
    """A file of a repo. ``blob_id`` is git's sha1 of the file, or of the pointer to a large file."""

    name: Annotated[str, Field(alias="rfilename")]
    size: _Size | None = None
    blob_id: Annotated[str | None, Field(alias="blobId")] = None
    lfs: LargeFile | None = None


class RepoAnswer(_Answer):
    """A model repo at a revision, as ``/api/models/OWNER/NAME?blobs=true`` describes it."""

    id: str | None = None
    sha: Annotated[str, Field(pattern="^[0-9a-f]{40}$")]
    private: bool | None = None
    siblings: list[Sibling] | None = None


def parse_repo(content: bytes) -> RepoAnswer:
    """Parse the answer. Raises ``FormatError`` if it can't come from a Hub."""
    try:
        return RepoAnswer.model_validate_json(content)
    except ValidationError as error:
        raise FormatError(f"the answer, {first_problem(error)}") from error
