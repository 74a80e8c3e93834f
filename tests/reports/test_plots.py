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


def test_lines_without_dots_and_with_many_points_are_marked_at_round_numbers():
    steps = Curve("decay", [(0.0, 0.8), (83.3, 0.8), (83.3, 0.4), (250.0, 0.4)], "s0", dots=False)
    svg = line_plot([steps], x_axis="updates", y_axis="share", alt="")
    assert ticks(svg) == ["0", "50", "100", "150", "200", "250"]
    assert "<circle" not in svg
    many = line_plot([Curve("trials", [(x, 1.0) for x in range(41)], "s0")], x_axis="trial", y_axis="kid", alt="")
    assert ticks(many) == ["0", "10", "20", "30", "40"]
    assert many.count("<circle") == 41
