"""Where a training begins: anew, or at a step of the run that is there."""

from __future__ import annotations

import dataclasses
import gc
import weakref
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import BEGAN, COSTS, network

from gradscope.recording.continuation import Beginning, Trail, beginning, is_same_model, leave_trail, trail_of
from gradscope.records import EpochRecord, NetworkChange, Record, Session, StepRecord
from gradscope.store.sink import Previous, previous_of

NETWORK = network("relu", ["a", "b"])


def recorded(steps: int, *, an_epoch: int = 10, start: int = 0, counts: tuple[int, ...] = (0,)) -> list[Record]:
    """The records of a session, each step of it, with the epochs that ended."""
    records: list[Record] = [Session(start, BEGAN, start > 0, "f", counts=counts), NetworkChange(start, BEGAN, NETWORK)]
    for step in range(start, start + steps):
        records.append(StepRecord(step, step // an_epoch, BEGAN))
        if step % an_epoch == an_epoch - 1:
            records.append(EpochRecord(step, step // an_epoch, BEGAN, {}, COSTS))
    return records


def held(*sessions: list[Record]) -> Previous:
    previous = previous_of(record for session in sessions for record in session)
    assert previous is not None
    return previous


KILLED = held(recorded(25))  # in the third epoch


@pytest.mark.parametrize(
    ("counts", "first_epoch", "expected"),
    [
        pytest.param((0,), 0, None, id="a new model"),
        pytest.param((20,), 2, (20, 0), id="a backup of the last epoch"),
        pytest.param((23,), 2, (23, 0), id="a backup within an epoch"),
        pytest.param((25,), 0, (25, 2), id="trained on without initial_epoch"),
        pytest.param((0,), 2, (20, 0), id="an optimizer that begins anew at an epoch"),
        pytest.param((), 2, (20, 0), id="no optimizer that counts"),
        pytest.param((), 0, None, id="no optimizer that counts, from the beginning"),
        pytest.param((), 3, (25, 0), id="an epoch that did not end"),
        pytest.param((0, 20, 60), 2, (20, 0), id="GAN: compile's own, generator, discriminator three times a batch"),
        pytest.param((0, 23, 69), 2, (23, 0), id="GAN within an epoch"),
        pytest.param((0, 4, 20), 2, (20, 0), id="GAN whose generator takes every fifth batch"),
        pytest.param((40,), 2, (20, 0), id="one optimizer that is given each batch twice"),
        pytest.param((25,), 1, (25, 1), id="an initial_epoch that is too early"),
        pytest.param((0, 0, 0), 0, None, id="a new GAN"),
        pytest.param((0, 0), 2, (20, 0), id="GAN whose counters were not restored"),
    ],
)
def test_in_another_process_counters_and_the_epoch_tell(
    counts: tuple[int, ...], first_epoch: int, expected: tuple[int, int] | None
) -> None:
    begun = beginning(counts, first_epoch, KILLED)
    assert begun.continues == (expected is not None)
    if expected is not None:
        assert (begun.step, begun.epoch_shift) == expected
    else:
        assert begun == Beginning(begun.own_step, own_step=counts[0] if counts else 0)


def test_the_counter_of_a_later_phase_is_read_from_where_the_phase_began() -> None:
    phases = held(recorded(20, counts=(0,)), recorded(15, start=20, counts=(0,)))
    assert beginning((10,), 3, phases).step == 30
    resumed = held(recorded(20), recorded(15, start=20, counts=(0,)), recorded(3, start=30, counts=(10,)))
    assert beginning((13,), 3, resumed).step == 33


def test_without_a_record_a_trained_model_counts_on_and_continues_nothing() -> None:
    assert beginning((40,), 4, None) == Beginning(40, own_step=40)


def left(**changes: Any) -> Trail:
    return dataclasses.replace(Trail(0, (0,), 25, (), counts=(25,)), **changes)


@pytest.mark.parametrize(
    ("trail", "counts", "is_same", "step", "is_seamless"),
    [
        pytest.param(left(), (25,), True, 25, True, id="fit after fit"),
        pytest.param(left(counts=(23,)), (23,), True, 25, True, id="steps that a loss scale dropped"),
        pytest.param(left(), (0,), False, 25, False, id="compiled anew"),
        pytest.param(left(), (30,), True, 30, False, id="trained without the callback meanwhile"),
        pytest.param(left(), (10,), True, 10, False, id="put back to a checkpoint"),
        pytest.param(left(), (0,), True, 0, False, id="put back to its beginning"),
        pytest.param(left(counts=None), (26,), True, 26, False, id="broken off within a step"),
        pytest.param(left(counts=(0, 25, 75), start_counts=(0, 0, 0)), (0, 25, 75), True, 25, True, id="GAN"),
        pytest.param(left(counts=None, start_counts=(0, 0)), (26, 78), True, 25, False, id="GAN broken off"),
        pytest.param(left(counts=(), start_counts=()), (), True, 25, True, id="no optimizer that counts"),
    ],
)
def test_in_one_process_the_model_is_remembered(
    trail: Trail, counts: tuple[int, ...], is_same: bool, step: int, is_seamless: bool
) -> None:
    begun = beginning(counts, 0, KILLED, trail=trail, is_same_optimizer=is_same)
    assert (begun.step, begun.is_seamless) == (step, is_seamless)
    assert begun.continues == (step > 0)
    assert begun.epoch_shift == min(step // 10, 2)


@given(
    counts=st.lists(st.integers(0, 100), max_size=3).map(tuple),
    first_epoch=st.integers(0, 8),
    steps=st.integers(0, 60),
    trail=st.none() | st.builds(left, step=st.integers(0, 60), counts=st.none() | st.just((25,))),
    is_same=st.booleans(),
)
def test_epochs_ascend_and_steps_are_never_negative(
    counts: tuple[int, ...], first_epoch: int, steps: int, trail: Trail | None, is_same: bool
) -> None:
    if trail is not None and is_same:
        counts = (*counts, 0)[:1]  # as many as it had
    previous = held(recorded(steps))
    begun = beginning(counts, first_epoch, previous, trail=trail, is_same_optimizer=is_same)
    assert begun.step >= 0
    ended = [epoch for epoch, last in previous.epoch_ends.items() if last < begun.step and begun.continues]
    assert first_epoch + begun.epoch_shift > max(ended, default=-1)


def test_a_model_with_other_weights_trained_is_the_same_and_one_of_another_width_is_not() -> None:
    head = dataclasses.replace(NETWORK, variables=NETWORK.variables[2:])
    assert is_same_model(NETWORK, head)
    assert not is_same_model(NETWORK, network("relu", ["a", "c"]))
    wide = dataclasses.replace(NETWORK.variables[0], shape=(64, 128))
    assert not is_same_model(NETWORK, dataclasses.replace(NETWORK, variables=(wide,)))


def test_a_model_is_remembered_as_long_as_it_lives_and_in_each_place_apart() -> None:
    class Model:
        pass

    model, trail = Model(), left()
    leave_trail(model, "here", trail)
    assert trail_of(model, "here") is trail
    assert trail_of(model, "there") is None
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
