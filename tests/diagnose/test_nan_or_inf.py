"""Where NaN and infinity came from first."""

import math
from typing import Any

import numpy as np
import pytest
from diagnose.answers import STUCK, code, evidence, only_at, the_finding

from gradscope.diagnose.rules.nan_or_inf import nan_or_inf
from gradscope.records import Causes, NonFiniteOrigin
from gradscope.store.frames import Frames
from gradscope.testing import run, stack

GONE = [1.0] * 8 + [math.nan] * 4
LOST_EPOCHS = {"loss": [1.8, 1.2, 0.8, 0.6, math.nan, math.nan]}
COUNTS = [0.0] * 8 + [5.0] * 4


def lost(**changes: Any) -> Frames:
    """A relu stack, every step recorded, whose loss is lost at step 8."""
    told = {"recorded": range(12), "epochs": LOST_EPOCHS, "steps": {"loss": GONE}, **changes}
    return run(stack("relu"), **told)


def test_a_loss_that_is_lost_while_all_before_it_is_finite_is_named() -> None:
    finding = the_finding(nan_or_inf, lost())
    assert (finding.severity, finding.layer, finding.layers) == ("high", None, ())
    assert (finding.first_step, finding.last_step) == (8, 11)
    assert finding.message == "The loss became NaN or infinite at step 8; nothing is learnt from there on."
    assert evidence(finding, "last finite loss").value == 1.0


def test_activations_come_before_the_loss() -> None:
    finding = the_finding(nan_or_inf, lost(activations={"dense_2": {"nonfinite_count": COUNTS}}))
    assert (finding.layer, finding.layers) == ("dense_2", ("dense_2",))
    assert finding.message.startswith("The activations of dense_2 became")
    entries = evidence(finding, "entries that are not finite")
    assert entries.value == 5
    assert entries.value >= entries.threshold == 1


def test_of_several_layers_the_first_that_computes_is_blamed() -> None:
    bad = {"nonfinite_count": COUNTS}
    assert the_finding(nan_or_inf, lost(activations={"dense_3": bad, "dense_1": bad})).layer == "dense_1"


def test_of_gradients_the_one_nearest_to_the_loss_is_blamed() -> None:
    bad = {"nonfinite_count": COUNTS}
    frames = lost(steps={}, epochs=None, gradients={"dense_1/kernel": bad, "dense_3/kernel": bad})
    finding = the_finding(nan_or_inf, frames)
    assert finding.layer == "dense_3"
    assert finding.message.startswith("The gradient of dense_3/kernel became")


def test_weights_are_blamed_where_nothing_before_them_is_bad() -> None:
    frames = lost(steps={}, epochs=None, gradients={"dense_1/kernel": {"weight_norm": GONE}})
    assert the_finding(nan_or_inf, frames).message.startswith("The weights dense_1/kernel became")


def test_between_two_records_that_are_apart_it_says_so_and_what_grew_fastest() -> None:
    sizes = {"dense_3": {"abs_max": lambda step: 4.0 ** (step / 25)}}
    finding = the_finding(nan_or_inf, lost(recorded=range(0, 300, 25), activations=sizes))
    assert "between steps 175 and 200, after dense_3 had grown most, 16-fold within 3 records" in finding.message


def test_data_that_is_not_finite_at_the_first_step_is_the_first_thing_to_look_at() -> None:
    frames = lost(steps={"loss": math.inf}, activations={"dense": {"nonfinite_count": 7.0}})
    finding = the_finding(nan_or_inf, frames)
    assert (finding.layer, finding.first_step) == ("dense", 0)
    assert finding.advice[0].text.startswith("Check the data")


def test_a_growth_of_a_few_times_is_no_hint() -> None:
    sizes = {"dense_3": {"abs_max": lambda step: 1.85 ** (step / 25)}}
    assert "grown" not in the_finding(nan_or_inf, lost(recorded=range(0, 300, 25), activations=sizes)).message


def test_where_nothing_grew_smaller_steps_are_not_advised() -> None:
    assert "learning_rate" not in code(the_finding(nan_or_inf, lost()))
    assert "keep_bad_batch=True" in code(the_finding(nan_or_inf, lost()))


def test_the_operation_at_which_it_began_is_named_and_what_cures_it_is_advised() -> None:
    origin = NonFiniteOrigin("Sqrt", "root", True, "", "dense_1", "dense_2", lowest=0.0, highest=3.0)
    finding = the_finding(nan_or_inf, lost(causes=Causes(origin, 8)))
    assert "the gradient of Sqrt between dense_1 and dense_2, whose input is 0, is not finite" in finding.message
    assert finding.layer == "dense_1"
    assert [advice.code for advice in finding.advice] == ["keras.ops.sqrt(x + 1e-12)"]


def test_a_branch_that_is_not_taken_is_told_of() -> None:
    origin = NonFiniteOrigin("Log", "logarithm", True, "dense_1", lowest=0.0, highest=3.0, guarded=True)
    finding = the_finding(nan_or_inf, lost(causes=Causes(origin, 8)))
    assert "in a branch that a `where` does not take" in finding.message
    assert "where(x > 0, x, 1.0)" in finding.advice[0].code


def test_what_half_precision_cannot_hold_is_computed_in_float32() -> None:
    origin = NonFiniteOrigin("MatMul", "overflow", False, "dense_1", dtype="float16", lowest=-3e4, highest=9e3)
    finding = the_finding(nan_or_inf, lost(causes=Causes(origin, 8)))
    assert "MatMul in dense_1, whose input reaches 3e+04, overflows float16" in finding.message
    assert 'dtype="float32"' in finding.advice[0].code


def test_an_origin_of_another_step_is_not_that_of_this_one() -> None:
    origin = NonFiniteOrigin("Sqrt", "root", True)
    assert "Sqrt" not in the_finding(nan_or_inf, lost(causes=Causes(origin, 3))).message


def test_some_batches_of_many_without_a_finite_loss_are_a_part_lost() -> None:
    now_and_then = [1.0, 1.0, math.nan, 1.0, math.nan, 1.0, 1.0, math.nan, 1.0, 1.0, 1.0, 1.0]
    finding = the_finding(nan_or_inf, lost(steps={"loss": now_and_then}))
    assert finding.severity == "medium"
    assert "3 of the 10 records since are not finite" in finding.message


def test_the_code_takes_smaller_steps_and_clips() -> None:
    advised = code(the_finding(nan_or_inf, lost(steps={"loss": GONE, "global_norm": lambda step: 10.0**step})))
    assert "keras.optimizers.Adam(learning_rate=0.0001)" in advised
    assert "global_clipnorm=1.0" in advised


def test_a_loss_that_was_lost_at_a_step_that_was_not_recorded_is_told_by_the_epochs() -> None:
    finding = the_finding(nan_or_inf, lost(recorded=range(8), steps={"loss": 1.0}))
    assert "at a step that was not recorded" in finding.message
    assert evidence(finding, "last finite loss of an epoch").value == pytest.approx(0.6)


def nothing(frames: Frames) -> bool:
    return list(nan_or_inf(frames)) == []


def test_steps_that_the_loss_scale_skipped_are_no_fault() -> None:
    bad = only_at(4, 9.0, 0.0)
    frames = lost(
        epochs=STUCK,
        steps={"loss": only_at(4, math.inf, 1.0), "skipped": only_at(4, 1.0, 0.0), "global_norm": math.inf},
        gradients={"*": {"nonfinite_count": bad}},
    )
    assert nothing(frames)


def test_a_mask_that_puts_infinity_among_pre_activations_is_no_fault() -> None:
    assert nothing(lost(steps={}, epochs=None, activations={"dense_1": {"nonfinite_count": 64.0}}))


def test_a_loss_that_is_nowhere_known_is_not_lost() -> None:
    assert nothing(lost(steps={"loss": math.nan}, epochs={}))


def test_a_weight_norm_that_is_nowhere_known_is_not_broken() -> None:
    assert nothing(lost(steps={}, epochs=None, gradients={"*": {"weight_norm": math.nan}}))


def test_columns_that_are_not_known_are_no_fault() -> None:
    unknown = {"*": {"nonfinite_count": np.nan}}
    assert nothing(lost(steps={}, epochs=None, activations=unknown, gradients=unknown))


def test_a_first_record_that_is_bad_and_not_the_first_step_names_no_step_before_the_training() -> None:
    frames = lost(recorded=range(25, 37), steps={"loss": math.inf})
    assert "-1" not in the_finding(nan_or_inf, frames).message
