"""Finding the images of a split in a user's folder: split folders, class folders, outer folders."""

import itertools
import os
import re
from collections.abc import Set
from dataclasses import dataclass
from typing import Literal

from genaug.data.image_files import LeftOut, entries, holds_image, is_image, looks_like_image
from genaug.errors import InputError
from genaug.escaping import escaped

Split = Literal["train", "test"]
_Kind = Literal["train", "test", "validation", "other"]

# Patterns of a name in lower case without separators: "Training Set", "test_images", "VALID".
_WORDS: dict[_Kind, str] = {
    "train": r"train(ing)?",
    "test": r"test(ing|s)?|held?out",
    "validation": r"val(id(ation)?)?|dev|eval(uation)?",
    "other": r"pred(ict(ions?)?)?|unlabell?ed",
}
_FILLERS = r"(set|data|images?|imgs?|split|folder)*"


@dataclass(frozen=True)
class Place:
    """The folder that contains a split's images, in class folders or, without classes, directly.

    ``left_out`` counts everything else in it.
    """

    path: str
    classes: list[str]
    left_out: LeftOut


def split_kind(name: str) -> _Kind | None:
    """The split that a folder's name stands for; None for any other name."""
    word = re.sub(r"[\W_]+", "", name.casefold())
    return next((kind for kind, words in _WORDS.items() if re.fullmatch(f"({words}){_FILLERS}", word)), None)


def find_places(root: str) -> tuple[Place, Place | None]:
    """Find the training images and the test images under ``root``; None for the latter if there are none.

    Folders without images don't count. As long as a folder contains nothing but one other folder, which contains
    folders itself, the search continues in there. If then every folder has the name of a split ("train", "Training",
    "test_set", "val", "Validation", ...) and one of them is a training folder, they are the splits, and the images may
    be in an outer folder again; otherwise they are the classes. A validation folder is the test split if there is no
    test folder. A folder that contains images directly and no class folders has no classes.

    Raises ``InputError`` if two folders have the name of the same split, if folders that look like splits are beside
    other folders, and if there are no images.
    """
    level = _inside(root, at_training=True)
    folders = _with_images(level)
    kinds = _kinds(folders)
    training = [name for name in folders if kinds[name] == "train"]
    held_out = [name for name in folders if kinds[name] == "test"]
    held_out = held_out or [name for name in folders if kinds[name] == "validation"]
    if not training or None in kinds.values():
        _check_unmixed(level, folders, kinds, training, held_out)
        return _place(root, level), None
    _check_one(level, training)
    train = _place(root, _inside(os.path.join(level, training[0])))
    for name in entries(level, train.left_out)[1]:
        train.left_out.add_outside(os.path.join(level, name), "split folders")
    for name in sorted(set(folders) - {*training, *held_out}):
        train.left_out.add(f"other split ({escaped(name)}/)")
    if not held_out:
        return train, None
    _check_one(level, held_out)
    return train, _place(root, _inside(os.path.join(level, held_out[0]), set(train.classes)))


def _inside(folder: str, classes: Set[str] = frozenset(), at_training: bool = False) -> str:
    """Skip outer folders: those that contain only one folder with images, which contains only folders itself.

    A class of ``classes`` isn't an outer folder, nor, if ``at_training``, is a training folder.
    """
    visited = set()
    while (real := os.path.realpath(folder)) not in visited:
        visited.add(real)
        folders = _with_images(folder)
        if len(folders) != 1 or entries(folder)[1] or folders[0] in classes:
            break
        inner = os.path.join(folder, folders[0])
        if entries(inner)[1] or not _with_images(inner) or (at_training and split_kind(folders[0]) == "train"):
            break
        folder = inner
    return folder


def _with_images(folder: str) -> list[str]:
    """The names of the folders in ``folder`` that contain an image at any depth."""
    return [name for name in entries(folder)[0] if holds_image(os.path.join(folder, name))]


def _kinds(names: list[str]) -> dict[str, _Kind | None]:
    """The split that each name stands for, also if all have a common prefix ("seg_train", "seg_test")."""
    kinds = {name: split_kind(name) for name in names}
    if len(names) > 1 and not any(kinds.values()):
        alike = sum(1 for _ in itertools.takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False)))
        prefix = re.match(r".*[-_ .]", names[0][:alike])
        if prefix:
            kinds = {name: split_kind(name[prefix.end() :]) for name in names}
    return kinds


def _place(root: str, level: str) -> Place:
    left_out = LeftOut()
    folders, files = entries(level, left_out)
    classes = _with_images(level)
    for name in sorted(set(folders) - set(classes)):
        _check_readable(os.path.join(level, name))
        left_out.add("folders without images")
    if not classes and not files:
        raise InputError(
            f"{escaped(root)} has no class folders with images"
            + (f" (looked in {escaped(level)})" if level != root else "")
            + ": expected one folder per class, with images in it."
        )
    for name in files if classes else []:
        left_out.add_outside(os.path.join(level, name), "class folders")
    return Place(level, classes, left_out)


def _check_readable(folder: str) -> None:
    """Raises ``InputError`` for a class folder whose images all have formats that Pillow doesn't read."""
    for here, _, files in os.walk(folder):
        for name in files:
            if looks_like_image(name) and not is_image(name) and not name.startswith("."):
                raise InputError(
                    f"{escaped(folder)} contains no image that the installed Pillow reads, but files such as "
                    f"{escaped(os.path.join(here, name))}. Convert them to PNG or JPEG, or move the folder away."
                )


def _check_one(level: str, names: list[str]) -> None:
    if len(names) > 1:
        raise InputError(
            f"{escaped(level)} contains {_listed(names)}, which may all be the same split. Keep one of them there, or "
            "name it: folder:PATH/NAME."
        )


def _check_unmixed(
    level: str, folders: list[str], kinds: dict[str, _Kind | None], training: list[str], held_out: list[str]
) -> None:
    """Raises ``InputError`` for what are probably split folders, but can't be read as such."""
    inner = {name: set(_with_images(_inside(os.path.join(level, name)))) for name in folders if kinds[name]}
    others = [name for name in folders if kinds[name] is None]
    alike = any(inner[one] & inner[other] for one in training for other in held_out)
    deeper = any(len(inner[one]) > 1 for one in training) and any(
        not _with_images(os.path.join(level, name)) for name in others
    )
    if alike or deeper:
        raise InputError(
            f"{escaped(level)} contains {_listed(training + held_out)} with class folders, and also {_listed(others)}, "
            "so it is unclear whether these are splits or classes. Move what isn't a split away, or name the folders: "
            "--data folder:PATH/TRAIN --test-data folder:PATH/TEST."
        )
    if not training and len(folders) > 1 and not others and any(inner.values()):
        raise InputError(
            f"{escaped(level)} contains {_listed(folders)}, but no training folder. Name the folder to read: "
            "folder:PATH/NAME."
        )


def _listed(names: list[str]) -> str:
    listed = [f"{escaped(name)}/" for name in names[:5]]
    return " and ".join(listed) + (", …" if names[5:] else "")
