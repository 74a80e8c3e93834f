"""What the arms of a study gain on the test set, beside what the study itself reports."""

from genaug.studies.compare import Difference, paired_difference
from genaug.studies.report import Report


def gain_of(report: Report, arm: str, baseline: str) -> Difference:
    """How much more accurate an arm is than a baseline, with a 95% interval that isn't corrected for the number of
    arms. No two seeds share a training sample."""
    resolution = 1 / report.details["settings"]["test"]["images"]
    return paired_difference(report.scores(arm), report.scores(baseline), resolution=resolution)


def in_points(gain: Difference | None) -> str:
    """A gain and its interval in percentage points, for a table."""
    if gain is None or gain.low is None or gain.high is None:
        return "–"
    return f"{100 * gain.mean:+.1f} ({100 * gain.low:+.1f} to {100 * gain.high:+.1f})".replace("-", "−")
