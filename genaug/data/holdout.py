"""Holding out a part of a dataset for testing: always the same one, stratified by class, without dividing groups."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from hashlib import sha256
from numbers import Real

import numpy as np

from genaug.data.apportion import Ints, largest_remainder
from genaug.data.split_folders import Split
from genaug.errors import InputError
from genaug.escaping import escaped


def held_out(
    names: Sequence[str],
    labels: Sequence[int],
    share: float,
    group_by: str | None = None,
    classes: Sequence[str] | None = None,
) -> list[bool]:
    """Which items are held out: about ``share`` of each class, and at least one group on either side.

    The split depends only on ``names``, the items' names: items are taken in the order of a hash of their group's name
    as long as that brings the classes nearer to their shares. A group consists of all items for which the first
    group of the regular expression ``group_by`` (or the complete match, if it has none), searched for in the name, is
    the same; without it each item is its own group.

    Raises ``InputError`` for a share outside (0, 1), a pattern that is invalid or doesn't match a name, and a class
    with too few groups for both sides.
    """
    if isinstance(share, bool) or not isinstance(share, Real) or not 0 < share < 1:
        raise InputError(f"test_share (--test-share) must be a number between 0 and 1, such as 0.2, got {share!r}.")
    groups = list(names) if group_by is None else _groups(names, group_by)
    members: dict[str, Counter[int]] = defaultdict(Counter)  # group: images per class
    for group, label in zip(groups, labels, strict=True):
        members[group][label] += 1
    totals = Counter(labels)
    order = sorted(members, key=lambda group: sha256(group.encode("utf-8", "surrogateescape")).digest())
    taken: set[str] = set()
    counts: Counter[int] = Counter()

    def change(group: str) -> float:
        """By how much taking a group increases the squared distance from the shares."""
        return sum(
            ((counts[label] + n - share * totals[label]) ** 2 - (counts[label] - share * totals[label]) ** 2)
            / totals[label] ** 2
            for label, n in members[group].items()
        )

    def take(group: str) -> None:
        taken.add(group)
        counts.update(members[group])

    def leaves_some(group: str) -> bool:
        return all(counts[label] + n < totals[label] for label, n in members[group].items())

    for group in order:
        if change(group) < 0 and leaves_some(group):
            take(group)
    containing: dict[int, list[str]] = defaultdict(list)
    for group in order:
        for label in members[group]:
            containing[label].append(group)
    for label in sorted(totals):
        if counts[label] == 0:
            free = [group for group in containing[label] if leaves_some(group)]
            if not free:
                raise InputError(_too_few(label, classes, containing[label], group_by))
            take(min(free, key=change))
    return [group in taken for group in groups]


def _groups(names: Sequence[str], pattern: str) -> list[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InputError(f"group_by (--group-by) must be a regular expression, got {pattern!r} ({error}).") from error
    groups = []
    for name in names:
        match = compiled.search(name)
        group = None if match is None else match.group(1 if compiled.groups else 0)
        if group is None:
            raise InputError(
                f"group_by (--group-by) {pattern!r} doesn't match {escaped(name)}, so its group is unknown. Change "
                "the pattern, which is searched for in the path within the folder, or move the file away."
            )
        groups.append(group)
    return groups


def _too_few(label: int, classes: Sequence[str] | None, groups: list[str], pattern: str | None) -> str:
    subject = f"class {classes[label]!r}" if classes is not None else "the dataset"
    if pattern is None:
        return f"{subject} has {len(groups)} images, too few to hold one out and keep one. Add images, or leave it out."
    listed = ", ".join(escaped(group) for group in groups[:3]) + (", …" if groups[3:] else "")
    return (
        f"{subject} has too few groups by {pattern!r} ({len(groups)}: {listed}) to have some on both sides without "
        "dividing one. Use a pattern that gives more groups, or add images."
    )


def rows_of_split(labels: Sequence[int], share: float, split: Split) -> Ints:
    """The rows of a split, in order, if ``share`` of each class are held out as the test split: int64.

    It depends on the rows' order and labels only. Raises ``InputError`` for a share outside (0, 1), and for a split
    without rows.
    """
    if isinstance(share, bool) or not isinstance(share, Real) or not 0 < share < 1:
        raise InputError(f"test_share must be above 0 and below 1, got {share!r}.")
    is_held_out = np.zeros(len(labels), dtype=bool)
    _, members = np.unique(labels, return_inverse=True)
    counts = np.bincount(members)
    for label, count in enumerate(largest_remainder(round(share * len(labels)), counts.tolist()).tolist()):
        rows = sorted(np.flatnonzero(members == label).tolist(), key=lambda row: sha256(b"row %d" % row).digest())
        is_held_out[rows[:count]] = True
    picked = np.flatnonzero(is_held_out if split == "test" else ~is_held_out)
    if len(picked) == 0:
        raise InputError(f"test_share={share} leaves no rows for the {split} split of {len(labels)} rows.")
    return picked
