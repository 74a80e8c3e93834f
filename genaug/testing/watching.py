"""Two modes that observe every torch operation of a backend without changing its results."""

from typing import Any

from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils._pytree import tree_leaves

from genaug.testing.subject import ConformanceError

# Operations on tensors of two devices: moving from one to the other, and indexing with integers on another device.
_MAY_MIX = {"to", "type_as", "copy_", "__getitem__", "__setitem__", "index_put_"}


class OneDevice(TorchFunctionMode):
    """Raises ``ConformanceError`` if an operation gets tensors on several devices; scalars don't count.

    The meta device doesn't suffice: several operations (linear, conv2d, matmul, embedding, cat) accept what a GPU
    wouldn't.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor) and leaf.ndim]
        devices = {str(tensor.device) for tensor in tensors}
        if len(devices) > 1 and getattr(func, "__name__", "") not in _MAY_MIX:
            raise ConformanceError(
                f"{resolve_name(func) or func} got tensors on {' and '.join(sorted(devices))}. Create tensors on the "
                "device of the latents or images (device=x.device, zeros_like), and keep constants in buffers."
            )
        return func(*args, **kwargs)


class LiveBytes(TorchFunctionMode):
    """Tracks the memory of all tensors that are created within the mode, and how much of it is still in use."""

    def __init__(self) -> None:
        super().__init__()
        self._storages: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and leaf.device.type == "cpu":
                storage = leaf.untyped_storage()
                reference = StorageWeakRef(storage)
                self._storages.setdefault(reference.cdata, (reference, storage.nbytes()))
        return result

    def count(self) -> int:
        """Bytes that are still in use."""
        self._storages = {key: item for key, item in self._storages.items() if not item[0].expired()}
        return sum(size for _, size in self._storages.values())
