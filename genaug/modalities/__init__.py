"""What a sample is. The modalities are a closed set; other code calls their methods instead of checking their kind."""

from typing import TYPE_CHECKING

from genaug.lazy import lazy

if TYPE_CHECKING:
    from genaug.modalities.base import Modality as Modality
    from genaug.modalities.image import Image as Image
    from genaug.modalities.series import Series as Series
    from genaug.modalities.table import Table as Table

_HOME = {
    "Image": "genaug.modalities.image",
    "Modality": "genaug.modalities.base",
    "Series": "genaug.modalities.series",
    "Table": "genaug.modalities.table",
}
__getattr__ = lazy(__name__, _HOME)
