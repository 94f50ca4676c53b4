"""Attention: encoders, masks, embeddings of which few rows are used, and softmaxes that become sure."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from zoo.case import Case, Training
from zoo.data import digits, waves, written_lines
from zoo.healthy.tasks import classify, decide, predict

L: Any = keras.layers


class Positions(keras.layers.Layer):
    """Adds one learnt vector for each position."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        self.vectors = self.add_weight(shape=input_shape[1:], initializer="random_normal", name="vectors")

    def call(self, x: Any) -> Any:
        return x + self.vectors


def _block(x: Any, width: int, attend: Any, activation: str = "gelu") -> Any:
    """One pre-normalised block of an encoder."""
    x = L.Add()([x, attend(L.LayerNormalization()(x))])
    inner = L.Dense(2 * width, activation)(L.LayerNormalization()(x))
    return L.Add()([x, L.Dense(width)(inner)])


def _text_encoder() -> Training:
    x, y = written_lines(length=24, count=1000)
    inputs = keras.Input((24,))
    h = Positions()(L.Embedding(128, 16, mask_zero=True)(inputs))
    for _ in range(2):
        attention = L.MultiHeadAttention(2, 8, dropout=0.1)
        h = _block(h, 16, lambda z, attention=attention: attention(z, z))
    outputs = L.Dense(1, "sigmoid")(L.GlobalAveragePooling1D()(L.LayerNormalization()(h)))
    return decide(keras.Model(inputs, outputs), (x, y), optimizer=keras.optimizers.Adam(4e-3), epochs=8)


def _image_encoder() -> Training:
    """Rows of a digit as words."""
    inputs = keras.Input((64,))
    h = Positions()(L.Dense(24)(L.Reshape((8, 8))(inputs)))
    for _ in range(2):
        attention = L.MultiHeadAttention(3, 8)
        h = _block(h, 24, lambda z, attention=attention: attention(z, z), "relu")
    outputs = L.Dense(10, "softmax")(L.Flatten()(L.LayerNormalization()(h)))
    return classify(keras.Model(inputs, outputs), optimizer=keras.optimizers.AdamW(3e-3), epochs=5)


def _causal() -> Training:
    """Predict each next value of a sine from those before; a constant reaches 0.5."""
    x, last = waves(count=500, length=16)
    y = np.concatenate([x[:, 1:], last[:, None]], axis=1)
    inputs = keras.Input((16, 1))
    h = Positions()(L.Dense(16)(inputs))
    for _ in range(2):
        attention = L.MultiHeadAttention(2, 8)
        h = _block(h, 16, lambda z, attention=attention: attention(z, z, use_causal_mask=True))
    return predict(keras.Model(inputs, L.Dense(1)(h)), (x, y), optimizer=keras.optimizers.Adam(5e-3), epochs=12)


def _grouped_queries() -> Training:
    """RMS-normalised, grouped queries, SiLU."""
    inputs = keras.Input((64,))
    h = L.Dense(16)(L.Reshape((16, 4))(inputs))
    h = Positions()(h)
    normalised = L.RMSNormalization()(h)
    h = h + L.GroupQueryAttention(head_dim=8, num_query_heads=4, num_key_value_heads=2)(normalised, normalised)
    h = h + L.Dense(16)(L.Dense(32, "silu")(L.RMSNormalization()(h)))
    return classify(keras.Model(inputs, L.Dense(10, "softmax")(L.Flatten()(h))), epochs=6)


def _pooled_by_attention() -> Training:
    """A learnt query picks from a line, with the padding masked by hand."""
    x, y = written_lines(length=40, count=1000)
    inputs = keras.Input((40,), dtype="int32")
    h = L.Embedding(128, 16)(inputs)
    scores = L.Dense(1)(L.Dense(16, "tanh")(h))[..., 0]
    weights = L.Softmax()(scores, mask=keras.ops.not_equal(inputs, 0))
    pooled = keras.ops.sum(h * weights[..., None], axis=1)
    model = keras.Model(inputs, L.Dense(1, "sigmoid")(L.Dense(16, "relu")(pooled)))
    return decide(model, (x, y), optimizer=keras.optimizers.Adam(2e-2), epochs=20)


def _mean_of_embeddings() -> Training:
    x, y = written_lines()
    model = keras.Sequential(
        [
            keras.Input((60,)),
            L.Embedding(4096, 16, mask_zero=True),
            L.GlobalAveragePooling1D(),
            L.Dense(24, "tanh"),
            L.Dense(1, "sigmoid"),
        ]
    )
    return decide(model, (x, y), optimizer=keras.optimizers.Adam(2e-2), epochs=20)


def _table_of_pairs() -> Training:
    """Matrix factorisation: a row of the embedding changes only when its number comes up; a constant reaches 1.0."""
    rng = np.random.default_rng(0)
    rows, columns = rng.normal(size=(60, 4)), rng.normal(size=(40, 4))
    table = rows @ columns.T / 2
    pairs = np.stack([rng.integers(0, 60, 4000), rng.integers(0, 40, 4000)], 1)
    inputs = keras.Input((2,), dtype="int32")
    left, right = L.Embedding(60, 8)(inputs[:, 0]), L.Embedding(40, 8)(inputs[:, 1])
    model = keras.Model(inputs, L.Dot(axes=1)([left, right]))
    y = table[pairs[:, 0], pairs[:, 1]][:, None].astype(np.float32)
    return predict(model, (pairs, y), optimizer=keras.optimizers.Adam(2e-2), epochs=10, batch_size=128)


def _memory() -> Training:
    """Dot-product attention over the training set's class means, scaled: a softmax that becomes one-hot."""
    x, y = digits()
    means = np.stack([x[y == each].mean(0) for each in range(10)])
    inputs = keras.Input((64,))
    query = L.Dense(16)(inputs)[:, None]
    keys = L.Dense(16)(keras.ops.convert_to_tensor(means[None])) + keras.ops.zeros_like(query)
    found = L.Attention(use_scale=True)([query, keys])
    model = keras.Model(inputs, L.Dense(10, "softmax")(L.Flatten()(found)))
    return classify(model, optimizer=keras.optimizers.Adam(1e-2), epochs=6)


_KEYS = "biases of keys have no gradient at all, and gradients of queries and keys begin at 1e-6 of the largest"
_ROWS = (
    "rows of embeddings that a batch does not use have zero gradients: AUTOTRAINER counts >= 70 % zeros as dying ReLU"
)
CASES: tuple[Case, ...] = (
    Case("transformer_text", "transformer", _KEYS, _text_encoder, learns=0.35),
    Case("transformer_rows_of_images", "transformer", _KEYS, _image_encoder, learns=0.4),
    Case("transformer_causal", "transformer", _KEYS, _causal, learns=0.2),
    Case("transformer_grouped_queries", "transformer", _KEYS, _grouped_queries, learns=0.5),
    Case(
        "attention_pooling",
        "attention",
        "padding is masked, most attention weights are nearly zero",
        _pooled_by_attention,
        learns=0.4,
    ),
    Case("attention_memory", "attention", "a softmax inside the network that becomes one-hot", _memory, learns=1.0),
    Case("embedding_mean", "embedding", _ROWS, _mean_of_embeddings, learns=0.46),
    Case("embedding_factorisation", "embedding", _ROWS, _table_of_pairs, learns=0.2),
)
