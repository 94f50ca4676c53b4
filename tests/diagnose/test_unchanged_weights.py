"""Weights that are meant to learn and do not move."""

import dataclasses
import math
from typing import Any

from diagnose.answers import FLAT_AT_THE_END, STUCK, code, evidence, only_at, the_finding

from gradscope.diagnose.rules.unchanged_weights import unchanged_weights
from gradscope.network import Network, Variable
from gradscope.store.frames import Frames
from gradscope.testing import ADAM, Part, network, run, stack

STILL = {"update_norm": 0.0, "update_to_weight_ratio": 0.0}


def still(columns: Any = None, net: Network | None = None, *, kernel: str = "dense_1/kernel", **changes: Any) -> Frames:
    """A stack of which one kernel does not move."""
    told = {"epochs": STUCK, "gradients": {kernel: {**STILL, **(columns or {})}}, **changes}
    return run(net or stack("relu"), **told)


def test_a_kernel_that_no_update_changes_is_medium() -> None:
    finding = the_finding(unchanged_weights, still())
    assert (finding.severity, finding.layer, finding.layers) == ("medium", "dense_1", ("dense_1",))
    assert (finding.first_step, finding.last_step) == (0, 275)
    assert finding.message == "dense_1/kernel does not move: no update reaches it."
    kernels = evidence(finding, "kernels that no update changed")
    assert kernels.value >= kernels.threshold == 1


def test_no_kernel_that_moves_is_high() -> None:
    finding = the_finding(unchanged_weights, still(kernel="*/kernel"))
    assert finding.severity == "high"
    assert finding.message.startswith("dense/kernel and 5 more do not move")


def test_a_learning_rate_of_zero_is_told_and_the_code_sets_one() -> None:
    finding = the_finding(unchanged_weights, still(kernel="*", steps={"learning_rate": 0.0}))
    assert "the learning rate is 0" in finding.message
    assert code(finding) == "keras.optimizers.Adam(learning_rate=0.001)  # 0 now"


def test_weights_on_which_the_loss_does_not_depend_are_told() -> None:
    assert "the loss does not depend on it" in the_finding(unchanged_weights, still({"connected": 0.0})).message


def test_a_gradient_of_zeros_is_told() -> None:
    assert "its gradient is exactly 0" in the_finding(unchanged_weights, still({"zero_fraction": 1.0})).message


def test_updates_below_the_last_digit_are_told_and_the_code_takes_larger_ones() -> None:
    finding = the_finding(unchanged_weights, still({"norm": 1e-6}))
    assert "smaller than the last digit of the weights" in finding.message
    assert "keras.optimizers.Adam(learning_rate=0.01)  # 0.001 now" in code(finding)


FADED = {"norm": 1e-14, "rms": 1e-15}


def test_a_gradient_that_has_faded_is_told_and_larger_steps_are_not_advised() -> None:
    finding = the_finding(unchanged_weights, still(FADED))
    assert finding.message == "dense_1/kernel does not move: next to no gradient arrives."
    assert "larger steps would not help" in finding.advice[0].text
    assert code(finding) == ""


def test_a_gradient_that_has_faded_through_time_asks_for_gates() -> None:
    rnn = Part("rnn", "SimpleRNN", config={"units": 32, "recurrent_initializer": "orthogonal"})
    net = network(Part("dense", activation="relu"), rnn, Part("out", activation="softmax"))
    finding = the_finding(unchanged_weights, still(FADED, net, kernel="rnn/kernel"))
    assert "through the time steps" in finding.advice[0].text
    assert code(finding) == "keras.layers.LSTM(32)"


def nothing(frames: Frames) -> bool:
    return list(unchanged_weights(frames)) == []


def test_batches_between_two_updates_of_an_accumulation_are_left_alone() -> None:
    assert nothing(still(net=stack("relu", compiled=dataclasses.replace(ADAM, accumulation_steps=4))))


def test_a_training_that_has_learnt_and_is_flat_at_the_end_is_left_alone() -> None:
    assert nothing(still(epochs=FLAT_AT_THE_END))


def test_a_schedule_that_holds_the_learning_rate_at_zero_for_a_while_is_left_alone() -> None:
    columns = {"update_norm": lambda step: 0.0 if step >= 100 else 8e-3}
    assert nothing(still(columns, kernel="*", steps={"learning_rate": lambda step: 0.0 if step >= 100 else 1e-3}))


def test_frozen_layers_are_information_where_the_training_fails() -> None:
    net = network(Part("dense", activation="relu", trainable=False), Part("out", activation="softmax"))
    finding = the_finding(unchanged_weights, run(net, epochs=STUCK))
    assert (finding.severity, finding.layers) == ("low", ("dense",))
    assert nothing(run(net))


def with_variable(**changes: Any) -> Network:
    """A stack with something known of its second kernel."""
    net = stack("relu")
    known = [dataclasses.replace(v, **changes) if v.path == "dense_1/kernel" else v for v in net.variables]
    return dataclasses.replace(net, variables=tuple(known))


def test_what_cuts_a_kernel_off_is_named() -> None:
    net = with_variable(cut_by="StopGradient in encoder")
    finding = the_finding(unchanged_weights, still({"connected": 0.0}, net))
    assert "does not move: StopGradient in encoder lets no gradient through" in finding.message
    net = with_variable(cut_by="unused")
    assert "no loss depends on it" in the_finding(unchanged_weights, still({"connected": 0.0}, net)).message


def test_a_softmax_over_one_entry_is_named_also_where_the_rest_has_learnt() -> None:
    net = with_variable(flattened_by="softmax over an axis of 1 in attention")
    finding = the_finding(unchanged_weights, still({"zero_fraction": 1.0}, net, epochs=None))
    assert finding.severity == "low"
    assert "softmax over an axis of 1 in attention" in finding.message
    assert "sigmoid" in finding.advice[0].text


def test_a_kernel_of_zeros_behind_it_is_named() -> None:
    flat = {"dense_1/kernel": {**STILL, "zero_fraction": 1.0}, "dense_3/kernel": {"weight_norm": 0.0}}
    finding = the_finding(unchanged_weights, run(stack("relu"), epochs=STUCK, gradients=flat))
    assert "its gradient is exactly 0, for all weights of dense_3 behind it are 0" in finding.message


def test_dead_units_behind_it_are_named() -> None:
    dead = {"dense_2": {"dead_unit_fraction": 1.0}}
    finding = the_finding(unchanged_weights, still({"zero_fraction": 1.0}, activations=dead))
    assert "for all units of dense_2 are dead" in finding.message


def test_weights_that_keras_does_not_track_are_named() -> None:
    lost = Variable("stack/Variable", "dense_1", (8, 8), "kernel")
    net = dataclasses.replace(stack("relu"), untracked=(lost,))
    finding = the_finding(unchanged_weights, run(net, epochs=STUCK))
    assert (finding.severity, finding.layer) == ("high", "dense_1")
    assert "Keras does not track them" in finding.message
    assert "add_weight" in finding.advice[0].text
    assert the_finding(unchanged_weights, run(net)).severity == "low"


def test_a_model_without_a_trainable_weight_is_told() -> None:
    net = network(Part("dense", activation="relu", trainable=False), Part("out", trainable=False))
    finding = the_finding(unchanged_weights, run(net, epochs=STUCK))
    assert (finding.severity, finding.layers) == ("high", ("dense", "out"))
    assert "trainable=False when the model was compiled" in finding.message


def test_a_branch_that_begins_at_zero_is_left_alone() -> None:
    columns = {"update_norm": only_at(0, 0.0, 8e-3), "weight_norm": only_at(0, 0.0, 1.0)}
    assert nothing(still(columns))


def test_one_odd_record_is_none() -> None:
    assert nothing(still({"update_norm": only_at(-1, 0.0, 8e-3)}))


def test_weights_that_move_again_are_left_alone() -> None:
    assert nothing(still({"update_norm": lambda step: 0.0 if step < 150 else 8e-3}))


def test_steps_that_the_loss_scale_skipped_do_not_count() -> None:
    frames = still(
        {"update_norm": lambda step: 0.0 if step >= 175 else 8e-3},
        steps={"skipped": lambda step: float(step >= 175)},
    )
    assert nothing(frames)


def test_biases_that_stand_still_are_left_alone() -> None:
    assert nothing(still(kernel="*/bias"))


def test_an_update_that_is_tiny_but_there_is_left_alone() -> None:
    assert nothing(still({"update_norm": 1e-12}))


def test_an_update_that_is_not_known_is_left_alone() -> None:
    assert nothing(still({"update_norm": math.nan}))
