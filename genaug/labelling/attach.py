"""``genaug.with_labels``: check the arguments, read the labeled set, and build the source."""

from collections.abc import Sequence
from numbers import Real
from typing import Any, Literal

from genaug.checks import as_whole
from genaug.device import torch_defaults
from genaug.errors import InputError
from genaug.labelling.codes import CodeSource
from genaug.labelling.judges import CrossFitted, OwnClassifier
from genaug.labelling.labelled_set import read_labelled
from genaug.labelling.learner import Build, FewImagesCNN, Learner
from genaug.labelling.rejection import MAX_WRONG, TRIES_PER_CLASS, RejectionSource
from genaug.labelling.source import LabelledSource, check_unlabelled, device_of
from genaug.nn.diffaugment import check_policy
from genaug.randomness import check_seed
from genaug.sources.generator import Generator
from genaug.sources.source import Source


@torch_defaults()
def with_labels(
    gen: Source,
    labelled_set: Any,
    *,
    method: Literal["classifier", "codes", "classify"],
    exclude: Any = None,
    image_size: int | None = None,
    folds: int = 5,
    max_wrong: float | None = None,
    max_tries: int | None = None,
    code: str | None = None,
    classifier: Build | Generator | None = None,
    updates: int = 400,
    augment: Sequence[str] = ("affine",),
    seed: int = 0,
) -> LabelledSource:
    """Make a source that takes labels from a generator trained without them, using some labeled images.

    Args:
        gen: a generator that was trained without labels: a plain GAN, WGAN-GP, InfoGAN or MAD-GAN.
        labelled_set: a map-style dataset of (image, integer label), without random transforms; images are PIL, uint8 or
            floats in [0, 1], of the generator's shape, with at least 2 different ones per class.
        method: "classifier" labels samples with classifiers trained on the labeled images alone and rejects those they
            aren't sure of. "classify" does the same with a generator's own classifier (that of a semi-supervised GAN or
            of a cogan); ``gen`` may then take labels, which are ignored. "codes" matches the categories of a latent to
            classes and rejects none.
        exclude: a dataset that must not have any image in common with ``labelled_set``: your test set. Images are
            compared by content.
        image_size: resizes the shorter side and crops the center of both datasets' images, as ``fit`` does.
        folds: the number of parts of the labeled images; each is held out once to estimate how often labels are wrong.
        max_wrong: the largest share of wrong labels, in (0, 1). "classifier" rejects as many samples as this takes; its
            default is 0.05, and it takes at least k - 1 labeled images to show a share of 1/k. "codes" can't reject
            samples: an estimate above ``max_wrong`` is an error.
        max_tries: for "classifier" and "classify", the number of candidates to try for the next sample of a class
            before giving up; by default 500 times the number of classes.
        code: for "codes", the name of a categorical latent; by default the only one.
        classifier: ``classifier(shape, outputs, seed)`` builds the network to train, from float images (N, C, H, W) in
            [0, 1] to logits (N, outputs); a small convolutional one by default. For "classify", the generator whose
            classifier is used; by default ``gen``. ``labelled_set`` should then be images that it hasn't seen: if they
            are its training images, according to its record, ``report.wrong_share`` is None.
        updates: the number of updates of each classifier, with 32 images each.
        augment: the augmentation of its training images, by the same names as in ``fit``.
        seed: decides the folds and the classifiers.

    Returns a source; its ``report`` has the acceptance rate and the estimated share of wrong labels, and
    ``least_certain`` returns samples to inspect.

    Raises ``InputError`` for invalid arguments and datasets, if the labeled set overlaps ``exclude``, if ``max_wrong``
    can't be met, and if a class has no category.
    """
    if method not in ("classifier", "codes", "classify"):
        raise InputError(f"method must be 'classifier', 'classify' or 'codes', got {method!r}.")
    source = check_unlabelled(gen, may_have_labels=method == "classify")
    foreign, value = ("max_tries", max_tries) if method == "codes" else ("code", code)
    if value is not None:
        raise InputError(f"{foreign}= has no meaning for method={method!r}. Omit it.")
    if max_wrong is not None and not (isinstance(max_wrong, Real) and 0 < max_wrong < 1):
        raise InputError(f"max_wrong must be a share between 0 and 1, got {max_wrong!r}.")
    seed, policy = check_seed(seed), check_policy(augment)
    folds, updates = as_whole(folds, "folds", 2), as_whole(updates, "updates", 1)
    max_tries = None if max_tries is None else as_whole(max_tries, "max_tries", 1)
    if method != "classify" and isinstance(classifier, Generator):
        raise InputError("classifier= is a generator, whose own classifier labels samples with method='classify'.")
    labelled = read_labelled(
        labelled_set, source.spec.shape, image_size=image_size, exclude=exclude, folds=folds, seed=seed
    )
    judge: CrossFitted | OwnClassifier
    if method == "classify":
        judge = OwnClassifier(source if classifier is None else classifier, labelled)
    else:
        build: Any = classifier or FewImagesCNN
        learner = Learner(build, updates, policy, seed, device_of(source))
        if method == "codes":
            return CodeSource(source, labelled, learner, code=code, max_wrong=max_wrong)
        judge = CrossFitted(labelled, learner)
    return RejectionSource(
        source,
        labelled,
        judge,
        seed=seed,
        max_wrong=max_wrong or MAX_WRONG,
        max_tries=max_tries or TRIES_PER_CLASS * labelled.spec.num_classes,
    )
