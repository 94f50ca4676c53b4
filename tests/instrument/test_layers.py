"""Every layer that Keras ships with weights or an activation trains, is measured, and has the tape's gradients."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from instrument.recording import at, normal, recorded
from instrument.reference import assert_gradients, look
from keras import layers

from gradscope import reasons

BATCH = 4

SHAPES = {"vector": (8,), "sequence": (5, 4), "image": (6, 6, 3), "volume": (4, 4, 4, 2)}

LAYERS: dict[str, dict[str, Callable[[], Any]]] = {
    "vector": {
        "Activation": lambda: layers.Activation("tanh"),
        "ActivityRegularization": lambda: layers.ActivityRegularization(l2=0.1),
        "BatchNormalization": layers.BatchNormalization,
        "Dense": lambda: layers.Dense(3, activation="tanh"),
        "Dropout": lambda: layers.Dropout(0.5, seed=1),
        "ELU": layers.ELU,
        "EinsumDense": lambda: layers.EinsumDense("ab,bc->ac", 3, bias_axes="c", activation="relu"),
        "GaussianNoise": lambda: layers.GaussianNoise(0.1, seed=1),
        "GroupNormalization": lambda: layers.GroupNormalization(4),
        "Identity": layers.Identity,
        "Lambda": lambda: layers.Lambda(lambda x: keras.ops.tanh(x)),
        "LayerNormalization": layers.LayerNormalization,
        "LeakyReLU": layers.LeakyReLU,
        "Normalization": lambda: layers.Normalization(mean=0.5, variance=2.0),
        "PReLU": layers.PReLU,
        "RMSNormalization": layers.RMSNormalization,
        "ReLU": lambda: layers.ReLU(max_value=1.0),
        "Softmax": layers.Softmax,
        "SpectralNormalization": lambda: layers.SpectralNormalization(layers.Dense(3)),
        "UnitNormalization": layers.UnitNormalization,
    },
    "sequence": {
        "AdditiveAttention": lambda: Twice(layers.AdditiveAttention()),
        "Attention": lambda: Twice(layers.Attention(use_scale=True)),
        "Bidirectional": lambda: layers.Bidirectional(layers.LSTM(2)),
        "Conv1D": lambda: layers.Conv1D(3, 2, activation="relu"),
        "Conv1DTranspose": lambda: layers.Conv1DTranspose(3, 2, activation="tanh"),
        "DepthwiseConv1D": lambda: layers.DepthwiseConv1D(2, activation="elu"),
        "GRU": lambda: layers.GRU(2, return_sequences=True),
        "GroupQueryAttention": lambda: Twice(layers.GroupQueryAttention(2, 2, 1)),
        "LSTM": lambda: layers.LSTM(2),
        "MultiHeadAttention": lambda: Twice(layers.MultiHeadAttention(2, 2)),
        "RNN": lambda: layers.RNN(layers.StackedRNNCells([layers.GRUCell(2), layers.LSTMCell(2)])),
        "SeparableConv1D": lambda: layers.SeparableConv1D(3, 2, activation="relu"),
        "SimpleRNN": lambda: layers.SimpleRNN(2),
        "TimeDistributed": lambda: layers.TimeDistributed(layers.Dense(3, activation="tanh")),
    },
    "image": {
        "Conv2D": lambda: layers.Conv2D(3, 2, activation="relu"),
        "Conv2DTranspose": lambda: layers.Conv2DTranspose(3, 2, activation="gelu"),
        "ConvLSTM1D": lambda: layers.ConvLSTM1D(2, 2),
        "DepthwiseConv2D": lambda: layers.DepthwiseConv2D(2, activation="relu"),
        "SeparableConv2D": lambda: layers.SeparableConv2D(3, 2, activation="tanh"),
    },
    "volume": {
        "Conv3D": lambda: layers.Conv3D(3, 2, activation="relu"),
        "Conv3DTranspose": lambda: layers.Conv3DTranspose(3, 2),
        "ConvLSTM2D": lambda: layers.ConvLSTM2D(2, 2),
    },
    "tokens": {
        "Embedding": lambda: layers.Embedding(10, 3),
        "ReversibleEmbedding": lambda: layers.ReversibleEmbedding(10, 3),
    },
    "film": {"ConvLSTM3D": lambda: layers.ConvLSTM3D(2, 2)},
}

# Of these nothing is applied or trained on its own: parts, wrappers of other frameworks, and text.
APART = {
    "Layer", "InputLayer", "InputSpec", "Wrapper", "GRUCell", "LSTMCell", "SimpleRNNCell", "StackedRNNCells",
    "FlaxLayer", "JaxLayer", "TFSMLayer", "TorchModuleWrapper", "Masking",
}  # fmt: skip
WITHOUT_WEIGHTS = (
    "keras.src.layers.merging",
    "keras.src.layers.pooling",
    "keras.src.layers.preprocessing",
    "keras.src.layers.regularization",
    "keras.src.layers.reshaping",
)


class Twice(layers.Layer):
    """Gives a layer its input as query, as value and as key."""

    def __init__(self, layer: Any) -> None:
        super().__init__(name=f"twice_{layer.name}")
        self.layer = layer

    def call(self, inputs: Any) -> Any:
        if isinstance(self.layer, (layers.Attention, layers.AdditiveAttention)):
            return self.layer([inputs, inputs])
        return self.layer(inputs, inputs)


def test_every_layer_of_keras_is_in_the_table() -> None:
    listed = {getattr(layers, name) for name in [*APART, *(name for makers in LAYERS.values() for name in makers)]}
    classes = {value for value in vars(layers).values() if inspect.isclass(value)}
    new = {cls for cls in classes - listed if not cls.__module__.startswith(WITHOUT_WEIGHTS)}
    assert new == set()


def data(kind: str) -> Any:
    if kind == "tokens":
        return np.random.default_rng(0).integers(0, 4, (BATCH, 5))
    return normal(BATCH, *{**SHAPES, "film": (2, 3, 3, 3, 2)}[kind])


@pytest.mark.parametrize("kind", LAYERS)
def test_every_layer_is_measured_and_every_gradient_is_that_of_the_tape(kind: str) -> None:
    x, y = data(kind), normal(BATCH, 1, seed=1)
    inputs = keras.Input(x.shape[1:], dtype=x.dtype.name)
    made = {name: make() for name, make in LAYERS[kind].items()}
    branches = [layers.Flatten()(layer(inputs)) for layer in made.values()]
    joined = layers.Concatenate()(branches) if len(branches) > 1 else branches[0]
    model = keras.Model(inputs, layers.Dense(1, name="head")(joined))
    model.compile("sgd", "mse")
    step = look(model, x, y)
    run = recorded(model, x, y)
    np.testing.assert_allclose(run.steps["loss"][0], step.loss, rtol=1e-5)
    assert_gradients(at(run.gradients), step)
    assert len(step.gradients) > 2
    assert all(gradient is not None for gradient in step.gradients.values())
    sites = at(run.activations)
    numbers = sites[["mean", "std", "sample_std", "rms", "abs_max", "zero_fraction", "nonfinite_count"]]
    assert np.isfinite(numbers).all(axis=None), sites[numbers.isna().any(axis=1)]
    measured = [*sites["site"].astype(str), *(missed.name for missed in run.not_measured)]
    applied = [layer for layer in run.network.layers if any(v.layer == layer.key for v in run.network.variables)]
    missing = [layer.key for layer in applied if not any(name.startswith(layer.key) for name in measured)]
    assert missing == []


def test_a_recurrent_layer_without_gates_is_not_said_to_have_any() -> None:
    model = keras.Sequential([keras.Input((5, 4)), layers.SimpleRNN(3), layers.Dense(1)])
    model.compile("sgd", "mse")
    run = recorded(model, normal(BATCH, 5, 4), normal(BATCH, 1))
    assert [(missed.name, missed.reason) for missed in run.not_measured] == [("simple_rnn (cell)", reasons.CELL)]


def test_gates_and_the_softmax_of_attention_are_named_with_the_reason() -> None:
    inputs = keras.Input((5, 4))
    attended = layers.MultiHeadAttention(2, 2)(inputs, inputs)
    outputs = layers.Dense(1)(layers.Bidirectional(layers.GRU(2))(layers.LSTM(3, return_sequences=True)(attended)))
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "mse")
    run = recorded(model, normal(BATCH, 5, 4), normal(BATCH, 1))
    missed = {missed.name: missed.reason for missed in run.not_measured}
    assert missed == {
        "multi_head_attention (softmax)": reasons.ATTENTION,
        "lstm (gates)": reasons.GATES,
        "bidirectional/forward_gru (gates)": reasons.GATES,
        "bidirectional/backward_gru (gates)": reasons.GATES,
    }
    assert set(at(run.activations)["site"]) == {
        *(f"multi_head_attention/{part}" for part in ("query", "key", "value", "attention_output")),
        "lstm",
        "bidirectional/forward_gru",
        "bidirectional/backward_gru",
        "dense",
    }


def test_an_embedding_is_judged_by_the_rows_that_the_batch_touched_repeated_ones_added_up() -> None:
    tokens = np.array([[1, 2, 1], [2, 2, 5]])
    model = keras.Sequential(
        [keras.Input((3,), dtype="int32"), layers.Embedding(50, 4), layers.Flatten(), layers.Dense(1)]
    )
    model.compile("sgd", "mse")
    y = normal(2, 1)
    step = look(model, tokens, y)
    run = recorded(model, tokens, y)
    assert_gradients(at(run.gradients), step)
    (row,) = [row for _, row in at(run.gradients).iterrows() if row["role"] == "embedding"]
    touched = step.gradients[row["variable"]][[1, 2, 5]]
    np.testing.assert_allclose(row["norm"], np.sqrt(np.square(touched).sum()), rtol=1e-5)
    np.testing.assert_allclose(row["rms"], np.sqrt(np.square(touched).mean()), rtol=1e-5)
    np.testing.assert_allclose(row["abs_max"], np.abs(touched).max(), rtol=1e-5)
    assert row["zero_fraction"] == 0
    assert math.isnan(row["sign_agreement"])
