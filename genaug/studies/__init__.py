"""Studies: classifiers trained with and without generated images, and statistics on whether those help."""

from typing import TYPE_CHECKING

from genaug.lazy import lazy

if TYPE_CHECKING:
    from genaug.studies.classic import OnBatches as OnBatches
    from genaug.studies.sources import Recipe as Recipe

__getattr__ = lazy(__name__, {"OnBatches": "genaug.studies.classic", "Recipe": "genaug.studies.sources"})
