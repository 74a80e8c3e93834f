"""What ``--data`` and the options beside it name, for the commands that read it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genaug.cli.printing import say

if TYPE_CHECKING:
    from genaug.data.split_folders import Split

TestShare = Annotated[
    float | None,
    typer.Option(help="Of a folder without a test split, hold out this share of each class, such as 0.2, as one."),
]
GroupBy = Annotated[
    str | None,
    typer.Option(
        metavar="PATTERN",
        help="With --test-share: a regular expression for the files' paths. Files with the same first group stay on "
        "one side.",
    ),
]


def read_data(
    name: str,
    split: "Split" = "train",
    *,
    root: Path | None = None,
    test_share: float | None = None,
    group_by: str | None = None,
) -> Any:
    """The data that an option names. For a folder, one line on stderr says what was read and what was left out."""
    from genaug.data.datasets import load_data

    data: Any = load_data(name, split=split, root=root, test_share=test_share, group_by=group_by)
    summary = getattr(data, "summary", None)
    if summary is not None and os.environ.get("RANK", "0") == "0":  # under torchrun, one process speaks
        say(f"genaug: {summary}", err=True)
    return data


def read_held_out(
    name: str, test_data: str | None, *, root: Path | None, test_share: float | None, group_by: str | None
) -> Any:
    """The test split of the data, or ``test_data`` as it is. Raises ``MissingSplitError`` if there is neither."""
    from genaug.errors import InputError, MissingSplitError

    if test_data is not None:
        if test_share is not None:
            raise InputError("--test-data names the test set and --test-share holds one out: pass one of them.")
        return read_data(test_data, root=root)
    try:
        return read_data(name, "test", root=root, test_share=test_share, group_by=group_by)
    except MissingSplitError as error:
        raise MissingSplitError(f"{error} Name a test set with --test-data.") from error
