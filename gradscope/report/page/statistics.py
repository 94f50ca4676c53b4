"""Which statistics a page shows over all layers, what they are called there, and how their heatmaps are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Statistic:
    """A column that a page shows over all layers."""

    table: str
    name: str
    title: str
    reading: str

    @property
    def key(self) -> str:
        """Of its figure."""
        return f"{self.table}.{self.name}"


_SHADE = "A row is a layer, from the input at the top; time runs to the right; the brighter, the larger."

STATISTICS: Final = (
    Statistic("gradients", "rms", "Size of the gradient", f"{_SHADE} Rows that darken to the top: it vanishes."),
    Statistic("activations", "backward_rms", "Backward signal", f"{_SHADE} Rows that darken to the top: it vanishes."),
    Statistic(
        "activations",
        "saturated_fraction",
        "Saturation",
        f"{_SHADE} Bright in a sigmoid or tanh: no gradient passes there. About half is usual for ReLU.",
    ),
    Statistic("activations", "dead_unit_fraction", "Dead units", f"{_SHADE} A row that brightens loses units."),
    Statistic(
        "gradients", "update_to_weight_ratio", "Update over weight", f"{_SHADE} Around 1e-3 is usual for most layers."
    ),
    Statistic(
        "activations",
        "sample_std",
        "Spread over samples",
        f"{_SHADE} Rows that darken to the bottom: all samples look alike there.",
    ),
    Statistic("activations", "rms", "Size of the activations", f"{_SHADE} Rows that brighten steadily: it explodes."),
    Statistic("activations", "mean", "Mean of the activations", f"{_SHADE} Far from 0: the layer is not centred."),
    Statistic(
        "activations", "zero_fraction", "Zero activations", f"{_SHADE} 100% is a layer that passes nothing forward."
    ),
    Statistic(
        "activations", "nonfinite_count", "NaN and infinity", f"{_SHADE} The first bright cell is where they came from."
    ),
)
