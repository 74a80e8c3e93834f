"""Users' datasets: reading them, their labels, classes and files."""

from typing import TYPE_CHECKING

from genaug.lazy import lazy

if TYPE_CHECKING:
    from genaug.data.datasets import (
        few_per_class as few_per_class,
        load_data as load_data,
        long_tail as long_tail,
    )
    from genaug.data.domains import Pairs as Pairs, Unpaired as Unpaired
    from genaug.data.share_batches import ShareBatchSampler as ShareBatchSampler
    from genaug.data.tables import TableDataset as TableDataset

_HOME = {
    "Pairs": "genaug.data.domains",
    "ShareBatchSampler": "genaug.data.share_batches",
    "TableDataset": "genaug.data.tables",
    "Unpaired": "genaug.data.domains",
    "few_per_class": "genaug.data.datasets",
    "load_data": "genaug.data.datasets",
    "long_tail": "genaug.data.datasets",
}
__getattr__ = lazy(__name__, _HOME)
