"""What forward and backward signal look like in freshly drawn networks, over depth and initialiser.

Nothing is trained here. One `fit` with learning rate 0 measures all draws of one network: at the beginning of each
epoch the weights are drawn anew, and each epoch is one batch. So the step in GradScope's tables tells the draw, and
the graph is traced once instead of once for each seed.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

import gradscope
from activation_study.training import INITIALISERS, WIDTH, Digits, dense_network, recorded

SAMPLES: Final = 512
CHANCE: Final = 0.5 + 0.4 / WIDTH**0.5
"""Sign agreement of a unit whose 64 incoming gradients have independent, even signs."""


class Plan(NamedTuple):
    """Which networks to draw."""

    functions: Sequence[str]
    depths: Sequence[int]
    initialisers: Sequence[str]
    seeds: Sequence[int]


FULL: Final = Plan(("sigmoid", "tanh", "relu"), (2, 4, 8, 16), tuple(INITIALISERS), range(10))
QUICK: Final = Plan(("sigmoid", "tanh", "relu"), (8,), ("Glorot uniform",), range(3))


class DrawnAnew(keras.callbacks.Callback):
    """Gives the model other weights at the beginning of each epoch."""

    def __init__(self, draws: Sequence[list[NDArray[np.float32]]]) -> None:
        super().__init__()
        self._draws = draws

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.model.set_weights(self._draws[epoch])


def measure(data: Digits, plan: Plan) -> pd.DataFrame:
    """Return one row a drawn network: how its signals change between the first and the last hidden layer.

    ``preflight`` holds what `gradscope.preflight` finds in the first draw of each network.
    """
    sample = data._replace(x=data.x[:SAMPLES], y=data.y[:SAMPLES])
    rows = [
        row
        for function in plan.functions
        for initialiser in plan.initialisers
        for depth in plan.depths
        for row in _draws(sample, function, initialiser, depth, plan.seeds)
    ]
    return pd.DataFrame(rows)


def weights(model: keras.Model, initialiser: str, seed: int) -> list[NDArray[np.float32]]:
    """Return other weights for the model, drawn as its own were: kernels by the initialiser, biases 0."""
    keras.utils.set_random_seed(seed)
    draw = INITIALISERS[initialiser]
    return [
        keras.ops.convert_to_numpy(draw()(weight.shape)) if weight.ndim == 2 else np.zeros_like(weight)
        for weight in model.get_weights()
    ]


def _draws(
    sample: Digits, function: str, initialiser: str, depth: int, seeds: Sequence[int]
) -> Iterator[dict[str, object]]:
    optimizer = keras.optimizers.SGD(0.0)
    model = dense_network(function, depth, seed=seeds[0], initialiser=initialiser, optimizer=optimizer)
    preflight = gradscope.preflight(model, sample.x, sample.y)
    draws = DrawnAnew([weights(model, initialiser, seed) for seed in seeds])
    run = recorded(model, sample, passes=len(seeds), schedule=1, batch_size=SAMPLES, callbacks=[draws])
    kernels = run.gradients[run.gradients["role"] == "kernel"]
    first, last = "hidden_1", f"hidden_{depth}"
    for draw, seed in enumerate(seeds):
        sites = run.activations[run.activations["step"] == draw].set_index("layer")
        gradients = kernels[kernels["step"] == draw].set_index("layer")
        fed = [f"hidden_{number}" for number in range(2, depth + 1)]
        yield {
            "function": function,
            "initialiser": initialiser,
            "depth": depth,
            "seed": seed,
            "backward_ratio": sites.loc[first, "backward_rms"] / sites.loc[last, "backward_rms"],
            "kernel_ratio": gradients.loc[first, "rms"] / gradients.loc[last, "rms"],
            "sign_agreement": gradients.loc[fed, "sign_agreement"].mean(),
            "forward_ratio": sites.loc[last, "rms"] / sites.loc[first, "rms"],
            "largest": sites.loc[[first, *fed], "abs_max"].max(),
            "preflight": " ".join(sorted({finding.rule for finding in preflight.findings})),
        }
