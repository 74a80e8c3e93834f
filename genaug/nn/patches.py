"""The patch discriminator of image-to-image translation (PatchGAN, Isola et al. 2017, section 3.2.2)."""

from itertools import pairwise

from torch import Tensor, nn

from genaug.nn.blocks import SLOPE

_SMALLEST = 16  # the shorter side of a map that is halved
_HALVINGS = 3  # at most, as in the paper, where a score is about 70 pixels


class PatchDiscriminator(nn.Module):
    """Images (N, C, H, W), with sides of 4 or more, to scores (N, 1, h, w), each about a patch of the image.

    4x4 convolutions: strided ones while the shorter side is 16 or more, at most three, and two that aren't. There is
    ``norm``, of so many channels, after all but the first and the last. A score is about 70 pixels of an image of 64 or
    more, 34 of one of 32 to 63, 16 of one of 16 to 31, and 7 of a smaller one.
    """

    def __init__(self, shape: tuple[int, ...], base: int, widest: int, norm: type[nn.Module]) -> None:
        super().__init__()
        channels, *size = shape
        halvings = 0
        while min(size) >= _SMALLEST and halvings < _HALVINGS:
            size, halvings = [side // 2 for side in size], halvings + 1
        strides = [2] * halvings + [1]
        widths = [channels, *(min(widest, base * 2**i) for i in range(len(strides)))]
        layers: list[nn.Module] = []
        for i, ((before, after), stride) in enumerate(zip(pairwise(widths), strides, strict=True)):
            layers += [nn.Conv2d(before, after, 4, stride, 1), *([norm(after)] if i else []), nn.LeakyReLU(SLOPE)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, 1, 1))

    @property
    def blocks(self) -> list[nn.Module]:
        """The convolutions from the images on, without the last one, which gives the scores."""
        convolutions: list[nn.Module] = [layer for layer in self.layers if isinstance(layer, nn.Conv2d)]
        return convolutions[:-1]

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.layers(images)
        return scores.float()
