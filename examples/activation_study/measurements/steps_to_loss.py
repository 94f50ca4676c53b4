"""How many steps ReLU and tanh need to the same training loss, each at the learning rate that is best for it.

The rate is chosen on seeds of its own: judged by the seeds that it was chosen on, it would look better than it is.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import keras
import pandas as pd

from activation_study.training import INITIALISERS, PASS, Digits, begin_anew, compiled, dense_network, recorded

INITIALISER: Final = {"relu": "He normal", "tanh": "Glorot uniform"}
"""What the literature of each function advises."""


def dense(function: str, seed: int, optimizer: keras.optimizers.Optimizer) -> keras.Model:
    """Return a network of four hidden layers."""
    return dense_network(function, 4, seed=seed, initialiser=INITIALISER[function], optimizer=optimizer)


def convolutional(function: str, seed: int, optimizer: keras.optimizers.Optimizer) -> keras.Model:
    """Return a network of four layers with weights, three of them hidden, as the claim's source had on CIFAR-10."""
    begin_anew(seed)
    draw = INITIALISERS[INITIALISER[function]]
    layers = [
        keras.Input((64,)),
        keras.layers.Reshape((8, 8, 1)),
        keras.layers.Conv2D(16, 3, activation=function, kernel_initializer=draw()),
        keras.layers.Conv2D(32, 3, activation=function, kernel_initializer=draw()),
        keras.layers.Flatten(),
        keras.layers.Dense(64, activation=function, kernel_initializer=draw()),
        keras.layers.Dense(10, kernel_initializer=draw(), name="logits"),
    ]
    return compiled(keras.Sequential(layers), optimizer)


class Setting(NamedTuple):
    """A kind of network, an optimizer, and the learning rates to choose from."""

    network: Callable[[str, int, keras.optimizers.Optimizer], keras.Model]
    optimizer: Callable[[float], keras.optimizers.Optimizer]
    rates: Sequence[float]


class Plan(NamedTuple):
    """Settings by name, the loss to reach, seeds, and passes over the training set after which to give up."""

    settings: Mapping[str, Setting]
    target: float
    sweep_seeds: Sequence[int]
    seeds: Sequence[int]
    passes: int


FULL: Final = Plan(
    {
        "dense with SGD": Setting(dense, keras.optimizers.SGD, (0.05, 0.1, 0.2, 0.4, 0.8)),
        "dense with Adam": Setting(dense, keras.optimizers.Adam, (0.002, 0.004, 0.008, 0.016, 0.032)),
        "convolutional with SGD": Setting(convolutional, keras.optimizers.SGD, (0.1, 0.2, 0.4, 0.8, 1.6)),
    },
    target=0.1,
    sweep_seeds=range(100, 102),
    seeds=range(7),
    passes=25,
)
QUICK: Final = Plan(
    {"dense with SGD": Setting(dense, keras.optimizers.SGD, (0.2,))},
    target=1.0,
    sweep_seeds=range(100, 101),
    seeds=range(2),
    passes=5,
)


class StoppedAtLoss(keras.callbacks.Callback):
    """Ends the training after a pass whose mean loss is at most ``target``."""

    def __init__(self, target: float) -> None:
        super().__init__()
        self._target = target

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.model.stop_training = bool(logs) and logs["loss"] <= self._target


def measure(data: Digits, plan: Plan) -> pd.DataFrame:
    """Return one row a training; where ``fresh``, the seed had no say in the choice of the rate."""
    rows: list[dict[str, object]] = []
    for name in plan.settings:
        for function in INITIALISER:
            sweep = [
                _row(data, plan, name, function, rate, seed) | {"fresh": False}
                for rate in plan.settings[name].rates
                for seed in plan.sweep_seeds
            ]
            best = best_rate(pd.DataFrame(sweep))
            rows += sweep
            rows += [_row(data, plan, name, function, best, seed) | {"fresh": True} for seed in plan.seeds]
    return pd.DataFrame(rows)


def best_rate(sweep: pd.DataFrame) -> float:
    """Return the rate with the fewest steps, in the median over seeds; the smaller one where two are equal."""
    return float(sweep.groupby("rate")["steps"].median().idxmin())


def steps_to(loss: pd.Series, target: float, window: int) -> float:
    """Return the number of steps until the mean of the last ``window`` batch losses is at most ``target``.

    Args:
        loss: Loss of each step's own batch.
        target: The loss to reach.
        window: Batches of one pass, so that the mean is over every training sample once.

    Returns:
        Infinity where it is never reached.
    """
    reached = (loss.rolling(window).mean() <= target).to_numpy()
    return float(reached.argmax() + 1) if reached.any() else float("inf")


def _row(data: Digits, plan: Plan, name: str, function: str, rate: float, seed: int) -> dict[str, object]:
    setting = plan.settings[name]
    model = setting.network(function, seed, setting.optimizer(rate))
    stop = StoppedAtLoss(plan.target)
    # Only the losses are wanted, so that one layer is enough.
    run = recorded(model, data, passes=plan.passes, schedule=1, layers="logits", callbacks=[stop])
    steps = steps_to(run.steps["loss"], plan.target, PASS)
    return {"setting": name, "function": function, "target": plan.target, "rate": rate, "seed": seed, "steps": steps}
