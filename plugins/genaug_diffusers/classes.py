"""The classes of a pipeline with class embeddings, and their names: the user's, or those in ``model_index.json``."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from genaug.errors import InputError
from genaug_diffusers.options import Options


def chosen_classes(options: Options, count: int, id2label: Any) -> tuple[Sequence[str] | int, list[int] | None]:
    """The names of the classes (or their number, if they have none), and the pipeline's number of each.

    ``options.classes`` are names for all of the pipeline's ``count`` classes, or a mapping of names to the numbers of
    some of them. Without it, the names are those of ``id2label``, which diffusers' save_pretrained loses. Raises
    ``InputError`` if the names don't fit.
    """
    classes = options.classes
    if count == 0:
        if classes is not None:
            raise InputError("classes= can't be used here: this pipeline has no class embeddings. Leave it out.")
        return 0, None
    if isinstance(classes, dict):
        for name, number in classes.items():
            if number >= count:
                raise InputError(
                    f"classes= maps {name!r} to {number}, but the pipeline's classes are 0 to {count - 1}."
                )
        return list(classes), list(classes.values())
    if classes is None:
        return _labels(id2label, count) or count, None
    if len(classes) != count:
        raise InputError(
            f"classes= has {len(classes)} names, but the pipeline has {count} classes. Name all of them in order, or "
            "pass a mapping of name to number for those that you need."
        )
    return classes, None


def _labels(id2label: Any, count: int) -> list[str] | None:
    """The names in ``id2label``, in order, if it has one for every class; of equal names the later get a number."""
    if not isinstance(id2label, dict):
        return None
    names = [id2label.get(str(number)) for number in range(count)]
    if not all(isinstance(name, str) and 0 < len(name) <= 150 for name in names):
        return None
    seen: Counter[Any] = Counter()
    labels = []
    for number, name in enumerate(names):
        labels.append(f"{name} ({number})" if seen[name] else str(name))
        seen[name] += 1
    return labels if len(set(labels)) == count else None
