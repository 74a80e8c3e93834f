"""Reading a study's training and test set, so that both have the same form."""

from dataclasses import dataclass
from typing import Any

from genaug.backends.spec import Spec
from genaug.data.alike import rows_like
from genaug.data.reading import Samples, read_samples, rows_dataset
from genaug.studies.splits import LabelledSamples, check_sets, labelled


@dataclass(frozen=True)
class Sets:
    """Both sets in memory, with labels in the training set's numbering, and as they are recorded.

    ``test_as_read`` is the test set with its own columns and categories, as a training would have read it.
    """

    train: LabelledSamples
    test: LabelledSamples
    spec: Spec
    train_record: Samples
    test_record: Samples
    test_as_read: Samples | None


def read_sets(train_set: Any, test_set: Any, image_size: int | None) -> Sets:
    """Read both sets. Raises ``InputError`` if one can't be read or has no labels, and if they don't fit together."""
    train = read_samples(train_set, image_size, what="the training set")
    spec = train.spec.model_copy(update={"conditions": ()})
    dataset, as_read = rows_dataset(train_set), None
    samples = labelled(train, "the training set", dataset)
    if dataset is None:
        test = read_samples(test_set, image_size, what="the test set")
    else:
        test = rows_like(train, test_set, "the test set")
        as_read = None if hasattr(test_set, "columns") else read_samples(test_set, what="the test set")
    test_samples = check_sets(samples, labelled(test, "the test set"), spec.sample)
    return Sets(samples, test_samples, spec, train, test, as_read)
