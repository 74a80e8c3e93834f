"""The classifier of a study: the built-in small CNN, a timm model by name, or one from the user's factory."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from genaug.backends.spec import Spec
from genaug.errors import InputError
from genaug.nn.classifier import small_cnn
from genaug.randomness import check_seed, derive_seed

Factory = Callable[[tuple[int, ...], int], nn.Module]
SMALL_WIDTH = 16  # channels of the small CNN's first block


class _Centered(nn.Module):
    """Passes images in [0, 1] to a model as images in [-1, 1]."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images * 2 - 1)  # type: ignore[no-any-return]


def make_classifier(what: Any, shape: tuple[int, ...], num_classes: int, seed: int) -> nn.Module:
    """A newly initialized classifier, with the same weights for the same seed whatever ran before.

    ``what`` is "small", "timm:NAME" (without pretrained weights; it gets images in [-1, 1]), or a factory, called as
    ``factory(shape, num_classes)``, of a module that takes floats (N, C, H, W) in [0, 1], or series as
    ``Series.inputs`` has them, and returns logits.
    Raises ``InputError`` for an unknown name, for a network of timm if the samples aren't images, and if timm isn't
    installed.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(check_seed(seed), "classifier"))
        if what == "small":
            return small_cnn(shape, num_classes, SMALL_WIDTH)
        if isinstance(what, str) and what.startswith("timm:"):
            if len(shape) != 3:
                raise InputError(f"classifier {what!r} is for images. Expected 'small', 'rocket' or a factory.")
            return _Centered(_timm(what.removeprefix("timm:"), shape, num_classes))
        if callable(what):
            model = what(shape, num_classes)
            if isinstance(model, nn.Module):
                return model
            raise InputError(f"the classifier's factory returned {type(model).__name__}; expected a torch.nn.Module.")
    raise InputError(
        "classifier must be 'small', 'timm:NAME' (images), 'rocket', 'minirocket' or 'multirocket' (series), or a "
        f"factory of (shape, num_classes), got {what!r}."
    )


def check_classifier(what: Any, spec: Spec) -> None:
    """Build a classifier and run it on two samples. Raises ``InputError`` unless that returns logits."""
    shape, num_classes, noun = spec.sample.input_shape, spec.num_classes, spec.sample.noun
    model = make_classifier(what, shape, num_classes, 0)
    try:
        with torch.inference_mode():
            logits = model.eval()(torch.zeros(2, *shape))
    except Exception as error:
        raise InputError(
            f"the classifier can't process {noun} of {'x'.join(map(str, shape))} ({type(error).__name__}: {error}). "
            f"Choose another one{', or pass a suitable image_size=' if spec.sample.is_augmentable else ''}."
        ) from error
    if not isinstance(logits, Tensor) or tuple(logits.shape) != (2, num_classes):
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise InputError(f"the classifier must return logits of shape (2, {num_classes}) for two {noun}, got {got}.")


def _timm(name: str, shape: tuple[int, ...], num_classes: int) -> nn.Module:
    try:
        import timm
    except ImportError as error:
        raise InputError(f"classifier 'timm:{name}' needs timm: pip install 'genaug[timm]'") from error
    try:
        return timm.create_model(name, pretrained=False, in_chans=shape[0], num_classes=num_classes)
    except Exception as error:
        similar = timm.list_models(f"*{name}*")[:5]
        hint = f" Did you mean {', '.join(similar)}?" if similar and name not in similar else ""
        raise InputError(f"timm can't build {name!r} ({type(error).__name__}: {error}).{hint}") from error
