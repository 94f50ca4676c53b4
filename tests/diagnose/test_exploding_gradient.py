"""Gradients that jump by orders of magnitude, or grow from layer to layer."""

import math
from typing import Any

import pytest
from diagnose.answers import FLAT_AT_THE_END, STUCK, code, evidence, only_at, the_finding

from gradscope.diagnose.rules.exploding_gradient import exploding_gradient
from gradscope.store.frames import Frames
from gradscope.testing import run, stack

RUNAWAY = {"loss": [1.8, 1.2, 0.8, 0.6, 50.0, 90.0]}
JUMP = [0.3] * 8 + [3e3, 2e4, 3e4, 5e4]
LOSSES = [1.8, 1.8, 1.2, 1.2, 0.8, 0.8, 0.6, 0.6, 20.0, 50.0, 90.0, 90.0]


def jumping(**changes: Any) -> Frames:
    """A relu stack whose global norm jumps at step 200, by dense_1, and takes the loss with it."""
    told = {
        "epochs": RUNAWAY,
        "steps": {"global_norm": JUMP, "loss": LOSSES},
        "gradients": {"dense_1/kernel": {"norm": JUMP}},
        **changes,
    }
    return run(stack("relu"), **told)


def test_a_jump_that_takes_the_loss_with_it_is_high_and_named_with_the_layer_that_jumped() -> None:
    finding = the_finding(exploding_gradient, jumping())
    assert (finding.severity, finding.layer, finding.layers) == ("high", "dense_1", ("dense_1",))
    assert (finding.first_step, finding.last_step) == (200, 275)
    assert finding.message.endswith("and the loss rises with it.")
    norm = evidence(finding, "global norm over its median before")
    assert norm.value == pytest.approx(5e4 / 0.3, rel=1e-3)
    assert norm.value > norm.threshold == pytest.approx(10)
    assert evidence(finding, "lowest loss before").value == pytest.approx(0.6)
    assert evidence(finding, "largest loss since").value == pytest.approx(90)


def test_the_code_takes_a_tenth_of_the_learning_rate_and_clips() -> None:
    advised = code(the_finding(exploding_gradient, jumping()))
    assert "keras.optimizers.Adam(learning_rate=0.0001)  # 0.001 now" in advised
    assert "global_clipnorm=1.0" in advised


def test_a_norm_that_becomes_infinite_while_the_loss_is_lost_is_high() -> None:
    norms, losses = [0.3] * 10 + [math.inf] * 2, [0.6] * 10 + [math.nan] * 2
    frames = jumping(steps={"global_norm": norms, "loss": losses}, epochs={"loss": [0.8, 0.7, 0.6, 0.6, 0.6, math.nan]})
    assert the_finding(exploding_gradient, frames).severity == "high"


def test_a_jump_that_the_loss_survives_is_information() -> None:
    finding = the_finding(exploding_gradient, jumping(epochs=FLAT_AT_THE_END, steps={"global_norm": JUMP}))
    assert finding.severity == "low"
    assert "loss rises" not in finding.message


def test_a_signal_that_grows_a_thousandfold_on_its_way_back_is_high_while_nothing_is_learnt() -> None:
    grows = {f"dense{name}": {"backward_rms": 10.0 ** (2 - order)} for order, name in enumerate(["", "_1", "_2", "_3"])}
    frames = run(stack("relu", depth=4), epochs=STUCK, activations={**grows, "dense_3": {"backward_rms": 1e-2}})
    finding = the_finding(exploding_gradient, frames)
    assert (finding.severity, finding.layer, finding.first_step) == ("high", "dense", 0)
    grown = evidence(finding, "backward signal over that of the last layer")
    assert grown.value == pytest.approx(1e4)
    assert grown.threshold == 1e3


def test_the_share_of_clipped_steps_is_told() -> None:
    finding = the_finding(exploding_gradient, jumping(steps={"global_norm": JUMP, "loss": LOSSES, "clipped": 1.0}))
    assert evidence(finding, "steps clipped").value == 1.0


def nothing(frames: Frames) -> bool:
    return list(exploding_gradient(frames)) == []


def test_one_odd_record_is_none() -> None:
    assert nothing(jumping(steps={"global_norm": only_at(6, 3e3, 0.3)}))


def test_a_noisy_norm_has_to_jump_further() -> None:
    noisy = [0.1, 0.5, 2.0, 0.2, 1.0, 5.0, 0.4, 3.0, 12.0, 12.0, 12.0, 12.0]  # twelve is sixteen times the median
    assert nothing(jumping(steps={"global_norm": noisy}, epochs=FLAT_AT_THE_END))


def test_norms_of_whatever_size_are_left_alone_as_long_as_they_stay_and_the_training_learns() -> None:
    assert nothing(jumping(steps={"global_norm": 1e6}, epochs=FLAT_AT_THE_END))


def test_norms_that_dwarf_the_weights_from_the_first_step_on_are_told_where_the_training_fails() -> None:
    finding = the_finding(exploding_gradient, run(stack("relu"), epochs=STUCK, steps={"global_norm": 1e6}))
    assert (finding.severity, finding.first_step) == ("high", 0)
    ratio = evidence(finding, "global norm over that of the weights")
    assert ratio.value >= ratio.threshold == 1e3


def test_a_norm_that_falls_is_left_alone() -> None:
    assert nothing(jumping(steps={"global_norm": lambda step: 1e4 * 0.97**step}))


def test_steps_that_the_loss_scale_skipped_do_not_count() -> None:
    norms, skipped = only_at(6, math.inf, 0.3), only_at(6, 1.0, 0.0)
    norms[7], skipped[7] = math.inf, 1.0
    assert nothing(jumping(steps={"global_norm": norms, "skipped": skipped}))


def test_two_decades_along_depth_are_left_alone() -> None:
    signals = {"dense": {"backward_rms": 1.0}}
    assert nothing(run(stack("relu"), epochs=STUCK, activations=signals))


def test_three_records_are_too_few_to_jump_from() -> None:
    assert nothing(run(stack("relu"), recorded=[0, 1, 2], steps={"global_norm": [0.1, 10.0, 90.0]}))


def test_a_thousandfold_jump_counts_from_the_second_record_on() -> None:
    frames = run(stack("relu"), recorded=[0, 1, 2], steps={"global_norm": [0.1, 1e3, 1e6]})
    assert the_finding(exploding_gradient, frames).first_step == 1


def test_a_norm_that_grows_without_a_jump_while_the_loss_runs_away_is_high() -> None:
    grows = {"global_norm": lambda step: 1.0 * 1.02**step}
    finding = the_finding(exploding_gradient, jumping(steps=grows))
    assert finding.severity == "high"
    assert nothing(jumping(steps=grows, epochs=FLAT_AT_THE_END))


def test_a_loss_that_is_not_recorded_does_not_rise() -> None:
    grows = {"dense": {"backward_rms": 1e3}}
    finding = the_finding(exploding_gradient, run(stack(), epochs={}, steps={"loss": math.nan}, activations=grows))
    assert "loss rises" not in finding.message
    assert finding.severity == "low"
