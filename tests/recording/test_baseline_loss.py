"""The baseline loss against Keras' own losses, minimised over constant predictions by a general minimiser."""

import math
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize

from gradscope.recording.baseline_loss import (
    BaselineKind,
    BaselineState,
    baseline_loss,
    init,
    kind_of,
    lowest_loss,
    update,
)

RNG = np.random.default_rng(7)
MINIMISER_TOLERANCE = 2e-5  # Keras sums in float32


def least_loss(loss: keras.losses.Loss, y: Any, outputs: int, weights: Any = None, shape: Any = None) -> float:
    """Minimise the Keras loss over one value for each output; ``shape`` is that of the predictions."""
    shape = np.shape(y) if shape is None else shape

    def of_constant(constant: NDArray[Any]) -> float:
        return float(loss(y, np.broadcast_to(constant, shape).astype("float32"), sample_weight=weights))

    found = minimize(of_constant, np.full(outputs, 0.1), method="Powell", options={"xtol": 1e-6, "ftol": 1e-12})
    return float(found.fun)


def state_after(y: Any, weights: Any = None, *, batch: int = 7, **arguments: Any) -> BaselineState:
    state = init(**arguments)
    for start in range(0, len(y), batch):
        part = slice(start, start + batch)
        state = update(state, y[part], None if weights is None else weights[part])
    return state


def weights_for(shape: tuple[int, ...]) -> list[Any]:
    return [None, RNG.uniform(0.1, 3.0, size=shape).astype("float32")]


@pytest.mark.parametrize("weights", weights_for((40,)), ids=["plain", "weighted"])
def test_sparse_crossentropy_is_the_least_loss_of_constant_logits(weights: Any) -> None:
    y = RNG.choice(3, p=[0.6, 0.3, 0.1], size=40)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    expected = least_loss(loss, y, 3, weights, shape=(40, 3))
    state = state_after(y, weights, kind="sparse_categorical_crossentropy")
    assert baseline_loss(state) == pytest.approx(expected, rel=MINIMISER_TOLERANCE)


def test_an_ignored_class_does_not_count() -> None:
    y = np.array([[0, 1, -1], [1, 1, -1], [0, 255, 1]])
    ignoring = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
    expected = least_loss(ignoring, np.where(y == 255, -1, y), 2, shape=(3, 3, 2))
    state = update(init("sparse_categorical_crossentropy", ignore_class=255), y)
    assert baseline_loss(state) == pytest.approx(expected, rel=MINIMISER_TOLERANCE)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", weights_for((40,)), ids=["plain", "weighted"])
def test_categorical_crossentropy_is_the_least_loss_of_constant_logits(weights: Any, smoothing: float) -> None:
    y = np.eye(4, dtype="float32")[RNG.choice(4, p=[0.7, 0.2, 0.1, 0.0], size=40)]
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    expected = least_loss(loss, y, 4, weights)
    state = state_after(y, weights, kind="categorical_crossentropy", label_smoothing=smoothing)
    assert baseline_loss(state) == pytest.approx(expected, rel=MINIMISER_TOLERANCE)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", weights_for((40,)), ids=["plain", "weighted"])
def test_binary_crossentropy_is_the_least_loss_of_constant_logits(weights: Any, smoothing: float) -> None:
    y = (RNG.random((40, 3)) < [0.1, 0.5, 0.8]).astype("float32")
    loss = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=smoothing)
    expected = least_loss(loss, y, 3, weights)
    state = state_after(y, weights, kind="binary_crossentropy", label_smoothing=smoothing)
    assert baseline_loss(state) == pytest.approx(expected, rel=MINIMISER_TOLERANCE)


@pytest.mark.parametrize("loss_class", [keras.losses.MeanSquaredError, keras.losses.MeanAbsoluteError])
@pytest.mark.parametrize("weights", weights_for((40,)), ids=["plain", "weighted"])
def test_errors_of_regression_are_the_least_of_constant_outputs(weights: Any, loss_class: type) -> None:
    y = RNG.normal([0.0, 2.0], [1.0, 3.0], size=(40, 2)).astype("float32")
    kind = kind_of(loss_class.__name__)
    expected = least_loss(loss_class(), y, 2, weights)
    assert baseline_loss(state_after(y, weights, kind=kind)) == pytest.approx(expected, rel=MINIMISER_TOLERANCE)


@pytest.mark.parametrize("weights", weights_for((20, 5)), ids=["plain", "weighted"])
def test_positions_count_like_samples(weights: Any) -> None:
    y = RNG.normal(size=(20, 5, 2)).astype("float32")
    expected = least_loss(keras.losses.MeanSquaredError(), y, 2, weights)
    state = state_after(y, weights, kind="mean_squared_error")
    assert baseline_loss(state) == pytest.approx(expected, rel=MINIMISER_TOLERANCE)


@pytest.mark.parametrize(("y_shape", "weight_shape"), [((6,), (6,)), ((6, 1), (6,)), ((6,), (6, 1)), ((6, 1), (6, 1))])
@pytest.mark.parametrize("loss_class", [keras.losses.MeanSquaredError, keras.losses.SparseCategoricalCrossentropy])
def test_weights_fit_as_keras_fits_them(loss_class: type, y_shape: Any, weight_shape: Any) -> None:
    y = np.array([0, 1, 1, 1, 0, 1]).reshape(y_shape)
    weights = np.array([1, 1, 2, 1, 4, 1], dtype="float32").reshape(weight_shape)
    sparse = loss_class is keras.losses.SparseCategoricalCrossentropy
    loss = loss_class(from_logits=True) if sparse else loss_class()
    outputs = 2 if sparse else 1
    expected = least_loss(loss, y, outputs, weights, shape=(6, outputs))
    state = update(init(kind_of(loss_class.__name__)), y, weights)
    assert baseline_loss(state) == pytest.approx(expected, rel=MINIMISER_TOLERANCE)


def test_a_balanced_choice_among_ten_costs_the_logarithm_of_ten() -> None:
    state = update(init("sparse_categorical_crossentropy"), np.arange(10))
    assert baseline_loss(state) == pytest.approx(math.log(10), rel=1e-12)


def test_classes_that_appear_later_are_added() -> None:
    state = update(update(init("sparse_categorical_crossentropy"), [0, 0]), [2, 2])
    assert baseline_loss(state) == pytest.approx(math.log(2), rel=1e-12)


def test_small_variance_at_a_large_mean_is_kept() -> None:
    y = 1e4 + RNG.normal(scale=5e-3, size=(1000, 1))
    assert baseline_loss(state_after(y, kind="mean_squared_error")) == pytest.approx(np.var(y), rel=1e-6)


@settings(max_examples=60)
@given(
    cuts=st.lists(st.integers(0, 30), max_size=4).map(sorted),
    kind=st.sampled_from(
        [
            "sparse_categorical_crossentropy",
            "categorical_crossentropy",
            "binary_crossentropy",
            "mean_squared_error",
            "mean_absolute_error",
        ]
    ),
    seed=st.integers(0, 2**32 - 1),
)
def test_splitting_a_batch_changes_nothing(cuts: list[int], kind: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 4, size=30)
    y = classes if kind.startswith("sparse") else np.eye(4)[classes]
    weights = rng.choice([0.0, 0.5, 2.0], size=30)
    split = init(kind)
    for part, part_weights in zip(np.split(y, cuts), np.split(weights, cuts), strict=True):
        split = update(split, part, part_weights)
    whole = baseline_loss(update(init(kind), y, weights))
    assert baseline_loss(split) == pytest.approx(whole, rel=1e-9, abs=1e-12)


def test_the_median_of_a_long_stream_comes_from_a_bounded_even_sample() -> None:
    y = RNG.exponential(size=(100_000, 2))
    state = state_after(y, batch=333, kind="mean_absolute_error")
    assert 2_048 <= len(state.rows) <= 4_096
    np.testing.assert_array_equal(state.rows, y[:: state.stride])
    expected = np.abs(y - np.median(y, axis=0)).mean()
    assert baseline_loss(state) == pytest.approx(expected, rel=0.05)


def test_wide_targets_do_not_fill_the_memory() -> None:
    state = state_after(np.zeros((300, 20_000)), batch=100, kind="mean_absolute_error")
    assert state.rows.base is None
    assert state.rows.size <= 1 << 18


@pytest.mark.parametrize("kind", ["sparse_categorical_crossentropy", "mean_squared_error", "mean_absolute_error"])
def test_nothing_is_known_before_the_first_label(kind: Any) -> None:
    assert math.isnan(baseline_loss(init(kind)))


@pytest.mark.parametrize("kind", ["sparse_categorical_crossentropy", "mean_squared_error", "mean_absolute_error"])
def test_weights_of_zero_cost_nothing(kind: Any) -> None:
    assert baseline_loss(update(init(kind), [1, 2, 1], [0, 0, 0])) == 0.0


def test_a_missing_target_is_not_hidden() -> None:
    for kind in ("mean_squared_error", "mean_absolute_error", "binary_crossentropy"):
        assert math.isnan(baseline_loss(update(init(kind), [1.0, math.nan, 0.0])))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("SparseCategoricalCrossentropy", "sparse_categorical_crossentropy"),
        ("categorical_crossentropy", "categorical_crossentropy"),
        ("BinaryCrossentropy", "binary_crossentropy"),
        ("MSE", "mean_squared_error"),
        ("mae", "mean_absolute_error"),
        ("Huber", None),
        ("", None),
    ],
)
def test_a_loss_is_known_by_the_names_that_keras_takes(name: str, kind: str | None) -> None:
    assert kind_of(name) == kind


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", weights_for((40,)), ids=["plain", "weighted"])
@pytest.mark.parametrize("loss_class", [keras.losses.BinaryCrossentropy, keras.losses.CategoricalCrossentropy])
def test_no_answer_to_soft_labels_is_better_than_the_labels(loss_class: type, weights: Any, smoothing: float) -> None:
    y = RNG.dirichlet([1.0, 2.0, 3.0, 0.5], size=40).astype("float32")
    loss = loss_class(label_smoothing=smoothing)
    per_entry = y * (1 - smoothing) + smoothing / (2 if loss_class is keras.losses.BinaryCrossentropy else 4)
    state = state_after(y, weights, kind=kind_of(loss_class.__name__), label_smoothing=smoothing)
    given = loss(y, per_entry, sample_weight=weights)
    assert lowest_loss(state) == pytest.approx(float(given), rel=1e-4)
    assert lowest_loss(state) < baseline_loss(state)


@pytest.mark.parametrize("kind", ["sparse_categorical_crossentropy", "mean_squared_error", "mean_absolute_error"])
def test_whole_classes_and_numbers_can_be_met_exactly(kind: BaselineKind) -> None:
    assert lowest_loss(update(init(kind), [0, 1, 2, 1])) == 0
    assert math.isnan(lowest_loss(init(kind)))
