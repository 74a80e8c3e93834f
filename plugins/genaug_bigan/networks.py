"""Encoder, generator and joint discriminator, with dense layers or convolutions, for images of any shape.

The dense ones follow Donahue et al. 2017, section 4.2, and the authors' code: two hidden layers, the second one with
batch normalization, and a latent that also enters the second layer of the generator and of the discriminator.
"""

from math import prod

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, relu

from genaug.nn.blocks import SLOPE, ConvFeatures


def linear(before: int, after: int, *, bias: bool = True) -> nn.Linear:
    """A dense layer with weights of the standard deviation 0.02 and without an offset, at first.

    The same for all layers, as in the authors' code: with torch's initial weights, which are larger for fewer inputs,
    the discriminator's hidden layer would mostly see the latent, and hardly the image.
    """
    layer = nn.Linear(before, after, bias=bias)
    nn.init.normal_(layer.weight, std=0.02)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


class DenseFeatures(nn.Module):
    """Images (N, C, H, W) in [-1, 1] to features (N, ``width``): a dense layer without normalization.

    It sees images in [0, 1], so that a black background doesn't decide which units are active.
    """

    def __init__(self, shape: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.width = width
        self.linear = linear(prod(shape), width)

    @property
    def blocks(self) -> list[nn.Module]:
        return [self.linear]

    def forward(self, images: Tensor) -> Tensor:
        return leaky_relu(self.linear((images.flatten(1) + 1) / 2), SLOPE)


Body = DenseFeatures | ConvFeatures


class Encoder(nn.Module):
    """Images (N, C, H, W) in [-1, 1] to codes (N, latent_size) in [-1, 1], float32, where the uniform prior lies.

    ``features`` is the last hidden layer, (N, hidden).
    """

    def __init__(self, body: Body, hidden: int, latent_size: int) -> None:
        super().__init__()
        self.body = body
        self.features = nn.Sequential(
            linear(body.width, hidden, bias=False), nn.BatchNorm1d(hidden, affine=False), nn.LeakyReLU(SLOPE)
        )
        self.code = linear(hidden, latent_size)

    def forward(self, images: Tensor) -> Tensor:
        code: Tensor = self.code(self.features(self.body(images)))
        return torch.tanh(code.float() / 2)  # 2 sigmoid(x) - 1


class DenseGenerator(nn.Module):
    """Latents (N, latent_size) and labels (N,) int64, or None without classes, to images in [-1, 1], (N, C, H, W).

    The label is a learned offset per class after the first normalization.
    """

    def __init__(self, shape: tuple[int, ...], num_classes: int, latent_size: int, hidden: int) -> None:
        super().__init__()
        self.shape = shape
        self.first = linear(latent_size, hidden, bias=False)
        self.second = linear(hidden, hidden, bias=False)
        self.again = linear(latent_size, hidden, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm1d(hidden, affine=False) for _ in range(2))
        self.label = nn.Embedding(num_classes, hidden) if num_classes else None
        self.image = linear(hidden, prod(shape))

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        x = self.norms[0](self.first(z))
        if self.label is not None:
            x = x + self.label(labels)
        x = relu(self.norms[1](self.second(relu(x)) + self.again(z)))
        images: Tensor = torch.tanh(self.image(x) / 2).unflatten(1, self.shape)
        return images


class JointDiscriminator(nn.Module):
    """Images (N, C, H, W), latents (N, latent_size) and labels (N,) int64, or None without classes, to scores (N,).

    The latent and the label enter the hidden layer after the image's features. A label of -1, for an image without
    one, adds nothing.
    """

    def __init__(self, body: Body, num_classes: int, latent_size: int, hidden: int) -> None:
        super().__init__()
        self.body = body
        self.image = linear(body.width, hidden, bias=False)
        self.latent = linear(latent_size, hidden, bias=False)
        self.label = nn.Embedding(num_classes, hidden) if num_classes else None
        if self.label is not None:
            nn.init.normal_(self.label.weight, std=0.1)  # about as much as image and latent at first
        self.norm = nn.BatchNorm1d(hidden, affine=False)
        self.score = linear(hidden, 1)

    def forward(self, images: Tensor, z: Tensor, labels: Tensor | None) -> Tensor:
        x = self.image(self.body(images)) + self.latent(z)
        if self.label is not None and labels is not None:
            x = x + self.label(labels.clamp(min=0)) * (labels >= 0)[:, None]
        scores: Tensor = self.score(leaky_relu(self.norm(x), SLOPE))
        return scores[:, 0]
