"""One record a step, and what spans several of them."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from runs import network

from gradscope.instrument.observation import Clipping, Observation, SiteObservation
from gradscope.recording import baseline_loss
from gradscope.recording.step_records import HISTOGRAMS_AN_INTERVAL, StepRecords
from gradscope.records import StepRecord
from gradscope.schema import ACTIVATIONS, GRADIENTS, STEPS
from gradscope.statistics.sums import ActivationSums, GradientSums, UnitSums, decoded

NETWORK = network("relu", ["dense", "out"])
NETWORK = dataclasses.replace(NETWORK, sites=NETWORK.sites[:1], variables=NETWORK.variables[:1])


def site(dead: list[bool], positions: int = 100) -> SiteObservation:
    """Return a ReLU site whose dead units were inactive at every position and whose others never were."""
    count = len(dead)
    zeros = decoded(UnitSums, np.zeros((len(UnitSums._fields), count)))
    inactive = np.array(dead, float)
    entries = np.full(count, float(positions))
    units = zeros._replace(
        positions=entries, entries=entries, active_count=entries * (1 - inactive), inactive_everywhere=inactive
    )
    activation = decoded(ActivationSums, np.zeros(len(ActivationSums._fields)))
    return SiteObservation(activation._replace(entries=np.float64(positions)), units, None, None)


def gradient(square_sum: float, *, nonfinite: int = 0) -> GradientSums[Any]:
    zeros = decoded(GradientSums, np.zeros(len(GradientSums._fields)))
    return zeros._replace(
        entries=np.float64(4),
        scale=np.float64(1),
        square_sum=np.float64(square_sum),
        abs_max=np.float64(math.sqrt(square_sum)),
        nonfinite_count=np.float64(nonfinite),
    )


def observation(**changes: Any) -> Observation:
    seen = Observation((site([True, False]),), (gradient(9.0),), 0.5, 0.1, 1.0, False, 100, {})
    return dataclasses.replace(seen, **changes)


def record(made: StepRecords, seen: Observation, step: int = 0, *, epoch: int = 0, loss: float = 2.0) -> StepRecord:
    return made.step_record(
        seen,
        step=step,
        epoch=epoch,
        wall_time=0.0,
        loss=loss,
        weight_norms=np.array([4.0], np.float32),
        update_norms=np.array([1.0], np.float32),
        step_seconds=0.25,
        recording_seconds=0.125,
    )


def steps(row: StepRecord) -> dict[str, float]:
    assert row.steps is not None
    return dict(zip(STEPS.statistic_names, row.steps.tolist(), strict=True))


def test_a_record_holds_the_step_the_sites_and_the_gradients() -> None:
    row = record(StepRecords(NETWORK, None), observation(), step=7, epoch=1)
    assert (row.step, row.epoch) == (7, 1)
    values = steps(row)
    assert math.isnan(values.pop("baseline_loss"))
    assert math.isnan(values.pop("lowest_loss"))
    assert values == {
        "loss": 0.5,
        "learning_rate": np.float32(0.1),
        "global_norm": 3.0,
        "loss_scale": 1.0,
        "clipped": 0.0,
        "skipped": 0.0,
        "samples": 100.0,
        "step_seconds": 0.25,
        "recording_seconds": 0.125,
    }
    assert row.activations is not None
    assert row.activations.shape == (1, len(ACTIVATIONS.statistic_names))
    assert row.gradients is not None
    gradients = dict(zip(GRADIENTS.statistic_names, row.gradients[0].tolist(), strict=True))
    assert (gradients["norm"], gradients["weight_norm"], gradients["update_to_weight_ratio"]) == (3.0, 4.0, 0.25)


def test_a_loss_that_the_step_did_not_show_is_the_one_of_the_progress_bar() -> None:
    assert steps(record(StepRecords(NETWORK, None), observation(loss=math.nan), loss=2.0))["loss"] == 2.0


def test_a_variable_without_gradient_is_not_connected_and_has_no_norm() -> None:
    row = record(StepRecords(NETWORK, None), observation(gradients=(None,)))
    assert row.gradients is not None
    gradients = dict(zip(GRADIENTS.statistic_names, row.gradients[0].tolist(), strict=True))
    assert gradients["connected"] == 0.0
    assert math.isnan(gradients["norm"])


@pytest.mark.parametrize(
    ("clipping", "accumulation", "clipped"),
    [
        ({}, 1, 0.0),
        ({"clipnorm": 2.9}, 1, 1.0),
        ({"clipnorm": 3.1}, 1, 0.0),
        ({"global_clipnorm": 2.9}, 1, 1.0),
        ({"clipvalue": 3.1}, 1, 0.0),
        ({"clipvalue": 2.9}, 1, 1.0),
        ({"clipnorm": 2.9}, 2, math.nan),
        ({}, 2, 0.0),
    ],
)
def test_clipped_says_whether_the_optimizer_shortens_a_gradient(
    clipping: dict[str, float], accumulation: int, clipped: float
) -> None:
    seen = observation()
    clips = (Clipping(clipping, tuple(range(len(seen.gradients))), accumulation > 1),) if clipping else ()
    seen = dataclasses.replace(seen, clipping=clips)
    np.testing.assert_equal(steps(record(StepRecords(NETWORK, None), seen))["clipped"], clipped)


def test_what_one_optimizer_clips_is_told_by_the_gradients_that_it_was_given() -> None:
    seen = observation()
    others = dataclasses.replace(seen, clipping=(Clipping({"clipnorm": 1e-9}, (), False),))
    assert steps(record(StepRecords(NETWORK, None), others))["clipped"] == 0.0


@pytest.mark.parametrize(("skips", "nonfinite", "skipped"), [(True, 1, 1.0), (True, 0, 0.0), (False, 1, 0.0)])
def test_only_an_optimizer_with_a_loss_scale_drops_a_step(skips: bool, nonfinite: int, skipped: float) -> None:
    seen = observation(skips=skips, gradients=(gradient(9.0, nonfinite=nonfinite),))
    assert steps(record(StepRecords(NETWORK, None), seen))["skipped"] == skipped


def test_the_baseline_follows_the_labels_seen() -> None:
    kind = baseline_loss.kind_of("mean_squared_error")
    assert kind is not None
    made = StepRecords(NETWORK, baseline_loss.init(kind, 0.0, None))
    made.see_labels(np.array([1.0, 3.0]), None)
    known = steps(record(made, observation()))
    assert (known["baseline_loss"], known["lowest_loss"]) == (1.0, 0.0)


def test_units_are_written_at_most_once_an_epoch_and_only_those_that_changed() -> None:
    made = StepRecords(NETWORK, None)
    rows = [record(made, observation(), step, epoch=step // 12) for step in range(24)]
    assert [row.step for row in rows if row.units is not None] == [12]
    (units,) = [row.units for row in rows if row.units is not None]
    assert units[:, 1].tolist() == [0.0], "the other lives, as every unit does until more is known"


def test_a_final_pass_judges_units_too() -> None:
    made = StepRecords(NETWORK, None)
    record(made, observation())
    assert not made.windows_complete
    last = made.final_pass([observation()] * 9, step=1, epoch=0, wall_time=0.0)
    assert made.windows_complete
    assert last.activations is not None
    row = dict(zip(ACTIVATIONS.statistic_names, last.activations[0].tolist(), strict=True))
    assert row["dead_unit_fraction"] == 0.5
    assert last.units is not None


def test_windows_are_of_a_step_that_lies_not_far_behind_them() -> None:
    made = StepRecords(NETWORK, None)
    for step in range(0, 100, 2):
        record(made, observation(), step)
    assert made.windows_complete
    assert made.windows_are_of(99)
    assert not made.windows_are_of(500)


def test_a_final_pass_over_no_batch_holds_no_activations() -> None:
    made = StepRecords(NETWORK, None)
    record(made, observation())
    last = made.final_pass([], step=1, epoch=0, wall_time=0.0)
    assert last.activations is None


def test_histograms_thin_out_as_records_go_on() -> None:
    made = StepRecords(dataclasses.replace(NETWORK, sites=()), None)
    due: list[int] = []
    for step in range(20_000):
        is_due = made.histogram_due
        values = {"dense": np.zeros(3, np.float32)} if is_due else {}
        due += [step] if is_due else []
        assert (record(made, observation(sites=(), activations=values), step).histograms != {}) == is_due
    assert due[: HISTOGRAMS_AN_INTERVAL + 1] == [*range(HISTOGRAMS_AN_INTERVAL + 1)]
    assert len(due) <= 200
    gaps = np.diff(due)
    assert np.all(np.diff(gaps) >= 0)
    assert {*gaps.tolist()} == {2**k for k in range(int(np.log2(gaps[-1])) + 1)}
