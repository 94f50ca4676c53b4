"""Dead and stuck units against a slow reference that keeps every entry ever seen and looks at all of them anew."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradscope.errors import ArgumentError
from gradscope.recording.unit_windows import (
    UnitsSeen,
    WindowState,
    confirmed,
    dead,
    dead_unit_fraction,
    init,
    is_complete,
    stuck,
    stuck_unit_fraction,
    take_changes,
    unit_rows,
    update,
)
from gradscope.schema import UNITS
from gradscope.statistics.sums import Host, UnitSums, decoded

UNIT_COUNT = 3


class Seen(NamedTuple):
    """One record, every entry of it: arrays of shape ``(positions, units)``; ``low`` is what a ReLU calls inactive."""

    step: int
    samples: int
    a: np.ndarray
    low: np.ndarray
    high: np.ndarray
    backward: np.ndarray | None


def observation(seen: Seen) -> UnitsSeen:
    nan = np.full(seen.a.shape[1], math.nan)
    rows = np.full(seen.a.shape[1], float(len(seen.a)))
    units = UnitSums(
        positions=rows,
        entries=rows,
        active_count=(~seen.low).sum(axis=0).astype(float),
        low_count=seen.low.sum(axis=0).astype(float),
        high_count=seen.high.sum(axis=0).astype(float),
        inactive_everywhere=seen.low.all(axis=0).astype(float),
        low_everywhere=seen.low.all(axis=0).astype(float),
        high_everywhere=seen.high.all(axis=0).astype(float),
        backward_zero_everywhere=nan if seen.backward is None else (seen.backward == 0).all(axis=0).astype(float),
        max_activation=seen.a.max(axis=0, initial=-math.inf),
        finite_count=rows,
        scale=np.ones_like(rows),
        mean=nan,
        m2=nan,
        abs_sum=np.abs(seen.a).sum(axis=0),
    )
    return UnitsSeen(seen.step, seen.samples, units)


def after(records: list[Seen]) -> WindowState:
    state = init()
    for record in records:
        state = update(state, observation(record))
    return state


def reference_window(records: list[Seen]) -> list[Seen] | None:
    for length in range(1, len(records) + 1):
        window = records[-length:]
        samples, positions = sum(seen.samples for seen in window), sum(len(seen.a) for seen in window)
        if length >= 5 and samples >= 256 and positions >= 1_000:
            return window
    return None


def reference_dead(records: list[Seen]) -> np.ndarray | None:
    window = reference_window(records)
    return None if window is None else np.concatenate([seen.low for seen in window]).all(axis=0)


def reference_rows(records: list[Seen]) -> np.ndarray | None:
    window, is_dead = reference_window(records), reference_dead(records)
    if window is None or is_dead is None:
        return None
    low, high, a = (np.concatenate([getattr(seen, name) for seen in window]) for name in ("low", "high", "a"))
    backward = [seen.backward for seen in window if seen.backward is not None]
    rows: list[list[float]] = []
    for u in range(a.shape[1]):
        silent = float(all((dz[:, u] == 0).all() for dz in backward)) if backward else math.nan
        since = math.nan
        for length in range(len(records), 0, -1):  # back over the unbroken run of windows
            at_that_time = reference_dead(records[:length])
            if at_that_time is None or not at_that_time[u]:
                break
            since = float(reference_window(records[:length])[0].step)  # type: ignore[index]
        numbers = {
            "unit": u,
            "active_fraction": 1 - low[:, u].mean(),
            "saturated_low_fraction": low[:, u].mean(),
            "saturated_high_fraction": high[:, u].mean(),
            "max_activation": a[:, u].max(),
            "mean_abs": np.abs(a[:, u]).mean(),
            "positions": len(a),
            "dead": is_dead[u],
            "confirmed": silent if is_dead[u] else 0.0,
            "dead_since_step": since,
        }
        rows.append([float(numbers[name]) for name in UNITS.statistic_names])
    return np.array(rows)


@st.composite
def trainings(draw: st.DrawFn) -> list[Seen]:
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    records: list[Seen] = []
    for number in range(draw(st.integers(1, 14))):
        samples = draw(st.sampled_from([16, 64, 200, 300]))
        shape = (samples * draw(st.sampled_from([1, 4])), UNIT_COUNT)
        # Units that are silent, in the high tail, or on one entry only alive, so that each state comes and goes.
        z = np.where(random.random(shape) < 0.5, 1.0, -1.0)
        for u in range(UNIT_COUNT):
            kind = draw(st.sampled_from(["low", "low", "high", "nearly", "mixed"]))
            if kind in ("low", "nearly"):
                z[:, u] = -1.0
            if kind == "high":
                z[:, u] = 3.0
            if kind == "nearly":
                z[random.integers(len(z)), u] = 1.0
        backward = np.where(random.random(shape) < 0.001, 1.0, 0.0) if draw(st.booleans()) else None
        records.append(Seen(10 * number, samples, np.maximum(z, 0) * random.random(shape), z <= 0, z >= 2, backward))
    return records


@settings(max_examples=100)
@given(trainings())
def test_every_window_equals_the_reference(records: list[Seen]) -> None:
    state = init()
    for number, record in enumerate(records, start=1):
        state = update(state, observation(record))
        expected = reference_rows(records[:number])
        assert is_complete(state) == (expected is not None)
        if expected is None:
            assert dead(state) is stuck(state) is confirmed(state) is None
            continue
        np.testing.assert_allclose(unit_rows(state), expected, rtol=1e-6)
        window = reference_window(records[:number]) or []
        low, high = (np.concatenate([getattr(seen, name) for seen in window]).all(axis=0) for name in ("low", "high"))
        np.testing.assert_array_equal(stuck(state), low | high)
        assert stuck_unit_fraction(state) == np.mean(low | high)
        assert dead_unit_fraction(state) == np.mean(low)
        assert len(state.window) == len(window)


def constant(step: int, z: list[float], *, samples: int = 256, backward: float | None = 0.0) -> Seen:
    """Return a record in which each unit has one pre-activation on every sample."""
    values = np.tile(np.array(z), (samples, 1))
    signal = None if backward is None else np.full_like(values, backward)
    return Seen(step, samples, np.maximum(values, 0), values <= 0, values >= 2, signal)


def column(rows: Host, name: str) -> list[float]:
    return rows[:, UNITS.statistic_names.index(name)].tolist()


def test_a_window_needs_five_batches_256_samples_and_1000_positions() -> None:
    for samples, needed in ((1_000, 5), (256, 5), (200, 5), (199, 6), (100, 10), (1, 1_000)):
        records = [constant(step, [-1.0], samples=samples) for step in range(needed)]
        assert math.isnan(dead_unit_fraction(after(records[:-1])))
        assert dead_unit_fraction(after(records)) == 1.0
    pixels = [seen._replace(samples=51) for seen in (constant(step, [-1.0], samples=51 * 100) for step in range(6))]
    assert math.isnan(dead_unit_fraction(after(pixels[:5])))  # 255 samples
    assert dead_unit_fraction(after(pixels)) == 1.0


def test_a_relu_that_is_silent_on_one_batch_only_is_not_dead() -> None:
    assert dead_unit_fraction(after([constant(step, [1.0 if step == 2 else -1.0]) for step in range(5)])) == 0.0


def test_a_unit_in_the_high_tail_everywhere_is_stuck_but_not_dead_and_one_that_changes_tails_is_neither() -> None:
    state = after([constant(step, [3.0, -1.0, -1.0 if step % 2 else 3.0]) for step in range(5)])
    np.testing.assert_array_equal(dead(state), [False, True, False])
    np.testing.assert_array_equal(stuck(state), [True, True, False])


def test_the_final_pass_completes_the_window_and_leaves_the_confirmation_to_the_training() -> None:
    final_pass = [constant(4, [-1.0], backward=None)] * 3
    assert confirmed(after([constant(3, [-1.0]), constant(4, [-1.0]), *final_pass])) == [1.0]
    assert confirmed(after([constant(3, [-1.0]), constant(4, [-1.0], backward=0.5), *final_pass])) == [0.0]
    assert np.isnan(confirmed(after([constant(4, [-1.0], backward=None)] * 5))).all()


def test_a_unit_is_told_when_it_dies_and_when_it_revives_and_not_between() -> None:
    state, told = init(), []
    for step in range(20):
        state = update(state, observation(constant(step, [-1.0 if step < 10 else 1.0, 1.0])))
        state, rows = take_changes(state)
        told += [
            (step, *values) for values in zip(*(column(rows, n) for n in ("unit", "dead", "positions")), strict=True)
        ]
    assert told == [(4, 0.0, 1.0, 1280.0), (10, 0.0, 0.0, 1280.0)]


def test_a_unit_that_is_stuck_and_alive_is_told_too() -> None:
    state, told = init(), []
    for step in range(12):
        state = update(state, observation(constant(step, [3.0 if step < 8 else 1.0])))
        state, rows = take_changes(state)
        told += [(step, fraction) for fraction in column(rows, "saturated_high_fraction")]
    assert told == [(4, 1.0), (8, 0.8)]


def test_dead_since_is_the_first_step_of_the_first_window_and_starts_again_after_a_revival() -> None:
    records = [constant(step, [1.0 if step in (0, 8) else -1.0]) for step in range(20)]
    assert column(unit_rows(after(records[:7])), "dead_since_step") == [1.0]
    assert np.isnan(column(unit_rows(after(records[:10])), "dead_since_step")).all()
    assert column(unit_rows(after(records)), "dead_since_step") == [9.0]


def test_without_a_profile_nothing_is_said_and_without_a_tail_nothing_is_dead() -> None:
    def units(flag: float) -> UnitSums[Host]:
        sums = decoded(UnitSums, np.full((len(UnitSums._fields), 2), flag))
        return sums._replace(positions=np.full(2, 500.0), backward_zero_everywhere=np.zeros(2))

    unknown, no_tail = init(), init()
    for step in range(5):
        unknown = update(unknown, UnitsSeen(step, 500, units(math.nan)))
        no_tail = update(no_tail, UnitsSeen(step, 500, units(0.0)))
    assert math.isnan(dead_unit_fraction(unknown))
    assert math.isnan(stuck_unit_fraction(unknown))
    assert take_changes(unknown)[1].shape == (0, len(UNITS.statistics))
    assert (dead_unit_fraction(no_tail), stuck_unit_fraction(no_tail)) == (0.0, 0.0)


def test_a_function_without_slope_can_have_dead_units_and_no_stuck_ones() -> None:
    state = init()
    for step in range(5):
        seen = observation(constant(step, [-1.0, 1.0]))
        nan = np.full(2, math.nan)
        state = update(state, seen._replace(units=seen.units._replace(low_everywhere=nan, high_everywhere=nan)))
    assert dead_unit_fraction(state) == 0.5
    assert math.isnan(stuck_unit_fraction(state))
    assert column(take_changes(state)[1], "unit") == [0.0]


def test_masked_positions_count_per_unit_and_the_one_seen_least_decides() -> None:
    state = init()
    for step in range(5):
        seen = observation(constant(step, [-1.0, -1.0]))
        state = update(state, seen._replace(units=seen.units._replace(positions=np.array([256.0, 199.0]))))
    assert not is_complete(state)


def test_rows_before_the_first_record_are_refused() -> None:
    with pytest.raises(ArgumentError, match="no records yet"):
        unit_rows(init())
