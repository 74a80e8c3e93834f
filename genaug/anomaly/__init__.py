"""Anomalous images, detected by a generator that was trained on normal ones."""

from typing import TYPE_CHECKING

from genaug.lazy import lazy

if TYPE_CHECKING:
    from genaug.anomaly.detector import AnomalyDetector as AnomalyDetector, fit as fit, score as score

_HOME = dict.fromkeys(("AnomalyDetector", "fit", "score"), "genaug.anomaly.detector")
__all__ = sorted(_HOME)
__getattr__ = lazy(__name__, _HOME)
