"""The discriminator and its ways to take the label."""

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from genaug.nn.blocks import ConvFeatures


class Discriminator(nn.Module):
    """Images (N, C, H, W) and labels (N,), or None without classes, to scores (N, 1) and class logits (N, classes).

    ``conditioning`` is how it takes the label: "projection", an inner product of an embedding with the features
    (Miyato & Koyama 2018, eq. 3); "concatenation", one input channel per class, ones for the label and zeros for
    the others (Mirza & Osindero 2014, figure 1, for convolutions); "embedding", an input channel that is learned per
    class; "none". The logits are None unless there is a ``classifier`` (Odena et al. 2017).
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        num_classes: int,
        base: int,
        widest: int,
        conditioning: str = "projection",
        classifier: bool = False,
    ) -> None:
        super().__init__()
        channels, height, width = shape
        self.num_classes, self.size = num_classes, (height, width)
        self.conditioning = conditioning if num_classes else "none"
        planes = {"concatenation": num_classes, "embedding": 1}.get(self.conditioning, 0)
        self.body = ConvFeatures((channels + planes, height, width), base, widest)
        self.score = nn.Linear(self.body.width, 1)
        self.classify = nn.Linear(self.body.width, num_classes) if classifier and num_classes else None
        if self.conditioning == "projection":
            self.embed = nn.Embedding(num_classes, self.body.width)
            nn.init.normal_(self.embed.weight, std=self.body.width**-0.5)
        elif self.conditioning == "embedding":
            self.embed = nn.Embedding(num_classes, height * width)

    def forward(self, images: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor | None]:
        if self.conditioning == "concatenation" and labels is not None:
            planes = one_hot(labels, self.num_classes)[:, :, None, None].to(images.dtype)
            images = torch.cat([images, planes.expand(-1, -1, *self.size)], dim=1)
        elif self.conditioning == "embedding":
            images = torch.cat([images, self.embed(labels).unflatten(1, (1, *self.size)).to(images.dtype)], dim=1)
        features = self.body(images)
        score: Tensor = self.score(features)
        if self.conditioning == "projection":
            score = score + (self.embed(labels) * features).sum(1, keepdim=True)
        return score, None if self.classify is None else self.classify(features)
