"""The charts of our scalars in TensorBoard's Custom Scalars tab: all layers in one, rather than a card for each."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from tensorboard.plugins.custom_scalar import layout_pb2  # pyright: ignore[reportMissingTypeStubs] - it has none

_layouts: Any = layout_pb2  # Any: the classes of a generated module come into being when it is imported

CHARTS_TAG: Final = "custom_scalars__config__"
"""The tag at which TensorBoard looks for a layout."""

_CHARTS: Final = (
    ("Norm of all gradients together", "global_norm$"),
    ("Gradient norm of each layer", "gradient_norm/"),
    ("Saturated fraction of each site", "saturated_fraction/"),
    ("Fraction of dead units of each site", "dead_unit_fraction/"),
)
"""Titles, and regular expressions that the tags of their curves begin with."""


@cache
def chart_layout() -> bytes:
    """Return the serialised layout.

    Example:
        >>> b"Gradient norm of each layer" in chart_layout()
        True
    """
    charts = [
        _layouts.Chart(title=title, multiline=_layouts.MultilineChartContent(tag=[tags])) for title, tags in _CHARTS
    ]
    layout = _layouts.Layout(category=[_layouts.Category(title="GradScope", chart=charts)])
    serialised: bytes = layout.SerializeToString()
    return serialised
