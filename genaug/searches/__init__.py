"""The search for a backend's options, and for the best step of a training. ``genaug.search`` is its main function."""

from typing import TYPE_CHECKING

from genaug.lazy import lazy

if TYPE_CHECKING:
    from genaug.searches.keep import keep_best as keep_best
    from genaug.searches.report import SearchResult as SearchResult

_HOME = {"SearchResult": "genaug.searches.report", "keep_best": "genaug.searches.keep"}
__all__ = sorted(_HOME)
__getattr__ = lazy(__name__, _HOME)
