"""Random models on random data, tiny, huge and broken numbers among it, give the numbers of the tape."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from instrument.recording import at, normal, recorded, site
from instrument.reference import assert_gradients, assert_row, look, site_row
from keras import layers

LIMITS = {
    "linear": (-math.inf, math.inf),
    "relu": (0.0, math.inf),
    "sigmoid": (-4.35654, 4.35654),
    "softplus": (math.log(0.05 / 0.95), math.inf),
    "tanh": (-2.17887, 2.17887),
}
KINDS: dict[str, Any] = {
    "dense": lambda **arguments: layers.Dense(3, **arguments),
    "convolution": lambda **arguments: layers.Conv1D(4, 2, padding="same", **arguments),
    "depthwise": lambda **arguments: layers.DepthwiseConv1D(2, padding="same", **arguments),
    "einsum": lambda **arguments: layers.EinsumDense("abc,cd->abd", (4, 3), bias_axes="d", **arguments),
}
BROKEN = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


# Each example is a training, so that shrinking a failure would take minutes.
@settings(max_examples=8, derandomize=True, phases=[Phase.explicit, Phase.generate], database=None)
@given(
    kinds=st.lists(st.tuples(st.sampled_from(sorted(KINDS)), st.sampled_from(sorted(LIMITS))), min_size=1, max_size=3),
    batch=st.integers(1, 9),
    scale=st.sampled_from([1e-20, 1e-10, 1e-3, 1.0, 1e2, 1e10]),
    broken=st.sampled_from([None, None, *BROKEN]),
    seed=st.integers(0, 99),
)
@example(kinds=[("convolution", "linear")], batch=1, scale=1e-20, broken="inf", seed=0)
@example(kinds=[("dense", "relu"), ("dense", "tanh")], batch=3, scale=1e-20, broken=None, seed=1)
@example(kinds=[("einsum", "sigmoid"), ("dense", "relu")], batch=3, scale=1e10, broken="nan", seed=2)
def test_sites_and_gradients_are_those_of_the_tape(
    kinds: list[tuple[str, str]], batch: int, scale: float, broken: str | None, seed: int
) -> None:
    made = [
        KINDS[kind](activation=activation, name=f"{kind}_number_{number}", bias_initializer="random_normal")
        for number, (kind, activation) in enumerate(kinds)
    ]
    model = keras.Sequential([keras.Input((4, 3)), *made, layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse")
    x, y = normal(batch, 4, 3, seed=seed) * np.float32(scale), normal(batch, 1, seed=seed + 1)
    if broken is not None:
        x[0, 1, 2] = BROKEN[broken]
    step = look(model, x, y, spies={layer.name: layer for layer in made})
    run = recorded(model, x, y)
    np.testing.assert_allclose(run.steps["loss"][0], step.loss, rtol=1e-4)
    assert_gradients(at(run.gradients), step, noise=0.0 if scale < 1 else 1e-6)
    for layer, (_, activation) in zip(made, kinds, strict=True):
        (application,) = step.sites[layer.name]
        flat_below = 0.0 if activation == "relu" else -math.inf
        expected = site_row(application, samples=batch, limits=LIMITS[activation], flat_below=flat_below)
        assert_row(site(run, layer.name), expected)
