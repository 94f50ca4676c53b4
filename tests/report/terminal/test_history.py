"""A run's numbers over its steps, in a bounded number of groups."""

import math

import numpy as np
import pytest
from runs import healthy, network, not_finite, numbers, session, sick, training

from gradscope.records import NetworkChange, Record, StepRecord
from gradscope.report.terminal.history import GROUPS, History
from gradscope.schema import GRADIENTS, STEPS


def history(records: list[Record]) -> History:
    kept = History()
    for record in records:
        kept.take(record)
    return kept


def of_gradients(count: int, spike: int = -1) -> list[Record]:
    """Records of one layer whose gradient is 1e-3, and 1 at the step ``spike``."""
    net = network("relu", ["dense"])
    return [
        NetworkChange(0, 0.0, net),
        *(
            StepRecord(
                step,
                0,
                float(step),
                steps=numbers(STEPS, [{"skipped": 0.0}])[0],
                gradients=numbers(GRADIENTS, [{"rms": 1.0 if step == spike else 1e-3, "nonfinite_count": 0.0}] * 2),
            )
            for step in range(count)
        ),
    ]


def test_each_record_of_a_short_run_has_a_cell_of_its_own() -> None:
    grid = history(sick()).grid("gradient", ["dense/kernel", "dense_8/kernel"], 80)
    assert (grid.first_step, grid.last_step, grid.record_count) == (0, 275, 1)
    np.testing.assert_allclose(grid.values, [[1.1e-10] + [1e-10] * 11, [1.1e-2] + [1e-2] * 11], rtol=1e-6)


@pytest.mark.parametrize("count", [1, GROUPS, GROUPS + 1, 5000])
@pytest.mark.parametrize("width", [1, 7, 60])
def test_every_record_is_in_one_cell_and_a_spike_is_seen_wherever_it_is(count: int, width: int) -> None:
    for spike in (0, count // 2, count - 1):
        grid = history(of_gradients(count, spike)).grid("gradient", ["dense/kernel"], width)
        cells = grid.values.shape[1]
        assert cells <= width
        assert (cells - 1) * grid.record_count < count <= cells * grid.record_count
        assert (grid.first_step, grid.last_step) == (0, count - 1)
        (place,) = np.flatnonzero(grid.values[0] == 1.0)
        assert place == spike // grid.record_count


def test_a_record_that_is_not_finite_marks_its_cell_for_every_statistic() -> None:
    kept = history(not_finite())
    for statistic, name in (("gradient", "dense/kernel"), ("backward", "dense"), ("saturation", "dense")):
        values = kept.grid(statistic, [name], 80).values[0]  # pyright: ignore
        assert np.isfinite(values[:2]).all()
        assert math.isinf(values[2])


def test_a_step_that_mixed_precision_skips_is_no_spike() -> None:
    records = of_gradients(3)
    skipped = numbers(STEPS, [{"skipped": 1.0}])[0]
    infinite = numbers(GRADIENTS, [{"rms": math.inf, "nonfinite_count": 9.0}] * 2)
    records.append(StepRecord(3, 0, 3.0, steps=skipped, gradients=infinite))
    values = history(records).grid("gradient", ["dense/kernel"], 80).values[0]
    assert np.isnan(values).tolist() == [False, False, False, True]


def test_a_resumed_training_voids_what_was_recorded_behind_its_start() -> None:
    net = network("relu", [f"dense_{order}" if order else "dense" for order in range(9)])
    resumed = training(net, losses=[0.1, 0.1], gradient=[7.0] * 9, start=session(100, resumed=True))
    grid = history([*healthy(), *resumed]).grid("gradient", ["dense/kernel"], 80)
    assert grid.last_step == 125
    assert (grid.values[0] > 1).tolist() == [False] * 4 + [True, True]


def test_a_new_training_begins_anew_and_a_layer_keeps_its_row_when_the_network_changes() -> None:
    second = training(network("relu", ["new", "dense_8"]), losses=[1.0], gradient=[0.5, 0.25])
    kept = history([*healthy(), *second])
    grid = kept.grid("gradient", ["new/kernel", "dense_8/kernel", "dense/kernel"], 80)
    np.testing.assert_allclose(grid.values, [[0.55], [0.275], [np.nan]], rtol=1e-6)


def test_what_is_not_known_by_name_is_not_known() -> None:
    assert np.isnan(history(sick()).grid("gradient", [""], 80).values).all()
    assert History().grid("dead", ["dense"], 80).values.shape == (1, 0)
