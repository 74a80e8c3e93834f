"""What was generated, for a study's page: the examination in figures, and pictures of real and generated samples."""

from collections.abc import Mapping
from typing import Any

import torch

from genaug.data.apportion import largest_remainder
from genaug.modalities.base import Modality
from genaug.nn.neighbours import nearest
from genaug.reports.page import facts, figure, paragraph, picture
from genaug.reports.sheet import Block, draw_sheet, sheet_labels
from genaug.sources.source import Source
from genaug.studies.arms import Arm
from genaug.studies.blending import generate
from genaug.studies.jobs import Job, Work, one_thread, seed_samples, source_of
from genaug.studies.splits import LabelledSamples

_COLUMNS = 6


def examination_facts(details: Mapping[str, Any]) -> list[str]:
    """The examination of the samples in figures."""
    examination = details["examination"]
    if "recognized" not in examination:
        return []
    distance, noun = examination["distance_ratio"], details["statistics"]["samples"]
    return [
        facts(
            [
                ("samples recognized as the requested class", f"{examination['recognized']:.0%}"),
                (f"real test {noun} recognized by the same classifier", f"{examination['recognized_real']:.0%}"),
                (f"distance within a class, relative to real {noun}", "–" if distance is None else f"{distance:.0%}"),
                ("samples identical to another one", f"{examination['repeated']:.1%}"),
            ]
        ),
        paragraph(
            f"{examination['samples']:,} samples for {examination['seeds']} seeds. The classifier is the study's, "
            f"trained on all training {noun}; the recognized shares are averaged over classes.",
            "note",
        ),
    ]


def pictures(details: Mapping[str, Any], work: Work, chosen: Arm) -> list[str]:
    """Pictures of the first seed's real and generated samples: the modality's own, or sample grids."""
    seed = details["settings"]["seeds"][0]
    real, _ = seed_samples(work, Job("test", seed, ()))
    modality = work.spec.sample
    with one_thread():
        try:
            source = source_of(work, str(chosen.source), seed)
            preview = None
            if type(modality).preview is not Modality.preview:
                alike = generate(source, real, real.labels.bincount(minlength=work.spec.num_classes), 0, work.spec)
                preview = modality.preview(real.samples, alike.samples)
            if preview is None:
                return _grids(real, source, work, chosen, seed)
        except Exception as error:
            return [paragraph(f"No sample grid could be drawn ({type(error).__name__}: {error}).")]
    noun = modality.noun
    return [
        figure(
            picture(preview, f"Real {noun} beside generated ones"),
            f"Seed {seed}: its training {noun}, and as many of each class from {chosen.source}.",
        )
    ]


def _grids(real: LabelledSamples, source: Source, work: Work, chosen: Arm, seed: int) -> list[str]:
    """Sample grids: real and generated images, and generated images and their nearest real ones."""
    present = (real.labels.bincount(minlength=work.spec.num_classes) > 0).long()  # equally many of each class
    size = len(sheet_labels(work.spec.num_classes, _COLUMNS))
    counts = torch.from_numpy(largest_remainder(size, present.tolist()))
    samples = generate(source, real, counts, 0, work.spec)
    neighbors = real.samples[nearest(samples.samples.flatten(1), real.samples.flatten(1))[1]]
    blocks = (
        Block(real.samples, real.labels, "real"),
        Block(samples.samples, samples.labels, "generated"),
        Block(neighbors, samples.labels, "nearest"),
    )
    grids = [draw_sheet(*pair, classes=real.classes, columns=_COLUMNS) for pair in (blocks[:2], blocks[1:])]
    return [
        figure(
            picture(grids[0], "Rows of real images beside rows of generated ones, one row per class"),
            f"Seed {seed}: its first training images of each class, and the same number from {chosen.source}.",
        ),
        figure(
            picture(grids[1], "Rows of generated images beside rows of the training images nearest to them"),
            "The same generated images, and in the same places the training images nearest to them (Euclidean distance "
            "of pixels). If both sides show the same images, the generator copies.",
        ),
    ]
