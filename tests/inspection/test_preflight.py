"""preflight changes nothing: not the model, not a training that follows, not the data."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from trainings import CLASSES, FEATURES, Callbacks, Trained, X, Y, compiled, differences, fitted, mlp, state

from gradscope import Preflight, preflight
from gradscope.errors import ArgumentError, ModelError


def cnn() -> Any:
    return keras.Sequential(
        [
            keras.Input((FEATURES,)),
            keras.layers.Reshape((FEATURES, 1, 1)),
            keras.layers.Conv2D(4, (3, 1), padding="same"),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.Flatten(),
            keras.layers.Dense(CLASSES, activation="softmax"),
        ]
    )


def functional() -> Any:
    inputs = keras.Input((FEATURES,))
    hidden = keras.layers.Dense(8, activation="tanh")(inputs)
    hidden = keras.layers.Dropout(0.2)(hidden) + keras.layers.Dense(8)(inputs)
    return keras.Model(inputs, keras.layers.Dense(CLASSES, activation="softmax")(hidden))


def unbuilt_sequential() -> Any:
    return keras.Sequential(
        [keras.layers.Dense(8, "relu"), keras.layers.Dropout(0.3), keras.layers.Dense(CLASSES, "softmax")]
    )


class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = keras.layers.Dense(8, activation="tanh")
        self.dropout = keras.layers.Dropout(0.3)
        self.head = keras.layers.Dense(CLASSES, activation="softmax")

    def call(self, inputs: Any, training: bool = False) -> Any:
        return self.head(self.dropout(self.hidden(inputs), training=training))


class UnseededNoise(keras.layers.Layer):
    """Random by TensorFlow's counter and by Keras' global one."""

    def call(self, inputs: Any) -> Any:
        shape = tf.shape(inputs)
        return inputs + 0.1 * tf.random.normal(shape) + 0.1 * keras.random.normal(shape)


def noisy() -> Any:
    return keras.Sequential([keras.Input((FEATURES,)), UnseededNoise(), keras.layers.Dense(CLASSES, "softmax")])


@pytest.mark.parametrize("build", [mlp, cnn, functional, unbuilt_sequential, Subclassed, noisy])
def test_a_training_after_it_gives_the_same_weights_and_history(build: Callable[[], Any]) -> None:
    def train(callbacks: Callbacks, looks: bool) -> Trained:
        model = compiled(build())
        if looks:
            preflight(model, X, Y, batch_size=8)
        return fitted(model, callbacks, epochs=1)

    assert differences(state(lambda c: train(c, True), []), state(lambda c: train(c, False), [])) == []


def test_a_training_in_eager_mode_after_it_is_the_same() -> None:
    def train(callbacks: Callbacks, looks: bool) -> Trained:
        model = compiled(Subclassed(), run_eagerly=True)
        if looks:
            preflight(model, X, Y, batch_size=8)
        return fitted(model, callbacks, epochs=1)

    assert differences(state(lambda c: train(c, True), []), state(lambda c: train(c, False), [])) == []


def test_a_shuffled_dataset_is_trained_on_in_the_same_order_after_it() -> None:
    def train(callbacks: Callbacks, looks: bool) -> Trained:
        model = compiled(mlp())
        data = tf.data.Dataset.from_tensor_slices((X, Y)).cache().shuffle(SHUFFLED).batch(8)
        if looks:
            preflight(model, data)
        return fitted(model, callbacks, data, None, batch_size=None)

    assert differences(state(lambda c: train(c, True), []), state(lambda c: train(c, False), [])) == []


SHUFFLED = 100


def test_nothing_of_a_trained_model_is_other_than_before() -> None:
    model = compiled(cnn())
    model.fit(X, Y, verbose=0)
    held = {name: id(value) for name, value in vars(model).items()}
    values = {v.path: np.asarray(v).tobytes() for v in [*model.variables, *model.metrics_variables]}
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    drawn = random.getstate(), np.random.get_state()[1].tobytes()  # noqa: NPY002
    function = model.train_function
    preflight(model, X, Y)
    assert {v.path: np.asarray(v).tobytes() for v in [*model.variables, *model.metrics_variables]} == values
    assert {name: id(value) for name, value in vars(model).items()} == held
    assert model.train_function is function
    assert (random.getstate(), np.random.get_state()[1].tobytes()) == drawn  # noqa: NPY002
    for layer in model.layers:
        assert "call" not in vars(layer)


def test_a_finding_about_symmetry_changes_nothing_either() -> None:
    def train(callbacks: Callbacks, looks: bool) -> Trained:
        layers = [keras.Input((FEATURES,)), keras.layers.Dense(8, "tanh", kernel_initializer="zeros")]
        model = compiled(keras.Sequential([*layers, keras.layers.Dropout(0.3), keras.layers.Dense(CLASSES, "softmax")]))
        if looks:
            preflight(model, X, Y, batch_size=8)
        return fitted(model, callbacks, epochs=1)

    assert differences(state(lambda c: train(c, True), []), state(lambda c: train(c, False), [])) == []


# ---- Kinds of data


class Batches(keras.utils.PyDataset):
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return X.astype("float64"), Y


def generated() -> Iterator[tuple[Any, Any]]:
    yield X, Y


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(lambda: (X, Y, np.ones(len(X))), id="arrays"),
        pytest.param(lambda: (tf.constant(X), tf.constant(Y)), id="tensors"),
        pytest.param(lambda: (tf.data.Dataset.from_tensor_slices((X, Y)).batch(16),), id="dataset"),
        pytest.param(lambda: (tf.data.Dataset.from_generator(
            generated, output_signature=(tf.TensorSpec((None, FEATURES)), tf.TensorSpec((None,), tf.int64)),
        ),), id="dataset of a generator"),
        pytest.param(lambda: (Batches(),), id="PyDataset"),
        pytest.param(lambda: (generated(),), id="generator"),
    ],
)  # fmt: skip
def test_every_kind_of_data_is_taken(data: Callable[[], tuple[Any, ...]]) -> None:
    model = compiled(keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(CLASSES, "softmax")]))
    found = preflight(model, *data())
    assert found.ok, str(found)


def several() -> Any:
    a, b = keras.Input((FEATURES,), name="a"), keras.Input((4,), name="b")
    hidden = keras.layers.Dense(8, activation="relu")(keras.layers.Concatenate()([a, b]))
    ends = {
        "kind": keras.layers.Dense(CLASSES, activation="softmax", name="kind")(hidden),
        "size": keras.layers.Dense(1, name="size")(hidden),
    }
    model = keras.Model({"a": a, "b": b}, ends)
    model.compile("adam", {"kind": "sparse_categorical_crossentropy", "size": "mse"})
    return model


def test_several_inputs_and_outputs_are_told_apart() -> None:
    x = {"a": X, "b": 200 + 100 * X[:, :4]}
    found = preflight(several(), x, {"kind": Y, "size": X[:, :1]})
    assert [(finding.rule, finding.severity) for finding in found.findings] == [("input_scale", "medium")]
    assert "'b'" in found.findings[0].message
    found = preflight(several(), x | {"b": X[:, :4]}, {"kind": Y + 1, "size": X[:, :1]})
    assert [(finding.rule, finding.layer) for finding in found.findings] == [("index_out_of_range", "kind")]


# ---- The result


def test_the_result_prints_itself_and_is_false_where_something_is_wrong() -> None:
    sick = preflight(compiled(mlp()), 300 * np.abs(X), Y)
    assert isinstance(sick, Preflight)
    assert not sick
    assert [*sick.frame["rule"]] == [finding.rule for finding in sick.findings]
    assert "input_scale" in str(sick)
    code = [line for finding in sick.findings for advice in finding.advice for line in advice.code.split("\n")]
    assert all(len(line) <= 80 or line.strip() in code for line in str(sick).split("\n"))
    assert "input_scale" in sick._repr_html_()
    healthy = preflight(compiled(mlp()), X, Y)
    assert healthy
    assert str(healthy) == "No findings."


def test_the_name_is_a_function_whichever_module_was_imported_before() -> None:
    import gradscope.inspection.preflight

    assert callable(gradscope.preflight)


# ---- What cannot be looked at


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((X, Y[:-1]), "x has 40 samples and y 39"),
        ((X, Y, np.ones(3)), "sample_weight 3"),
        ((X[:0], Y[:0]), "x is empty"),
        (("data", Y), "x holds 'data', which is no array"),
        ((7, Y), "x holds 7, which is no array"),
        ((None,), "x=None holds no array"),
        ((iter([]),), "x holds"),
        (((one for one in ()),), "x is empty: it has no batch"),
        ((tf.data.Dataset.from_tensor_slices((X, Y)).take(0).batch(2),), "x is empty: it has no batch"),
        ((tf.data.Dataset.from_tensor_slices((X, Y)).batch(2), Y), "y was given beside"),
        ((Batches(), None, Y), "sample_weight was given beside a Batches"),
    ],
)
def test_data_that_cannot_be_trained_on_are_refused(arguments: tuple[Any, ...], message: str) -> None:
    model = compiled(unbuilt_sequential())
    with pytest.raises(ArgumentError, match=message):
        preflight(model, *arguments)
    assert not model.built


@pytest.mark.parametrize("size", [0, -1, 2.5, True, "all"])
def test_a_batch_size_that_is_no_number_of_samples_is_refused(size: Any) -> None:
    with pytest.raises(ArgumentError, match=f"batch_size={size!r} is no number of samples"):
        preflight(compiled(mlp()), X, Y, batch_size=size)


def test_a_model_that_is_not_compiled_is_refused() -> None:
    with pytest.raises(ModelError, match=r"not compiled\. Call model\.compile"):
        preflight(mlp(), X, Y)
    with pytest.raises(ModelError, match=r"model is a list, which is no keras\.Model"):
        preflight([mlp()], X, Y)


def test_another_backend_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ModelError, match=r"backend 'jax'.*KERAS_BACKEND=tensorflow"):
        preflight(compiled(mlp()), X, Y)


class Pair(keras.Model):
    """Its second network is met by the train step only."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = keras.layers.Dense(2), keras.layers.Dense(2)
        self.other_optimizer = keras.optimizers.SGD()

    def call(self, inputs: Any) -> Any:
        return self.first(inputs)


def test_a_model_that_cannot_be_built_ahead_is_refused_with_what_to_do() -> None:
    model = Pair()
    model.compile("sgd", "mse")
    with pytest.raises(ModelError, match=r"cannot be built ahead of the first step.*model\(x\[:1\]\)"):
        preflight(model, X, X[:, :2])


def test_targets_that_do_not_fit_the_model_are_an_error_in_words() -> None:
    model = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(5, "softmax")])
    model.compile("adam", "categorical_crossentropy")
    with pytest.raises(ModelError, match=r"cannot be built from this batch: ValueError.*Check that x and y fit"):
        preflight(model, X, keras.utils.to_categorical(Y, 4))


def test_targets_that_were_forgotten_are_asked_for() -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ArgumentError, match=r"y is missing: .* preflight\(model, x, y\)"):
        preflight(model, np.ones((8, 4), np.float32))
