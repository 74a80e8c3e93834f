"""Reading the data named by ``--data`` and its related options."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genaug import checks
from genaug.cli.printing import say

if TYPE_CHECKING:
    from genaug.data.split_folders import Split

TestShare = Annotated[
    float | None,
    typer.Option(help="For a folder without a test split: the share of each class to hold out, such as 0.2."),
]
TrainedSize = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=checks.SIDE,
        help="Resize the shorter side to this and crop the center.  [default: as in the generator's training]",
    ),
]
GroupBy = Annotated[
    str | None,
    typer.Option(
        metavar="PATTERN",
        help="With --test-share: a regular expression for the paths of files. Files whose first group is equal are "
        "never split.",
    ),
]


def read_data(
    name: str,
    split: "Split" = "train",
    *,
    root: Path | None = None,
    test_share: float | None = None,
    group_by: str | None = None,
    target: str | None = None,
) -> Any:
    """The data named by an option. For files of the user, a line on stderr says what was read and what was skipped."""
    from genaug.data.datasets import load_data

    data: Any = load_data(name, split=split, root=root, test_share=test_share, group_by=group_by, target=target)
    summary = getattr(data, "summary", None)
    if summary is not None and os.environ.get("RANK", "0") == "0":  # under torchrun, only one process prints
        say(f"genaug: {summary}", err=True)
    return data


def read_held_out(
    name: str,
    test_data: str | None,
    *,
    root: Path | None,
    test_share: float | None,
    group_by: str | None,
    target: str | None = None,
) -> Any:
    """The test split of the data, or the complete ``test_data``. Raises ``MissingSplitError`` if there is neither."""
    from genaug.errors import InputError, MissingSplitError

    if test_data is not None:
        if test_share is not None:
            raise InputError("--test-data names a test set, but --test-share holds one out: pass one of them.")
        return read_data(test_data, root=root, target=target)
    try:
        return read_data(name, "test", root=root, test_share=test_share, group_by=group_by, target=target)
    except MissingSplitError as error:
        raise MissingSplitError(f"{error} Name a test set with --test-data.") from error


def folder_name(data: str) -> str:
    """``data`` in the forms of ``--data``, for an option that also takes the path of a folder."""
    from genaug.artifacts.paths import user_path

    return f"folder:{data}" if user_path(data).is_dir() else data
