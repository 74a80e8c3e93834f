"""Cheap sources for tests: every image tells its label, its seed and its index."""

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors

from genaug.backends import Spec
from genaug.modalities.image import Image, to_pil, to_uint8

MARK = 255  # pixel [0, 0, 0] of every fake generated image; real images of the tests have 0 there


class FakeSource:
    """Deterministic images: pixel (0, 0) is MARK, (0, 1) the label, the rest a hash of (seed, index, place)."""

    def __init__(self, num_classes=4, shape=(1, 6, 6), classes=None):
        self.spec = Spec(sample=Image(*shape), classes=classes or num_classes)
        self.calls = 0

    def sample(self, n=None, *, labels=None, seed=None):
        self.calls += 1
        if seed is None:
            seed = int(torch.randint(2**62, (1,), device="cpu"))
        if labels is None:
            labels = torch.arange(n, device="cpu") % max(1, self.spec.num_classes)
        count = len(labels)
        size = self.spec.shape[0] * self.spec.shape[1] * self.spec.shape[2]
        index = torch.arange(count, dtype=torch.int64, device="cpu")[:, None]
        place = torch.arange(size, dtype=torch.int64, device="cpu")[None]
        mixed = (index * 2654435761 + place * 40503 + seed % 1_000_003 * 97) * 2246822519
        images = ((mixed >> 13) % 251).to(torch.uint8).reshape(count, *self.spec.shape)
        images[:, :, 0, 0] = MARK
        images[:, :, 0, 1] = labels.to(torch.uint8)[:, None]
        return images, labels.to(torch.int64) if self.spec.takes_labels else None


class UnlabelledSource(FakeSource):
    def __init__(self, shape=(1, 6, 6)):
        super().__init__(0, shape)


class FailingSource(FakeSource):
    """Works for the first ``calls_before_failing`` calls."""

    def __init__(self, calls_before_failing=0, **kwargs):
        super().__init__(**kwargs)
        self.calls_before_failing = calls_before_failing

    def sample(self, n=None, *, labels=None, seed=None):
        if self.calls >= self.calls_before_failing:
            raise RuntimeError("the network exploded.")
        return super().sample(n, labels=labels, seed=seed)


def label_in(image: Tensor) -> int:
    """The label that a fake uint8 image (C, H, W) carries."""
    return int(image[0, 0, 1])


def is_fake(image: Tensor) -> bool:
    return int(image[0, 0, 0]) == MARK


class FakeReal(Dataset):
    """(image, label) items: pixel (0, 0) is 0, (0, 1) the label, (0, 2) and (0, 3) the index. ``kind``: their look."""

    def __init__(self, labels, shape=(1, 6, 6), kind="pil", transform=None, container=tuple, label_type=int):
        self.targets = list(labels)
        self.shape, self.kind, self.transform = shape, kind, transform
        self.container, self.label_type = container, label_type

    def __len__(self):
        return len(self.targets)

    def pixels(self, index):
        image = torch.full(self.shape, 7, dtype=torch.uint8, device="cpu")
        told = [0, self.targets[index], index % 256, index // 256]
        image[:, 0, :4] = torch.tensor(told, dtype=torch.uint8, device="cpu")
        return image

    def look(self, pixels):
        if self.kind == "pil":
            return to_pil(pixels)
        if self.kind == "uint8":
            return pixels
        if self.kind == "tv":
            return tv_tensors.Image(pixels)
        if self.kind == "array":
            return pixels.numpy().transpose(1, 2, 0).copy()
        return (pixels.float() / 255).to(self.kind)

    def __getitem__(self, index):
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        image = self.look(self.pixels(index % len(self)))
        if self.transform is not None:
            image = self.transform(image)
        return self.container((image, self.label_type(self.targets[index])))


def pixels_of(image) -> Tensor:
    """Any look back to uint8 (C, H, W)."""
    return to_uint8(image)
