"""Branches, nested and shared layers, subclasses, several inputs and outputs, weights and masks."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from instrument.recording import at, normal, recorded, site
from instrument.reference import Application, assert_gradients, assert_row, look, site_row
from keras import layers

BATCH = 8
RELU = {"limits": (0.0, math.inf), "flat_below": 0.0}
TANH = {"limits": (-2.17887, 2.17887)}
LINEAR = {"limits": (-math.inf, math.inf)}


def branching(name: str | None = None) -> Any:
    """Two branches, of which one goes through a nested model, and a layer that is called twice."""
    inputs = keras.Input((6,))
    shared = layers.Dense(6, activation="tanh")
    left = shared(shared(inputs))
    inner = keras.Sequential([keras.Input((6,)), layers.Dense(5, activation="relu"), layers.Dense(4)], name=name)
    right = inner(inputs)
    return keras.Model(inputs, layers.Dense(1)(layers.Concatenate()([layers.Dense(4)(left), right])))


def test_branches_nested_models_and_shared_layers_each_have_their_sites() -> None:
    branching()  # so that Keras' own numbers do not begin at 0
    model = branching("inner")
    model.compile("sgd", "mse")
    x, y = normal(BATCH, 6), normal(BATCH, 1, seed=1)
    inner = model.get_layer("inner")
    shared, plain, head = (layer for layer in model.layers if isinstance(layer, layers.Dense))
    spies = {"shared": shared, "inner": inner.layers[0], "out": inner.layers[1], "plain": plain, "head": head}
    step = look(model, x, y, spies=spies)
    run = recorded(model, x, y)
    assert_gradients(at(run.gradients), step)
    first, second = step.sites["shared"]
    for key, application, kind in (
        ("dense", first, TANH),
        ("dense:1", second, TANH),
        ("inner/dense", step.sites["inner"][0], RELU),
        ("inner/dense_1", step.sites["out"][0], LINEAR),
        ("dense_1", step.sites["plain"][0], LINEAR),
        ("dense_2", step.sites["head"][0], LINEAR),
    ):
        assert_row(site(run, key), site_row(application, samples=BATCH, **kind))
    assert len(at(run.activations)) == 6
    assert {found.layer for found in run.network.sites if found.key == "dense:1"} == {"dense"}
    assert [found.key for found in run.network.sites if found.is_output] == ["dense_2"]


class Block(layers.Layer):
    """A user's own layer, with layers inside and an activation of its own under another name."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.inside = layers.Dense(units, activation="relu")
        self.norm = layers.LayerNormalization()
        self.act_fn = keras.ops.tanh
        self.extractor = layers.Dense(units)

    def call(self, inputs: Any) -> Any:
        return self.act_fn(self.extractor(self.norm(self.inside(inputs))))


class Subclass(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = [Block(5), Block(5)]
        self.head = layers.Dense(1)

    def call(self, inputs: Any) -> Any:
        for block in self.blocks:
            inputs = block(inputs)
        return self.head(inputs)


def test_a_subclassed_model_of_own_layers_is_measured_down_to_the_last_layer() -> None:
    model = Subclass()
    model.compile("sgd", "mse")
    x, y = normal(BATCH, 6), normal(BATCH, 1, seed=1)
    model(x)
    spies = {f"{number}": block.inside for number, block in enumerate(model.blocks)}
    step = look(model, x, y, spies=spies)
    run = recorded(model, x, y)
    assert_gradients(at(run.gradients), step)
    sites = {found.key: found.activation for found in run.network.sites}
    assert sites == {
        **{f"block{n}/dense": "relu" for n in ("", "_1")},
        **{f"block{n}/layer_normalization": "linear" for n in ("", "_1")},
        **{f"block{n}/dense_1": "linear" for n in ("", "_1")},
        **{f"block{n}/tanh": "tanh" for n in ("", "_1")},
        "dense": "linear",
    }
    assert_row(site(run, "block_1/dense"), site_row(step.sites["1"][0], samples=BATCH, **RELU))
    before, after = site(run, "block/dense_1"), site(run, "block/tanh")
    np.testing.assert_allclose([after["pre_mean"], after["pre_std"]], [before["mean"], before["std"]], rtol=1e-6)


def test_several_inputs_and_outputs_as_dicts_with_sample_weights() -> None:
    left, right = keras.Input((4,), name="left"), keras.Input((3,), name="right")
    joined = layers.Concatenate()([layers.Dense(4, activation="relu")(left), layers.Dense(4, activation="tanh")(right)])
    outputs = {
        "value": layers.Dense(1, name="value")(joined),
        "kind": layers.Dense(3, activation="softmax", name="kind")(joined),
    }
    model = keras.Model({"left": left, "right": right}, outputs)
    model.compile(
        "sgd", {"value": "mse", "kind": "sparse_categorical_crossentropy"}, loss_weights={"value": 3.0, "kind": 1.0}
    )
    x = {"left": normal(BATCH, 4), "right": normal(BATCH, 3, seed=1)}
    y = {"value": normal(BATCH, 1, seed=2), "kind": np.arange(BATCH) % 3}
    weights = {"value": np.arange(BATCH, dtype=np.float32), "kind": np.ones(BATCH, np.float32)}
    step = look(model, x, y, weights)
    run = recorded(model, x, y, sample_weight=weights)
    np.testing.assert_allclose(run.steps["loss"][0], step.loss, rtol=1e-5)
    assert_gradients(at(run.gradients), step)
    assert [found.is_output for found in run.network.sites] == [False, False, True, True]
    assert run.steps["samples"][0] == BATCH


def test_class_weights_count_in_loss_and_gradients() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    x, y = normal(BATCH, 4), np.arange(BATCH) % 3
    step = look(model, x, y, np.array([1.0, 5.0, 0.25], np.float32)[y])
    run = recorded(model, x, y, class_weight={0: 1.0, 1: 5.0, 2: 0.25})
    np.testing.assert_allclose(run.steps["loss"][0], step.loss, rtol=1e-5)
    assert_gradients(at(run.gradients), step)


def test_masked_positions_never_count() -> None:
    tokens = np.random.default_rng(0).integers(1, 9, (BATCH, 5))
    tokens[:, 3:] = 0
    tokens[0, 1:] = 0
    inputs = keras.Input((5,), dtype="int32")
    embedded = layers.Embedding(10, 4, mask_zero=True)(inputs)
    dense = layers.Dense(3, activation="tanh")
    repeated = layers.TimeDistributed(layers.Dense(3, activation="relu"))
    joined = layers.Concatenate()([dense(embedded), repeated(embedded)])
    model = keras.Model(inputs, layers.Dense(1)(layers.LSTM(3)(joined)))
    model.compile("sgd", "mse")
    y = normal(BATCH, 1)
    spies = {"embedding": model.layers[1], "dense": dense, "repeated": repeated.layer}
    step = look(model, tokens, y, spies=spies)
    run = recorded(model, tokens, y)
    assert_gradients(at(run.gradients), step)
    steps = step.sites["repeated"]  # one a time step
    over_time = Application(*(np.stack([getattr(s, part) for s in steps], axis=1) for part in ("z", "a", "dz")))
    for key, application, kind in (
        ("embedding", step.sites["embedding"][0], LINEAR),
        ("dense", step.sites["dense"][0], TANH),
        ("time_distributed/dense", over_time, RELU),
    ):
        assert_row(site(run, key), site_row(application, samples=BATCH, mask=tokens != 0, **kind))


def test_a_frozen_layer_has_a_site_but_no_gradient() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(5, activation="relu", trainable=False), layers.Dense(1)])
    model.compile("sgd", "mse")
    x, y = normal(BATCH, 4), normal(BATCH, 1)
    step = look(model, x, y, spies={"dense": model.layers[0]})
    run = recorded(model, x, y)
    assert set(run.gradients["layer"]) == {"dense_1"}
    assert_gradients(at(run.gradients), step)
    assert_row(site(run, "dense"), site_row(step.sites["dense"][0], samples=BATCH, **RELU))
