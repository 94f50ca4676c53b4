"""What no finding depends on: names, the size of the loss, the order of units, and what has healed."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from diagnose.answers import STUCK
from hypothesis import given, settings
from hypothesis import strategies as st

from gradscope.diagnose.diagnosis import diagnose
from gradscope.diagnose.finding import Finding
from gradscope.store.frames import Frames
from gradscope.testing import ADAM, LEARNT, Part, network, run, stack

DEPTH = 5
SGD = dataclasses.replace(ADAM, optimizer="SGD", epsilon=None)
FADING = [20.0 ** (order - DEPTH) for order in range(DEPTH)]


def sick(names: list[str], *, k: float = 1.0) -> Frames:
    """A sigmoid stack with nearly every fault there is, of which the loss and all gradients are ``k`` times larger."""
    parts = [Part(name, activation="sigmoid") for name in names[:-1]]
    net = network(*parts, Part(names[-1], activation="softmax", kernel=(64, 10)), compiled=SGD)
    jump = [0.3] * 6 + [90.0] * 6
    columns = {name: {"backward_rms": k * signal} for name, signal in zip(names, FADING, strict=False)}
    columns[names[2]] |= {"saturated_fraction": 0.9}
    columns[names[3]] |= {"sample_std": 1e-5, "rms": lambda step: 1.0 if step < 100 else 1e4}
    gradients: dict[str, Any] = {"*": {"rms": k * 1e-3, "norm": k * 0.1, "abs_max": k * 1e-2}}
    gradients |= {f"{name}/kernel": {"update_to_weight_ratio": 1e-7, "update_norm": 0.0} for name in names[:2]}
    return run(
        net,
        epochs={"loss": [k * loss for loss in STUCK["loss"]]},
        steps={"baseline_loss": k * 2.3, "global_norm": [k * norm for norm in jump]},
        activations=columns,
        gradients=gradients,
    )


NAMES = [f"dense_{index}" for index in range(DEPTH + 1)]


def outline(finding: Finding) -> tuple[object, ...]:
    return finding.rule, finding.severity, finding.layer, finding.layers, finding.first_step, finding.last_step


def test_the_run_that_these_tests_change_is_sick_in_many_ways() -> None:
    rules = {finding.rule for finding in diagnose(sick(NAMES))}
    assert rules >= {
        "vanishing_gradient", "exploding_gradient", "saturated_activation", "vanishing_activation",
        "exploding_activation", "unchanged_weights", "not_converging",
    }  # fmt: skip


@settings(max_examples=20)
@given(st.lists(st.from_regex(r"l_[a-zäß0-9 ._\-]{1,12}", fullmatch=True), min_size=6, max_size=6, unique=True))
def test_other_names_change_nothing_but_the_names(names: list[str]) -> None:
    said = dict(zip(NAMES, names, strict=True))
    expected = [
        dataclasses.replace(
            finding,
            layer=None if finding.layer is None else said[finding.layer],
            layers=tuple(said[layer] for layer in finding.layers),
        )
        for finding in diagnose(sick(NAMES))
    ]
    found = diagnose(sick(names))
    assert [outline(finding) for finding in found] == [outline(finding) for finding in expected]
    assert [finding.evidence for finding in found] == [finding.evidence for finding in expected]


@settings(max_examples=20)
@given(st.integers(-20, 20))
def test_a_loss_of_another_size_without_an_epsilon_gives_the_same_findings(exponent: int) -> None:
    # Powers of two, so that the numbers of the files are scaled exactly.
    expected = [outline(finding) for finding in diagnose(sick(NAMES))]
    assert [outline(finding) for finding in diagnose(sick(NAMES, k=2.0**exponent))] == expected


@settings(max_examples=20)
@given(st.permutations(range(8)))
def test_the_order_of_units_does_not_matter(order: list[int]) -> None:
    def of(units: list[int]) -> list[Finding]:
        listed = {"dense_1": {unit: {"dead": float(unit % 2)} for unit in units}}
        shares = {"dense_1": {"dead_unit_fraction": 0.5}}
        return diagnose(run(stack("relu", units=8), activations=shares, units=listed), ["dying_relu"])

    assert of(order) == of(list(range(8)))
    assert of(order)[0].units == (1, 3, 5, 7)


def at_first(sick: float, healthy: float) -> Callable[[int], float]:
    """A column that is sick up to step 250 and healthy from then on, for three records or more."""
    return lambda step: sick if step < 250 else healthy


PRESENT: dict[str, Any] = {
    "saturated_activation": {"activations": {"dense_1": {"saturated_fraction": at_first(0.95, 0.1)}}},
    "exploding_activation": {"activations": {"dense_1": {"rms": at_first(1e5, 1.0), "abs_max": at_first(1e38, 1.0)}}},
    "vanishing_activation": {"activations": {"dense_1": {"sample_std": at_first(1e-6, 1.0)}}},
    "vanishing_gradient": {
        "activations": {"dense": {"backward_rms": at_first(1e-9, 1e-2)}},
        "gradients": {"dense/kernel": {"update_to_weight_ratio": 1e-7}},
    },
    "unchanged_weights": {"gradients": {"dense_1/kernel": {"update_norm": at_first(0.0, 8e-3)}}},
    "dying_relu": {"activations": {"dense_1": {"dead_unit_fraction": at_first(0.9, 0.0)}}},
}


@pytest.mark.parametrize("rule", PRESENT)
def test_a_finding_of_the_present_state_goes_away_with_three_healthy_records(rule: str) -> None:
    net = stack("relu" if rule == "dying_relu" else "tanh", compiled=SGD)
    while_sick = run(net, recorded=range(0, 250, 25), epochs=STUCK, **PRESENT[rule])
    healed = run(net, recorded=range(0, 325, 25), epochs=STUCK, **PRESENT[rule])
    assert [finding.rule for finding in diagnose(while_sick, [rule])] == [rule]
    assert diagnose(healed, [rule]) == []


@pytest.mark.parametrize("function", ["relu", "tanh", "sigmoid", "gelu", "selu", "linear"])
def test_a_healthy_run_of_any_function_gives_no_finding_but_that_it_is_linear(function: str) -> None:
    found = {finding.rule for finding in diagnose(run(stack(function), epochs={"loss": LEARNT}))}
    assert found == ({"linear_stack"} if function == "linear" else set())
