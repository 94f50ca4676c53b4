"""Each check on a real model that is sick and on one that is not."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from gradscope import preflight
from gradscope.diagnose.discover import known_checks

RNG = np.random.default_rng(4)
SAMPLES, FEATURES, CLASSES = 64, 6, 3
X = RNG.normal(size=(SAMPLES, FEATURES)).astype("float32")
LABELS = RNG.integers(0, CLASSES, SAMPLES)
ONE_HOT = keras.utils.to_categorical(LABELS, CLASSES)
MANY_HOT = np.maximum(ONE_HOT, np.roll(ONE_HOT, 1, axis=0))
PIXELS = RNG.integers(0, 256, (SAMPLES, 8, 8, 3)).astype("uint8")
SPARSE = keras.losses.SparseCategoricalCrossentropy
BINARY = keras.losses.BinaryCrossentropy


@pytest.fixture(autouse=True)
def _seeded() -> None:
    keras.utils.clear_session()
    keras.utils.set_random_seed(1)


def said(model: Any, x: Any, y: Any) -> list[tuple[str, str]]:
    """Return rule and severity of all that the checks of preflight say; the rules have tests of their own."""
    findings = [finding for finding in preflight(model, x, y).findings if finding.rule in known_checks()]
    assert all(finding.evidence and finding.advice for finding in findings)
    return [(finding.rule, finding.severity) for finding in findings]


def network(*layers: Any, loss: Any, shape: tuple[int | None, ...] = (FEATURES,)) -> Any:
    model = keras.Sequential([keras.Input(shape), *layers])
    model.compile("adam", loss)
    return model


def ending(activation: Any, loss: Any, units: int = CLASSES, **keywords: Any) -> Any:
    return network(keras.layers.Dense(8, "tanh"), keras.layers.Dense(units, activation, **keywords), loss=loss)


MISMATCH = "output_loss_mismatch"


PAIRS: list[tuple[str | None, int, Any, Any, str | None]] = [
    ("softmax", 3, "sparse_categorical_crossentropy", LABELS, None),
    ("softmax", 3, "categorical_crossentropy", ONE_HOT, None),
    (None, 3, SPARSE(from_logits=True), LABELS, None),
    ("log_softmax", 3, SPARSE(from_logits=True), LABELS, None),
    ("sigmoid", 1, "binary_crossentropy", LABELS > 0, None),
    (None, 1, BINARY(from_logits=True), LABELS > 0, None),
    ("sigmoid", 3, "binary_crossentropy", MANY_HOT, None),
    (None, 1, "mse", X[:, 0], None),
    (None, 3, "mse", X[:, :3], None),
    ("sigmoid", 1, "mse", LABELS > 0, None),
    ("tanh", 1, "mae", np.tanh(X[:, 0]), None),
    ("softmax", 3, SPARSE(from_logits=True), LABELS, "low"),
    ("sigmoid", 1, BINARY(from_logits=True), LABELS > 0, "low"),
    ("sigmoid", 3, "categorical_crossentropy", ONE_HOT, "low"),
    ("sigmoid", 3, "binary_crossentropy", ONE_HOT, "low"),
    ("softmax", 3, "binary_crossentropy", ONE_HOT, None),
    ("softmax", 3, "binary_crossentropy", MANY_HOT, "medium"),
    (None, 3, "sparse_categorical_crossentropy", LABELS, "high"),
    (None, 1, "binary_crossentropy", LABELS > 0, "high"),
    ("tanh", 1, "binary_crossentropy", LABELS > 0, "high"),
    ("relu", 3, "categorical_crossentropy", ONE_HOT, "high"),
    ("softmax", 1, "binary_crossentropy", LABELS > 0, "high"),
    ("sigmoid", 1, "categorical_crossentropy", ONE_HOT[:, :1], "high"),
    ("sigmoid", 1, "binary_crossentropy", 2.0 * (LABELS > 0) - 1, "high"),
    (None, 3, "mse", X[:, :1], "high"),
    (None, 1, "mse", X[:, :3], "high"),
    ("relu", 1, "mse", X[:, 0] - 2, "high"),
    ("relu", 1, "mse", X[:, 0] + 1, "medium"),
    ("sigmoid", 1, "mse", 5 + X[:, 0], "high"),
]
"""Activation function, units, loss, targets, and how bad that is."""


@pytest.mark.filterwarnings("ignore:You are using a softmax over axis -1")
def test_an_output_its_loss_and_its_targets_fit_or_not() -> None:
    inputs = keras.Input((FEATURES,))
    ends = [keras.layers.Dense(units, activation)(inputs) for activation, units, *_ in PAIRS]
    model = keras.Model(inputs, ends)
    model.compile("adam", [loss for _, _, loss, _, _ in PAIRS])
    y = [targets if targets.dtype.kind == "i" else np.asarray(targets, "float32") for _, _, _, targets, _ in PAIRS]
    findings = preflight(model, X, y).findings
    found = {finding.layer: finding.severity for finding in findings if finding.rule == MISMATCH}
    keys = ["dense", *(f"dense_{number}" for number in range(1, len(PAIRS)))]
    for key, (activation, units, loss, _, severity) in zip(keys, PAIRS, strict=True):
        assert found.get(key) == severity, (key, activation, units, loss)


def test_a_softmax_whose_logits_were_lost_by_a_cast_is_applied_twice() -> None:
    model = ending("softmax", SPARSE(from_logits=True), dtype="mixed_float16")
    assert said(model, X, LABELS) == [(MISMATCH, "high")]


def test_a_softmax_that_is_cast_afterwards_is_no_linear_output() -> None:
    layers = [keras.layers.Dense(CLASSES, "softmax"), keras.layers.Activation("linear", dtype="float32")]
    assert said(network(*layers, loss="sparse_categorical_crossentropy"), X, LABELS) == []


def test_a_sequence_of_single_numbers_is_compared_step_by_step() -> None:
    x = RNG.normal(size=(SAMPLES, 5, 2)).astype("float32")
    assert said(network(keras.layers.Dense(1), loss="mse", shape=(5, 2)), x, x[..., 0]) == []


def test_a_loss_of_the_users_own_is_not_judged() -> None:
    def categorical_crossentropy(y: Any, logits: Any) -> Any:
        return keras.losses.categorical_crossentropy(y, logits, from_logits=True)

    assert said(ending(None, categorical_crossentropy), X, ONE_HOT) == []


@pytest.mark.parametrize("labels", [LABELS + 1, LABELS - 1])
def test_labels_are_counted_from_zero(labels: Any) -> None:
    model = ending("softmax", "sparse_categorical_crossentropy")
    assert said(model, X, labels) == [("index_out_of_range", "high")]


def test_a_label_that_the_loss_leaves_out_is_in_range() -> None:
    model = ending("softmax", SPARSE(ignore_class=-1))
    assert said(model, X, LABELS - (LABELS == 0)) == []


@pytest.mark.parametrize(("rows", "wrong"), [(1000, False), (500, True)])
def test_an_embedding_has_a_row_for_every_index_and_indices_have_no_scale(rows: int, wrong: bool) -> None:
    words = RNG.integers(0, 1000, (SAMPLES, 12))
    layers = [keras.layers.Embedding(rows, 4), keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(3, "softmax")]
    model = network(*layers, loss="sparse_categorical_crossentropy", shape=(12,))
    assert said(model, words, LABELS) == ([("index_out_of_range", "high")] if wrong else [])


def convolution(*first: Any) -> Any:
    layers = [*first, keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.Flatten()]
    ends = [*layers, keras.layers.Dense(3, "softmax")]
    return network(*ends, loss="sparse_categorical_crossentropy", shape=(8, 8, 3))


class Scales(keras.Model):
    """Brings its pixels to 0…1 where no graph shows it."""

    def __init__(self) -> None:
        super().__init__()
        self.flatten, self.head = keras.layers.Flatten(), keras.layers.Dense(CLASSES, "softmax")

    def call(self, inputs: Any) -> Any:
        return self.head(self.flatten(keras.ops.cast(inputs, "float32") / 255.0))


def test_pixels_are_judged_by_what_arrives() -> None:
    scaling = [keras.layers.Rescaling(1 / 255), keras.layers.BatchNormalization()]
    assert said(convolution(*scaling), PIXELS, LABELS) == []
    subclassed = Scales()
    subclassed.compile("adam", "sparse_categorical_crossentropy")
    assert said(subclassed, PIXELS, LABELS) == []
    assert said(convolution(), PIXELS, LABELS) == [("input_scale", "medium")]


TABLES: dict[str, tuple[Any, str | None]] = {
    "usual": (X, None),
    "large": (20 * X, "low"),
    "very_large": (1000 * X, "medium"),
    "tiny": (1e-4 * X, "low"),
    "uneven": (X * np.array([1, 1, 1, 1, 1, 1e4]) / 1e4, "low"),
    "sparse": ((RNG.random((SAMPLES, FEATURES)) < 0.1).astype("float32"), None),
}


def test_a_table_is_to_be_near_unit_scale() -> None:
    inputs = {name: keras.Input((FEATURES,), name=name) for name in TABLES}
    hidden = [keras.layers.Dense(4, "relu", name=f"after_{name}")(tensor) for name, tensor in inputs.items()]
    ends = keras.layers.Dense(CLASSES, "softmax")(keras.layers.Concatenate()(hidden))
    model = keras.Model(inputs, ends)
    model.compile("adam", "sparse_categorical_crossentropy")
    findings = preflight(model, {name: x for name, (x, _) in TABLES.items()}, LABELS).findings
    found = {finding.layer: finding.severity for finding in findings if finding.rule == "input_scale"}
    wanted = {f"after_{name}": severity for name, (_, severity) in TABLES.items() if severity is not None}
    assert found == wanted


def test_an_input_that_saturates_the_first_function_is_worse_than_large() -> None:
    assert said(ending("softmax", "sparse_categorical_crossentropy"), 20 * X, LABELS) == [("input_scale", "medium")]


def with_gap(values: Any) -> Any:
    values = values.copy()
    values[3] = np.nan
    return values


def test_a_gap_in_the_data_is_high_only_where_it_reaches_the_loss() -> None:
    assert said(ending(None, "mse", 1), with_gap(X), X[:, 0]) == [("nonfinite_data", "high")]
    assert said(ending(None, "mse", 1), X, with_gap(X[:, 0])) == [("nonfinite_data", "high")]
    found = preflight(ending(None, "mse", 1), with_gap(X), X[:, 0]).findings
    assert [(f.rule, f.cause) for f in found] == [("nonfinite_data", None), ("nan_or_inf", "nonfinite_data")]
    fills = keras.layers.Lambda(lambda x: tf.where(tf.math.is_nan(x), 0.0, x))
    model = network(fills, keras.layers.Dense(1), loss="mse")
    assert said(model, with_gap(X), X[:, 0]) == [("nonfinite_data", "low")]


def test_a_target_of_huge_scale_is_mentioned() -> None:
    assert said(ending(None, "mse", 1), X, 1e4 * X[:, 0]) == [("target_scale", "low")]


def test_a_column_of_zeros_is_taken_for_a_rare_feature() -> None:
    x = X.copy()
    x[:, 2] = 0
    assert said(ending("softmax", "sparse_categorical_crossentropy"), x, LABELS) == []


def test_what_never_varies_is_mentioned() -> None:
    model = ending("softmax", "sparse_categorical_crossentropy")
    flat = X.copy()
    flat[:, 2] = 1
    assert said(model, flat, LABELS) == [("constant_data", "low")]
    assert said(model, np.ones_like(X), LABELS) == [("constant_data", "medium")]
    assert said(model, X, np.ones_like(LABELS)) == [("constant_data", "low")]


def hidden(initialiser: Any, *after: Any, head: Any = "glorot_uniform", activation: str = "tanh") -> Any:
    first = keras.layers.Dense(8, activation, kernel_initializer=initialiser)
    last = keras.layers.Dense(CLASSES, "softmax", kernel_initializer=head)
    return network(first, *after, last, loss="sparse_categorical_crossentropy")


CONSTANT = keras.initializers.Constant(0.1)


def test_units_that_can_never_differ_are_one() -> None:
    assert said(hidden(CONSTANT, head=CONSTANT), X, LABELS) == [("identical_units", "medium")]
    assert said(hidden("zeros", head="zeros", activation="relu"), X, LABELS) == [("identical_units", "high")]


def test_equal_units_that_the_first_step_tells_apart_are_no_fault() -> None:
    assert said(hidden("zeros"), X, LABELS) == []
    assert said(hidden("glorot_uniform", head="zeros"), X, LABELS) == []
    assert said(hidden(CONSTANT, keras.layers.Dropout(0.5), head=CONSTANT), X, LABELS) == []


def test_a_residual_branch_that_ends_in_zeros_is_no_fault() -> None:
    inputs = keras.Input((FEATURES,))
    branch = keras.layers.Dense(16, "relu")(inputs)
    branch = keras.layers.Dense(FEATURES, kernel_initializer="zeros")(branch)
    ends = keras.layers.Dense(CLASSES, "softmax", kernel_initializer="zeros")(keras.layers.Add()([inputs, branch]))
    model = keras.Model(inputs, ends)
    model.compile("adam", "sparse_categorical_crossentropy")
    assert said(model, X, LABELS) == []


COUNTS = RNG.poisson(3.0, SAMPLES).astype("float32")


@pytest.mark.parametrize(
    ("activation", "units", "loss", "y", "severity"),
    [
        (None, 1, "poisson", COUNTS, "high"),
        ("softplus", 1, "poisson", COUNTS, None),
        ("softplus", 1, "poisson", COUNTS - 3, "high"),
        (None, 1, "mean_squared_logarithmic_error", COUNTS, "high"),
        (None, 3, "kl_divergence", ONE_HOT, "high"),
        ("softmax", 3, "kl_divergence", ONE_HOT, None),
        (None, 1, "cosine_similarity", X[:, 0], "high"),
        (None, 3, "cosine_similarity", X[:, :3], None),
        (None, 1, "hinge", np.where(X[:, 0] > 0, 1.0, -1.0), None),
        (None, 1, "hinge", LABELS > 0, None),
        (None, 1, "squared_hinge", LABELS + 1, "high"),
        (None, 1, "mean_absolute_percentage_error", COUNTS, "medium"),
        (None, 1, "mean_absolute_percentage_error", COUNTS + 1, None),
        ("softmax", 3, "categorical_crossentropy", 0.3 * ONE_HOT, "medium"),
        ("softmax", 3, "categorical_crossentropy", MANY_HOT, "medium"),
        ("sigmoid", 1, "binary_focal_crossentropy", LABELS > 0, None),
        (None, 1, "binary_focal_crossentropy", LABELS > 0, "high"),
    ],
)  # fmt: skip
def test_a_loss_meets_answers_and_targets_that_it_is_made_for(
    activation: str | None, units: int, loss: str, y: Any, severity: str | None
) -> None:
    found = [s for rule, s in said(ending(activation, loss, units), X, np.asarray(y)) if rule == MISMATCH]
    assert found == ([severity] if severity else [])


@pytest.mark.parametrize("layer", [keras.layers.LSTM, keras.layers.GRU, keras.layers.SimpleRNN])
def test_what_a_recurrent_layer_is_given_is_judged_by_its_own_scale(layer: Any) -> None:
    series = RNG.normal(size=(SAMPLES, 5, 2)).astype("float32")
    made = network(layer(4), keras.layers.Dense(1), loss="mse", shape=(5, 2))
    assert ("input_scale", "medium") in said(made, 60 * series, X[:, 0])
    assert not said(made, series, X[:, 0])


def test_pixels_that_were_scaled_already_are_scaled_twice_by_the_model() -> None:
    made = network(keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(4, 3, activation="relu"),
                   keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(CLASSES, "softmax"),
                   loss="sparse_categorical_crossentropy", shape=(8, 8, 3))  # fmt: skip
    (finding,) = preflight(made, PIXELS / np.float32(255), LABELS).findings
    assert (finding.rule, "scaled twice" in finding.message) == ("input_scale", True)
    assert not said(made, PIXELS.astype("float32"), LABELS)


def test_a_normalisation_right_behind_the_first_linear_layer_takes_the_scale_away() -> None:
    behind = [keras.layers.Dense(8), keras.layers.BatchNormalization(), keras.layers.ReLU()]
    made = network(*behind, keras.layers.Dense(CLASSES, "softmax"), loss="sparse_categorical_crossentropy")
    assert not said(made, 60 * X, LABELS)


@pytest.mark.parametrize(
    ("model", "x", "y"),
    [
        (ending("softmax", BINARY(), 1), X, LABELS > 0),
        (ending(None, "sparse_categorical_crossentropy"), X, LABELS),
        (ending(None, "mse", 1), 60 * X, 1e4 * X[:, 0]),
        (ending("softmax", "sparse_categorical_crossentropy"), X, LABELS + 1),
        (ending("softmax", "sparse_categorical_crossentropy"), np.full_like(X, np.nan), LABELS),
        (ending("relu", "mse", 1), X, -np.ones(SAMPLES)),
    ],
)
def test_what_is_advised_is_a_change_of_a_kind(model: Any, x: Any, y: Any) -> None:
    found = [finding for finding in preflight(model, x, y).findings if finding.rule in known_checks()]
    assert found
    assert all(advice.remedy is not None for finding in found for advice in finding.advice)
