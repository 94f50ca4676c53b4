import math
from dataclasses import replace

import numpy as np
import pytest
from runs import network, numbers

from gradscope.network import Network, Profile, Variable
from gradscope.records import StepRecord
from gradscope.schema import ACTIVATIONS, GRADIENTS, STEPS
from gradscope.store.time_series import series_plan, time_series


def names(count: int) -> list[str]:
    return [f"layer_{index}" for index in range(count)]


def step_of(net: Network) -> StepRecord:
    """A step: site ``i`` has saturated fraction i / 100, the last one NaN; variable ``i`` has norm i."""
    saturated = [*(index / 100 for index in range(len(net.sites) - 1)), math.nan]
    return StepRecord(
        0,
        0,
        0.0,
        steps=numbers(STEPS, [{"global_norm": 5.0}])[0],
        activations=numbers(
            ACTIVATIONS,
            [{"saturated_fraction": fraction, "dead_unit_fraction": 0.5} for fraction in saturated],
        ),
        gradients=numbers(GRADIENTS, [{"norm": i} for i in range(len(net.variables))]),
    )


def test_a_shallow_net_has_a_scalar_for_each_layer_and_none_for_what_is_nan() -> None:
    net = network("relu", names(3))
    series = time_series(step_of(net), series_plan(net))
    assert dict(series) == {
        "global_norm": 5.0,
        "saturated_fraction/layer_0": 0.0,
        "saturated_fraction/layer_1": pytest.approx(0.01),
        "dead_unit_fraction/layer_0": 0.5,
        "dead_unit_fraction/layer_1": 0.5,
        "dead_unit_fraction/layer_2": 0.5,
        "gradient_norm/layer_0": 0.0,
        "gradient_norm/layer_1": 2.0,
        "gradient_norm/layer_2": 4.0,
    }


def test_a_deep_net_has_extremes_and_means_unless_all_are_asked_for() -> None:
    net = network("relu", names(41))
    record, plan = step_of(net), series_plan(net)
    assert dict(time_series(record, plan)) == {
        "global_norm": 5.0,
        "saturated_fraction/mean": pytest.approx(0.195),
        "saturated_fraction/max": pytest.approx(0.39),
        "dead_unit_fraction/mean": 0.5,
        "dead_unit_fraction/max": 0.5,
        "gradient_norm/min": 0.0,
        "gradient_norm/max": 80.0,
    }
    assert len(time_series(record, plan, "all")) == 1 + 40 + 41 + 41
    assert time_series(record, plan, "none") == {}


def test_kernels_of_one_layer_are_one_norm_wherever_they_stand() -> None:
    net = Network(
        "rnn",
        variables=(
            Variable("a/kernel", "a", (2, 2), "kernel"),
            Variable("b/kernel", "b", (2, 2), "kernel"),
            Variable("b/bias", "b", (2,), "bias"),
            Variable("a/recurrent", "a", (2, 2), "kernel"),
        ),
    )
    gradients = numbers(GRADIENTS, [{"norm": 3.0}, {"norm": 1e-25}, {"norm": 9.0}, {"norm": 4.0}])
    series = time_series(StepRecord(0, 0, 0.0, gradients=gradients), series_plan(net))
    assert series == {"gradient_norm/a": 5.0, "gradient_norm/b": pytest.approx(1e-25)}


def test_a_disconnected_kernel_has_no_scalar_and_an_exploded_one_is_infinite() -> None:
    net = network("relu", names(2))
    gradients = numbers(GRADIENTS, [{}, {}, {"norm": math.inf}, {}])
    series = time_series(StepRecord(0, 0, 0.0, gradients=gradients), series_plan(net))
    assert series == {"gradient_norm/layer_1": math.inf}


def test_a_site_that_never_bends_has_no_curves_of_zeros() -> None:
    net = network("relu", names(2))
    first, last = net.sites
    net = replace(net, sites=(replace(first, activation="linear", profile=Profile(linear=True)), last))
    activations = numbers(ACTIVATIONS, [{"saturated_fraction": 0.0, "dead_unit_fraction": 0.0}] * 2)
    series = time_series(StepRecord(0, 0, 0.0, activations=activations), series_plan(net))
    assert series == {"saturated_fraction/layer_1": 0.0, "dead_unit_fraction/layer_1": 0.0}


def test_a_net_without_sites_or_variables_has_the_global_norm_only() -> None:
    empty = StepRecord(
        0,
        0,
        0.0,
        steps=numbers(STEPS, [{"global_norm": 1.0}])[0],
        activations=np.zeros((0, len(ACTIVATIONS.statistics)), np.float32),
        gradients=np.zeros((0, len(GRADIENTS.statistics)), np.float32),
    )
    assert time_series(empty, series_plan(Network("nothing"))) == {"global_norm": 1.0}
