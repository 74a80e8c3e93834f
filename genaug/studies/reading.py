"""Reading a study's training and test set, so that both have the same form."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from genaug.backends import registry
from genaug.backends.spec import Spec
from genaug.data.alike import padded_alike, rows_like
from genaug.data.reading import Samples, read_samples, rows_dataset
from genaug.errors import GenaugError, InputError
from genaug.modalities.series import Series
from genaug.studies.classifiers import AsClassifier
from genaug.studies.mixes import Mix
from genaug.studies.recipes import Recipe, as_recipe
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


def read_sets(train_set: Any, test_set: Any, image_size: int | None, sources: Mapping[str, Any]) -> Sets:
    """Read both sets. ``sources`` are those of the study: if they make series, items that might be images are series.

    Raises ``InputError`` if one can't be read or has no labels, and if they don't fit together.
    """
    series = series_in(sources)
    kinds = () if series is None else ("series",)
    train = read_samples(train_set, image_size, what="the training set", kinds=kinds)
    spec = train.spec.model_copy(update={"conditions": ()})
    dataset, as_read = rows_dataset(train_set), None
    if isinstance(spec.sample, Series):
        test = read_samples(test_set, what="the test set", kinds=("series",))
        try:
            pair = padded_alike(train, test, series or 0)
        except InputError as error:
            raise InputError(f"the training and the test set don't fit together: {error}") from error
        samples = labelled(pair[0], "the training set", dataset)
        spec = pair[0].spec.model_copy(update={"conditions": ()})
        test_samples = check_sets(samples, labelled(pair[1], "the test set"), spec.sample)
        return Sets(samples, test_samples, spec, train, test, None)
    samples = labelled(train, "the training set", dataset)
    if dataset is None:
        test = read_samples(test_set, image_size, what="the test set")
    else:
        test = rows_like(train, test_set, "the test set")
        as_read = None if hasattr(test_set, "columns") else read_samples(test_set, what="the test set")
    test_samples = check_sets(samples, labelled(test, "the test set"), spec.sample)
    return Sets(samples, test_samples, spec, train, test, as_read)


def series_in(sources: Any) -> int | None:
    """The most steps of sources, trained already, whose series have several lengths, 0 without any; None if no source
    makes series."""
    plans = list(sources.values()) if isinstance(sources, Mapping) else []
    plans += [part for plan in plans if isinstance(plan, Mix) for part in plan.sources.values()]
    steps: int | None = None
    for plan in plans:
        plan = plan.of if isinstance(plan, AsClassifier) else plan
        own = getattr(getattr(plan, "spec", None), "sample", None)
        if isinstance(own, Series):
            steps = max(steps or 0, own.steps if own.shortest is not None else 0)
        elif isinstance(plan, str | Recipe | Mapping):
            with suppress(GenaugError):  # which are raised when the sources are checked
                if registry.resolve(as_recipe(plan).backend).modalities == ("series",):
                    steps = steps or 0
    return steps
