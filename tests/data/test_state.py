"""Reading a data set in the main process leaves it as it was for its workers: no open archive, no filled cache."""

import io
import pickle
import zipfile

import pytest
import torch
from helpers.fakes import FakeSource
from PIL import Image
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset
from torchvision.transforms import v2

from genaug import MixedDataset, SamplePool
from genaug.data.labels import labels_of
from genaug.data.reading import read_samples
from genaug.data.state import state_kept


class Opener:
    """Opens its archive at the first access."""

    def __init__(self, path):
        self.path, self.archive = path, None

    def read(self, name):
        self.archive = self.archive or zipfile.ZipFile(self.path)
        return self.archive.read(name)


class Zipped(Dataset):
    """Items of a zip archive; ``place`` is where it keeps its open handle."""

    def __init__(self, path, place="attribute", labeled=True):
        self.opener, self.place = Opener(path), place
        self.handles, self.by_path, self.indices = [None], {}, set()
        self.transform = None
        if labeled:
            self.targets = [index % 4 for index in range(40)]

    def __len__(self):
        return 40

    def __getitem__(self, index):
        self.indices.add(index)
        opener = Opener(self.opener.path)
        if self.place == "attribute":
            opener = self.opener
        elif self.place == "list":
            opener = self.handles[0] = self.handles[0] or opener
        else:
            opener = self.by_path.setdefault(opener.path, opener)
        image = Image.open(io.BytesIO(opener.read(f"{index}.png")))
        return (image if self.transform is None else self.transform(image)), index % 4

    @property
    def untouched(self):
        return not (self.opener.archive or self.handles[0] or self.by_path or self.indices)


@pytest.fixture
def archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for index in range(40):
            content = io.BytesIO()
            Image.new("L", (6, 6), index).save(content, "PNG")
            file.writestr(f"{index}.png", content.getvalue())
    return tmp_path / "a.zip"


@pytest.mark.parametrize("place", ["attribute", "list", "dictionary"])
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: Subset(x, range(40)), lambda x: ConcatDataset([x])])
@pytest.mark.parametrize("labeled", [True, False])
def test_a_blend_does_not_open_the_archive_of_its_workers(archive, place, wrap, labeled):
    real = Zipped(archive, place, labeled)
    mixed = MixedDataset(wrap(real), FakeSource(), ratio=0.5)
    assert real.untouched
    mixed.transform = v2.PILToTensor()
    assert real.untouched
    pickle.dumps(mixed)  # as for a spawned worker
    for _ in range(2):
        images, labels = zip(*DataLoader(mixed, 8, num_workers=2, multiprocessing_context="fork"), strict=True)
        assert torch.equal(torch.cat(labels)[:40], torch.arange(40) % 4)
        assert torch.cat(images)[:40, 0, 0, 0].tolist() == list(range(40))
    assert real.untouched


@pytest.mark.parametrize("place", ["attribute", "list", "dictionary"])
def test_reading_a_dataset_does_not_change_it(archive, place):
    real = Zipped(archive, place)
    assert read_samples(real).x[:, 0, 0, 0].tolist() == list(range(40))
    assert len(SamplePool.from_dataset(real)) == 40
    assert labels_of(Zipped(archive, place, labeled=False)).tolist() == real.targets
    assert real.untouched


def test_changes_inside_are_undone_also_after_an_error():
    class Thing:
        pass

    thing = Thing()
    thing.inner, thing.numbers, thing.names, thing.kinds = Thing(), [1, 2], {"a": [3]}, {4}
    thing.inner.outer = thing  # a circle
    thing.weights = torch.zeros(2)
    numbers, names = thing.numbers, thing.names
    with pytest.raises(KeyError), state_kept([thing]):
        change(thing)
    assert thing.inner.outer is thing
    assert vars(thing.inner) == {"outer": thing}
    assert (thing.numbers, thing.names, thing.kinds) == ([1, 2], {"a": [3]}, {4})
    assert thing.numbers is numbers
    assert thing.names is names
    assert thing.weights.tolist() == [1, 1], "tensors are left alone"
    assert not hasattr(thing, "handle")


def change(thing):
    thing.inner.outer, thing.inner.handle, thing.handle = None, 5, 6
    thing.numbers.append(3)
    thing.names["a"].append(4)
    thing.names["b"] = 5
    thing.kinds.clear()
    thing.weights += 1
    raise KeyError
