"""The columns of a table of layers: its statistics, how each reads, and which value stands out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gradscope.report.values.summary import SiteRow
from gradscope.report.words.numbers import magnitude
from gradscope.report.words.summary import can_die, dead, gradient, saturation, signal
from gradscope.schema import STATISTICS, Column, Statistic


@dataclass(frozen=True, slots=True)
class LayerColumn:
    """One column.

    Attributes:
        statistic: What it shows.
        last: The number of a row at the last record, as it reads.
        first: The same at the first record, where a table with room for it shows that too; else None.
        judged: By what rows are compared: the largest stands out; NaN for rows that are not judged.
    """

    statistic: Statistic
    last: Callable[[SiteRow], str]
    first: Callable[[SiteRow], str] | None = None
    judged: Callable[[SiteRow], float] = lambda _: math.nan

    @property
    def column(self) -> Column:
        """What the schema says of it."""
        return self.statistic.column


def _saturated(row: SiteRow) -> float:
    bounded = row.profile is not None and row.profile.bounded
    return (row.saturated_fraction or math.nan) if bounded else math.nan


def _dead(row: SiteRow) -> float:
    return (row.dead_unit_fraction or math.nan) if can_die(row) else math.nan


SATURATED: Final = LayerColumn(STATISTICS["activations.saturated_fraction"], saturation, judged=_saturated)
DEAD: Final = LayerColumn(STATISTICS["activations.dead_unit_fraction"], dead, judged=_dead)
GRADIENT: Final = LayerColumn(
    STATISTICS["gradients.rms"],
    lambda row: gradient(row, row.gradient_rms),
    lambda row: gradient(row, row.first_gradient_rms),
    judged=lambda row: -row.gradient_rms,
)
BACKWARD: Final = LayerColumn(STATISTICS["activations.backward_rms"], signal, judged=lambda row: -row.backward_rms)
UPDATE: Final = LayerColumn(
    STATISTICS["gradients.update_to_weight_ratio"], lambda row: magnitude(row.update_to_weight_ratio)
)

LAYER_COLUMNS: Final = (SATURATED, DEAD, GRADIENT, BACKWARD, UPDATE)
"""The columns, in their order."""
