"""A scikit-learn outlier detector around a generator that was trained on normal images."""

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from genaug.anomaly.encoder import train_encoder
from genaug.anomaly.report import draw_anomalies
from genaug.anomaly.scoring import Scorer, as_array, choose_method
from genaug.anomaly.threshold import check_rate, check_share, needed, threshold_of
from genaug.checks import BATCH, STEPS, as_whole
from genaug.errors import DataWarning, InputError
from genaug.evaluation.subject import learned_from
from genaug.progress import Progress
from genaug.randomness import check_seed, derive_seed
from genaug.sources.generator import Generator
from genaug.sources.image_sets import read_images


class AnomalyDetector(OutlierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no type information
    """Tells anomalous from normal images by a generator of normal ones, with a bounded rate of false alarms.

    Args:
        generator: A ``Generator`` that was trained on normal images only.
        method: How images are scored. "reconstruction", the default for a generator with an encoder for all
            of its latents (``vae``, ``autoencoder``, ``aae``, ``bigan``): the squared error of the reconstruction.
            "encoder", the default for all others: ``fit`` trains an encoder for the generator, whose weights don't
            change (f-AnoGAN, Schlegl et al. 2019).
            "discriminator": how unrealistic the image looks to the discriminator, for backends that keep one.
        false_alarms: The share of normal images that may be called anomalous, between 0 and 1: on average over
            held-out sets, it isn't exceeded if new normal images are like those passed to ``fit``.
        held_out: With method "encoder", the share of the images passed to ``fit`` that only the threshold is computed
            from; the encoder is trained on the others. The other methods compute it from all of them.
        steps: Steps of the encoder's training.
        batch_size: Images per step.
        seed: Determines the held-out images and the encoder's training.
        progress: Whether to show progress on stderr.

    Images are arrays or tensors (N, C, H, W), (N, H, W, C), (N, H, W), or rows (N, H·W·C) in this order as in
    scikit-learn's datasets, uint8 or floats in [0, 1]; or map-style datasets and lists of images (PIL, uint8, float in
    [0, 1]), whose labels are ignored. If the generator takes labels, an image is compared with all classes, and the one
    that fits best counts.

    Fitted attributes: ``method_``, ``threshold_`` (images with a higher anomaly score are anomalous), ``offset_``
    (its negative), ``n_held_out_`` (the number of images that it is computed from).
    """

    def __init__(
        self,
        generator: Generator,
        method: str | None = None,
        *,
        false_alarms: float = 0.05,
        held_out: float = 0.2,
        steps: int = 2000,
        batch_size: int = 64,
        seed: int = 0,
        progress: bool = True,
    ) -> None:
        self.generator, self.method = generator, method
        self.false_alarms, self.held_out = false_alarms, held_out
        self.steps, self.batch_size, self.seed, self.progress = steps, batch_size, seed, progress

    def fit(self, X: Any, y: Any = None) -> "AnomalyDetector":  # noqa: N803 - scikit-learn's name
        """Compute the threshold from normal images that the generator wasn't trained on; train the encoder first, if
        the method needs one. ``y`` is ignored.

        Warns with a ``DataWarning`` if these are the images that the generator was trained on, according to its record:
        the threshold would be too low. Raises ``InputError`` for images that don't fit the generator, a rate outside
        (0, 1), and too few images for this rate.
        """
        method = choose_method(self.generator, self.method)
        rate = check_rate(self.false_alarms)
        share = check_share(self.held_out, "held_out", "the share of images for the threshold")
        steps, batch_size = as_whole(self.steps, "steps", 1, STEPS), as_whole(self.batch_size, "batch_size", 1, BATCH)
        seed = check_seed(self.seed)
        normal = read_images(X, self.generator, "the normal images")
        if learned_from(self.generator, normal):
            warnings.warn(
                "the generator was trained on these normal images, according to its record, so it fits them better "
                "than new ones, and there will be more false alarms than false_alarms says. Pass other normal images.",
                DataWarning,
                stacklevel=2,
            )
        rows, count = torch.arange(len(normal.x)), len(normal.x)
        if method == "encoder":
            rng = torch.Generator().manual_seed(derive_seed(seed, "held out"))
            rows, count = torch.randperm(count, generator=rng), min(count, max(1, round(share * count)))
        _check_enough(count, len(rows), rate, method, share)
        encoder = None
        if method == "encoder":
            with Progress("anomaly", steps, bool(self.progress), line_every=10) as bar:

                def report(loss: float) -> None:
                    bar.advance()
                    bar.tell(f"training the encoder, loss {loss:.4g}")

                encoder = train_encoder(
                    self.generator,
                    normal.x[rows[count:]],
                    steps=steps,
                    batch_size=batch_size,
                    seed=seed,
                    on_step=report,
                )
        scorer = Scorer(self.generator, method, encoder)
        self.threshold_ = threshold_of(as_array(scorer.scores(normal.x[rows[:count]])), rate)
        self.method_, self.scorer_, self.n_held_out_ = method, scorer, count
        self.offset_ = -self.threshold_
        if getattr(X, "ndim", 0) == 2:
            self.n_features_in_ = X.shape[1]
        return self

    def anomaly_scores(self, X: Any) -> NDArray[np.float64]:  # noqa: N803 - scikit-learn's name
        """Scores of images, (N,): higher is more anomalous. An image's score doesn't depend on the others."""
        check_is_fitted(self)
        return as_array(self.scorer_.scores(self._images(X)))

    def score_samples(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        """The negative anomaly scores, (N,): lower is more anomalous, as everywhere in scikit-learn."""
        return -self.anomaly_scores(X)

    def decision_function(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        """The threshold minus the anomaly score, (N,): at least 0 for normal images, below 0 for anomalous ones."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> NDArray[np.int64]:  # noqa: N803
        """+1 for normal and -1 for anomalous images, int64 (N,)."""
        return np.where(self.decision_function(X) >= 0, 1, -1).astype(np.int64)

    def reconstruct(self, X: Any) -> Tensor:  # noqa: N803
        """The reconstructions that images are compared with, uint8 (N, C, H, W).

        Raises ``InputError`` with method "discriminator", which has none.
        """
        check_is_fitted(self)
        images = self.scorer_.reconstruct(self._images(X))
        if images is None:
            raise InputError("method 'discriminator' makes no reconstructions. Use another method.")
        return images

    def draw(self, X: Any, count: int = 20) -> Image:  # noqa: N803
        """An RGB picture of the ``count`` most anomalous images, the first on top, with their scores.

        Beside each are its reconstruction and the difference of the two, unless the method is "discriminator".
        """
        check_is_fitted(self)
        images = self._images(X)
        scores = as_array(self.scorer_.scores(images))
        return draw_anomalies(images, scores, self.scorer_, as_whole(count, "count", 1, 200))

    def __sklearn_clone__(self) -> "AnomalyDetector":
        return type(self)(**self.get_params(deep=False))  # with the same networks

    def _images(self, X: Any) -> Tensor:  # noqa: N803
        return read_images(X, self.generator, "the data").x


def _check_enough(count: int, total: int, rate: float, method: str, share: float) -> None:
    """Raises ``InputError`` if ``count`` of ``total`` images are held out and that is too few, or leaves none."""
    least = needed(rate)
    if count < least:
        images = least if method != "encoder" else -(-least // share)
        raise InputError(
            f"false_alarms={rate:g} needs at least {least:,} held-out normal images, and there are {count:,}"
            f"{f' ({share:g} of {total:,})' if method == 'encoder' else ''}. Pass {images:,.0f} or more normal images, "
            "or a higher rate."
        )
    if method == "encoder" and total - count < 2:
        raise InputError(
            f"of {total} normal images, {count} are held out, which leaves {total - count} to train the encoder on. "
            "Pass more images, or a smaller held_out."
        )


def fit(generator: Generator, normal: Any, **options: Any) -> AnomalyDetector:
    """An ``AnomalyDetector`` fitted to normal images: ``AnomalyDetector(generator, **options).fit(normal)``."""
    return AnomalyDetector(generator, **options).fit(normal)


def score(generator: "Generator | AnomalyDetector", images: Any, *, method: str | None = None) -> NDArray[np.float64]:
    """Anomaly scores of images, float64 (N,): higher is more anomalous.

    ``generator`` was trained on normal images, or is a fitted ``AnomalyDetector``, whose method is then used. The
    methods without a detector are "reconstruction", the default, and "discriminator"; for others, and for what images
    may be, see ``AnomalyDetector``.

    Raises ``InputError`` for a method that the generator doesn't offer, and for images of another shape or range.
    """
    if isinstance(generator, AnomalyDetector):
        if method is not None and method != getattr(generator, "method_", method):
            raise InputError(f"the detector was fitted with method {generator.method_!r}. Leave method out.")
        return generator.anomaly_scores(images)
    chosen = choose_method(generator, method)
    if chosen == "encoder":
        remedy = " or use method='discriminator'" if generator.offers("score") else ""
        raise InputError(
            f"backend {generator.backend_name!r} has no encoder that recovers its latents, so one has to be trained on "
            f"normal images first. Pass the result of genaug.anomaly.fit(generator, normal_images) instead of the "
            f"generator{remedy}."
        )
    data = read_images(images, generator, "the data")
    return as_array(Scorer(generator, chosen).scores(data.x))
