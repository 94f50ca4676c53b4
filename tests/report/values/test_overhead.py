"""What recording cost, by one sum wherever it is told."""

import math

import pytest
from runs import healthy

from gradscope.records import Costs
from gradscope.report.terminal.history import History
from gradscope.report.terminal.live_view import Watched, live_view
from gradscope.report.values.overhead import overhead
from gradscope.report.values.runs_table import run_row
from gradscope.report.values.summary import summarise
from gradscope.store.read import frames_of


def test_set_up_is_left_out_and_every_record_counts() -> None:
    costs = Costs(training_seconds=10.0, setup_seconds=3.0, early_seconds=0.4, epoch_seconds=0.05, running_seconds=0.15)
    assert overhead(costs) == pytest.approx(0.06)


def test_before_a_training_has_taken_time_it_is_not_known() -> None:
    assert math.isnan(overhead(Costs(early_seconds=1.0)))


def test_the_live_view_and_the_table_of_runs_tell_one_number() -> None:
    summary = summarise(frames_of(healthy()), name="mlp")
    told = run_row(summary, {}).overhead
    shown = live_view(Watched("mlp", "running", 1.0, 1.0, summary, History()), "saturation").plain
    assert f"recording: {100 * told:.2g}% of " in shown
