"""Tables from CSV and Parquet files."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from genaug.artifacts.paths import reading_from, user_path
from genaug.data.holdout import rows_of_split
from genaug.data.split_folders import Split
from genaug.data.tables import TableDataset
from genaug.errors import DataWarning, InputError, MissingSplitError
from genaug.modalities.restoring import import_pandas


def read_table(
    path: str, split: Split = "train", *, target: str | None = None, test_share: float | None = None
) -> TableDataset:
    """The rows of a CSV file with a header, or of a Parquet file (.parquet, .pq; needs pyarrow).

    ``test_share`` holds out this share of the rows of each class, in (0, 1), as the test split, which depends on the
    rows' order only. Raises ``InputError`` for a file that isn't a table, ``MissingSplitError`` for the test split
    without ``test_share``, and ``ReadError`` for a file that can't be read.
    """
    if split == "test" and test_share is None:
        raise MissingSplitError(f"the table {path} has no test split. Hold one out: test_share= (--test-share).")
    frame = _read_file(user_path(path))
    frame.columns = [str(name) for name in frame.columns]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # the summary says the same
        dataset = TableDataset(frame, target)
    if test_share is None:
        return dataset
    return dataset.take(rows_of_split(dataset.targets, test_share, split))


def _read_file(path: Path) -> Any:
    pd = import_pandas()
    with reading_from(path), _explained(path):
        if not path.is_file():
            raise InputError(f"{path} is not a file. Expected a CSV file with a header, or a Parquet file.")
        if path.suffix.lower() in (".parquet", ".pq"):
            return pd.read_parquet(path)
        header = pd.read_csv(path, header=None, nrows=1, dtype=str).iloc[0].tolist()
        for name in header:
            if isinstance(name, str) and header.count(name) > 1:  # pandas would rename the second one
                raise InputError(f"{path} has several columns {name!r}. Rename all but one.")
        return pd.read_csv(path)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Around reading a table: pandas' errors become an ``InputError``."""
    try:
        yield
    except ImportError as error:
        raise InputError(f"Parquet files need pyarrow, which isn't installed: pip install pyarrow ({path})") from error
    except (InputError, OSError):
        raise
    except Exception as error:  # of pandas or pyarrow, which have many
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{path} can't be read as a table ({type(error).__name__}: {reason}). Expected a CSV file in UTF-8 with a "
            "header, or a Parquet file."
        ) from error
