"""The classifier of the MNIST studies: two convolutions, as in LeNet-5 (LeCun et al. 1998, figure 2)."""

from torch import Tensor, nn


class LeNet(nn.Module):
    """Two 5x5 convolutions (16 and 32 channels), each with ReLU and a halving, and two linear layers.

    Takes floats (N, C, H, W) in [0, 1] and gives logits (N, num_classes).
    """

    def __init__(self, shape: tuple[int, int, int], num_classes: int) -> None:
        super().__init__()
        channels, height, width = shape
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 16, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * (height // 4) * (width // 4), 128),
            nn.ReLU(),
            nn.Linear(128, num_classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images * 2 - 1)  # type: ignore[no-any-return]
