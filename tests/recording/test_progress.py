"""How far a fit has come, in Keras' counts and in those of the whole run."""

from __future__ import annotations

import math

import pytest

from gradscope.recording.progress import Progress


def trained(progress: Progress, epoch: int, executions: list[tuple[int, int, float]]) -> list[float]:
    """Train one epoch of executions (first batch, last batch, running mean); return their losses."""
    losses: list[float] = []
    progress.begin_epoch(epoch)
    for first, last, mean in executions:
        progress.begin_batch(first)
        progress.see(last, mean)
        losses.append(progress.loss)
        progress.advance()
    return losses


def test_the_loss_of_each_execution_is_recovered_from_the_mean_and_anew_in_each_epoch() -> None:
    progress = Progress(None)
    assert trained(progress, 0, [(0, 0, 4.0), (1, 1, 3.0), (2, 2, 3.0)]) == [4.0, 2.0, 3.0]
    assert trained(progress, 1, [(0, 0, 1.0)]) == [1.0]
    assert (progress.step, progress.last_step, progress.epoch) == (4, 3, 1)


def test_a_short_last_execution_counts_as_many_batches_as_there_are() -> None:
    progress = Progress(5)
    assert trained(progress, 0, [(0, 2, 3.0), (3, 5, 2.0)]) == [pytest.approx(3.0), pytest.approx(0.5)]
    assert progress.step == 5


def test_without_a_mean_the_loss_stays_as_it_was() -> None:
    progress = Progress(None)
    progress.begin_epoch(0)
    progress.begin_batch(0)
    progress.see(0, None)
    assert math.isnan(progress.loss)


def test_a_beginning_that_turns_out_to_be_another_moves_all_that_was_counted() -> None:
    progress = Progress(None)
    progress.begin_epoch(0)
    progress.begin_at(40, epoch_shift=2)
    assert (progress.step, progress.start_step, progress.epoch) == (40, 40, 2)
    trained(progress, 1, [(0, 0, 1.0), (1, 1, 1.0)])
    assert (progress.step, progress.epoch) == (42, 3)
    progress.begin_at(0)
    assert (progress.step, progress.start_step, progress.epoch) == (2, 0, 1)


def test_nothing_was_trained_before_the_first_step() -> None:
    assert Progress(3).last_step == 0
