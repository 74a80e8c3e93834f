"""Generative data augmentation that drops into PyTorch pipelines. Importing this package doesn't import torch."""

from typing import TYPE_CHECKING

from genaug.lazy import lazy
from genaug.version import __version__ as __version__

if TYPE_CHECKING:
    from genaug import anomaly as anomaly, schedules as schedules
    from genaug.backends.backend import Backend as Backend
    from genaug.backends.hookspecs import hookimpl as hookimpl
    from genaug.backends.spec import Spec as Spec
    from genaug.blend.augment import GenerativeAugment as GenerativeAugment
    from genaug.blend.curriculum import Curriculum as Curriculum
    from genaug.blend.mixed import MixedDataset as MixedDataset
    from genaug.blend.stream import MixedStream as MixedStream
    from genaug.conversion.convert import convert as convert
    from genaug.errors import GenaugError as GenaugError
    from genaug.evaluation.evaluate import evaluate as evaluate
    from genaug.hub.load import load as load
    from genaug.hub.push import push as push
    from genaug.labelling.attach import with_labels as with_labels
    from genaug.searches.search import search as search
    from genaug.sources.erase_and_fill import erase_and_fill as erase_and_fill
    from genaug.sources.features import features as features
    from genaug.sources.filtered import filtered as filtered
    from genaug.sources.generator import Generator as Generator
    from genaug.sources.pool import SamplePool as SamplePool
    from genaug.sources.recipes import save_recipe as save_recipe
    from genaug.sources.refined import refined as refined
    from genaug.sources.variations import variations as variations
    from genaug.studies.report import load_study as load_study
    from genaug.studies.study import study as study
    from genaug.training.fit import fit as fit

_HOME = {
    "Backend": "genaug.backends.backend",
    "Curriculum": "genaug.blend.curriculum",
    "GenaugError": "genaug.errors",
    "GenerativeAugment": "genaug.blend.augment",
    "Generator": "genaug.sources.generator",
    "MixedDataset": "genaug.blend.mixed",
    "MixedStream": "genaug.blend.stream",
    "SamplePool": "genaug.sources.pool",
    "Spec": "genaug.backends.spec",
    "anomaly": "genaug.anomaly",
    "convert": "genaug.conversion.convert",
    "erase_and_fill": "genaug.sources.erase_and_fill",
    "evaluate": "genaug.evaluation.evaluate",
    "features": "genaug.sources.features",
    "filtered": "genaug.sources.filtered",
    "fit": "genaug.training.fit",
    "hookimpl": "genaug.backends.hookspecs",
    "load": "genaug.hub.load",
    "load_study": "genaug.studies.report",
    "push": "genaug.hub.push",
    "refined": "genaug.sources.refined",
    "save_recipe": "genaug.sources.recipes",
    "schedules": "genaug.schedules",
    "search": "genaug.searches.search",
    "study": "genaug.studies.study",
    "variations": "genaug.sources.variations",
    "with_labels": "genaug.labelling.attach",
}
__all__ = sorted([*_HOME, "__version__"])
__getattr__ = lazy(__name__, _HOME)


def __dir__() -> list[str]:
    return [*globals(), *_HOME]
