"""Figures of a run, or of several: one function each, tables in and a plotly `Figure` out.

The figures have clear backgrounds and no colour of text of their own, so that a page may restyle them; `themed` does so
for a light and a dark one. They show in notebooks, and are the ones that the HTML report holds.

Example:
    >>> from gradscope import figures
    >>> from gradscope.testing import run, stack
    >>> frames = run(stack("tanh", depth=3))
    >>> figure = figures.saturation_heatmap(frames.activations)
    >>> figure.layout.title.text
    'Saturated entries'
"""

from gradscope.report.figures.costs import overhead
from gradscope.report.figures.curves import statistic_curves
from gradscope.report.figures.distributions import distribution
from gradscope.report.figures.heatmaps import (
    common_limits,
    dead_unit_heatmap,
    gradient_heatmap,
    saturation_heatmap,
    statistic_heatmap,
    update_ratio_heatmap,
)
from gradscope.report.figures.losses import loss_comparison, loss_curve
from gradscope.report.figures.profiles import (
    activation_profile,
    backward_profile,
    gradient_profile,
    profile_comparison,
)
from gradscope.report.figures.style import SEVERITY_COLOURS, themed
from gradscope.report.figures.units import unit_map

__all__ = [
    "SEVERITY_COLOURS",
    "activation_profile",
    "backward_profile",
    "common_limits",
    "dead_unit_heatmap",
    "distribution",
    "gradient_heatmap",
    "gradient_profile",
    "loss_comparison",
    "loss_curve",
    "overhead",
    "profile_comparison",
    "saturation_heatmap",
    "statistic_curves",
    "statistic_heatmap",
    "themed",
    "unit_map",
    "update_ratio_heatmap",
]
