"""What the Hub answers to the question what a repo holds, parsed by a schema."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from genaug.json_files import check, parse_json

_Size = Annotated[int, Field(ge=0, le=2**63 - 1)]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class LargeFile(_Answer):
    """A file that Git LFS stores."""

    sha256: str | None = None
    size: _Size | None = None


class Sibling(_Answer):
    """A file of a repo. ``blob_id`` is git's sha1 of it, or of what stands for a large file."""

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


_REPO: TypeAdapter[RepoAnswer] = TypeAdapter(RepoAnswer)


def parse_repo(content: bytes) -> RepoAnswer:
    """Raises ``FormatError`` for what no Hub answers."""
    answer: Any = parse_json(content, "the answer", "")
    return check(answer, _REPO, "the answer", "")
