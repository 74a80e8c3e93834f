"""Which classifiers a study trains, and how."""

from collections.abc import Mapping
from typing import Any

from genaug.errors import InputError
from genaug.modalities.base import Modality
from genaug.studies.classifiers import is_estimator
from genaug.studies.estimators import BUILT_IN


def classifiers_of(what: Any, modality: Modality) -> dict[str, Any]:
    """The classifiers by name: ``what`` is one of them, a mapping of names to several, or None for those that the
    modality has by default. A single one that isn't named is called "classifier".

    Raises ``InputError`` for a modality without any, and for an empty mapping.
    """
    if what is None:
        if not modality.classifiers:
            raise InputError(
                f"a study has no classifier of {modality.noun} by default. Pass an estimator with fit and predict."
            )
        return {name: name for name in modality.classifiers}
    if not isinstance(what, Mapping):
        return {what if isinstance(what, str) else "classifier": what}
    if not what or not all(isinstance(name, str) and name for name in what):
        raise InputError("classifier, as a mapping, must have a name for each of one or more classifiers.")
    return dict(what)


def uses_estimators(classifiers: Mapping[str, Any], modality: Modality) -> bool:
    """Whether the classifiers are estimators of scikit-learn, rather than networks. What could be either, such as a
    function, is what the modality has by default.

    Raises ``InputError`` if only some are.
    """
    default = not set(modality.classifiers).isdisjoint(BUILT_IN)
    kinds = {_fits(one, default) for one in classifiers.values()}
    if len(kinds) > 1:
        raise InputError("classifier mixes networks and estimators. Pass one network, or estimators only.")
    return kinds.pop()


def _fits(what: Any, default: bool) -> bool:
    if isinstance(what, str):
        return what in BUILT_IN or default
    if isinstance(what, type):
        return all(callable(getattr(what, name, None)) for name in ("fit", "predict"))
    return is_estimator(what) or default
