"""Which class of a source stands for which class of a real dataset."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from genaug.blend.plan import Ints
from genaug.blend.source import class_index
from genaug.errors import InputError
from genaug.spec import Spec


def match_classes(present: Sequence[int], names: Sequence[str] | None, spec: Spec) -> Ints:
    """The source's class for each of the real set's, int64 (classes,), -1 where the source has none.

    By name where both sides have names, else by number; a real set without names has at least the source's classes.
    Raises ``InputError`` where the source lacks one of the real set's classes ``present``, or has no labels at all.
    """
    if not spec.takes_labels:
        raise InputError(
            "the source has no labels, so its samples can't stand beside labelled real ones. Give it labels with "
            "genaug.with_labels(source, labelled_set), or use a generator trained with labels."
        )
    size = max(*present, len(names) - 1 if names is not None else spec.num_classes - 1) + 1
    match = np.arange(size, dtype=np.int64)
    by_name = names is not None and spec.classes is not None
    if names is not None and spec.classes is not None:
        place = {name: number for number, name in enumerate(spec.classes)}
        match = np.array([place.get(name, -1) for name in names] + [-1] * (size - len(names)), dtype=np.int64)
    match[match >= spec.num_classes] = -1
    unknown = [c for c in present if match[c] < 0]
    if unknown:
        called = [_called(c, names) for c in unknown[:12]]
        remedy = " Where they mean the same, rename the real set's (its .classes) as the source's." if by_name else ""
        raise InputError(
            f"the source doesn't know the real set's class{'es' if len(unknown) > 1 else ''} {', '.join(called)}: "
            f"the real set has {_described(max(present) + 1, names)}, the source {spec.describe_classes()}; "
            f"they are matched by {'name' if by_name else 'number'}.{remedy}"
        )
    return match


def given_counts(balance: Mapping[Any, Any], match: Ints, names: Sequence[str] | None, spec: Spec) -> Ints:
    """A mapping of class (number or name) to number of samples, as int64 (classes,).

    Names are the real set's, or the source's where only that has names. Raises ``InputError`` for unknown classes,
    for a class named twice, and for counts that aren't integers of 0 or more.
    """
    counts = np.zeros(len(match), dtype=np.int64)
    seen: dict[int, Any] = {}
    for key, count in balance.items():
        label = class_index(key, names if names is not None else spec.classes, len(counts), "balance=")
        if isinstance(count, (bool, np.bool_)) or not isinstance(count, (int, np.integer)) or count < 0:
            raise InputError(f"balance= must map classes to integers of 0 or more, got {count!r} for {key!r}.")
        if label in seen:
            raise InputError(f"balance= names one class twice, as {seen[label]!r} and {key!r}.")
        if count and match[label] < 0:
            raise InputError(
                f"the source doesn't know class {_called(label, names)}; it has {spec.describe_classes()}."
            )
        seen[label], counts[label] = key, count
    return counts


def _called(label: int, names: Sequence[str] | None) -> str:
    return f"{label} ({names[label]!r})" if names is not None and label < len(names) else str(label)


def _described(size: int, names: Sequence[str] | None) -> str:
    if names is None:
        return f"classes 0 to {size - 1}"
    return f"{len(names)} classes ({', '.join(names[:12])}{', …' if len(names) > 12 else ''})"
