"""Activations that grow out of proportion, or towards the end of the number format."""

from typing import Any

import pytest
from diagnose.answers import FLAT_AT_THE_END, STUCK, code, evidence, only_at, the_finding

from gradscope.diagnose.rules.exploding_activation import exploding_activation
from gradscope.network import Network
from gradscope.store.frames import Frames
from gradscope.testing import Part, network, run, stack


def growing(step: int) -> float:
    return 1.0 if step < 100 else 1e4


def large(net: Network | None = None, **changes: Any) -> Frames:
    """A relu stack of which one layer grows ten-thousandfold."""
    return run(net or stack("relu"), **{"activations": {"dense_1": {"rms": growing}}, **changes})


def test_a_layer_that_has_grown_a_thousandfold_is_information_while_the_network_learns() -> None:
    finding = the_finding(exploding_activation, large())
    assert (finding.severity, finding.layer, finding.layers) == ("low", "dense_1", ("dense_1",))
    assert (finding.first_step, finding.last_step) == (100, 275)
    assert "8,000 times what they were at the start" in finding.message  # beside the median of the first layers, 1.25
    growth = evidence(finding, "RMS over that of the first records")
    assert growth.value == pytest.approx(8e3)
    assert growth.value >= growth.threshold == 1e3


def test_it_is_high_while_nothing_is_learnt() -> None:
    assert the_finding(exploding_activation, large(epochs=STUCK)).severity == "high"


def test_the_end_of_half_precision_is_high_though_the_network_learns() -> None:
    parts = [Part("dense", activation="relu", dtype="mixed_float16"), Part("out", activation="softmax")]
    frames = large(network(*parts), activations={"dense": {"abs_max": 2e4}}, epochs=FLAT_AT_THE_END)
    finding = the_finding(exploding_activation, frames)
    assert finding.severity == "high"
    assert "up to 2e+04, close to the largest number that their type holds" in finding.message
    used = evidence(finding, "largest over what the type holds")
    assert used.value == pytest.approx(2e4 / 65504)
    assert used.value >= used.threshold == 0.1


def test_the_code_normalises_takes_smaller_steps_and_clips() -> None:
    advised = code(the_finding(exploding_activation, large()))
    assert "keras.layers.Dense(64), keras.layers.LayerNormalization(), " in advised
    assert "keras.optimizers.Adam(learning_rate=0.0001)" in advised
    assert "global_clipnorm=1.0" in advised


def nothing(frames: Frames) -> bool:
    return list(exploding_activation(frames)) == []


def test_a_layer_that_grows_a_hundredfold_is_left_alone() -> None:
    assert nothing(large(activations={"dense_1": {"rms": lambda step: 1.0 + step / 3}}))


def test_a_layer_that_was_as_large_from_the_start_is_left_alone() -> None:
    assert nothing(large(activations={"dense_1": {"rms": 1e5, "abs_max": 1e6}}))


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_what_is_near_the_end_of_half_precision_is_nothing_in_another_type(dtype: str) -> None:
    parts = [Part("dense", activation="relu", dtype=dtype), Part("out", activation="softmax")]
    assert nothing(large(network(*parts), activations={"dense": {"abs_max": 2e4}}))


def test_a_branch_that_begins_at_zero_has_nothing_to_grow_from() -> None:
    assert nothing(large(activations={"dense_1": {"rms": lambda step: 1e-9 if step < 75 else 1.0}}))


def test_the_output_is_left_alone() -> None:
    assert nothing(large(activations={"dense_5": {"rms": growing}}))


def test_one_odd_record_is_none() -> None:
    assert nothing(large(activations={"dense_1": {"rms": only_at(-1, 1e6, 1.0)}}))


def test_what_has_come_down_again_is_left_alone() -> None:
    assert nothing(large(activations={"dense_1": {"rms": lambda step: 1e4 if 75 <= step < 150 else 1.0}}))
