"""Which tensors of a backend's networks have an entry per class, so that weights can be matched with other classes."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from genaug.backends.backend import Backend
from genaug.backends.calls import described, outline
from genaug.backends.registry import name_of
from genaug.backends.spec import MAX_CLASSES, Classes, Spec
from genaug.errors import PluginError


class ClassAxis(NamedTuple):
    """The dimension of a tensor that has an entry per class, the position of the first class, and their number."""

    dimension: int
    first: int
    classes: int


def class_axes(backend: Backend, config: Any, spec: Spec) -> dict[str, ClassAxis]:
    """The axis of every tensor that has an entry per class, by name: tensors that grow if there is one class more.

    Raises ``PluginError`` if it isn't clear which entries are those of the classes.
    """
    count = spec.num_classes
    other = Classes(count=count + 1 if count < MAX_CLASSES else count - 1)
    other_spec = described(backend, config, spec.model_copy(update={"latents": (), "classes": other}))
    mine, others = (outline(backend, config, each).state_dict() for each in (spec, other_spec))
    axes = {}
    for name in mine.keys() | others.keys():
        if name not in mine or name not in others or mine[name].ndim != others[name].ndim:
            raise PluginError(_unclear(backend, name, "only exists for some numbers of classes"))
        sizes = zip(mine[name].shape, others[name].shape, strict=True)
        changes = [(dimension, a, b) for dimension, (a, b) in enumerate(sizes) if a != b]
        if not changes:
            continue
        if len(changes) > 1 or changes[0][2] - changes[0][1] != other.count - count:
            raise PluginError(_unclear(backend, name, "doesn't have one entry per class along one dimension"))
        dimension, size, _ = changes[0]
        after = 0 if size == count else backend.after_classes.get(name)
        if after is None:
            raise PluginError(_unclear(backend, name, "has other entries beside those of the classes"))
        axes[name] = ClassAxis(dimension, size - after - count, count)
    return axes


def _unclear(backend: Backend, name: str, why: str) -> str:
    return (
        f"backend {name_of(backend)!r} can't be fine-tuned on other classes: its tensor {name!r} {why}. If it has "
        "an entry per class, its authors can declare it in after_classes; until then, fine-tune on the same classes."
    )


def reordered(tensors: Mapping[str, Tensor], axes: Mapping[str, ClassAxis], match: Sequence[int]) -> dict[str, Tensor]:
    """Tensors of networks for other classes: ``match`` has the old class of each new one, -1 if there is none.

    A class that is new starts from the mean of the old ones. Integers of new classes are left out.
    """
    result = {}
    for name, tensor in tensors.items():
        if name not in axes:
            result[name] = tensor
        elif tensor.is_floating_point() or -1 not in match:
            result[name] = _reordered(tensor, axes[name], match)
    return result


def _reordered(tensor: Tensor, axis: ClassAxis, match: Sequence[int]) -> Tensor:
    dimension, first, classes = axis
    after = tensor.shape[dimension] - first - classes
    before, old, rest = tensor.split([first, classes, after], dimension)
    known = torch.cat([old, old.mean(dimension, keepdim=True)], dimension) if -1 in match else old
    rows = torch.tensor([label if label >= 0 else classes for label in match], device=tensor.device)
    return torch.cat([before, known.index_select(dimension, rows), rest], dimension)
