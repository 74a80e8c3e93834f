"""The training data on a generator's card: name, link and license."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from genaug.errors import InputError

KEY = "training_data"  # in a card's metadata, and in the training record of config.json
_HUB = "https://huggingface.co/datasets/"
HUB_ID = re.compile(r"[A-Za-z0-9][\w-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_NOT_STATED = ("unknown", "not stated", "none", "other")
_UNSPECIFIC = {
    "classfolders",
    "folderimages",
    "datasetfolder",
    "imagefolder",
    "pairs",
    "tensordataset",
    "unpaired",
    "fakedata",
    "list",
    "tuple",
}


@dataclass(frozen=True)
class TrainingData:
    """A dataset's name, URL and license as its publisher states them; None if unknown."""

    name: str | None = None
    url: str | None = None
    license: str | None = None

    @property
    def hub_id(self) -> str | None:
        """The dataset's id on the Hub, if the URL is there."""
        path = (self.url or "").partition(_HUB)[2].rstrip("/")
        return path if HUB_ID.fullmatch(path) else None

    def stated(self) -> dict[str, str]:
        """The fields that are known."""
        return {name: value for name, value in asdict(self).items() if value is not None}


# By the lower-case name of torchvision's class, or of the embedded digits. Licenses are those that the publishers
# state, and None if they state none.
_KNOWN = {
    "cifar10": TrainingData("CIFAR-10", f"{_HUB}uoft-cs/cifar10"),
    "cifar100": TrainingData("CIFAR-100", f"{_HUB}uoft-cs/cifar100"),
    "digits": TrainingData(
        "Optical Recognition of Handwritten Digits",
        "https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits",
        "CC BY 4.0",
    ),
    "emnist": TrainingData("EMNIST", "https://www.nist.gov/itl/products-and-services/emnist-dataset"),
    "fashionmnist": TrainingData("Fashion-MNIST", f"{_HUB}zalando-datasets/fashion_mnist", "MIT"),
    "kmnist": TrainingData("Kuzushiji-MNIST", "https://github.com/rois-codh/kmnist", "CC BY-SA 4.0"),
    "mnist": TrainingData("MNIST", f"{_HUB}ylecun/mnist"),
    "svhn": TrainingData("SVHN", f"{_HUB}ufldl-stanford/svhn"),
}


def known_data(name: Any) -> TrainingData:
    """The known facts about a dataset, by its name in a run's record or in ``--data``, such as "torchvision:MNIST"."""
    if not isinstance(name, str) or name.lower() in _UNSPECIFIC:
        return TrainingData()
    return _KNOWN.get(name.rpartition(":")[2].lower()) or TrainingData(" ".join(name.split())[:200] or None)


def check_training_data(name: Any = None, url: Any = None, license: Any = None) -> TrainingData:
    """A user's statements about a dataset. ``url`` is a URL, or the id "owner/name" of a dataset on the Hub.

    Raises ``InputError`` for anything else, for text that isn't one line, and for a license such as "unknown".
    """
    for what, value, limit in (("name", name, 200), ("URL", url, 500), ("license", license, 100)):
        if value is not None and not (
            isinstance(value, str) and value.strip() and value.isprintable() and len(value) <= limit
        ):
            raise InputError(
                f"{str(value)[:100]!r} is not a dataset's {what}. Expected one line of 1 to {limit} characters."
            )
    if license is not None and license.strip().lower() in _NOT_STATED:
        raise InputError(
            f"{license!r} is not the license of a dataset. Expected its name, such as 'cc-by-4.0'; leave it out if "
            "there is none, and the card says so."
        )
    return TrainingData(
        None if name is None else name.strip(),
        None if url is None else _checked_url(url.strip()),
        None if license is None else license.strip(),
    )


def _checked_url(url: str) -> str:
    if HUB_ID.fullmatch(url):
        return _HUB + url
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        valid = False
    if not valid or not url.isascii() or re.search(r"[\s<>\"\\^`{|}]", url):
        raise InputError(
            f"{url!r} is not a link to a dataset. Expected a URL that begins with https://, or the id of a dataset on "
            "the Hub (owner/name)."
        )
    return url


def parse_training_data(content: Any, where: str) -> TrainingData:
    """The statements in a card's metadata or a training record; entries of another form, not written by genaug, are
    ignored.

    Raises ``InputError`` for invalid values.
    """
    if not isinstance(content, Mapping):
        return TrainingData()
    try:
        return check_training_data(*(content.get(field) for field in ("name", "url", "license")))
    except InputError as error:
        raise InputError(f"{where}, {KEY}: {error}") from error


def merged(sources: Iterable[TrainingData]) -> TrainingData:
    """The combined statements of the sources: the first that states a field decides, except about another dataset."""
    result = TrainingData()
    for source in sources:
        if result.name and source.name and result.name.casefold() != source.name.casefold():
            continue
        result = TrainingData(**{**source.stated(), **result.stated()})
    return result
