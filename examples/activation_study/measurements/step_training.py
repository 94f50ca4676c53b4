"""What a training does to the layers before a step function, and what is learnt nevertheless."""

import warnings
from collections.abc import Sequence
from typing import Final, NamedTuple

import keras
import numpy as np
import pandas as pd

from activation_study.training import Activation, Digits, dense_network, recorded, rules_that_fired, step, test_accuracy

FUNCTIONS: Final[dict[str, Activation]] = {"step": step, "sigmoid": "sigmoid"}


class Plan(NamedTuple):
    """Numbers of hidden layers, seeds, and passes over the training set."""

    depths: Sequence[int]
    seeds: Sequence[int]
    passes: int


FULL: Final = Plan((1, 2, 4), range(5), 30)
QUICK: Final = Plan((1,), range(1), 6)


def measure(data: Digits, plan: Plan) -> pd.DataFrame:
    """Return one row a training: what reached the hidden kernels, what changed in them, and the accuracy."""
    rows = [
        {"function": function, "depth": depth, "seed": seed, **_training(data, function, depth, seed, plan.passes)}
        for function in FUNCTIONS
        for depth in plan.depths
        for seed in plan.seeds
    ]
    return pd.DataFrame(rows)


def _training(data: Digits, function: str, depth: int, seed: int, passes: int) -> dict[str, object]:
    model = dense_network(FUNCTIONS[function], depth, seed=seed, optimizer=keras.optimizers.Adam(0.003))
    before = _hidden_weights(model, depth)
    with warnings.catch_warnings():
        # Keras warns of what is to be shown here: that variables have no gradient.
        warnings.filterwarnings("ignore", "Gradients do not exist for variables", UserWarning)
        run = recorded(model, data, passes=passes, schedule=25)
    after = _hidden_weights(model, depth)
    kernels = run.gradients[(run.gradients["role"] == "kernel") & run.gradients["layer"].str.startswith("hidden")]
    return {
        "connected_fraction": kernels["connected"].mean(),
        "changed_fraction": float(np.mean([not np.array_equal(b, a) for b, a in zip(before, after, strict=True)])),
        "accuracy": test_accuracy(model, data),
        "rules": rules_that_fired(run),
    }


def _hidden_weights(model: keras.Model, depth: int) -> list[np.ndarray]:
    return [weight for number in range(1, depth + 1) for weight in model.get_layer(f"hidden_{number}").get_weights()]
