"""``genaug.with_labels``: check what was asked for, read the labelled set, and make the source."""

from collections.abc import Sequence
from numbers import Real
from typing import Any, Literal

from genaug.checks import as_whole
from genaug.device import torch_defaults
from genaug.errors import InputError
from genaug.labelling.codes import CodeSource
from genaug.labelling.labelled_set import read_labelled
from genaug.labelling.learner import Build, FewImagesCNN, Learner
from genaug.labelling.rejection import MAX_WRONG, TRIES_PER_CLASS, RejectionSource
from genaug.labelling.source import LabelledSource, check_unlabelled, device_of
from genaug.nn.diffaugment import check_policy
from genaug.randomness import check_seed
from genaug.sources.source import Source


@torch_defaults()
def with_labels(
    gen: Source,
    labelled_set: Any,
    *,
    method: Literal["classifier", "codes"],
    exclude: Any = None,
    image_size: int | None = None,
    folds: int = 5,
    max_wrong: float | None = None,
    max_tries: int | None = None,
    code: str | None = None,
    classifier: Build | None = None,
    updates: int = 400,
    augment: Sequence[str] = ("affine",),
    seed: int = 0,
) -> LabelledSource:
    """Make a source that takes labels from a generator that has none, with the help of some labelled images.

    Args:
        gen: a generator that was trained without labels: a plain GAN, WGAN-GP, InfoGAN, MAD-GAN.
        labelled_set: a map-style dataset of (image, integer label), without random transforms; images PIL, uint8 or
            floats in [0, 1], of the generator's shape; at least 2 different ones of each class.
        method: "classifier" sorts samples with classifiers trained on the labelled images alone and rejects those they
            aren't sure of. "codes" matches the categories of a latent to classes and rejects none.
        exclude: a dataset that must have no image in common with ``labelled_set``: your test set. Compared by content.
        image_size: resizes the shorter side and crops the centre of both sets' images, as ``fit`` does.
        folds: parts of the labelled images; each is held out once to see how often the labels are wrong.
        max_wrong: the share of wrong labels that is allowed, in (0, 1). "classifier" rejects samples until it is kept,
            and takes 0.05 by default; to show a share of 1/k takes k - 1 labelled images at least. "codes" can't reject
            any: a larger estimate is an error where this is given.
        max_tries: for "classifier", candidates to look through for the next sample of a class before giving up; 500 for
            each of the classes by default.
        code: for "codes", the name of a categorical latent; by default the only one.
        classifier: ``classifier(shape, outputs, seed)`` builds the network to train, from float images (N, C, H, W) in
            [0, 1] to logits (N, outputs); a small convolutional one by default.
        updates: training steps of each classifier, of 32 images.
        augment: what is done to the images that it is trained on, names as in ``fit``.
        seed: decides the folds and the classifiers.

    Returns a source; its ``report`` tells the acceptance rate and the estimated share of wrong labels, and
    ``least_certain`` gives the samples to look at.

    Raises ``InputError`` for arguments and sets that can't be used as asked, for a labelled set that overlaps
    ``exclude``, where ``max_wrong`` can't be kept, and where a class has no category.
    """
    source = check_unlabelled(gen)
    if method not in ("classifier", "codes"):
        raise InputError(f"method must be 'classifier' or 'codes', got {method!r}.")
    foreign, value = ("code", code) if method == "classifier" else ("max_tries", max_tries)
    if value is not None:
        raise InputError(f"{foreign}= has no meaning for method={method!r}; leave it out.")
    if max_wrong is not None and not (isinstance(max_wrong, Real) and 0 < max_wrong < 1):
        raise InputError(f"max_wrong must be a share between 0 and 1, got {max_wrong!r}.")
    folds, updates = as_whole(folds, "folds", 2), as_whole(updates, "updates", 1)
    tries = as_whole(max_tries, "max_tries", 1) if max_tries is not None else None
    seed = check_seed(seed)
    learner = Learner(classifier or FewImagesCNN, updates, check_policy(augment), seed, device_of(source))
    labelled = read_labelled(
        labelled_set, source.spec.shape, image_size=image_size, exclude=exclude, folds=folds, seed=seed
    )
    if method == "codes":
        return CodeSource(source, labelled, learner, code=code, max_wrong=max_wrong)
    allowed = MAX_WRONG if max_wrong is None else max_wrong
    tries = tries or TRIES_PER_CLASS * labelled.spec.num_classes
    return RejectionSource(source, labelled, learner, max_wrong=allowed, max_tries=tries)
