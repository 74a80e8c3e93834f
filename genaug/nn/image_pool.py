"""The pool of generated images that a discriminator learns from (Shrivastava et al. 2017, section 2.3)."""

import torch
from torch import Tensor, nn

from genaug.backends import Step


class ImagePool(nn.Module):
    """Up to ``size`` generated images (C, H, W), kept with the networks so that a resumed training has them too.

    With several processes each has its own, and all continue with that of the first one after a resumption.
    """

    images: Tensor
    count: Tensor

    def __init__(self, size: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("images", torch.zeros(size, *shape))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def exchange(self, images: Tensor, step: Step) -> Tensor:
        """What the discriminator gets in place of ``images`` (N, C, H, W), detached floats.

        While the pool isn't full, images are stored and returned. After that, each is returned with probability 1/2,
        and otherwise takes the place of a stored one, which is returned; different images take different places. Of
        more images than the pool has places, the last ones are returned as they are.
        """
        if not self.size:
            return images
        n, places = min(len(images), self.size), torch.arange(self.size, device=images.device)
        is_empty = places >= self.count
        is_next = is_empty & (places < self.count + n)  # for the first images
        order = torch.where(is_next, places - self.size, step.uniform(self.size) + 2 * is_empty).argsort()[:n]
        swaps = ((step.uniform(n) < 0.5) & ~is_empty[order])[:, None, None, None]
        stored = self.images[order]
        self.images[order] = torch.where(swaps | is_next[order][:, None, None, None], images[:n], stored)
        self.count.add_(n).clamp_(max=self.size)
        return torch.cat([torch.where(swaps, stored, images[:n]), images[n:]])
