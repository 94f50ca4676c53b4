"""What is to be seen in a figure of layers, in words, for whoever does not see it."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import pandas as pd

from gradscope.report.figures.grid import Grid
from gradscope.report.words.names import shortened
from gradscope.report.words.numbers import in_words

_NAME_CELLS: Final = 32


def is_known(table: pd.DataFrame, statistic: str) -> bool:
    """Return whether ``table`` holds any number of ``statistic``."""
    return statistic in table.columns and bool(table[statistic].notna().any())


def extremes(grid: Grid, until: float = math.inf) -> str:
    """Return which layers have the least and the most at the last record that holds any, at step ``until`` at most."""
    known = np.flatnonzero(~np.isnan(grid.numbers).all(axis=0) & (grid.first <= until))
    if not known.size:
        return ""
    last = grid.numbers[:, known[-1]]
    low, high = int(np.nanargmin(last)), int(np.nanargmax(last))
    lowest, highest = (in_words(float(last[at]), grid.column) for at in (low, high))
    names = [shortened(name, _NAME_CELLS) for name in grid.names]
    step = f"At step {int(grid.first[known[-1]]):,}"
    if lowest == highest:
        is_only = np.count_nonzero(~np.isnan(last)) == 1
        return f"{step}: {lowest} in {names[low] if is_only else 'all layers'}."
    return f"{step}: lowest in {names[low]} ({lowest}), highest in {names[high]} ({highest})."
