"""k generators that share their first layers, and a discriminator with k + 1 outputs."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, leaky_relu

from genaug.networks import SLOPE, ClassNorm, ConvFeatures, Stem, UpStage, stage_sizes, stage_widths

_BLOCKS = 4  # blocks that a generator's equal share of a batch is cut into


class MultiGenerator(nn.Module):
    """k generators: a trunk that all share, and a head each (Ghosh et al. 2018, section 4).

    ``trunk(z, labels)`` gives features, one row a sample. ``heads(parts, members, labels)`` turns features, a part
    for each of ``members``, into images in that order; ``labels`` are those of all rows, or None. The trunk runs once
    for all generators, and a head for its own samples only.
    """

    def __init__(self, generators: int, trunk: nn.Module, heads: nn.Module) -> None:
        super().__init__()
        self.generators = generators
        self.trunk, self.heads = trunk, heads

    def split(self, z: Tensor, labels: Tensor | None, sizes: Sequence[int]) -> Tensor:
        """The first ``sizes[0]`` of the latents (N, size) to images by generator 0, the next by 1, and so on."""
        parts = self.trunk(z, labels).split(list(sizes))
        members = [member for member, size in enumerate(sizes) if size]
        images: Tensor = self.heads([parts[member] for member in members], members, labels)
        return images

    def every(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """Each latent by each generator: images (k N, C, H, W), those of generator 0 first."""
        parts = [self.trunk(z, labels)] * self.generators
        labels = None if labels is None else labels.repeat(self.generators)
        images: Tensor = self.heads(parts, range(self.generators), labels)
        return images

    def forward(self, z: Tensor, labels: Tensor | None, member: Tensor) -> Tensor:
        """Latents (N, size) to images (N, C, H, W), each by the generator that ``member``, int64 (N,), names."""
        order = member.argsort(stable=True)
        sizes: list[int] = member.bincount(minlength=self.generators).tolist()
        sorted_labels = None if labels is None else labels[order]
        if self.training:
            images = self.split(z[order], sorted_labels, sizes)
        else:
            images = self._in_blocks(self.trunk(z, labels)[order], sorted_labels, sizes)
        return images[order.argsort()]

    def _in_blocks(self, features: Tensor, labels: Tensor | None, sizes: Sequence[int]) -> Tensor:
        """Heads in blocks of one size, so that a sample's last bit doesn't depend on how many share its generator."""
        block = max(1, len(features) // (_BLOCKS * self.generators))
        images, start = [], 0
        for member, size in enumerate(sizes):
            end = start + size
            for first in range(start, end, block):
                rows = torch.arange(first, first + block, device=features.device).clamp_(max=end - 1)
                made = self.heads([features[rows]], [member], None if labels is None else labels[rows])
                images.append(made[: end - first])
            start = end
        return torch.cat(images)


class Trunk(nn.Module):
    """Latents (N, latent_size) and labels (N,), or None, to the feature maps in front of the last stage."""

    def __init__(self, latent_size: int, num_classes: int, sizes: list[tuple[int, int]], widths: list[int]) -> None:
        super().__init__()
        self.stem = Stem(latent_size, num_classes, widths[0], sizes[0])
        self.stages = nn.ModuleList(
            UpStage(before, after, size, num_classes)
            for (before, after), size in zip(pairwise(widths), sizes[1:], strict=True)
        )

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        x: Tensor = self.stem(z, labels)
        for stage in self.stages:
            x = stage(x, labels)
        return x


class ConvHeads(nn.Module):
    """The last stage and the image layer of k generators, with convolutions of their own.

    A grouped convolution holds the weights of all k, but each is applied to its own samples: a loop was faster than
    the grouped operation, and takes parts of different sizes. The normalisation is over all samples of the batch,
    whoever made them, so that its statistics are as good for 10 generators as for one; the convolution's own scale
    and bias leave each generator free.
    """

    def __init__(
        self, generators: int, before: int, after: int, channels: int, size: tuple[int, int], num_classes: int, up: bool
    ) -> None:
        super().__init__()
        self.generators, self.size = generators, size
        ins, outs = generators * before, generators * after
        self.stage: nn.Conv2d | nn.ConvTranspose2d
        if up:
            self.stage = nn.ConvTranspose2d(ins, outs, 4, stride=2, padding=1, groups=generators)
        else:
            self.stage = nn.Conv2d(ins, outs, 3, padding=1, groups=generators)
        self.norm = ClassNorm(after, num_classes)
        self.image = nn.Conv2d(outs, generators * channels, 3, padding=1, groups=generators)

    def forward(self, parts: Sequence[Tensor], members: Sequence[int], labels: Tensor | None) -> Tensor:
        height, width = self.size
        x = self._by_member(self.stage, parts, members)[:, :, :height, :width]
        x = leaky_relu(self.norm(x, labels), SLOPE)
        return torch.tanh(self._by_member(self.image, x.split([len(part) for part in parts]), members))

    def _by_member(
        self, conv: nn.Conv2d | nn.ConvTranspose2d, parts: Sequence[Tensor], members: Sequence[int]
    ) -> Tensor:
        assert conv.bias is not None
        weights, biases = conv.weight.chunk(self.generators), conv.bias.chunk(self.generators)
        function = conv_transpose2d if isinstance(conv, nn.ConvTranspose2d) else conv2d
        return torch.cat(
            [
                function(part, weights[member], biases[member], stride=conv.stride, padding=1)
                for part, member in zip(parts, members, strict=True)
            ]
        )


def shared_generators(
    generators: int, shape: tuple[int, int, int], num_classes: int, latent_size: int, base: int, widest: int
) -> MultiGenerator:
    """k convolutional generators for images of any shape, apart from the last stage on.

    That stage and the image layer are about half of a generator's multiply-adds. Images too small for a second stage
    get one more convolution, since the image layer alone would be next to nothing.
    """
    channels, height, width = shape
    sizes = stage_sizes(height, width)
    widths = stage_widths(len(sizes), base, widest)
    up = len(sizes) > 1
    shared = len(sizes) - 1 if up else 1
    trunk = Trunk(latent_size, num_classes, sizes[:shared], widths[:shared])
    heads = ConvHeads(generators, widths[shared - 1], widths[-1], channels, sizes[-1], num_classes, up)
    return MultiGenerator(generators, trunk, heads)


class MultiDiscriminator(nn.Module):
    """Images (N, C, H, W) and labels (N,), or None, to k + 1 raw outputs (N, k + 1): one a generator, and "real" last.

    The label enters the output "real" alone, as a projection (Miyato & Koyama 2018, eq. 3). The generators' outputs
    need none: what tells generators apart given image and label, the image tells alone, since it shows its label.
    """

    def __init__(self, generators: int, shape: tuple[int, int, int], num_classes: int, base: int, widest: int) -> None:
        super().__init__()
        self.body = ConvFeatures(shape, base, widest)
        self.outputs = nn.Linear(self.body.width, generators + 1)
        self.embed = nn.Embedding(num_classes, self.body.width) if num_classes else None
        if self.embed is not None:
            nn.init.normal_(self.embed.weight, std=self.body.width**-0.5)

    def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
        features = self.body(images)
        outputs: Tensor = self.outputs(features)
        if self.embed is None:
            return outputs
        projection = (self.embed(labels) * features).sum(1, keepdim=True)
        return torch.cat([outputs[:, :-1], outputs[:, -1:] + projection], dim=1)
