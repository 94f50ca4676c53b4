"""The first bad batch is kept, and run once more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

import gradscope
from gradscope import ArgumentError, GradScope

RNG = np.random.default_rng(0)
X = RNG.normal(size=(128, 4)).astype("float32")
X[70] = 0.0  # the fifth batch of 16, whose third answer is the root of 0
Y = RNG.normal(size=(128, 1)).astype("float32")


def rooted() -> Any:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    hidden = layers.Dense(8, use_bias=False)(inputs)
    norm = layers.Lambda(lambda z: ops.norm(z, axis=-1, keepdims=True), name="norm")(hidden)
    model = keras.Model(inputs, layers.Dense(1)(norm))
    model.compile("sgd", "mse")
    return model


def trained(log_dir: Path | None, schedule: int, x: Any = X) -> GradScope:
    scope = GradScope(log_dir, schedule=schedule, keep_bad_batch=True, quiet=True, on_finding=None)
    rooted().fit(x, Y, batch_size=16, epochs=2, shuffle=False, verbose=0, callbacks=[scope])
    return scope


@pytest.mark.parametrize("schedule", [1, 100])
def test_the_first_bad_batch_is_kept_and_names_the_operation(tmp_path: Path, schedule: int) -> None:
    scope = trained(tmp_path / "run", schedule)
    batch = scope.run.bad_batch()
    assert batch is not None
    assert batch.step == 4
    np.testing.assert_array_equal(batch.data[0], X[64:80])
    np.testing.assert_array_equal(batch.data[1], Y[64:80])
    assert all(np.isfinite(value).all() for value in batch.weights.values())
    model = rooted()
    before = [np.array(value) for value in model.get_weights()]
    origin = gradscope.reproduce(model, batch)
    assert origin is not None
    assert (origin.operation, origin.layer, origin.in_gradient) == ("Sqrt", "norm", True)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_without_a_directory_it_is_kept_in_memory() -> None:
    batch = trained(None, 100).run.bad_batch()
    assert batch is not None
    assert batch.step == 4


def test_a_training_that_stays_finite_keeps_none(tmp_path: Path) -> None:
    scope = trained(tmp_path / "run", 100, x=X + 1)
    assert scope.run.bad_batch() is None
    assert not (tmp_path / "run" / "bad_batch.npz").exists()


def test_a_batch_of_ones_own_is_run_under_the_models_weights() -> None:
    model = rooted()
    assert gradscope.reproduce(model, (X[64:80], Y[64:80])) is not None
    assert gradscope.reproduce(model, (X[:16], Y[:16])) is None


def test_weights_of_another_model_are_refused() -> None:
    batch = gradscope.BadBatch(0, (X[:16], Y[:16]), {"w": np.ones((3, 3))})
    with pytest.raises(ArgumentError, match="are not those of model"):
        gradscope.reproduce(rooted(), batch)


def test_it_must_be_true_or_false() -> None:
    with pytest.raises(ArgumentError, match="keep_bad_batch=1"):
        GradScope(keep_bad_batch=1)  # pyright: ignore[reportArgumentType]


def test_the_training_is_the_same_with_and_without() -> None:
    first, second = rooted(), rooted()
    first.fit(X + 1, Y, batch_size=16, shuffle=False, verbose=0)
    scope = GradScope(keep_bad_batch=True, quiet=True, on_finding=None)
    second.fit(X + 1, Y, batch_size=16, shuffle=False, verbose=0, callbacks=[scope])
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
