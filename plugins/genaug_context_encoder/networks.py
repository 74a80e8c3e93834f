"""The network of the ``context-encoder`` backend: an encoder of what is left of an image, and a decoder."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from genaug.nn.blocks import SLOPE, UpStage, stage_sizes, stage_widths


class ContextNetwork(nn.Module):
    """Erased images (N, C + 1, H, W) in [-1, 1] to complete ones (N, C, H, W).

    Strided convolutions down to a side of 4 to 7 pixels, a channel-wise fully connected layer, through which
    information spreads across the image, and a 1x1 convolution between channels (Pathak et al. 2016, section 3.1),
    then transposed convolutions. Each of these also gets the encoder's map of its size, without which the filled-in
    part doesn't fit its surroundings.
    """

    def __init__(self, shape: tuple[int, ...], width: int, max_width: int) -> None:
        super().__init__()
        channels, height, breadth = shape
        sizes = stage_sizes(height, breadth)
        widths = stage_widths(len(sizes), width, max_width)
        cells = sizes[0][0] * sizes[0][1]
        self.head = nn.Conv2d(channels + 1, widths[-1], 3, padding=1)
        self.downs = nn.ModuleList(
            nn.Conv2d(before, after, 3, stride=2, padding=1) for before, after in pairwise(widths[::-1])
        )
        self.spread = nn.Parameter(torch.randn(widths[0], cells, cells) * cells**-0.5)
        self.mix = nn.Conv2d(widths[0], widths[0], 1)
        self.ups = nn.ModuleList(
            UpStage(2 * before, after, size, 0)
            for (before, after), size in zip(pairwise(widths), sizes[1:], strict=True)
        )
        self.image = nn.Conv2d(2 * widths[-1], channels, 3, padding=1)

    def forward(self, erased: Tensor) -> Tensor:
        x = leaky_relu(self.head(erased), SLOPE)
        maps = [x]
        for down in self.downs:
            x = leaky_relu(down(x), SLOPE)
            maps.append(x)
        spread = torch.einsum("nci,cij->ncj", x.flatten(2), self.spread).view_as(x)
        x = leaky_relu(self.mix(spread), SLOPE)
        for up in self.ups:
            x = leaky_relu(up(torch.cat([x, maps.pop()], 1), None), SLOPE)
        return torch.tanh(self.image(torch.cat([x, maps.pop()], 1)))
