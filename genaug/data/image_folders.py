"""A dataset of the images in a folder, as people have it: ``folder:PATH``."""

import os
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image
from torchvision.datasets import VisionDataset

from genaug.data.class_folders import recorded_classes
from genaug.data.holdout import held_out
from genaug.data.image_files import LeftOut, entries, images_under, opened_image
from genaug.data.split_folders import Place, Split, find_places
from genaug.errors import InputError, MissingSplitError
from genaug.escaping import escaped


class FolderImages(VisionDataset):  # type: ignore[misc]  # torchvision has no type information
    """Images in class folders as items (PIL image, int), or images without classes as they are.

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
        self.loader: Callable[[str], Any] = GreyOrColour(mode)
        self.left_out = dict(left_out.counts)
        present = 0 if self.targets is None else len(set(self.targets))
        kinds = (
            "without classes" if self.targets is None else f"of {present:,} {'class' if present == 1 else 'classes'}"
        )
        self.summary = f"read {_images(len(samples))} {kinds} from {escaped(root)} ({split})"
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

    They are of mode L if all the training images are grey, else RGB. If the folder holds ``samples.json``, which
    genaug writes beside its samples, the classes have the names and the order recorded there. ``test_share`` and
    ``group_by`` hold out a part of a folder without a test split: see ``holdout.held_out``.

    Raises ``InputError`` for a missing folder, no images, a test split that there isn't, or that has classes which the
    training split lacks.
    """
    if not path.is_dir():
        raise InputError(f"no folder at {escaped(path.absolute())}.")
    root = str(path)
    train, test = find_places(root)
    if test is not None and test_share is not None:
        raise InputError(
            f"{escaped(path.absolute())} has a test split, {escaped(test.path)}, so test_share (--test-share) has "
            "nothing to do. Leave it out."
        )
    if split == "test" and test is None and test_share is None:
        raise MissingSplitError(
            f"{escaped(path.absolute())} has no test/ folder beside train/, so there is nothing to test on. Hold "
            "out a part of it with test_share (--test-share)."
        )
    names, label_of = _classes(train)
    samples = _samples(train, label_of)
    mode = "L" if all(_is_grey(file) for file, _ in samples) else "RGB"
    place = train
    if test_share is not None:
        held = held_out(
            [_name(file, train.path) for file, _ in samples],
            [label or 0 for _, label in samples],
            test_share,
            group_by,
            names,
        )
        samples = [sample for sample, out in zip(samples, held, strict=True) if out == (split == "test")]
    elif group_by is not None:
        raise InputError("group_by (--group-by) is for a part that is held out: pass test_share (--test-share) too.")
    elif split == "test" and test is not None:
        place = test
        _check_classes(test, train, label_of)
        samples = _samples(test, label_of)
    place.left_out.warn(stacklevel=3)
    return FolderImages(place.path, samples, names, mode, split=split, left_out=place.left_out)


def _classes(train: Place) -> tuple[list[str] | None, dict[str, int]]:
    """The classes' names in label order (None if they have none), and the label of each folder by its composed name."""
    folders = list(dict.fromkeys(map(_composed, train.classes)))
    if not folders:
        return None, {}
    recorded = recorded_classes(Path(train.path))
    if recorded is None or (recorded[1] is None and set(folders) - set(map(_composed, recorded[0]))):
        return folders, {name: label for label, name in enumerate(folders)}
    order = [_composed(name) for name in recorded[0]]
    further = [name for name in folders if name not in set(order)]
    label_of = {name: label for label, name in enumerate([*order, *further])}
    return (None if recorded[1] is None else [_composed(name) for name in recorded[1]] + further), label_of


def _samples(place: Place, label_of: dict[str, int]) -> list[tuple[str, int | None]]:
    if not place.classes:
        return [(os.path.join(place.path, name), None) for name in entries(place.path)[1]]
    samples: list[tuple[str, int | None]] = []
    real = {folder: os.path.realpath(os.path.join(place.path, folder)) for folder in place.classes}
    folders = frozenset(real.values())
    for folder in place.classes:
        files = images_under(os.path.join(place.path, folder), place.left_out, folders - {real[folder]})
        samples += [(file, label_of[_composed(folder)]) for file in files]
    return samples


def _check_classes(test: Place, train: Place, label_of: dict[str, int]) -> None:
    if not test.classes and label_of:
        raise InputError(
            f"{escaped(test.path)} holds images without class folders, and {escaped(train.path)} has class "
            "folders. Put the test images into folders of the same names."
        )
    strange = sorted(name for name in test.classes if _composed(name) not in label_of)
    if strange:
        shown = ", ".join(map(escaped, strange[:5]))
        raise InputError(f"{escaped(test.path)} has class folders that {escaped(train.path)} lacks: {shown}.")


def _composed(name: str) -> str:
    """A name in Unicode's composed form: some systems write "é" as one character and some as two."""
    return unicodedata.normalize("NFC", name)


def _name(file: str, folder: str) -> str:
    """A file's path within a folder, alike on all systems."""
    return _composed(os.path.relpath(file, folder).replace(os.sep, "/"))


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count:,} images"


def _is_grey(file: str) -> bool:
    """Whether an image file is grey, from its header."""
    with opened_image(file) as image:
        return image.mode in ("1", "L")


class GreyOrColour:
    """Opens an image file as a PIL image of one mode, L or RGB. Refuses more than 8 bits a channel."""

    def __init__(self, mode: str) -> None:
        self.mode = mode

    def __call__(self, path: str) -> Image.Image:
        with opened_image(path) as image:
            if image.mode.startswith(("I", "F")):
                raise InputError(
                    f"{escaped(path)} has more than 8 bits a channel (mode {image.mode}). Convert it to 8 bits first."
                )
            return image.convert(self.mode)
