"""The gradient fades on its way back: who is told, and who is not."""

import dataclasses
import math
from typing import Any

import pytest
from diagnose.answers import FLAT_AT_THE_END, LEARNING, NO_BASELINE, STUCK, code, evidence, only_at, the_finding

from gradscope.diagnose.rules.vanishing_gradient import vanishing_gradient
from gradscope.network import Network
from gradscope.store.frames import Frames
from gradscope.testing import ADAM, Part, network, run, stack

SGD = dataclasses.replace(ADAM, optimizer="SGD", epsilon=None)
LAYERS = ["dense", "dense_1", "dense_2", "dense_3", "dense_4"]
FADING = {name: {"backward_rms": 1e-2 * 20.0 ** (order - 4)} for order, name in enumerate(LAYERS)}
LOST = LAYERS[:2]  # 20^4 and 20^3 times smaller
STILL = {f"{name}/kernel": {"update_to_weight_ratio": 1e-7} for name in LOST}


def fading(net: Network | None = None, **changes: Any) -> Frames:
    """A sigmoid stack in which the signal falls twentyfold a layer and the first two kernels do not move."""
    told = {"epochs": STUCK, "activations": FADING, "gradients": STILL, **changes}
    return run(net or stack("sigmoid", compiled=SGD), **told)


def test_a_signal_that_fades_while_nothing_is_learnt_is_named_with_where_it_is_lost() -> None:
    finding = the_finding(vanishing_gradient, fading())
    assert (finding.severity, finding.layer, finding.layers) == ("high", "dense", ("dense", "dense_1"))
    assert "160,000 times smaller than at dense_4, about 20 times a layer" in finding.message
    assert "2 layers learn" in finding.message
    signal = evidence(finding, "backward signal over that of later layers")
    assert signal.value == pytest.approx(20.0**-4, rel=1e-4)
    assert signal.value < signal.threshold == 1e-3
    moved = evidence(finding, "update-to-weight ratio")
    assert moved.value == pytest.approx(1e-7)
    assert moved.value < moved.threshold == 1e-5


def test_it_is_seen_from_the_warm_up_on() -> None:
    finding = the_finding(vanishing_gradient, fading())
    assert (finding.first_step, finding.last_step) == (25, 275)  # step 0 is warm-up


def test_the_code_puts_another_function_into_the_last_layer_that_is_lost() -> None:
    net = stack("sigmoid", compiled=SGD)
    assert code(the_finding(vanishing_gradient, fading(net))).startswith(
        'keras.layers.Dense(64, activation="relu", kernel_initializer="he_normal")'
    )


def test_where_one_layer_loses_most_it_is_named() -> None:
    signals = {"*": {"backward_rms": 1e-2}, "dense": {"backward_rms": 1e-7}, "dense_1": {"backward_rms": 2e-7}}
    finding = the_finding(vanishing_gradient, fading(activations=signals))
    assert "most of it next to dense_2, 50,000 times in one layer" in finding.message


def test_no_signal_at_all_is_named_too() -> None:
    nothing = {**FADING, "dense": {"backward_rms": 0.0}}
    assert "No gradient reaches dense" in the_finding(vanishing_gradient, fading(activations=nothing)).message


def test_a_layer_between_without_any_signal_does_not_hide_where_the_others_lose_it() -> None:
    gone = {"dense": {"backward_rms": 1e-9}, "dense_1": {"backward_rms": 0.0}, "dense_2": {"backward_rms": 1e-2}}
    finding = the_finding(vanishing_gradient, fading(stack("sigmoid", depth=3, compiled=SGD), activations=gone))
    assert finding.layer == "dense"


def test_a_gradient_below_the_optimizer_s_epsilon_counts_though_the_update_is_usual() -> None:
    tiny = {"*/kernel": {"rms": 1e-7}}
    assert the_finding(vanishing_gradient, fading(stack("sigmoid"), gradients=tiny)).layer == "dense"


def test_without_a_known_baseline_a_loss_that_does_not_fall_is_enough() -> None:
    assert the_finding(vanishing_gradient, fading(steps=NO_BASELINE)).layer == "dense"


def nothing(frames: Frames) -> bool:
    return list(vanishing_gradient(frames)) == []


def test_a_network_that_is_learning_with_the_same_numbers_is_left_alone() -> None:
    assert nothing(fading(epochs=LEARNING))


def test_a_network_that_has_learnt_and_is_flat_at_the_end_is_left_alone() -> None:
    assert nothing(fading(epochs=FLAT_AT_THE_END))


def test_two_epochs_are_too_early_to_say() -> None:
    assert nothing(fading(epochs={"loss": [2.31, 2.3]}, recorded=range(0, 60, 5)))


def test_without_a_known_baseline_a_loss_that_falls_is_left_alone() -> None:
    assert nothing(fading(epochs=LEARNING, steps=NO_BASELINE))


def test_a_kernel_that_moves_as_usual_under_an_optimizer_without_epsilon_is_left_alone() -> None:
    assert nothing(fading(gradients={}))


def test_layers_that_stand_still_with_an_even_signal_are_left_alone() -> None:
    assert nothing(fading(activations={}))


def test_a_frozen_layer_is_left_alone() -> None:
    parts = [Part(name, activation="sigmoid", trainable=name not in LOST) for name in LAYERS]
    net = network(*parts, Part("out", activation="softmax", kernel=(64, 10)), compiled=SGD)
    assert nothing(fading(net, gradients={}))


def test_the_output_layer_is_no_hidden_layer() -> None:
    signals = {"*": {"backward_rms": 1e-2}, "dense_5": {"backward_rms": 1e-9}}
    assert nothing(fading(activations=signals, gradients={"dense_5/kernel": {"update_to_weight_ratio": 1e-9}}))


def test_one_odd_record_is_none() -> None:
    odd = {"dense": {"backward_rms": only_at(-1, 1e-9, 1e-2)}}
    assert nothing(fading(activations=odd))


def test_the_warm_up_does_not_count() -> None:
    assert nothing(fading(recorded=range(10), epochs={"loss": [2.3, 2.3, 2.3]}))


def test_what_was_lost_and_came_back_is_left_alone() -> None:
    signals = {"dense": {"backward_rms": lambda step: 1e-9 if step < 150 else 1e-2}}
    assert nothing(fading(activations=signals))


def test_steps_that_the_loss_scale_skipped_do_not_count() -> None:
    skipped = [float(at >= 7) for at in range(12)]
    fades = {"dense": {"backward_rms": lambda step: 1e-9 if step >= 175 else 1e-2}}
    assert nothing(fading(steps={"skipped": skipped}, activations=fades))


def test_kernels_of_attention_s_queries_and_keys_are_not_judged() -> None:
    attention = Part("mha", "MultiHeadAttention", None, None)
    parts = [
        attention,
        Part("mha/query", "EinsumDense"),
        Part("mha/key", "EinsumDense"),
        *map(Part, LAYERS),
        Part("out"),
    ]
    signals = {"mha/*": {"backward_rms": 1e-9}}
    still = {"mha/*": {"update_to_weight_ratio": 1e-9}}
    assert nothing(fading(network(*parts, compiled=SGD), activations=signals, gradients=still))


def test_a_layer_whose_signal_is_not_known_is_left_alone() -> None:
    assert nothing(fading(activations={"*": {"backward_rms": math.nan}}))
