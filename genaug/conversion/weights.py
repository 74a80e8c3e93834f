"""Tensors of a file as PyTorch's."""

import torch

from genaug.conversion.values import ITEM_SIZES, Tensor
from genaug.errors import FormatError


def as_torch(tensor: Tensor) -> torch.Tensor:
    """A contiguous copy of a file's tensor, with its dtype and exactly its numbers."""
    dtype = getattr(torch, tensor.dtype)
    if not tensor.numel:
        return torch.empty(tensor.shape, dtype=dtype)
    if tensor.storage.data is None:
        raise FormatError("a tensor's storage has no data")
    size = ITEM_SIZES[tensor.dtype]
    last = sum((side - 1) * step for side, step in zip(tensor.shape, tensor.stride, strict=True))
    data = bytearray(tensor.storage.data[tensor.offset * size : (tensor.offset + last + 1) * size])
    return torch.frombuffer(data, dtype=dtype).as_strided(tensor.shape, tensor.stride).contiguous()
