"""Every way to apply an activation function, and every function, gives the numbers of the definitions."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from instrument.recording import at, normal, recorded, site, variable
from instrument.reference import Application, assert_gradients, assert_row, look, site_row, tails
from keras import layers

import gradscope

BATCH, FEATURES, UNITS = 8, 6, 4
X, Y = normal(BATCH, FEATURES), normal(BATCH, 1, seed=1)
KERNEL, HEAD = normal(FEATURES, UNITS, seed=2), normal(UNITS, 1, seed=3)
INFINITE = (-math.inf, math.inf)


def logistic(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def arc_tangent(z: Any) -> Any:
    return tf.math.atan(z)


@dataclass(frozen=True)
class Function:
    """A function as NumPy computes it, its tails on paper, and the ways in which a person applies it."""

    value: Callable[[np.ndarray], np.ndarray]
    limits: tuple[float, float] | None
    flat_below: float
    arguments: tuple[Any, ...] = ()
    layers: tuple[Callable[[], Any], ...] = ()
    steps: tuple[Callable[[Any], Any], ...] = ()


FUNCTIONS = {
    "linear": Function(lambda z: z, INFINITE, -math.inf, ("linear", None), (lambda: layers.Activation("linear"),)),
    "sigmoid": Function(
        logistic, (-4.35654, 4.35654), -math.inf,
        ("sigmoid", keras.ops.sigmoid, lambda z: 1 / (1 + keras.ops.exp(-z))),
        (lambda: layers.Activation("sigmoid"),), (keras.ops.sigmoid,),
    ),
    "tanh": Function(
        np.tanh, (-2.17887, 2.17887), -math.inf,
        ("tanh", keras.ops.tanh, keras.activations.tanh, tf.tanh, lambda z: keras.ops.tanh(z)),
        (lambda: layers.Activation("tanh"), lambda: layers.Activation(tf.nn.tanh)), (keras.ops.tanh,),
    ),
    "relu": Function(
        lambda z: np.maximum(z, 0), (0.0, math.inf), 0.0,
        ("relu", keras.ops.relu, lambda z: tf.maximum(z, 0.0), layers.ReLU()),
        (lambda: layers.Activation("relu"), layers.ReLU), (keras.ops.relu, keras.activations.relu),
    ),
    "leaky relu": Function(
        lambda z: np.where(z > 0, z, 0.01 * z), INFINITE, -math.inf,
        (lambda z: keras.ops.leaky_relu(z, 0.01), layers.LeakyReLU(negative_slope=0.01)),
        (
            lambda: layers.LeakyReLU(negative_slope=0.01),
            lambda: layers.ReLU(negative_slope=0.01),
            lambda: layers.PReLU(alpha_initializer=keras.initializers.Constant(0.01)),
        ),
        (lambda z: keras.ops.leaky_relu(z, negative_slope=0.01),),
    ),
    "elu": Function(
        lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))), (math.log(0.05), math.inf), -math.inf,
        ("elu", keras.ops.elu), (lambda: layers.Activation("elu"), layers.ELU), (keras.activations.elu,),
    ),
    "silu": Function(
        lambda z: z * logistic(z), (-3.9299, math.inf), -math.inf,
        ("silu", "swish", tf.nn.silu), (lambda: layers.Activation("silu"),), (keras.ops.silu,),
    ),
    "softmax": Function(
        softmax, None, -math.inf,
        ("softmax", keras.ops.softmax), (lambda: layers.Activation("softmax"), layers.Softmax),
        (keras.ops.softmax, keras.activations.softmax),
    ),
    "arc tangent": Function(
        np.arctan, (-math.sqrt(19), math.sqrt(19)), -math.inf,
        (arc_tangent, lambda z: keras.ops.arctan(z)), (lambda: layers.Activation(arc_tangent),),
    ),
}  # fmt: skip


def dense(**arguments: Any) -> Any:
    return layers.Dense(UNITS, kernel_initializer=keras.initializers.Constant(KERNEL), **arguments)


def expected_rows(functions: list[Function]) -> list[dict[str, float]]:
    """Return the rows of branches that all see the same pre-activation and are added up before the head."""
    z = X.astype(float) @ KERNEL.astype(float)
    error = sum(function.value(z) for function in functions) @ HEAD - Y
    da = 2 * error / BATCH @ HEAD.T
    rows = []
    for function in functions:
        a = function.value(z)
        if function.limits is None:  # softmax: its Jacobian is diag(a) - a aᵀ
            dz = a * (da - (da * a).sum(axis=-1, keepdims=True))
        else:
            dz = da * (function.value(z + 1e-6) - function.value(z - 1e-6)) / 2e-6
        rows.append(
            site_row(Application(z, a, dz), samples=BATCH, limits=function.limits, flat_below=function.flat_below)
        )
    return rows


def test_each_way_to_apply_a_function_gives_the_numbers_of_its_definition() -> None:
    inputs = keras.Input((FEATURES,))
    branches: list[Any] = []
    ways: list[tuple[str, Function]] = []
    for name, function in FUNCTIONS.items():
        label = name.replace(" ", "_")
        for number, argument in enumerate(function.arguments):
            branches.append(dense(activation=argument, name=f"{label}_argument_{number}")(inputs))
            ways.append((f"{label}_argument_{number}", function))
        for number, make in enumerate(function.layers):
            layer = make()
            layer.name = f"{label}_layer_{number}"
            branches.append(layer(dense()(inputs)))
            ways.append((layer.name, function))
        for step in function.steps:
            branches.append(step(dense()(inputs)))
            operation = branches[-1]._keras_history.operation
            again = sum(key == base for key, _ in ways) if (base := _automatic(operation)) else 0
            ways.append((f"{base}_{again}" if again else base, function))
    outputs = layers.Dense(1, kernel_initializer=keras.initializers.Constant(HEAD))(layers.Add()(branches))
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "mse")
    run = recorded(model, X, Y)
    assert run.not_measured == ()
    for (key, _), expected in zip(ways, expected_rows([function for _, function in ways]), strict=True):
        assert_row(site(run, key), expected)
    names = {row.key: row.activation for row in run.network.sites}
    assert {names[f"tanh_argument_{number}"] for number in range(4)} == {"tanh"}
    assert names["tanh_argument_4"] == "lambda"
    assert names["arc_tangent_argument_0"] == "arc_tangent"


def _automatic(operation: Any) -> str:
    return re.sub(r"_\d+$", "", operation.name)


class Calls(keras.Model):
    """Applies plain functions inside its `call`."""

    def __init__(self, functions: list[Callable[[Any], Any]]) -> None:
        super().__init__()
        self.functions = functions
        self.before = [dense() for _ in functions]
        self.head = layers.Dense(1, kernel_initializer=keras.initializers.Constant(HEAD))

    def call(self, inputs: Any) -> Any:
        return self.head(sum(f(layer(inputs)) for f, layer in zip(self.functions, self.before, strict=True)))


CALLED: list[tuple[str, str, Callable[[Any], Any]]] = [
    ("relu", "relu", keras.ops.relu),
    ("relu:1", "relu", tf.nn.relu),
    ("sigmoid", "sigmoid", keras.activations.sigmoid),
    ("sigmoid:1", "sigmoid", tf.sigmoid),
    ("tanh", "tanh", keras.ops.tanh),
    ("tanh:1", "tanh", tf.nn.tanh),
    ("leaky_relu", "leaky relu", lambda z: keras.ops.leaky_relu(z, 0.01)),
    ("leaky_relu:1", "leaky relu", lambda z: tf.nn.leaky_relu(z, 0.01)),
    ("elu", "elu", keras.activations.elu),
    ("elu:1", "elu", tf.nn.elu),
    ("silu", "silu", lambda z: tf.nn.silu(z)),
    ("silu:1", "silu", keras.activations.silu),
    ("softmax", "softmax", keras.ops.softmax),
    ("softmax:1", "softmax", lambda z: tf.nn.softmax(z)),
]


def test_a_function_called_inside_a_subclassed_call_is_a_site_like_any_other() -> None:
    model = Calls([function for _, _, function in CALLED])
    model.compile("sgd", "mse")
    step = look(model, X, Y)
    run = recorded(model, X, Y)
    assert_gradients(at(run.gradients), step)
    for (key, _, _), expected in zip(CALLED, expected_rows([FUNCTIONS[name] for _, name, _ in CALLED]), strict=True):
        assert_row(site(run, key), expected)


PUBLISHED = [
    name
    for name, value in vars(keras.activations).items()
    if inspect.isfunction(value) and name not in {"get", "serialize", "deserialize"}
]
MIXING = {"softmax", "log_softmax", "sparsemax", "glu"}
FLAT_BELOW = {
    "relu": 0.0, "relu6": 0.0, "hard_sigmoid": -3.0, "hard_silu": -3.0, "hard_swish": -3.0, "sparse_plus": -1.0,
    "sparse_sigmoid": -1.0, "threshold": 0.5,
}  # fmt: skip


def published(name: str) -> Callable[[Any], Any]:
    function = getattr(keras.activations, name)
    return (lambda z: function(z, threshold=0.5, default_value=0.0)) if name == "threshold" else function


class Shelf(keras.Model):
    """Every activation that Keras ships, as an argument and as a function in `call`."""

    def __init__(self) -> None:
        super().__init__()
        self.arguments = [dense(activation=published(name), name=f"{name}_argument") for name in PUBLISHED]
        self.plain = [dense(name=f"{name}_plain") for name in PUBLISHED]
        self.head = layers.Dense(1)

    def call(self, inputs: Any) -> Any:
        outcomes = [layer(inputs) for layer in self.arguments]
        outcomes += [published(name)(layer(inputs)) for name, layer in zip(PUBLISHED, self.plain, strict=True)]
        return self.head(keras.ops.concatenate(outcomes, axis=-1))


def test_every_activation_that_keras_ships_gives_the_numbers_of_its_definition() -> None:
    model = Shelf()
    model.compile("sgd", "mse")
    model(X)
    step = look(model, X, Y, spies={layer.name: layer for layer in model.arguments})
    run = recorded(model, X, Y)
    assert_gradients(at(run.gradients), step)
    assert run.not_measured == ()
    for name in PUBLISHED:
        (application,) = step.sites[f"{name}_argument"]
        if name == "glu":  # it halves the units: of the pre-activation nothing is said
            row = site(run, "glu_argument")
            assert math.isnan(row["pre_mean"])
            np.testing.assert_allclose(row["mean"], application.a.mean(), rtol=1e-5)
            continue
        limits = None if name in MIXING else tails(published(name))
        expected = site_row(application, samples=BATCH, limits=limits, flat_below=FLAT_BELOW.get(name, -math.inf))
        assert_row(site(run, f"{name}_argument"), expected)
        base, _, again = {"swish": "silu::1", "hard_swish": "hard_silu::1"}.get(name, name).partition("::")
        if name not in {"linear", "exponential"}:  # one does nothing, the other is `keras.ops.exp` and no activation
            forward = {column: value for column, value in expected.items() if not column.startswith("backward")}
            assert_row(site(run, f"{base}:{again}" if again else base), forward)


@pytest.mark.filterwarnings("ignore:Gradients do not exist")  # Keras says so too
def test_behind_a_step_function_nothing_is_connected_and_no_norm_is_zero() -> None:
    def step_function(z: Any) -> Any:
        return keras.ops.cast(z > 0, "float32")

    model = keras.Sequential(
        [
            keras.Input((FEATURES,)),
            layers.Dense(5, activation="tanh", name="first"),
            layers.Dense(4, activation=step_function, name="blocked"),
            layers.Dense(1, name="head"),
        ]
    )
    model.compile("sgd", "mse")
    step = look(model, X, Y)
    run = recorded(model, X, Y)
    assert_gradients(at(run.gradients), step)
    behind = at(run.gradients)[at(run.gradients)["layer"].isin(["first", "blocked"])]
    assert len(behind) == 4
    assert not behind["connected"].any()
    numbers = behind[["norm", "rms", "abs_max", "zero_fraction", "nonfinite_count", "sign_agreement"]]
    assert numbers.isna().all(axis=None)
    assert math.isnan(site(run, "first")["backward_rms"])
    blocked = site(run, "blocked")
    assert math.isnan(blocked["saturated_fraction"])
    (profile,) = [found.profile for found in run.network.sites if found.key == "blocked"]
    assert profile is not None
    assert profile.blocked
    norm = variable(run, f"{model.layers[-1].path}/kernel")["norm"]
    np.testing.assert_allclose(run.steps["global_norm"][0], step.global_norm, rtol=1e-5)
    assert norm > 0


@pytest.mark.parametrize("regulariser", ["l2", keras.regularizers.L1(0.1)])
def test_an_activity_regulariser_is_no_activation_function(regulariser: Any) -> None:
    model = keras.Sequential([keras.Input((FEATURES,)), layers.Dense(3, activity_regularizer=regulariser)])
    model.compile("sgd", "mse")
    step = look(model, X, normal(BATCH, 3))
    run = recorded(model, X, normal(BATCH, 3))
    assert [found.activation for found in run.network.sites] == ["linear"]
    assert_gradients(at(run.gradients), step)
    np.testing.assert_allclose(run.steps["loss"][0], step.loss, rtol=1e-6)


def test_a_softmax_says_how_sure_it_is() -> None:
    model = keras.Sequential([keras.Input((FEATURES,)), dense(activation="softmax")])
    model.compile("sgd", "categorical_crossentropy")
    run: gradscope.Run = recorded(model, X, np.eye(UNITS)[np.arange(BATCH) % UNITS])
    p = softmax(X.astype(float) @ KERNEL.astype(float))
    row = site(run, "dense")
    np.testing.assert_allclose(row["entropy"], np.mean(-(p * np.log(p)).sum(axis=1) / math.log(UNITS)), rtol=1e-4)
    np.testing.assert_allclose(row["top_probability"], p.max(axis=1).mean(), rtol=1e-5)
    assert run.network.sites[0].is_output
