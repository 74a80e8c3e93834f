"""Pictures and files of anomaly scores."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image
from torch import Tensor

from genaug.anomaly.scoring import Scorer
from genaug.artifacts.claims import Claim, claim
from genaug.reports.sheet import Block, draw_sheet, encode_png

SCORES_FILE, SUMMARY_FILE, PICTURE_FILE = "scores.csv", "anomalies.json", "anomalies.png"


def draw_anomalies(images: Tensor, scores: NDArray[np.float64], scorer: Scorer, count: int) -> Image:
    """The ``count`` most anomalous uint8 images in rows, with scores, reconstructions and differences if there are any.

    The difference is the absolute one of each channel.
    """
    rows = most_anomalous(scores)[:count]
    images = images[torch.from_numpy(rows)]
    order, names = torch.arange(len(rows)), [f"{scores[row]:.4g}" for row in rows]
    blocks = [Block(images, order, "image")]
    reconstructions = scorer.reconstruct(images)
    if reconstructions is not None:
        difference = (images.to(torch.int16) - reconstructions.to(torch.int16)).abs().to(torch.uint8)
        if images.shape[1] in (2, 4):
            difference[:, -1] = 255  # opaque
        blocks += [Block(reconstructions, order, "decoded"), Block(difference, order, "error")]
    return draw_sheet(*blocks, classes=names, columns=1)


def most_anomalous(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """The indices of the scores from the highest to the lowest."""
    return np.argsort(-scores, kind="stable").astype(np.int64)


def summarized(scores: NDArray[np.float64], threshold: float | None) -> dict[str, Any]:
    """The scores in a few numbers; ``anomalous``, how many are above the threshold, is None without one."""
    return {
        "images": len(scores),
        "scores": {
            "lowest": float(scores.min()),
            "median": float(np.median(scores)),
            "highest": float(scores.max()),
        },
        "threshold": threshold,
        "anomalous": None if threshold is None else int((scores > threshold).sum()),
    }


def claim_anomalies(folder: str | Path, overwrite: bool) -> AbstractContextManager[Claim]:
    """Claim a folder for anomaly scores."""
    return claim(folder, "anomalies", replace=overwrite)


def write_anomalies(
    place: Claim,
    summary: Mapping[str, Any],
    scores: NDArray[np.float64],
    files: Sequence[str | None],
    picture: Image,
) -> None:
    """Write the scores as a table, the summary and the picture, all or none.

    The table has a row per image, the most anomalous first: ``index`` in the data, ``file`` if it is known, ``score``,
    and ``anomalous``, 1 or 0, if ``summary["threshold"]`` isn't None.
    """
    text, threshold = io.StringIO(), summary["threshold"]
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["index", "file", "score", "anomalous"])
    for index in most_anomalous(scores).tolist():
        score = float(scores[index])
        rows.writerow([index, files[index] or "", repr(score), "" if threshold is None else int(score > threshold)])
    place.write(
        {
            SCORES_FILE: text.getvalue().encode(errors="backslashreplace"),
            SUMMARY_FILE: (json.dumps(dict(summary), indent=2, allow_nan=False) + "\n").encode(),
            PICTURE_FILE: encode_png(picture),
        }
    )
