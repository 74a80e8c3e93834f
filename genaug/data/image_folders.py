"""A dataset of the images in a user's folder: ``folder:PATH``."""

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image
from torchvision.datasets import VisionDataset

from genaug.backends.spec import count_of_classes
from genaug.data.class_folders import is_incomplete, recorded_classes
from genaug.data.classes import same_form
from genaug.data.holdout import held_out
from genaug.data.image_files import LeftOut, entries, images_under, opened_image
from genaug.data.split_folders import Place, Split, find_places
from genaug.errors import DataWarning, InputError, MissingSplitError
from genaug.escaping import escaped


class FolderImages(VisionDataset):  # type: ignore[misc]  # torchvision has no type information
    """Images in class folders as items (PIL image, int), or images without classes as items that are images.

    Attributes:
        samples: (path, label) of every item, in order; ``imgs`` is the same. Labels are None without classes.
        targets: the labels; None without classes.
        classes: the classes' names in label order, in Unicode's composed form; None if they have none.
        class_to_idx: the label of each name; None without names.
        left_out: how many files and folders were left out, by reason.
        summary: one line that says what was read and what was left out.
    """

    def __init__(
        self,
        root: str,
        samples: list[tuple[str, int | None]],
        classes: list[str] | None,
        mode: str,
        *,
        split: Split,
        left_out: LeftOut,
    ) -> None:
        super().__init__(root)
        self.samples = self.imgs = samples
        self.targets = None if samples[0][1] is None else [label for _, label in samples]
        self.classes = classes
        self.class_to_idx = None if classes is None else {name: label for label, name in enumerate(classes)}
        self.loader: Callable[[str], Any] = GrayOrColor(mode)
        self.left_out = dict(left_out.counts)
        classes_present = "without classes"
        if self.targets is not None:
            classes_present = f"of {count_of_classes(len(set(self.targets)))}"
        images = f"{len(samples):,} image{'' if len(samples) == 1 else 's'}"
        self.summary = f"read {images} {classes_present} from {escaped(root)} ({split})"
        if str(left_out):
            self.summary += f"; left out {left_out}"

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Any:
        path, label = self.samples[index]
        image = self.loader(path)
        if self.transform is not None:
            image = self.transform(image)
        if label is None:
            return image
        return image, (label if self.target_transform is None else self.target_transform(label))


def read_folder(
    path: Path, split: Split, *, test_share: float | None = None, group_by: str | None = None
) -> FolderImages:
    """The images of a split of a folder; ``split_folders.find_places`` has the rule that finds them.

    They are of mode L if all the training images are gray, otherwise RGB. If the folder contains ``samples.json``,
    which genaug writes with its samples, the classes have the names and the order recorded there. ``test_share`` and
    ``group_by`` hold out a part of a folder without a test split: see ``holdout.held_out``.

    Raises ``InputError`` for a missing folder, no images, and a test split with classes that the training split lacks,
    and ``MissingSplitError`` for a missing test split.
    """
    if not path.is_dir():
        raise InputError(f"{escaped(path.absolute())} is not a directory. Expected a directory of images.")
    root = str(path)
    train, test = find_places(root)
    if test is not None and test_share is not None:
        raise InputError(
            f"{escaped(path.absolute())} has a test split, {escaped(test.path)}, so test_share (--test-share) has "
            "no effect. Leave it out."
        )
    if split == "test" and test is None and test_share is None:
        raise MissingSplitError(
            f"{escaped(path.absolute())} has no test/ folder beside train/, so there is nothing to test on. Hold "
            "out a part of it with test_share (--test-share)."
        )
    names, label_of = _classes(train)
    samples = _samples(train, label_of)
    mode = "L" if all(_is_gray(file) for file, _ in samples) else "RGB"
    place = train
    if test_share is not None:
        mask = held_out(
            [_name(file, train.path) for file, _ in samples],
            [label or 0 for _, label in samples],
            test_share,
            group_by,
            names,
        )
        samples = [sample for sample, out in zip(samples, mask, strict=True) if out == (split == "test")]
    elif group_by is not None:
        raise InputError("group_by (--group-by) only applies to a held-out part: pass test_share (--test-share) too.")
    elif split == "test" and test is not None:
        place = test
        _check_classes(test, train, label_of)
        samples = _samples(test, label_of)
    place.left_out.warn(stacklevel=3)
    if is_incomplete(Path(place.path)):
        warnings.warn(
            f"genaug hasn't generated all images of {escaped(place.path)} yet: the {len(samples):,} that are there are "
            "used. Run the command or the script that generates them again to complete them.",
            DataWarning,
            stacklevel=3,
        )
    return FolderImages(place.path, samples, names, mode, split=split, left_out=place.left_out)


def _classes(train: Place) -> tuple[list[str] | None, dict[str, int]]:
    """The classes' names in label order (None if they have none), and the label of each folder by its name."""
    folders = list(dict.fromkeys(map(same_form, train.classes)))
    if not folders:
        return None, {}
    record = recorded_classes(Path(train.path))
    if record is None or (record[1] is None and set(folders) - set(map(same_form, record[0]))):
        record = folders, folders
    order = [same_form(name) for name in record[0]]
    further = [name for name in folders if name not in set(order)]
    label_of = {name: label for label, name in enumerate([*order, *further])}
    return (None if record[1] is None else [same_form(name) for name in record[1]] + further), label_of


def _samples(place: Place, label_of: dict[str, int]) -> list[tuple[str, int | None]]:
    if not place.classes:
        return [(os.path.join(place.path, name), None) for name in entries(place.path)[1]]
    samples: list[tuple[str, int | None]] = []
    real = {folder: os.path.realpath(os.path.join(place.path, folder)) for folder in place.classes}
    for folder in place.classes:
        files = images_under(os.path.join(place.path, folder), place.left_out, set(real.values()) - {real[folder]})
        samples += [(file, label_of[same_form(folder)]) for file in files]
    return samples


def _check_classes(test: Place, train: Place, label_of: dict[str, int]) -> None:
    if not test.classes and label_of:
        raise InputError(
            f"{escaped(test.path)} contains images without class folders, but {escaped(train.path)} has class "
            "folders. Put the test images into folders of the same names."
        )
    unknown = sorted(name for name in test.classes if same_form(name) not in label_of)
    if unknown:
        listed = ", ".join(map(escaped, unknown[:5]))
        raise InputError(f"{escaped(test.path)} has class folders that {escaped(train.path)} lacks: {listed}.")


def _name(file: str, folder: str) -> str:
    """A file's path within a folder, the same on all systems."""
    return same_form(os.path.relpath(file, folder).replace(os.sep, "/"))


def _is_gray(file: str) -> bool:
    """Whether an image file is gray, from its header."""
    with opened_image(file) as image:
        return image.mode in ("1", "L")


class GrayOrColor:
    """Opens image files as PIL images of one mode, L or RGB. Raises ``InputError`` for more than 8 bits per channel."""

    def __init__(self, mode: str) -> None:
        self.mode = mode

    def __call__(self, path: str) -> Image.Image:
        with opened_image(path) as image:
            if image.mode.startswith(("I", "F")):
                raise InputError(
                    f"{escaped(path)} has more than 8 bits per channel (mode {image.mode}). Convert it to 8 bits first."
                )
            return image.convert(self.mode)
