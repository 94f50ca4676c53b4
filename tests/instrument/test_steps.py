"""What a row of `steps` and `gradients` says of the step itself, whatever the optimizer and the compiler do."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import pytest
from instrument.recording import at, normal, recorded, site, variable
from instrument.reference import RTOL, assert_gradients, assert_row, look, site_row
from keras import layers

import gradscope

X, Y = normal(20, 6), normal(20, 1, seed=1)


def perceptron() -> Any:
    return keras.Sequential([keras.Input((6,)), layers.Dense(10, activation="relu"), layers.Dense(1)])


class Weights(keras.callbacks.Callback):
    """Keeps the weights before each step and after the last."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[dict[str, np.ndarray]] = []

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.kept.append({v.path: v.numpy().astype(float) for v in self.model.trainable_variables})

    def on_train_end(self, logs: Any = None) -> None:
        self.on_train_batch_begin(0)


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_what_is_not_finite_is_counted_from_the_step_on_where_it_first_occurs(odd: float) -> None:
    x = X.copy()
    x[9, 2] = odd  # one sample of the second batch
    model = perceptron()
    model.compile(keras.optimizers.SGD(0.0), "mse")
    scope = gradscope.GradScope(schedule=1, quiet=True)
    model.fit(x, Y, batch_size=8, verbose=0, shuffle=False, callbacks=[scope])
    run = scope.run
    counts = [site(run, "dense", step)["nonfinite_count"] for step in range(3)]
    gradients = [at(run.gradients, step)["nonfinite_count"].sum() for step in range(3)]
    weights_are_finite = all(np.isfinite(v.numpy()).all() for v in model.trainable_variables)
    assert counts[:2] == [0, 10]  # all units of that sample
    assert gradients[0] == 0 < gradients[1]
    assert weights_are_finite == (counts[2] == 0)
    assert math.isfinite(site(run, "dense", 1)["std"]), "the other samples are described as ever"
    assert np.isnan(run.steps["recording_seconds"]).tolist() == [True, True, False], (
        "it is traced once more, and only once"
    )


def test_a_step_tells_loss_learning_rate_samples_weights_and_the_real_update() -> None:
    model = perceptron()
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
    model.compile(keras.optimizers.Adam(schedule), "mse")
    weights, losses = Weights(), []
    # One batch an epoch's end apart, the loss that Keras shows is the batch's own.
    keep = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: losses.append(logs["loss"]))
    scope = gradscope.GradScope(schedule=1, quiet=True)
    model.fit(X, Y, batch_size=8, epochs=2, verbose=0, shuffle=False, callbacks=[scope, weights, keep])
    run, sizes = scope.run, [8, 8, 4] * 2
    assert run.steps["step"].tolist() == list(range(6))
    assert run.steps["epoch"].tolist() == [0, 0, 0, 1, 1, 1]
    assert run.steps["samples"].tolist() == sizes
    np.testing.assert_allclose(run.steps["learning_rate"], 0.1 * 0.5 ** np.arange(6), rtol=1e-6)
    for number in range(6):
        before, after = weights.kept[number : number + 2]
        for path, old in before.items():
            row = variable(run, path, number)
            norm, update = np.linalg.norm(old), np.linalg.norm(after[path] - old)
            np.testing.assert_allclose(row["weight_norm"], norm, rtol=1e-5)
            np.testing.assert_allclose(row["update_norm"], update, rtol=1e-4)
            ratio = update / norm if norm else math.nan
            np.testing.assert_allclose(row["update_to_weight_ratio"], ratio, rtol=1e-4)
        # The same weights, by a tape of its own.
        for v in model.trainable_variables:
            v.assign(before[v.path])
        part = slice(8 * (number % 3), 8 * (number % 3) + sizes[number])
        step = look(model, X[part], Y[part], spies={"dense": model.layers[0]})
        np.testing.assert_allclose(run.steps["loss"][number], step.loss, rtol=1e-5)
        np.testing.assert_allclose(run.steps["global_norm"][number], step.global_norm, rtol=1e-4)
        assert_gradients(at(run.gradients, number), step)
        expected = site_row(step.sites["dense"][0], samples=sizes[number], limits=(0.0, math.inf), flat_below=0.0)
        assert_row(site(run, "dense", number), expected)
    np.testing.assert_allclose(losses[0], run.steps["loss"][0], rtol=1e-6)
    kernel = look(model, X[16:], Y[16:]).gradients[model.layers[1].kernel.path]
    signs = [max((column > 0).sum(), (column < 0).sum()) / (column != 0).sum() for column in kernel.T]
    for v in model.trainable_variables:
        v.assign(weights.kept[5][v.path])
    np.testing.assert_allclose(variable(run, model.layers[1].kernel.path, 5)["sign_agreement"], np.mean(signs))


def test_the_baseline_is_the_loss_of_the_mean_label() -> None:
    model = perceptron()
    model.compile("sgd", "mse")
    run = recorded(model, X, Y, batch_size=20)
    np.testing.assert_allclose(run.steps["baseline_loss"][0], Y.var(), rtol=1e-5)


@pytest.mark.parametrize(
    "how",
    [{"jit_compile": False}, {"jit_compile": True}, {"run_eagerly": True}, {"steps_per_execution": 2}],
    ids=lambda how: next(iter(how)) + str(next(iter(how.values()))),
)
def test_the_numbers_do_not_depend_on_how_the_step_runs(how: dict[str, Any]) -> None:
    model = perceptron()
    model.compile("sgd", "mse", **how)
    step = look(model, X[:10], Y[:10], spies={"dense": model.layers[0]})
    run = recorded(model, X, Y, batch_size=10, epochs=2)
    first = int(run.steps["step"].min())
    if first == 0:
        assert_gradients(at(run.gradients), step)
        expected = site_row(step.sites["dense"][0], samples=10, limits=(0.0, math.inf), flat_below=0.0)
        assert_row(site(run, "dense"), expected)
        np.testing.assert_allclose(run.steps["loss"][0], step.loss, rtol=1e-5)
    else:  # the first execution of several steps is not taken, so that it is traced as it would be
        assert "steps_per_execution" in how
        assert first == 2


@pytest.mark.parametrize(
    ("clipping", "clips"),
    [
        ({"clipnorm": 1e-3}, True),
        ({"clipnorm": 1e3}, False),
        ({"global_clipnorm": 1e-3}, True),
        ({"global_clipnorm": 1e3}, False),
        ({"clipvalue": 1e-4}, True),
        ({"clipvalue": 1e3}, False),
    ],
    ids=str,
)
def test_gradients_are_those_before_clipping_and_clipping_is_seen(clipping: dict[str, float], clips: bool) -> None:
    model = perceptron()
    model.compile(keras.optimizers.SGD(**clipping), "mse")
    step = look(model, X, Y)
    run = recorded(model, X, Y, batch_size=20)
    assert_gradients(at(run.gradients), step)
    assert bool(run.steps["clipped"][0]) == clips
    assert run.network.compiled.clipping == pytest.approx(clipping)


def test_gradients_are_those_of_a_batch_before_accumulation() -> None:
    model = perceptron()
    model.compile(keras.optimizers.SGD(gradient_accumulation_steps=2), "mse")
    steps = [look(model, X[part], Y[part]) for part in (slice(0, 10), slice(10, 20))]
    run = recorded(model, X, Y, batch_size=10)
    for number, step in enumerate(steps):  # the weights move after the second
        assert_gradients(at(run.gradients, number), step)
    assert at(run.gradients, 0)["update_norm"].tolist() == [0.0] * 4
    assert (at(run.gradients, 1)["update_norm"] > 0).all()


def test_a_factor_on_the_loss_is_taken_out_again() -> None:
    model = perceptron()
    model.compile(keras.optimizers.SGD(loss_scale_factor=1024.0), "mse")
    step = look(model, X, Y, spies={"dense": model.layers[0]})
    run = recorded(model, X, Y, batch_size=20)
    assert run.steps["loss_scale"][0] == 1024
    np.testing.assert_allclose(run.steps["loss"][0], step.loss, rtol=1e-5)
    assert_gradients(at(run.gradients), step)
    expected = site_row(step.sites["dense"][0], samples=20, limits=(0.0, math.inf), flat_below=0.0)
    assert_row(site(run, "dense"), expected)


def test_mixed_precision_takes_the_loss_scale_out_and_flags_the_steps_that_are_skipped() -> None:
    policy = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy("mixed_float16")
    try:
        model = keras.Sequential(
            [keras.Input((6,)), layers.Dense(10, activation="tanh"), layers.Dense(1, dtype="float32")]
        )
    finally:
        keras.mixed_precision.set_dtype_policy(policy)
    model.compile(keras.optimizers.SGD(1e-3), "mse")
    step = look(model, X, Y, spies={"dense": model.layers[0]})
    weights = Weights()
    scope = gradscope.GradScope(schedule=1, quiet=True)
    model.fit(X, Y, batch_size=20, epochs=6, verbose=0, shuffle=False, callbacks=[scope, weights])
    run = scope.run
    moved = [
        any((after[path] != old).any() for path, old in before.items())
        for before, after in zip(weights.kept, weights.kept[1:], strict=False)
    ]
    assert run.steps["loss_scale"][0] == 2**15
    assert run.steps["skipped"].tolist() == [not has_moved for has_moved in moved]
    good = int(np.flatnonzero(moved)[0])  # until then the weights are those of the beginning
    assert_gradients(at(run.gradients, good), step, rtol=RTOL["float16"])
    expected = site_row(step.sites["dense"][0], samples=20)
    for name in ("pre_mean", "pre_std", "mean", "std", "backward_rms"):
        scale = RTOL["float16"]
        np.testing.assert_allclose(site(run, "dense", good)[name], expected[name], rtol=scale, atol=1e-3, err_msg=name)
    np.testing.assert_allclose(run.steps["loss"][good], step.loss, rtol=RTOL["float16"])


def test_a_skipped_step_is_flagged() -> None:
    model = perceptron()
    inner = keras.optimizers.SGD(1e-3)
    model.compile(keras.optimizers.LossScaleOptimizer(inner, initial_scale=2.0**127), "mse")
    run = recorded(model, X, 10 * Y, batch_size=20)
    assert run.steps["skipped"].tolist() == [True]
    assert not np.isfinite(at(run.gradients)["norm"]).all()
    assert at(run.gradients)["update_norm"].tolist() == [0.0] * 4


def test_dead_units_are_seen_after_a_training_of_few_steps() -> None:
    kernel = normal(6, 10, seed=3)
    bias = np.where(np.arange(10) < 4, -1e3, 0.0)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(
                10,
                activation="relu",
                kernel_initializer=keras.initializers.Constant(kernel),
                bias_initializer=keras.initializers.Constant(bias),
            ),
            layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.SGD(1e-4), "mse")
    x, y = normal(1200, 6), normal(1200, 1, seed=1)
    scope = gradscope.GradScope(schedule=gradscope.every(1000), quiet=True)
    model.fit(x, y, batch_size=100, verbose=0, callbacks=[scope])
    run = scope.run
    assert len(run.steps) == 1  # the final pass made up for the rest
    dead = run.final_activations[run.final_activations["site"] == "dense"]["dead_unit_fraction"]
    assert dead.tolist() == [pytest.approx(0.4)]
    assert sorted(run.units[run.units["dead"] == 1]["unit"]) == [0, 1, 2, 3]
    assert (run.units["confirmed"] == 1).all()


def test_a_histogram_holds_activations_and_nothing_else() -> None:
    model = perceptron()
    model.compile("sgd", "mse")
    a = np.asarray(look(model, X, Y, spies={"dense": model.layers[0]}).sites["dense"][0].a)
    scope = gradscope.GradScope(schedule=1, quiet=True)
    model.fit(X, Y, batch_size=20, verbose=0, shuffle=False, callbacks=[scope])
    bins = scope.run.histograms.query("site == 'dense' and step == 0")
    edges = np.array([*bins["left"], bins["right"].iloc[-1]])
    assert (edges[0], edges[-1]) == (pytest.approx(a.min(), rel=1e-4), pytest.approx(a.max(), rel=1e-4))
    assert bins["count"].sum() == a.size
    expected, _ = np.histogram(a, np.linspace(a.min(), a.max(), len(edges)))
    assert np.abs(bins["count"].to_numpy() - expected).sum() <= 2  # rounding may move an entry over an edge


class TwoPasses(keras.Model):
    """A train step of its own that calls the model twice and makes its metric late."""

    def train_step(self, data: Any) -> dict[str, Any]:
        import tensorflow as tf

        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x)) + self.compute_loss(x, y, self(2 * x))
        self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
        self.mean_loss.update_state(loss)
        return {"loss": self.mean_loss.result()}


def test_a_step_that_makes_variables_while_it_is_traced_is_recorded_once() -> None:
    inputs = keras.Input((6,))
    model = TwoPasses(inputs, layers.Dense(1)(layers.Dense(4, activation="relu")(inputs)))
    model.mean_loss = keras.metrics.Mean("loss")
    model.compile("sgd", "mse")
    run = recorded(model, X, Y)
    assert run.activations["site"].unique().tolist() == ["dense", "dense_1", "dense:1", "dense_1:1"]
    assert run.not_measured == ()


def test_a_softmax_with_a_mask_is_measured_like_one_without() -> None:
    inputs, mask = keras.Input((6,)), keras.Input((6,), dtype="bool")
    shares = layers.Softmax()(inputs, mask=mask)
    pooled = keras.ops.sum(shares * inputs, axis=-1, keepdims=True)  # which carries the mask no further
    model = keras.Model([inputs, mask], layers.Dense(1)(pooled))
    model.compile("sgd", "mse")
    kept = np.arange(6) < 4
    run = recorded(model, [X, np.broadcast_to(kept, X.shape)], Y)
    assert run.not_measured == ()
    assert 0 < site(run, "softmax", 0)["entropy"] <= 1
