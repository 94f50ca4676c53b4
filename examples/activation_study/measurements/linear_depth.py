"""Whether depth does anything for a network without activation functions, and for one with ReLU."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from activation_study.training import Digits, dense_network, recorded, rules_that_fired, test_accuracy

ONE_LAYER_RATE: Final = 0.03
STACK_RATE: Final = 0.003
"""A single layer takes a ten times higher rate without harm, and needs it to get as far in as many steps."""


class Plan(NamedTuple):
    """Hidden layers by function, seeds, and passes over the training set."""

    depths: Mapping[str, Sequence[int]]
    seeds: Sequence[int]
    passes: int


FULL: Final = Plan({"linear": (0, 1, 2, 4, 8), "relu": (2,)}, range(5), 60)
QUICK: Final = Plan({"linear": (0, 2), "relu": (2,)}, range(1), 6)


def measure(data: Digits, plan: Plan) -> pd.DataFrame:
    """Return one row a training: its accuracy, and how far the trained network is from one linear layer."""
    rows: list[dict[str, object]] = []
    for function, depths in plan.depths.items():
        for depth in depths:
            rate = ONE_LAYER_RATE if depth == 0 else STACK_RATE
            for seed in plan.seeds:
                model = dense_network(function, depth, seed=seed, optimizer=keras.optimizers.Adam(rate))
                run = recorded(model, data, passes=plan.passes, schedule=50)
                rows.append(
                    {
                        "function": function,
                        "depth": depth,
                        "seed": seed,
                        "accuracy": test_accuracy(model, data),
                        "distance_from_one_layer": _distance(model, data.test_x),
                        "rules": rules_that_fired(run),
                    }
                )
    return pd.DataFrame(rows)


def folded(weights: Sequence[NDArray[np.float32]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the one kernel and bias that a stack of linear layers amounts to, in float64.

    Layer by layer: (x W + b) V + c = x (W V) + (b V + c).

    Args:
        weights: Kernel and bias of each layer in turn, as ``model.get_weights()`` returns them.
    """
    layers = [np.asarray(each, np.float64) for each in weights]
    kernel, bias = layers[0], layers[1]
    for next_kernel, next_bias in zip(layers[2::2], layers[3::2], strict=True):
        kernel, bias = kernel @ next_kernel, bias @ next_kernel + next_bias
    return kernel, bias


def _distance(model: keras.Model, x: NDArray[np.float32]) -> float:
    """Return the largest difference between the model's outputs and the one layer's, over the largest output."""
    outputs = keras.ops.convert_to_numpy(model(x))
    kernel, bias = folded(model.get_weights())
    return float(np.abs(outputs - (x @ kernel + bias)).max() / np.abs(outputs).max())
