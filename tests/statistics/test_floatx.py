"""What a user sets Keras's default float dtype to changes no statistic: each is float32, and the same number."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from gradscope.instrument.kernels import packed, reshaping_sums, stacked
from gradscope.instrument.tensorflow.norms import square_sums
from gradscope.statistics.activations import histogram_sample, site_sums, softmax_sums
from gradscope.statistics.finite import finite_gradient_sums, finite_site_sums
from gradscope.statistics.finite_gradients import finite_gradients_sums
from gradscope.statistics.gradients import gradient_sums, touched_row_sums
from gradscope.statistics.sums import Limits

INF, NAN = float("inf"), float("nan")
RELU = Limits(0.0, INF, 0.0, INF)
BUMP = Limits(-1.0, 1.0, -1.0, 1.0)
STEP = Limits(NAN, NAN, 0.0, INF)

random = np.random.default_rng(0)
Z = random.normal(size=(64, 16, 16, 8))
MASK = random.random((64, 16, 16)) < 0.5
INDICES = np.arange(64) % 5


SITES: dict[str, Callable[[Any], Any]] = {
    f"{kind} sums of {name}": functools.partial(call, limits=limits)
    for name, limits in {"relu": RELU, "bump": BUMP, "step": STEP, "nothing": None}.items()
    for kind, call in {
        "general": lambda x, limits: packed(site_sums)(x, tf.nn.relu(x), limits, backward=x, phase=3),
        "masked": lambda x, limits: packed(site_sums)(x, tf.nn.relu(x), limits, backward=x, mask=tf.constant(MASK)),
        "finite": lambda x, limits: packed(finite_site_sums)(x, tf.nn.relu(x), limits, backward=x, phase=3),
        "finite, one tensor's": lambda x, limits: packed(finite_site_sums)(x, None, limits),
    }.items()
}
KERNELS: dict[str, Callable[[Any], Any]] = {
    **SITES,
    "reshaping sums": lambda x: packed(reshaping_sums)(x, backward=x, samples=7.0, loss_scale=2.0),
    "softmax": lambda x: stacked(softmax_sums)(tf.nn.softmax(x)),
    "masked softmax": lambda x: tf.stack(list(softmax_sums(tf.nn.softmax(x), mask=tf.constant(MASK)))),
    "histogram": lambda x: histogram_sample(x),
    "masked histogram": lambda x: histogram_sample(x, mask=tf.constant(MASK)),
    "kernel": lambda x: stacked(gradient_sums)(x, (3,)),
    "bias": lambda x: stacked(gradient_sums)(x[0, 0, 0]),
    "embedding": lambda x: stacked(touched_row_sums)(x, tf.constant(INDICES)),
    "finite kernel": lambda x: stacked(finite_gradient_sums)(x, (3,)),
    "finite gradients": lambda x: tf.stack(list(finite_gradients_sums([x, x[0, 0, 0], 0 * x], [(3,), None, (3,)]))),
    "updates": lambda x: square_sums([x, x[0], x], [2 * x, x[0], 1e-3 * x]),
}


@pytest.fixture
def floatx() -> Iterator[None]:
    before = keras.config.floatx()
    yield
    keras.config.set_floatx(before)


@pytest.mark.usefixtures("floatx")
@pytest.mark.parametrize("in_graph", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize("default", ["float16", "float64"])
@pytest.mark.parametrize("name", KERNELS)
def test_the_default_dtype_changes_no_statistic(name: str, default: str, in_graph: bool) -> None:
    for dtype in ("float32", default):
        x = tf.constant(Z, dtype)
        keras.config.set_floatx("float32")
        expected = tf.nest.flatten(KERNELS[name](x))
        keras.config.set_floatx(default)
        kernel = tf.function(KERNELS[name], autograph=False) if in_graph else KERNELS[name]
        for ours, theirs in zip(tf.nest.flatten(kernel(x)), expected, strict=True):
            assert ours.dtype == tf.float32
            np.testing.assert_allclose(ours, theirs, rtol=2e-6, atol=1e-6)
