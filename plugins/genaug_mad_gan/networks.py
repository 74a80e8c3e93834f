"""k generators that share their first layers, and a discriminator with k + 1 outputs."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, leaky_relu

from genaug.nn.blocks import SLOPE, ClassNorm, ConvFeatures, Trunk, stage_sizes, stage_widths

_BLOCKS = 4  # blocks per generator for an equal share of a batch


class MultiGenerator(nn.Module):
    """k generators: a shared trunk, and one head per generator (Ghosh et al. 2018, section 4).

    ``trunk(z, labels)`` returns features, one row per sample. ``heads(parts, members, labels)`` turns features, one
    part for each of ``members``, into images in that order; ``labels`` are those of all rows, or None. The trunk runs
    once for all generators, and each head only for its own samples. ``binary`` is that of ``ConvGenerator``.
    """

    binary: bool = False

    def __init__(self, generators: int, trunk: nn.Module, heads: nn.Module) -> None:
        super().__init__()
        self.generators = generators
        self.trunk, self.heads = trunk, heads

    def split(self, z: Tensor, labels: Tensor | None, sizes: Sequence[int]) -> Tensor:
        """Latents (N, size) to images: the first ``sizes[0]`` by generator 0, the next ``sizes[1]`` by 1, and so on."""
        parts = self.trunk(z, labels).split(list(sizes))
        members = [member for member, size in enumerate(sizes) if size]
        images: Tensor = self.heads([parts[member] for member in members], members, labels)
        return images

    def every(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """Images (k N, C, H, W) of each latent by each generator, those of generator 0 first."""
        parts = [self.trunk(z, labels)] * self.generators
        labels = None if labels is None else labels.repeat(self.generators)
        images: Tensor = self.heads(parts, range(self.generators), labels)
        return images

    def forward(self, z: Tensor, labels: Tensor | None, member: Tensor) -> Tensor:
        """Latents (N, size) to images (N, C, H, W), each by the generator with the index ``member``, int64 (N,)."""
        order = member.argsort(stable=True)
        sizes: list[int] = member.bincount(minlength=self.generators).tolist()
        sorted_labels = None if labels is None else labels[order]
        if self.training:
            images = self.split(z[order], sorted_labels, sizes)
        else:
            images = self._in_blocks(self.trunk(z, labels)[order], sorted_labels, sizes)
        return images[order.argsort()]

    def _in_blocks(self, features: Tensor, labels: Tensor | None, sizes: Sequence[int]) -> Tensor:
        """Heads in blocks of one size, so that a sample's last bit doesn't depend on the number for its generator."""
        block = max(1, len(features) // (_BLOCKS * self.generators))
        images, start = [], 0
        for member, size in enumerate(sizes):
            end = start + size
            for first in range(start, end, block):
                rows = torch.arange(first, first + block, device=features.device).clamp_(max=end - 1)
                block_images = self.heads([features[rows]], [member], None if labels is None else labels[rows])
                images.append(block_images[: end - first])
            start = end
        return torch.cat(images)


class ConvHeads(nn.Module):
    """The last stage and the image layer of k generators, with separate convolutions.

    A grouped convolution holds the weights of all k, but each group is applied to its own samples: a loop was faster
    than the grouped operation, and it allows parts of different sizes. The normalization is over all samples of the
    batch, regardless of their generator, so that its statistics are as good for 10 generators as for one; each
    generator still has its convolution's own scale and bias.
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
    generators: int, shape: tuple[int, ...], num_classes: int, latent_size: int, base: int, widest: int
) -> MultiGenerator:
    """k convolutional generators for images of any shape, with separate layers from the last stage on.

    That stage and the image layer have about half of a generator's multiply-adds. For images too small for a second
    stage there is one more convolution, because the image layer alone would be too small.
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
    """Images (N, C, H, W) and labels (N,), or None, to raw outputs (N, k + 1): one per generator, and "real" last.

    Only the output "real" takes the label, by projection (Miyato & Koyama 2018, eq. 3). The classification outputs
    don't need it, because the image shows its label.
    """

    def __init__(self, generators: int, shape: tuple[int, ...], num_classes: int, base: int, widest: int) -> None:
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
