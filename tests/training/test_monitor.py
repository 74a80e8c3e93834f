"""What the look at a generator says of one that repeats itself."""

import pytest
import torch

from genaug.modalities.image import Image

from genaug.backends import Categorical, Normal, Spec
from genaug.data.reading import Samples
from genaug.training.monitor import Monitor
from genaug.training.run_folder import RunFolder

SHAPE, CLASSES = (1, 4, 4), 3
LATENTS = (Normal(size=2), Categorical(name="member", size=4))


class Noise:
    """A generator of noise that depends on the seed, or is one picture for each label and member."""

    def __init__(self, kind):
        self.kind = kind

    def sample(self, n=None, *, labels=None, seed=None, member=None):
        labels = torch.zeros(n, dtype=torch.int64) if labels is None else labels
        pictures = torch.randint(0, 256, (len(labels), *SHAPE), generator=torch.Generator().manual_seed(0))
        if self.kind == "varied":
            pictures = torch.randint(0, 256, pictures.shape, generator=torch.Generator().manual_seed(seed))
        elif self.kind == "one a class":
            pictures = pictures[labels]
        else:
            pictures = pictures[labels * 4 + (member if member is not None else torch.randint(0, 4, labels.shape))]
        return pictures.to(torch.uint8), labels


def look(tmp_path, kind, num_classes=CLASSES, latents=LATENTS):
    images = torch.randint(0, 256, (90, *SHAPE), generator=torch.Generator().manual_seed(7)).to(torch.uint8)
    labels = torch.arange(90) % CLASSES if num_classes else None
    spec = Spec(sample=Image(*SHAPE), classes=num_classes, latents=latents)
    folder, told = RunFolder(tmp_path / "run"), []
    with folder.claimed("a test", overwrite=False, resume=False):
        return Monitor(Samples(images, labels, spec), spec, folder).look(Noise(kind), 5, told.append), told


@pytest.mark.parametrize("num_classes", [0, CLASSES])
def test_varied_samples(tmp_path, num_classes):
    found, told = look(tmp_path, "varied", num_classes)
    assert found == {"diversity": pytest.approx(1, abs=0.1), "diversity_same_category": pytest.approx(1, abs=0.1)}
    assert not told


def test_generators_with_one_picture_each(tmp_path):
    found, told = look(tmp_path, "one a member")
    assert found["diversity_same_category"] == 0
    assert found["diversity"] == pytest.approx(0.75, abs=0.15)  # two of four generators differ three times of four
    assert len(told) == 1
    assert "samples of one class and one member differ 0% as much as real ones" in told[0]


def test_one_picture_a_class(tmp_path):
    found, told = look(tmp_path, "one a class", latents=(Normal(size=2),))
    assert found == {"diversity": 0}
    assert len(told) == 1
    assert "samples of one class differ 0% as much as real ones" in told[0]
