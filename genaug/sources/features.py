"""``genaug.features``: a generator's encoder or discriminator as a scikit-learn transformer."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from torch import Tensor, nn
from torch.nn.functional import adaptive_max_pool2d, one_hot

from genaug.backends.latents import Categorical
from genaug.errors import InputError
from genaug.sources.chunks import chunk_size
from genaug.sources.generator import Generator
from genaug.sources.image_sets import read_images
from genaug.sources.source import image_shape

_GRID = 4  # side to which feature maps are pooled (Radford et al. 2016, section 5.1)
_METHODS = ("encode", "classify", "score")


def features(generator: Generator, layer: str | None = None) -> "GeneratorFeatures":
    """A scikit-learn transformer from images to features that a generator's kept networks compute.

    ``layer=None`` gives the encoder's latents (categories as one column per category); the name of a module in
    ``generator.nets``, such as "encoder.body.2", its output, with feature maps max-pooled to 4x4 at most and flattened.
    If the networks take labels, features are averaged over all classes, since ``transform`` doesn't know the labels.

    Its ``transform`` takes arrays or tensors of images, (N, C, H, W), (N, H, W, C) or (N, H, W), or rows (N, H·W·C)
    in this order as in scikit-learn's datasets: uint8, or floats in [0, 1]. It also takes a map-style dataset of images
    or a list of them. It returns float32 (N, features). It needs no fitting, works in a ``Pipeline``, can be cloned
    (the copies share the networks) and pickled.

    Raises ``InputError`` if the backend has no encoder and ``layer`` is None, and for an unknown layer, or one that
    takes no part in looking at images.
    """
    transformer = GeneratorFeatures(generator, layer)
    transformer.check()
    return transformer


class GeneratorFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no type information
    """The transformer that ``genaug.features`` returns."""

    def __init__(self, generator: Generator, layer: str | None = None) -> None:
        self.generator, self.layer = generator, layer

    def check(self) -> None:
        """Raises ``InputError`` if the generator doesn't have these features."""
        if not isinstance(self.generator, Generator):
            raise InputError(
                f"features takes a Generator, as genaug.load and genaug.fit return it, got "
                f"{type(self.generator).__name__}."
            )
        shape = image_shape(self.generator.spec, "features")
        if self.layer is None:
            self.generator.check_offers("encode", "encode")
            return
        names = [name for name, _ in self.generator.nets.named_modules() if name]
        if self.layer not in names:
            raise InputError(
                f"the generator has no layer {self.layer!r}. Its layers: {', '.join(names[:40])}"
                f"{', …' if len(names) > 40 else ''}."
            )
        labels = torch.zeros(2, dtype=torch.int64) if self.generator.spec.takes_labels else None
        self._features(torch.zeros(2, *shape, dtype=torch.uint8), labels)

    def fit(self, X: Any, y: Any = None) -> "GeneratorFeatures":  # noqa: N803 - scikit-learn's name
        """Check the images; there is nothing to learn."""
        self.check()
        self._images(X)
        if getattr(X, "ndim", 0) == 2:
            self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: Any) -> NDArray[np.float32]:  # noqa: N803 - scikit-learn's name
        """The features of images, float32 (N, features). Raises ``InputError`` for images of another shape or range."""
        self.check()
        images = self._images(X)
        classes = self.generator.spec.num_classes
        chunk = chunk_size(self.generator.spec, self.generator.device)
        total: Tensor | None = None
        for label in range(max(classes, 1)):
            labels = torch.full((len(images),), label, dtype=torch.int64) if classes else None
            parts = [
                self._features(part, None if labels is None else labels[: len(part)]) for part in images.split(chunk)
            ]
            values = torch.cat(parts).cpu().float()
            total = values if total is None else total + values
        assert total is not None
        array: NDArray[np.float32] = (total / max(classes, 1)).numpy()
        return array

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """One name per feature: "z0", "z1", … or the layer's name with numbers."""
        shape = image_shape(self.generator.spec, "features")
        image = torch.zeros(1, *shape, dtype=torch.uint8)
        labels = torch.zeros(1, dtype=torch.int64) if self.generator.spec.takes_labels else None
        if self.layer is not None:
            width = self._features(image, labels).shape[1]
            return np.array([f"{self.layer}:{index}" for index in range(width)], dtype=object)
        latents = self._latents(image, labels)
        return np.array(
            [f"{name}{i}" for name, values in latents.items() for i in range(values.shape[1])], dtype=object
        )

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_clone__(self) -> "GeneratorFeatures":
        return type(self)(self.generator, self.layer)

    def _images(self, X: Any) -> Tensor:  # noqa: N803 - scikit-learn's name
        """uint8 (N, C, H, W). Raises ``InputError`` for anything that isn't images of the generator's shape."""
        return read_images(X, self.generator, "features").x

    def _features(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """(N, features) of images that fit into one chunk."""
        if self.layer is None:
            return torch.cat(list(self._latents(images, labels).values()), dim=1)
        outputs: list[Tensor] = []
        handle = self.generator.nets.get_submodule(self.layer).register_forward_hook(_keep(outputs))
        try:
            for _ in self._observations(images, labels):
                if outputs and _has_rows(outputs[-1], len(images)):
                    return _flat(outputs[-1])
        finally:
            handle.remove()
        raise InputError(
            f"layer {self.layer!r} gives no features of images. Choose a layer that looks at images and returns one "
            f"tensor with a row for each: {self._usable_layers(images, labels)}."
        )

    def _usable_layers(self, images: Tensor, labels: Tensor | None) -> str:
        """The names of the layers, at most 12, that give features."""
        outputs: dict[str, Any] = {}

        def keep(name: str) -> Callable[[nn.Module, Any, Any], None]:
            return lambda module, arguments, output: outputs.update({name: output})

        handles = [module.register_forward_hook(keep(name)) for name, module in self.generator.nets.named_modules()]
        try:
            for _ in self._observations(images, labels):
                pass
        finally:
            for handle in handles:
                handle.remove()
        names = [name for name, output in outputs.items() if name and _has_rows(output, len(images))]
        order = sorted(names, key=list(dict(self.generator.nets.named_modules())).index)
        return (", ".join(order[:12]) + ", …" * (len(order) > 12)) or "this generator has none"

    def _observations(self, images: Tensor, labels: Tensor | None) -> Iterator[None]:
        """Call each method of the generator that looks at images, one after another."""
        for method in (name for name in _METHODS if self.generator.offers(name)):
            call: Callable[..., Any] = getattr(self.generator, method)
            call(images, *([] if method == "classify" else [labels]))
            yield

    def _latents(self, images: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
        values = self.generator.encode(images, labels)
        sizes = {latent.name: latent.size for latent in self.generator.spec.latents if isinstance(latent, Categorical)}
        return {
            name: (one_hot(value, sizes[name]) if name in sizes else value).float().flatten(1)
            for name, value in values.items()
        }


def _keep(outputs: list[Tensor]) -> Callable[[nn.Module, Any, Any], None]:
    def hook(_: nn.Module, arguments: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            outputs.append(output)

    return hook


def _has_rows(output: Any, count: int) -> bool:
    """Whether this is a tensor with several numbers for each of ``count`` images."""
    return isinstance(output, Tensor) and output.ndim >= 2 and len(output) == count


def _flat(output: Tensor) -> Tensor:
    if output.ndim == 4 and max(output.shape[2:]) > _GRID:
        height, width = (min(_GRID, side) for side in output.shape[2:])
        output = adaptive_max_pool2d(output.float(), (height, width))
    return output.flatten(1)
