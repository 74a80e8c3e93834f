"""How many samples to generate, and of which classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from genaug.backends.spec import Spec
from genaug.checks import COUNT, as_whole
from genaug.data.apportion import largest_remainder
from genaug.data.classes import class_index, same_form
from genaug.errors import InputError


@dataclass(frozen=True)
class Request:
    """``n`` samples altogether, or ``per_class`` of each class; of ``classes`` only, by name or number, if any.

    Without ``classes``, ``n`` samples are of random classes; otherwise they are divided equally among these.
    """

    n: int | None = None
    per_class: int | None = None
    classes: Sequence[str | int] = ()

    def settings(self) -> dict[str, Any]:
        """The request in plain values, as ``samples.json`` has it."""
        counts = {"n": self.n} if self.per_class is None else {"per_class": self.per_class}
        return {**counts, "of_classes": [str(name) for name in self.classes] or None}

    def resolve(self, spec: Spec) -> int | Tensor:
        """The number of samples, or a label for each, int64 and sorted.

        Raises ``InputError`` unless exactly one of ``n`` and ``per_class`` is set, for classes that the source lacks,
        and for more images than a folder may have.
        """
        if (self.n is None) == (self.per_class is None):
            raise InputError("pass either n= (the number of images) or per_class=, not both.")
        if not spec.takes_labels and (self.classes or self.per_class is not None):
            remedy = "Leave out classes= (--class)" if self.classes else "Pass n= (--n) instead of per_class="
            raise InputError(f"this source has no classes. {remedy}{'' if self.classes else ' (--per-class)'}.")
        labels = sorted({self._label(name, spec) for name in self.classes}) or list(range(spec.num_classes))
        if self.per_class is None:
            n = as_whole(self.n, "n", 1)
            if not self.classes:
                return n
            counts = largest_remainder(n, [1] * len(labels)).tolist()
        else:
            counts = [as_whole(self.per_class, "per_class", 1)] * len(labels)
        if sum(counts) > COUNT:
            raise InputError(f"{sum(counts):,} images are too many for one folder, which has {COUNT:,} at most.")
        return torch.tensor(labels, device="cpu").repeat_interleave(torch.tensor(counts, device="cpu"))

    @staticmethod
    def _label(name: str | int, spec: Spec) -> int:
        """The number of a class; a name that is a number is a name if the source has it."""
        if isinstance(name, str) and name.isdecimal() and len(name) < 10:
            named = {same_form(other) for other in spec.class_names or ()}
            name = name if same_form(name) in named else int(name)
        return class_index(name, spec.class_names, spec.num_classes, "classes= (--class)")
