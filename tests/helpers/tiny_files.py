"""Data sets as torchvision reads them from disk, a few images each."""

import hashlib
import pickle
import struct

import numpy as np
from PIL import Image

CIFAR_CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def write_jpegs(root, classes=("cat", "dog"), each=6, sides=(40, 56), seed=0):
    """Class folders of JPEGs of varied sizes, noise around a brightness of the class; returns the folder."""
    drawn = np.random.default_rng(seed)
    for number, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for i in range(each):
            height, width = drawn.integers(*sides, 2)
            pixels = drawn.integers(0, 100, (height, width, 3)) + 100 * number
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{i}.jpg", quality=95)
    return root


def write_fashion_mnist(root, train=40, test=20):
    """FashionMNIST's four files in the IDX format; label i is i modulo 10, and the first pixels tell it."""
    folder = root / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for word, count in (("train", train), ("t10k", test)):
        labels = np.arange(count, dtype=np.uint8) % 10
        images = np.zeros((count, 28, 28), np.uint8)
        images[:, 0, 1] = labels
        (folder / f"{word}-images-idx3-ubyte").write_bytes(struct.pack(">4i", 2051, count, 28, 28) + images.tobytes())
        (folder / f"{word}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 2049, count) + labels.tobytes())
    return root


def write_cifar10(root, monkeypatch, each=20):
    """CIFAR-10's batches as pickled dictionaries, with the checksums that torchvision compares replaced by theirs."""
    from torchvision.datasets import CIFAR10

    folder = root / CIFAR10.base_folder
    folder.mkdir(parents=True)

    def write(name, content):
        data = pickle.dumps(content)
        (folder / name).write_bytes(data)
        return [name, hashlib.md5(data).hexdigest()]

    def batch(number):
        drawn = np.random.default_rng(number)
        labels = [i % 10 for i in range(each)]
        pixels = drawn.integers(0, 255, (each, 3, 32, 32)).astype(np.uint8)
        pixels[:, :, 0, 0] = 0
        pixels[:, :, 0, 1] = np.array(labels)[:, None]
        return {"data": pixels.reshape(each, -1), "labels": labels}

    train = [write(f"data_batch_{number}", batch(number)) for number in range(1, 6)]
    test = [write("test_batch", batch(6))]
    name, checksum = write("batches.meta", {"label_names": CIFAR_CLASSES})
    monkeypatch.setattr(CIFAR10, "train_list", train)
    monkeypatch.setattr(CIFAR10, "test_list", test)
    monkeypatch.setattr(CIFAR10, "meta", {"filename": name, "key": "label_names", "md5": checksum})
    return root
