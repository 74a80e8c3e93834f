"""How many samples of which classes are requested."""

import pytest

from genaug.backends import Spec
from genaug.checks import COUNT
from genaug.errors import InputError
from genaug.modalities import Image
from genaug.sources.export import write_samples
from genaug.sources.request import Request


def spec_of(classes):
    return Spec(sample=Image(1, 2, 2), classes=classes)


@pytest.mark.parametrize(
    ("request_", "classes", "labels"),
    [
        (Request(n=3), 2, 3),
        (Request(per_class=2), 2, [0, 0, 1, 1]),
        (Request(n=3, classes=["dog"]), ("cat", "dog"), [1, 1, 1]),
        (Request(n=3, classes=[1]), ("cat", "dog"), [1, 1, 1]),
        (Request(n=3, classes=["1"]), ("cat", "dog"), [1, 1, 1]),
        (Request(n=3, classes=["1"]), ("1", "0"), [0, 0, 0]),  # a name before a number
        (Request(n=3, classes=[1]), ("1", "0"), [1, 1, 1]),
        (Request(n=5, classes=["2", "0"]), 4, [0, 0, 0, 2, 2]),
        (Request(n=2, classes=["0", "cat", "cat"]), ("cat", "dog"), [0, 0]),
        (Request(n=1, classes=[0, 1]), 2, [0]),
        (Request(per_class=2, classes=[3, 1]), 4, [1, 1, 3, 3]),
        (Request(n=2, classes=["cafe\u0301"]), ("caf\u00e9", "tea"), [0, 0]),
    ],
)
def test_labels(request_, classes, labels):
    resolved = request_.resolve(spec_of(classes))
    assert (resolved if isinstance(resolved, int) else resolved.tolist()) == labels


@pytest.mark.parametrize(
    ("request_", "classes", "message"),
    [
        (Request(), 2, "either n="),
        (Request(n=1, per_class=1), 2, "either n="),
        (Request(n=0, classes=[0]), 2, "n must be"),
        (Request(per_class=0), 2, "per_class must be"),
        (Request(n=1, classes=["fox"]), ("cat", "dog"), "unknown class 'fox'; valid are 0 to 1 or cat, dog"),
        (Request(n=1, classes=["2"]), ("cat", "dog"), "unknown class 2; valid are"),
        (Request(n=1, classes=["9" * 5000]), 2, "unknown class '999+'; valid are"),
        (Request(n=1, classes=[-1]), 2, "unknown class -1"),
        (Request(n=1, classes=[True]), 2, "unknown class True"),
        (Request(n=1, classes=[0]), None, "this source has no classes. Leave out classes="),
        (Request(per_class=1), None, r"this source has no classes. Pass n= \(--n\) instead of per_class="),
        (Request(per_class=COUNT, classes=[0, 1]), 3, "too many for one folder"),
    ],
)
def test_what_cannot_be_generated(request_, classes, message):
    with pytest.raises(InputError, match=message):
        request_.resolve(spec_of(classes))


def test_write_samples_takes_classes(tmp_path, make_generator):
    generator = make_generator(classes=("ant", "bee", "cat", "dog"))
    folder = write_samples(generator, tmp_path / "out", n=3, classes=["dog", 0], progress=False)
    files = sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*.png"))
    assert files == ["ant/00000.png", "ant/00001.png", "dog/00000.png"]
