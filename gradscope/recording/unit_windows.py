"""Which units of a site are dead or stuck, decided over a window of records and not over a batch.

A ReLU unit that is silent on one batch is not dead. It is dead when it was inactive on every sample of the window: the
shortest run of latest records with at least 5 batches, 256 samples and 1,000 positions. Until there is as much, nothing
is said. The decision is made by the function's profile (see `gradscope.statistics.sums.UnitSums`), never by the zeros
seen: GELU underflows to zero in float16, and no unit of it is dead.

State is a pair of functions for one site: `init` and `update`. The final pass at the end of a short training is more
observations of the same kind.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradscope.errors import ArgumentError
from gradscope.recording.table_rows import mean_abs
from gradscope.schema import UNITS
from gradscope.statistics.sums import Host, UnitSums, ratio

MIN_BATCHES: Final = 5
MIN_SAMPLES: Final = 256
MIN_POSITIONS: Final = 1_000

Flags = NDArray[np.bool_]


class UnitsSeen(NamedTuple):
    """One record of a site: its step, the samples in its batch, and its sums by unit."""

    step: int
    samples: int
    units: UnitSums[Host]


class Totals(NamedTuple):
    """What a record of the window keeps of each unit, in float32: a batch of one sample needs a thousand of them."""

    positions: NDArray[np.float32]
    entries: NDArray[np.float32]
    active_count: NDArray[np.float32]
    low_count: NDArray[np.float32]
    high_count: NDArray[np.float32]
    max_activation: NDArray[np.float32]
    finite_count: NDArray[np.float32]
    mean_abs: NDArray[np.float32]


class WindowRecord(NamedTuple):
    """One record of the window; ``positions`` are those of the unit that was seen least."""

    step: int
    samples: int
    positions: float
    totals: Totals


class Streaks(NamedTuple):
    """For how many of the latest records, without a break, something was true of each unit: shape ``(units,)``.

    Attributes:
        inactive: Inactive at every position.
        low: In the low tail at every position.
        high: In the high tail at every position.
        backward_zero: No backward signal other than 0; records without a backward pass do not break the run.
        backward_absent: Records without a backward pass.
    """

    inactive: Host
    low: Host
    high: Host
    backward_zero: Host
    backward_absent: Host


class WindowState(NamedTuple):
    """What is known of the units of one site.

    Attributes:
        window: The latest records, oldest first, no more than needed.
        runs: None before the first record.
        dead_since: For each unit the first step of the unbroken run of windows in which it is dead, else NaN.
        taken: The dead and the stuck units as `take_changes` last returned them; None before.
    """

    window: tuple[WindowRecord, ...]
    runs: Streaks | None
    dead_since: Host | None
    taken: tuple[Flags, Flags] | None


def init() -> WindowState:
    """Return the state of a site of which nothing is known yet."""
    return WindowState((), None, None, None)


def update(state: WindowState, observation: UnitsSeen) -> WindowState:
    """Return the state after one more record.

    Example:
        >>> from gradscope.statistics.sums import decoded, ratio
        >>> always_zero = np.array([1.0, 0.0])
        >>> units = decoded(UnitSums, np.zeros((len(UnitSums._fields), 2)))
        >>> units = units._replace(positions=np.full(2, 256.0), inactive_everywhere=always_zero)
        >>> state = init()
        >>> for step in range(5):
        ...     state = update(state, UnitsSeen(step, samples=256, units=units))
        ...     print(dead_unit_fraction(state))
        nan
        nan
        nan
        nan
        0.5
    """
    window = _shortest((*state.window, _record(observation)))
    runs = _longer(state.runs, observation.units)
    state = state._replace(window=window, runs=runs)
    now = dead(state)
    if now is None:
        return state._replace(dead_since=None)
    before = np.full(now.shape, math.nan) if state.dead_since is None else state.dead_since
    since = np.where(np.isnan(before), float(window[0].step), before)
    return state._replace(dead_since=np.where(now, since, math.nan))


def is_complete(state: WindowState) -> bool:
    """Whether the window holds enough to speak of dead units."""
    return _suffices(state.window)


def dead(state: WindowState) -> Flags | None:
    """Return which units were inactive on every sample of the window.

    None while the window is incomplete, and where the function has no profile. A function without an exactly flat
    tail, such as tanh or GELU, has no dead units.
    """
    return None if state.runs is None else _whole_window(state, state.runs.inactive)


def stuck(state: WindowState) -> Flags | None:
    """Return which units were in one and the same tail on every sample of the window; None where `dead` is.

    A dead ReLU unit is stuck too. None also for a function whose slope is zero everywhere: it has no tails.
    """
    return None if state.runs is None else _whole_window(state, np.maximum(state.runs.low, state.runs.high))


def confirmed(state: WindowState) -> Host | None:
    """Return 1 for each dead unit whose backward signal was exactly 0 on the whole window too, else 0.

    Records without a backward pass do not count; NaN for a dead unit where the window has none that does. None where
    `dead` is.
    """
    is_dead = dead(state)
    if is_dead is None or state.runs is None:
        return None
    length = len(state.window)
    signal_free = np.where(state.runs.backward_absent >= length, math.nan, state.runs.backward_zero >= length)
    return np.where(is_dead, signal_free, 0.0)


def dead_unit_fraction(state: WindowState) -> float:
    """Return the share of dead units; NaN where `dead` is None."""
    return _fraction(dead(state))


def stuck_unit_fraction(state: WindowState) -> float:
    """Return the share of stuck units; NaN where `stuck` is None."""
    return _fraction(stuck(state))


def take_changes(state: WindowState) -> tuple[WindowState, Host]:
    """Return the units that became dead or stuck, or stopped being so, since this was last called.

    Returns:
        The state that remembers them as told, and their rows of the `units` table, shape
        ``(changed units, len(UNITS.statistics))``, float64: none while the window is incomplete.
    """
    known = dead(state), stuck(state)
    if not state.window or (known[0] is None and known[1] is None):
        return state, np.empty((0, len(UNITS.statistics)))
    nothing = np.zeros(state.window[-1].totals.positions.shape, np.bool_)
    now_dead, now_stuck = (nothing if flags is None else flags for flags in known)
    was_dead, was_stuck = (nothing, nothing) if state.taken is None else state.taken
    changed = np.flatnonzero((now_dead != was_dead) | (now_stuck != was_stuck))
    rows = unit_rows(state)[changed] if changed.size else np.empty((0, len(UNITS.statistics)))
    return state._replace(taken=(now_dead, now_stuck)), rows


def unit_rows(state: WindowState) -> Host:
    """Return the rows of all units over the window, shape ``(units, len(UNITS.statistics))``, float64.

    Raises:
        ArgumentError: If nothing was observed yet.
    """
    if not state.window:
        raise ArgumentError("This site has no records yet. Call update() with an observation first.")
    all_totals = np.stack([np.stack(record.totals) for record in state.window], axis=1)  # (totals, records, units)
    totals = Totals(*all_totals.astype(np.float64))
    entries, finite_count = totals.entries.sum(axis=0), totals.finite_count.sum(axis=0)
    max_activation = totals.max_activation.max(axis=0)
    abs_sum = np.where(totals.finite_count > 0, totals.mean_abs * totals.finite_count, 0.0).sum(axis=0)
    is_dead, is_confirmed = dead(state), confirmed(state)
    unknown = np.full(entries.shape, math.nan)
    columns = {
        "unit": np.arange(entries.size, dtype=np.float64),
        "active_fraction": ratio(totals.active_count.sum(axis=0), entries),
        "saturated_low_fraction": ratio(totals.low_count.sum(axis=0), entries),
        "saturated_high_fraction": ratio(totals.high_count.sum(axis=0), entries),
        "max_activation": np.where(max_activation > -math.inf, max_activation, math.nan),
        "mean_abs": ratio(abs_sum, finite_count),
        "positions": totals.positions.sum(axis=0),
        "dead": unknown if is_dead is None else is_dead.astype(np.float64),
        "confirmed": unknown if is_confirmed is None else is_confirmed,
        "dead_since_step": unknown if state.dead_since is None else state.dead_since,
    }
    return np.stack([columns[name] for name in UNITS.statistic_names], axis=1)


def _record(observation: UnitsSeen) -> WindowRecord:
    units = observation.units
    totals = Totals(
        *(
            values.astype(np.float32)
            for values in (
                units.positions,
                units.entries,
                units.active_count,
                units.low_count,
                units.high_count,
                units.max_activation,
                units.finite_count,
                mean_abs(units),
            )
        )
    )
    # A mask that reaches over the units gives each its own positions: the one seen least must have enough.
    return WindowRecord(observation.step, observation.samples, float(units.positions.min()), totals)


def _shortest(window: tuple[WindowRecord, ...]) -> tuple[WindowRecord, ...]:
    while _suffices(window[1:]):
        window = window[1:]
    return window


def _suffices(window: tuple[WindowRecord, ...]) -> bool:
    return (
        len(window) >= MIN_BATCHES
        and sum(record.samples for record in window) >= MIN_SAMPLES
        and sum(record.positions for record in window) >= MIN_POSITIONS
    )


def _longer(runs: Streaks | None, units: UnitSums[Host]) -> Streaks:
    if runs is None:
        runs = Streaks(*[np.zeros(units.positions.shape)] * len(Streaks._fields))
    backward = units.backward_zero_everywhere
    return Streaks(
        _run(runs.inactive, units.inactive_everywhere),
        _run(runs.low, units.low_everywhere),
        _run(runs.high, units.high_everywhere),
        _run(runs.backward_zero, np.where(np.isnan(backward), 1.0, backward)),
        _run(runs.backward_absent, np.isnan(backward).astype(np.float64)),
    )


def _run(run: Host, flag: Host) -> Host:
    """One longer where the flag is 1, over where it is 0, unknown where it is NaN."""
    return np.where(np.isnan(flag), math.nan, (run + 1) * flag)


def _whole_window(state: WindowState, run: Host) -> Flags | None:
    return run >= len(state.window) if is_complete(state) and not np.isnan(run).any() else None


def _fraction(flags: Flags | None) -> float:
    return math.nan if flags is None else float(flags.mean())
