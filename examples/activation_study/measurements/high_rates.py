"""What becomes of ReLU and leaky ReLU networks at learning rates from suitable to far too high."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import keras
import numpy as np
import pandas as pd

import gradscope
from activation_study.training import Activation, Digits, dense_network, leaky_relu, recorded, rules_that_fired

DEPTH: Final = 4
FUNCTIONS: Final[dict[str, Activation]] = {"relu": "relu", "leaky_relu": leaky_relu}
OPTIMIZERS: Final[dict[str, Callable[[float], keras.optimizers.Optimizer]]] = {
    "SGD": keras.optimizers.SGD,
    "Adam": keras.optimizers.Adam,
}


class Plan(NamedTuple):
    """Learning rates by optimizer, seeds, and passes over the training set."""

    rates: Mapping[str, Sequence[float]]
    seeds: Sequence[int]
    passes: int


FULL: Final = Plan({"SGD": (0.1, 0.3, 1.0, 3.0), "Adam": (0.003, 0.03, 0.3)}, range(5), 14)
QUICK: Final = Plan({"Adam": (0.003, 0.3)}, range(1), 6)


def measure(data: Digits, plan: Plan) -> pd.DataFrame:
    """Return one row a training: what is dead, what gets no gradient, and how large the activations became."""
    rows = [
        {"function": function, "optimizer": optimizer, "rate": rate, "seed": seed}
        | _training(data, FUNCTIONS[function], OPTIMIZERS[optimizer](rate), seed, plan.passes)
        for function in FUNCTIONS
        for optimizer, rates in plan.rates.items()
        for rate in rates
        for seed in plan.seeds
    ]
    return pd.DataFrame(rows)


def _training(
    data: Digits, activation: Activation, optimizer: keras.optimizers.Optimizer, seed: int, passes: int
) -> dict[str, object]:
    model = dense_network(activation, DEPTH, seed=seed, initialiser="He normal", optimizer=optimizer)
    run = recorded(model, data, passes=passes, schedule=5)
    hidden = run.activations[run.activations["layer"].str.startswith("hidden")]
    return {
        "finite": bool(np.isfinite(run.steps["loss"]).all()),
        "dead_fraction": hidden.groupby("layer", observed=True)["dead_unit_fraction"].last().mean(),
        "no_gradient_fraction": _without_gradient(run),
        "accuracy": run.epochs["accuracy"].iloc[-1],
        "largest": hidden["abs_max"].max(),
        "rules": rules_that_fired(run),
    }


def _without_gradient(run: gradscope.Run) -> float:
    """Return the share of weights between hidden layers whose gradient is exactly 0, at the last record.

    The first kernel is left out: the corners of the scans are always blank, so that their weights never get one.
    """
    kernels = run.gradients[(run.gradients["role"] == "kernel") & (run.gradients["step"] == run.steps["step"].max())]
    between = [f"hidden_{number}" for number in range(2, DEPTH + 1)]
    return kernels.set_index("layer").loc[between, "zero_fraction"].mean()
