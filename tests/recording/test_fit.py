"""What lives for one `fit`, and what goes on over several."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from trainings import X, Y, compiled, fitted, mlp

from gradscope import GradScope
from gradscope.records import SessionEnd
from gradscope.store.event_files import RecordReader, event_files
from gradscope.store.sink import MemorySink


def fit_of(scope: GradScope) -> Any:
    return vars(scope)["_fit"]


@pytest.mark.parametrize("in_memory", [True, False])
def test_fits_in_a_row_go_on_as_one_recording(in_memory: bool, tmp_path: Path) -> None:
    scope = GradScope(None if in_memory else tmp_path, schedule=1, quiet=True)
    model = compiled(mlp())
    for _ in range(3):
        fitted(model, [scope])
    sink = vars(scope)["_run"].sink
    records = sink.records if isinstance(sink, MemorySink) else RecordReader(event_files(tmp_path / "gradscope"))
    counts = [record.costs.record_count for record in records if isinstance(record, SessionEnd)]
    assert counts == [counts[0], 2 * counts[0], 3 * counts[0]]


def test_nothing_of_a_fit_is_left_when_it_has_ended() -> None:
    kept: list[weakref.ref[Any]] = []

    class Watched(GradScope):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            super().on_train_batch_end(batch, logs)
            kept[:] = [weakref.ref(vars(fit_of(self))["_recorder"]), weakref.ref(fit_of(self))]

    gc.disable()
    try:
        fitted(compiled(mlp()), [Watched(schedule=1, quiet=True)])
        assert [each() for each in kept] == [None, None]
    finally:
        gc.enable()


def test_a_fit_that_was_broken_off_is_let_go_of_as_the_next_one_begins() -> None:
    class Breaks(GradScope):
        breaks = True

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if self.breaks:
                raise KeyboardInterrupt
            super().on_train_batch_end(batch, logs)

    scope = Breaks(schedule=1, quiet=True)
    model = compiled(mlp())
    with pytest.raises(KeyboardInterrupt):
        fitted(model, [scope])
    broken = fit_of(scope)
    scope.breaks = False
    fitted(model, [scope])
    assert vars(broken)["_recorder"] is None
    assert len(scope.run.steps)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda scope: pickle.loads(pickle.dumps(scope))])
def test_a_copy_records_as_its_original_does_and_what_was_recorded_stays_with_that(copied: Any) -> None:
    scope = GradScope(schedule=1, quiet=True)
    model = compiled(mlp())
    fitted(model, [scope])
    other = copied(scope)
    count = len(scope.run.steps)
    assert count > 0
    assert len(other.run.steps) == 0
    fitted(compiled(mlp()), [other])
    assert (len(scope.run.steps), len(other.run.steps)) == (count, count)


def test_hooks_outside_of_a_training_do_nothing() -> None:
    scope = GradScope(schedule=1, quiet=True)
    model = compiled(mlp())
    fitted(model, [scope])
    before = scope.run.costs
    model.evaluate(X, Y, verbose=0, callbacks=[scope])
    fitted(model, [])
    assert scope.run.costs == before


def test_labels_that_come_again_without_shuffling_count_once() -> None:
    x, y = np.zeros((12, 2), np.float32), np.array([0.0] * 4 + [1.0] * 4 + [5.0] * 4, np.float32)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    scope = GradScope(schedule=2, quiet=True)  # batches 0 and 2 of the first epoch, 1 of the next, and again
    model.fit(x, y, batch_size=4, epochs=8, shuffle=False, verbose=0, callbacks=[scope])
    assert scope.run.steps["baseline_loss"].iloc[-1] == pytest.approx(np.var(y))
