"""The operation at which a training stops being finite is named, on real small trainings."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from gradscope import GradScope
from gradscope.diagnose.rules.nan_or_inf import nan_or_inf
from gradscope.records import Causes

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 4)).astype("float32")
Y = RNG.normal(size=(64, 1)).astype("float32")


def causes(model: Any, x: Any = X, y: Any = Y, *, loss: Any = "mse", optimizer: Any = "sgd", epochs: int = 2) -> Causes:
    return scope_of(model, x, y, loss=loss, optimizer=optimizer, epochs=epochs).run.frames.causes


def scope_of(model: Any, x: Any, y: Any, *, loss: Any, optimizer: Any, epochs: int, **compiled: Any) -> GradScope:
    keras.utils.set_random_seed(0)
    model.compile(optimizer, loss, **compiled)
    scope = GradScope(schedule=1, quiet=True, on_finding=None)
    model.fit(x, y, epochs=epochs, batch_size=16, verbose=0, shuffle=False, callbacks=[scope])
    return scope


def through(function: Any, *behind: Any) -> Any:
    keras.utils.set_random_seed(0)
    first = [keras.Input((4,)), layers.Dense(8, activation="relu")]
    return keras.Sequential([*first, layers.Lambda(function, name="own"), *behind])


def test_a_norm_of_zero_is_named_by_its_root() -> None:
    keras.utils.set_random_seed(0)
    encoder = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    left, right = keras.Input((4,)), keras.Input((4,))
    apart = layers.Lambda(lambda pair: ops.norm(pair[0] - pair[1], axis=-1, keepdims=True), name="apart")
    model = keras.Model([left, right], layers.Dense(1)(apart([encoder(left), encoder(right)])))
    other = X.copy()
    other[:40] += 1  # the third batch is the first with a pair of equals
    found = causes(model, [X, other])
    assert found.origin_step == 2
    assert found.origin is not None
    assert str(found.origin) == "the gradient of Sqrt in apart, whose input is 0,"
    assert (found.origin.kind, found.origin.guarded) == ("root", False)


def test_a_branch_that_is_not_taken_is_seen() -> None:
    model = through(lambda z: ops.where(z > 0, ops.log(z), 0.0), layers.Dense(1))
    origin = causes(model).origin
    assert origin is not None
    assert (origin.operation, origin.kind, origin.guarded, origin.layer) == ("Log", "logarithm", True, "own")


@pytest.mark.parametrize(
    ("function", "operation", "kind"),
    [
        (lambda z: z / ops.sum(ops.relu(z - 100), axis=-1, keepdims=True), "RealDiv", "division"),
        (lambda z: ops.exp(z * 1000), "Exp", "exponential"),
        (lambda z: ops.log(z - 100), "Log", "logarithm"),
        (lambda z: ops.power(z, 0.5), "Pow", "power"),
        (lambda z: ops.arccos(ops.tanh(z * 100)), "Acos", "domain"),
    ],
)
def test_operations_at_the_edge_of_where_they_are_defined(function: Any, operation: str, kind: str) -> None:
    origin = causes(through(function, layers.Dense(1))).origin
    assert origin is not None
    assert (origin.operation, origin.kind, origin.layer) == (operation, kind, "own")


def test_a_logarithm_in_the_loss_stands_outside_of_all_layers() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1, activation="relu")])
    origin = causes(model, y=np.abs(Y), loss=lambda t, p: ops.mean(-t * ops.log(p))).origin
    assert origin is not None
    assert (origin.operation, origin.layer, origin.after) == ("Log", "", "dense")


def test_labels_and_inputs_are_told_apart() -> None:
    bad_y, bad_x = Y.copy(), X.copy()
    bad_y[20] = bad_x[20] = np.nan
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1)])
    assert causes(model, y=bad_y).origin.kind == "labels"  # pyright: ignore[reportOptionalMemberAccess]
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1)])
    assert causes(model, x=bad_x).origin.kind == "data"  # pyright: ignore[reportOptionalMemberAccess]


def test_steps_that_are_too_large_overflow() -> None:
    model = through(lambda z: z, layers.Dense(1))
    scope = scope_of(model, X * 100, Y * 100, loss="mse", optimizer=keras.optimizers.SGD(10.0), epochs=5)
    found = scope.run.frames.causes
    assert found.origin is not None
    assert found.origin.kind == "overflow"
    (finding,) = nan_or_inf(scope.run.frames)
    assert "overflows float32" in finding.message
    assert any("Clip" in advice.text for advice in finding.advice)


def test_what_half_precision_cannot_hold_is_told_though_its_loss_is_scaled() -> None:
    policy = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy("mixed_float16")
    try:
        model = through(lambda z: z * 60000, layers.Dense(1, dtype="float32"))
        found = causes(model, x=X * 10, epochs=8)
    finally:
        keras.mixed_precision.set_dtype_policy(policy)
    assert found.origin is not None
    assert (found.origin.dtype, found.origin.layer) == ("float16", "own")


def test_a_healthy_training_is_not_run_again() -> None:
    assert causes(through(lambda z: z, layers.Dense(1)), optimizer="adam").origin is None


def test_of_losses_that_are_lost_now_and_then_the_first_is_looked_into() -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1)])
    x = np.where(np.arange(64)[:, None] // 16 % 2 == 0, -np.abs(X), 1.0).astype("float32")
    found = causes(model, x, np.abs(Y), loss=lambda t, p: ops.mean(p - t * ops.log(p)), epochs=2)
    assert found.origin_step <= 1
    assert found.origin is not None
    assert found.origin.operation == "Log"
