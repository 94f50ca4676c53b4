"""What recording costs, charged to its reason, and the training's own seconds beside it."""

from __future__ import annotations

import math
import time

import pytest

from gradscope.recording.costs import RunningCosts


def test_recording_is_charged_to_its_reason_and_to_no_other() -> None:
    accounts = RunningCosts()
    for reason, seconds in (("setup", 8.0), ("early", 1.0), ("each_epoch", 2.0), ("budget", 3.0), ("every", 4.0)):
        accounts.charge(reason, seconds, is_record=True)
    costs = accounts.costs
    assert costs.setup_seconds == 8.0
    assert costs.early_seconds == 1.0
    assert costs.epoch_seconds == 2.0
    assert costs.running_seconds == 7.0
    assert costs.record_count == 5


def test_the_expected_cost_of_a_record_leaves_set_up_out_and_follows_slowly() -> None:
    accounts = RunningCosts()
    accounts.charge("setup", 100.0, is_record=True)
    assert math.isnan(accounts.record_seconds)
    accounts.charge("early", 2.0, is_record=True)
    assert accounts.record_seconds == 2.0
    accounts.charge("budget", 3.0, is_record=True)
    assert accounts.record_seconds == pytest.approx(2.2)
    accounts.charge("budget", 50.0, is_record=False)
    assert accounts.record_seconds == pytest.approx(2.2)
    assert accounts.record_count == 3


def test_the_training_s_own_seconds_leave_recording_and_validation_out() -> None:
    begun = time.perf_counter()
    accounts = RunningCosts()
    time.sleep(0.02)
    accounts.pause()
    time.sleep(0.05)
    before = accounts.training_seconds
    time.sleep(0.05)
    assert accounts.training_seconds == before, "a validation is running"
    accounts.resume()
    accounts.charge("early", 0.005, is_record=True)
    elapsed = time.perf_counter() - begun
    assert 0.015 <= accounts.training_seconds <= elapsed - 0.1 - 0.005 + 0.001


def test_an_end_without_a_beginning_changes_nothing() -> None:
    accounts = RunningCosts()
    accounts.resume()
    assert 0 <= accounts.training_seconds < 1
