"""What data, targets or a loss that do not fit may bring about in any network."""

from __future__ import annotations

from typing import Final

OF_BAD_DATA: Final = (
    "not_converging", "slow_convergence", "nan_or_inf", "exploding_gradient", "exploding_activation", "update_ratio",
    "poor_initialisation", "saturated_activation", "dying_relu", "vanishing_gradient", "vanishing_activation",
    "unchanged_weights", "oscillating_loss",
)  # fmt: skip
"""Ids of the rules whose findings may follow, whatever else they may follow from."""
