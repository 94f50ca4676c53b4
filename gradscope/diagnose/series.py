"""Series: the frames of a run as arrays that rules look at, one row a recorded step and one column a place.

Steps that the loss scale skipped are left out everywhere: their gradients are infinite by design, and no weight moved.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gradscope.network import Network, Site, Variable
from gradscope.store.frames import Frames

_FEWEST_SAMPLES = 8  # of fewer, a spread is hardly more than chance

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Place = TypeVar("Place", Site, Variable)


def training_steps(frames: Frames) -> NDArray[np.int64]:
    """Return the recorded steps at which weights were to move: all but those skipped by the loss scale."""
    return frames.steps["step"].to_numpy(np.int64)[~_skipped(frames)]


def step_series(frames: Frames, column: str) -> Floats:
    """Return a column of `steps` at the `training_steps`, shape ``(records,)``."""
    return frames.steps[column].to_numpy(np.float64)[~_skipped(frames)]


def _skipped(frames: Frames) -> Flags:
    return frames.steps["skipped"].to_numpy(np.float64) == 1


@dataclass(frozen=True, slots=True, eq=False)
class Series(Generic[Place]):
    """A table at some sites or variables. Call it with a column's name.

    Attributes:
        places: The sites or variables, in the order of the model.
        steps: Recorded steps, shape ``(records,)``.
    """

    places: tuple[Place, ...]
    steps: NDArray[np.int64]
    _table: pd.DataFrame
    _kept: Flags
    _rows: NDArray[np.intp]
    _columns: NDArray[np.intp]

    def __call__(self, column: str) -> Floats:
        """Return a column of the table, shape ``(records, places)``; NaN where a place has no row."""
        values = np.full((len(self.steps), len(self.places)), math.nan)
        values[self._rows, self._columns] = self._table[column].to_numpy(np.float64)[self._kept]
        return values


def site_series(frames: Frames, sites: Sequence[Site]) -> Series[Site]:
    """Return the series of ``sites``."""
    return _series(frames.activations, "site", {site.key: site for site in sites}, training_steps(frames))


def final_series(frames: Frames, sites: Sequence[Site]) -> Series[Site]:
    """Return what the final pass shows of ``sites``: one record at the last step, or none."""
    table = frames.final_activations
    return _series(table, "site", {site.key: site for site in sites}, np.unique(table["step"].to_numpy(np.int64)))


def variable_series(frames: Frames, variables: Sequence[Variable]) -> Series[Variable]:
    """Return the series of ``variables``."""
    by_path = {variable.path: variable for variable in variables}
    return _series(frames.gradients, "variable", by_path, training_steps(frames))


def _series(table: pd.DataFrame, name: str, places: dict[str, Place], steps: NDArray[np.int64]) -> Series[Place]:
    categories: Any = table[name].astype("category").cat  # of an empty table the names are no categories yet
    column_of = {key: column for column, key in enumerate(places)}
    # One more at the end, for the code -1 of a missing name.
    by_code = np.array([*(column_of.get(str(key), -1) for key in categories.categories), -1], np.intp)
    columns = by_code[np.asarray(categories.codes, np.intp)]
    step = table["step"].to_numpy(np.int64)
    rows = np.asarray(np.searchsorted(steps, step), np.intp)
    kept = (columns >= 0) & np.isin(step, steps)
    return Series(tuple(places.values()), steps, table, kept, rows[kept], columns[kept])


def spread_over_samples(frames: Frames, series: Series[Site]) -> Floats:
    """Return ``sample_std``, shape ``(records, sites)``; NaN where a batch has too few samples to show a spread."""
    few = step_series(frames, "samples") < _FEWEST_SAMPLES
    return np.where(few[:, None], math.nan, series("sample_std"))


def judged_kernels(network: Network) -> tuple[Variable, ...]:
    """Return the kernels that rules judge: all but those of attention's queries and keys.

    Their gradients start at about a millionth of the largest: the softmax takes away what they share.
    """
    attention = tuple(f"{layer.key}/" for layer in network.layers if "Attention" in layer.class_name)
    shift_invariant = tuple(f"{layer}{part}" for layer in attention for part in ("query", "key"))
    return tuple(v for v in network.variables if v.role == "kernel" and v.layer not in shift_invariant)


def hidden_sites(network: Network) -> tuple[Site, ...]:
    """Return the sites whose activation is not the model's output."""
    return tuple(site for site in network.sites if not site.is_output)


def applications(network: Network, sites: Sequence[Site]) -> list[list[int]]:
    """Return the columns of ``sites`` in groups of the same units: a layer with weights is one layer."""
    own = {variable.layer for variable in network.variables if variable.role == "kernel"}
    groups: dict[tuple[str, str, int], list[int]] = {}
    for column, site in enumerate(sites):
        is_shared = site.layer in own
        groups.setdefault((site.layer if is_shared else site.key, site.activation, site.units), []).append(column)
    return list(groups.values())


def in_all(values: Floats, groups: Sequence[Sequence[int]]) -> Floats:
    """Return what holds in every application, shape ``(records, groups)``: of shares of units, the smallest.

    Example:
        >>> in_all(np.array([[0.5, 0.1, 0.9]]), [[0, 1], [2]]).tolist()
        [[0.1, 0.9]]
    """
    columns = [np.fmin.reduce(values[:, list(group)], axis=1) for group in groups]
    return np.stack(columns, axis=1) if columns else values[:, :0]


def without_gradient(frames: Frames, up_to: str | None = None) -> bool:
    """Return whether every weight, or every one up to a layer, has had a gradient of exactly zero for some records.

    What computes the layer's inputs then stays as it is, and so does the layer.
    """
    order = {layer.key: layer.order for layer in frames.network.layers}
    last = math.inf if up_to is None else order.get(up_to, -1)
    concerned = [variable for variable in frames.network.variables if order.get(variable.layer, math.inf) <= last]
    zeros = variable_series(frames, concerned)("zero_fraction")
    return bool(concerned) and all(onset is not None for onset in onsets(zeros == 1))


def is_bounded(site: Site) -> bool:
    """Return whether the function is flat at both ends, with its slope between them around zero.

    ReLU6 is flat at both ends too, but its lower one begins at zero, and its zeros are what a ReLU is for.
    """
    return site.profile is not None and site.profile.bounded and site.profile.z_low < 0 < site.profile.z_high


def is_rectifier(site: Site) -> bool:
    """Return whether the function is exactly flat and zero on one side, so that its units can die."""
    profile = site.profile
    return profile is not None and (profile.zero_low > -math.inf or profile.zero_high < math.inf)


def sustained(condition: Flags, *, need: int = 3, window: int = 5) -> Flags:
    """Return where ``condition`` held in at least ``need`` of the latest ``window`` records, along the first axis.

    A record is a sample of one batch: one may be an accident, three of five are none.

    Example:
        >>> sustained(np.array([True, True, False, True, False, False, False])).tolist()
        [False, False, False, True, True, False, False]
    """
    counts = np.cumsum(condition, axis=0, dtype=np.int64)
    before = np.zeros_like(counts)
    before[window:] = counts[:-window]
    return counts - before >= need


def onsets(condition: Flags, *, need: int = 3, window: int = 5) -> list[int | None]:
    """Return for each place since which record ``condition`` has been sustained up to the last; None where it is not.

    It begins with the first record that is counted, not with that at which they were enough.

    Args:
        condition: Shape ``(records, places)``.
        need: As for `sustained`.
        window: As for `sustained`.

    Example:
        >>> onsets(np.array([[False, True], [True, True], [True, False], [True, False], [True, False]]))
        [1, None]
    """
    held = sustained(condition, need=need, window=window)
    found: list[int | None] = []
    for column in range(condition.shape[1]):
        if not len(held) or not held[-1, column]:
            found.append(None)
            continue
        broken = np.flatnonzero(~held[:, column])
        enough = int(broken[-1]) + 1 if len(broken) else 0
        begin = max(0, enough - window + 1)
        found.append(begin + int(np.argmax(condition[begin:, column])))
    return found


def latest(values: Floats, count: int = 5) -> Floats:
    """Return the median of the latest ``count`` records, along the first axis; NaN where none of them is known.

    Example:
        >>> latest(np.array([[9.0, 1.0], [2.0, np.nan], [4.0, np.nan]]), 2).tolist()
        [3.0, nan]
    """
    recent = values[-count:]
    known = ~np.isnan(recent).all(axis=0)
    result = np.full(recent.shape[1:], math.nan)
    result[known] = np.nanmedian(recent[:, known], axis=0)
    return result


def median(values: Floats) -> float:
    """Return the median of the numbers among ``values``; NaN where there is none."""
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else math.nan


def first_known(values: Floats) -> float:
    """Return the first finite number among ``values``; NaN where there is none."""
    known = values[np.isfinite(values)]
    return float(known[0]) if len(known) else math.nan


def last_known(values: Floats) -> float:
    """Return the last finite number among ``values``; NaN where there is none."""
    return first_known(values[::-1])
