"""The SVG plots of a study's page, for known figures."""

import re

from genaug.reports.plots import Curve, line_plot

NONE = Curve("none, 44.0%", [(0.0, 44.0)], "level plain", baseline=True)


def ticks(svg):
    return re.findall(r'<text class="tick" [^>]*>([^<]*)</text>', svg)


def test_the_axis_marks_the_ratios_of_the_curves_and_not_that_of_the_baseline():
    one = line_plot([NONE, Curve("cgan, 72.0%", [(0.5, 72.0)], "s0")], x_axis="share", y_axis="%", alt="")
    assert ticks(one) == ["0.5"]
    assert one.count('<circle class="dot"') == 1
    two = line_plot([NONE, Curve("cgan", [(0.25, 60.0), (0.5, 72.0)], "s0")], x_axis="share", y_axis="%", alt="")
    assert ticks(two) == ["0.25", "0.5"]
    assert two.count('<circle class="dot"') == 2


def test_baselines_alone_can_be_plotted():
    assert ticks(line_plot([NONE], x_axis="share", y_axis="%", alt="")) == ["0"]
