"""Studies: classifiers trained with and without generated images, and statistics on whether those help."""

from typing import TYPE_CHECKING

from genaug.lazy import lazy

if TYPE_CHECKING:
    from genaug.studies.classic import OnBatches as OnBatches
    from genaug.studies.classifiers import AsClassifier as AsClassifier
    from genaug.studies.mixes import Mix as Mix
    from genaug.studies.recipes import Recipe as Recipe

__getattr__ = lazy(
    __name__,
    {
        "AsClassifier": "genaug.studies.classifiers",
        "Mix": "genaug.studies.mixes",
        "OnBatches": "genaug.studies.classic",
        "Recipe": "genaug.studies.recipes",
    },
)
