"""Generated items that look like the real set's: built from raw samples, and compared with a few real items."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import ConcatDataset

from genaug.blend.comparison import check_alike, enlarged, recolored, sizes_agree
from genaug.blend.formats import format_of, image_in
from genaug.blend.items import labels_of_any_items, labels_of_pairs
from genaug.blend.transform import TransformAdapter
from genaug.data.apportion import Ints
from genaug.errors import BlendWarning, InputError

_PROBES = 8


class GeneratedItems:
    """Builds the items of generated samples. ``compare`` has to be called first: it learns what the real items are.

    ``sizes_open`` says whether the sizes of real and generated images are still to be compared, in the first batch.
    """

    def __init__(
        self, real: Any, labels: Ints, adapter: TransformAdapter, make_item: Callable[[Any, Any], Any] | None
    ) -> None:
        self.adapter = adapter
        self.sizes_open = False
        self._real, self._labels, self._make_item = real, labels, make_item
        self._warned: set[str] = set()

    def build(self, samples: NDArray[Any] | Sequence[NDArray[Any]], labels: list[int]) -> list[Any]:
        """The items of raw samples, and of the real set's numbers of their classes."""
        pairs = zip(self.adapter(samples), self._labels_like(labels), strict=True)
        if self._make_item is not None or hasattr(self._container, "_fields"):
            return [(self._make_item or self._container)(*pair) for pair in pairs]
        return list(pairs) if self._container is tuple else [self._container(pair) for pair in pairs]

    def compare(self, sample: NDArray[Any], label: int, *, in_batch: bool = False, stacklevel: int) -> None:
        """Learn how the real set treats its images, and compare a generated item with real ones.

        Sizes are compared if there is a transform. Without one they are compared when the first batch is made, since
        a transform may still be assigned. Raises ``InputError`` if generated items don't fit into a batch of real ones.
        """
        starts = [0, *self._real.cumulative_sizes[:-1]] if isinstance(self._real, ConcatDataset) else [0]
        spread = np.linspace(0, len(self._real) - 1, _PROBES).astype(int).tolist()
        indices = sorted({*starts[:_PROBES], *spread})
        items = self.adapter.learn(self._real, indices)
        self._labels_like = (
            labels_of_pairs(items, indices, self._labels) if self._make_item is None else labels_of_any_items(items)
        )
        self._container: Any = type(items[0])
        try:
            (generated,) = self.build([sample], [label])
        except InputError:
            raise
        except Exception as error:
            raise InputError(
                f"a generated image, {'x'.join(map(str, sample.shape))}, doesn't go through the real set's pipeline "
                f"({type(error).__name__}: {error}). Pass generated_transform=, or correct make_item if you passed one."
            ) from error
        final = in_batch or self.adapter.transform is not None
        check_alike(items, generated, sample.shape, sizes=final, noun=self.adapter.noun)
        self.sizes_open = self.sizes_open or not sizes_agree(items, generated)
        if difference := self.adapter.other_units:
            self.warn_once(
                "units",
                f"the real {self.adapter.noun} aren't in the units of the generated ones: {difference}. Convert one of "
                "them: generated_transform= takes the place of the real set's transform for generated ones.",
                stacklevel + 1,
            )
        real, out = self.adapter.real_images, format_of(image_in(generated))  # none if samples aren't images
        if not real or out is None:
            return
        formats, gray = [image_format for image_format, _ in real], all(is_gray for _, is_gray in real)
        if message := recolored(formats, gray, sample.shape, out):
            self.warn_once("channels", message, stacklevel + 1)
        if final and (message := enlarged(formats, sample.shape, out)):
            self.warn_once("sizes", message, stacklevel + 1)

    def compare_all(
        self, examples: Sequence[tuple[NDArray[Any], int]], *, in_batch: bool = False, stacklevel: int
    ) -> None:
        """``compare`` for a sample of each source, after the real set's transform may have changed."""
        sizes_open, self.sizes_open = self.sizes_open, False
        try:
            for sample, label in examples:
                self.compare(sample, label, in_batch=in_batch, stacklevel=stacklevel + 1)
        except InputError:
            self.sizes_open = sizes_open
            raise

    def warn_once(self, kind: str, message: str, stacklevel: int) -> None:
        """Issue a ``BlendWarning``, once per kind in the life of a blend, whatever is assigned to it later."""
        if kind not in self._warned:
            self._warned.add(kind)
            warnings.warn(message, BlendWarning, stacklevel=stacklevel)
