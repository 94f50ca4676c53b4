"""Cases in which some layers stay as they were drawn while the others learn, by what holds them back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo.case import Case, Training
from zoo.data import digit_images, digits, friedman, lines_of_text
from zoo.sick.nets import CLASSES, SPARSE, stack, training

Branch = Callable[[Any], Any]

AND_SO = frozenset(
    {"blocked_gradient", "unchanged_weights", "vanishing_activation", "vanishing_gradient", "slow_convergence"}
    | {"not_converging", "update_ratio", "poor_initialisation", "identical_units", "collapsed_output"}
)


def _beside(branch: Branch, **compiled: Any) -> Callable[[], Training]:
    """Train a layer ``main`` that learns the digits, and beside it a branch that adds what it can."""

    def build() -> Training:
        inputs = keras.Input((64,))
        main = keras.layers.Dense(24, activation="relu", name="main")(inputs)
        joined = keras.layers.Concatenate()([main, branch(inputs)])
        model = keras.Model(inputs, keras.layers.Dense(CLASSES, activation="softmax", name="head")(joined))
        return training(model, compiled.get("optimizer") or keras.optimizers.SGD(0.2), SPARSE, digits(), epochs=5)

    return build


def _one_value_into(layer: Callable[[], Any]) -> Branch:
    def branch(inputs: Any) -> Any:
        hidden = keras.layers.Dense(12, activation="tanh", name="wide")(inputs)
        return layer()(keras.layers.Dense(1, name="narrow")(hidden))

    return branch


def _one_pixel_into(layer: Callable[[], Any]) -> Branch:
    """Normalise the channels of maps that have a single one."""

    def branch(inputs: Any) -> Any:
        images = keras.layers.Reshape((8, 8, 1))(inputs)
        hidden = keras.layers.Conv2D(4, 3, activation="tanh", name="wide")(images)
        return keras.layers.Flatten()(layer()(keras.layers.Conv2D(1, 3, name="narrow")(hidden)))

    return branch


def _one_key(attention: Callable[[], Any]) -> Branch:
    """Attend to a sequence that was reshaped to a single step."""

    def branch(inputs: Any) -> Any:
        step = keras.layers.Reshape((1, 64))(inputs)
        return keras.layers.Flatten()(attention()(step, step))

    return branch


def _hand_made_attention(inputs: Any) -> Any:
    """Take the softmax of one score a step over the axis of that score instead of over the steps."""
    rows = keras.layers.Reshape((8, 8))(inputs)
    score = keras.layers.Dense(1, name="score")(keras.layers.Dense(8, activation="tanh", name="keys")(rows))
    weights = keras.ops.exp(score) / keras.ops.sum(keras.ops.exp(score), axis=-1, keepdims=True)
    return keras.ops.sum(weights * rows, axis=1)


def _zero_behind_zero(activation: str) -> Branch:
    """Two kernels in a row that begin at zero: each waits for the other."""

    def branch(inputs: Any) -> Any:
        hidden = keras.layers.Dense(4, activation=activation, kernel_initializer="zeros", name="down")(inputs)
        return keras.layers.Dense(12, kernel_initializer="zeros", name="up")(hidden)

    return branch


def _zero_convolutions(inputs: Any) -> Any:
    zero = {"kernel_initializer": "zeros", "padding": "same"}
    images = keras.layers.Reshape((8, 8, 1))(inputs)
    hidden = keras.layers.Conv2D(4, 3, name="first", activation="tanh", **zero)(images)
    return keras.layers.Flatten()(keras.layers.Conv2D(2, 3, name="second", **zero)(hidden))


def _step(function: Callable[[Any], Any]) -> Branch:
    def branch(inputs: Any) -> Any:
        return function(3 * keras.layers.Dense(12, activation="tanh", name="behind")(inputs))

    return branch


STEPS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "floor": ("rounding", keras.ops.floor),
    "ceil": ("rounding", keras.ops.ceil),
    "trunc": ("rounding", keras.ops.trunc),
    "heaviside": ("steps", lambda z: keras.ops.heaviside(z, np.float32(0.5))),
    "comparison": ("steps", lambda z: keras.ops.cast(keras.ops.greater(z, 0), "float32")),
    "whole numbers": ("casts", lambda z: keras.ops.cast(keras.ops.cast(z, "int32"), "float32")),
    "buckets": ("casts", lambda z: keras.ops.cast(keras.ops.digitize(z, np.array([-1.0, 0.0, 1.0])), "float32")),
    "stop_gradient": ("stopped", keras.ops.stop_gradient),
}


def _flat_in_front(function: str, bias: float) -> Branch:
    """Units that begin beyond where their function ends."""

    def branch(inputs: Any) -> Any:
        hidden = keras.layers.Dense(12, activation="tanh", name="behind")(inputs)
        far = keras.initializers.Constant(bias)
        return keras.layers.Dense(8, activation=function, bias_initializer=far, name="flat")(hidden)

    return branch


class Scales(keras.layers.Layer):
    """Maps by weights that it holds where Keras does not look."""

    def __init__(self, hold: Callable[[Any], Any], **keywords: Any) -> None:
        super().__init__(**keywords)
        self._hold = hold

    def build(self, shape: Any) -> None:
        drawn = keras.random.normal((int(shape[-1]), 12), stddev=0.2)
        self.held = self._hold(tf.Variable(drawn))
        self.built = True

    def call(self, inputs: Any) -> Any:
        held = self.held["kernel"] if isinstance(self.held, dict) else self.held
        return keras.ops.tanh(inputs @ (held[0] if isinstance(held, (list, tuple)) else held))


def _untracked(hold: Callable[[Any], Any]) -> Branch:
    return lambda inputs: Scales(hold, name="scales")(inputs)


def _closed_over(inputs: Any) -> Any:
    kernel = tf.Variable(keras.random.normal((64, 12), stddev=0.2))
    return keras.layers.Lambda(lambda z: keras.ops.tanh(z @ kernel), output_shape=(12,), name="scales")(inputs)


def _output_without_loss() -> Training:
    x, y = digits()
    inputs = keras.Input((64,))
    hidden = keras.layers.Dense(24, activation="relu", name="main")(inputs)
    other = keras.layers.Dense(8, activation="tanh", name="other")(inputs)
    answers = {
        "digit": keras.layers.Dense(CLASSES, activation="softmax", name="digit")(hidden),
        "even": keras.layers.Dense(1, activation="sigmoid", name="even")(other),
    }
    return training(keras.Model(inputs, answers), "adam", {"digit": SPARSE, "even": None}, (x, {"digit": y}), epochs=4)


def _weight_of_zero() -> Training:
    x, y = digits()
    inputs = keras.Input((64,))
    hidden = keras.layers.Dense(24, activation="relu", name="main")(inputs)
    other = keras.layers.Dense(8, activation="tanh", name="other")(inputs)
    answers = {
        "digit": keras.layers.Dense(CLASSES, activation="softmax", name="digit")(hidden),
        "even": keras.layers.Dense(1, activation="sigmoid", name="even")(other),
    }
    model = keras.Model(inputs, answers)
    model.compile("adam", {"digit": SPARSE, "even": "binary_crossentropy"}, loss_weights={"digit": 1.0, "even": 0.0})
    even = (y % 2 == 0).astype("float32")[:, None]
    return Training(model, {"x": x, "y": {"digit": y, "even": even}, "epochs": 4, "batch_size": 64})


def _masked_away(inputs: Any) -> Any:
    """A branch whose gate was left at zero, as for a run without it."""
    return 0.0 * keras.layers.Dense(12, activation="tanh", name="behind")(inputs)


def _frozen(freeze: Callable[[Any], None]) -> Callable[[], Training]:
    """Freeze before `compile` what was never trained."""

    def build() -> Training:
        model = stack(
            (8, 8, 1),
            keras.layers.Conv2D(8, 3, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dense(CLASSES, activation="softmax"),
        )
        freeze(model)
        return training(model, "adam", SPARSE, digit_images(), epochs=4)

    return build


def _whole(model: Any) -> None:
    model.trainable = False


def _each_layer(model: Any) -> None:
    for layer in model.layers:
        layer.trainable = False


def _empty() -> Training:
    x, y = friedman()
    model = stack((10,), keras.layers.Rescaling(2.0), keras.layers.Lambda(lambda z: z[:, :1], output_shape=(1,)))
    return training(model, "adam", "mse", (x, y), epochs=4)


def _empty_of_text() -> Training:
    x, y = lines_of_text(length=20)
    model = keras.Sequential(
        [
            keras.Input((20,), dtype="int32"),
            keras.layers.CategoryEncoding(128, output_mode="count"),
            keras.layers.Lambda(lambda z: keras.ops.sigmoid(z[:, 32:33]), output_shape=(1,)),
        ]
    )
    return training(model, "adam", "binary_crossentropy", (x[:640], y[:640, None].astype("float32")), epochs=4)


def _case(name: str, family: str, why: str, build: Callable[[], Training], rule: str, *layers: str) -> Case:
    return Case(name, family, why, build, {rule: layers}, AND_SO)


OVER_ONE = (
    "keras-team/keras issue 4962 and its kin: what is taken over an axis of one value leaves nothing of it; here "
)
IN_FRONT = ("wide", "narrow")
CASES = (
    *(
        _case(
            f"{layer.__name__.lower()} over one value", family, OVER_ONE + layer.__name__,
            _beside(_one_value_into(lambda layer=layer, keywords=keywords: layer(**keywords))),
            "unchanged_weights", *IN_FRONT,
        )
        for layer, keywords, family in (
            (keras.layers.LayerNormalization, {}, "normalised over one: layers"),
            (keras.layers.UnitNormalization, {}, "normalised over one: groups"),
            (keras.layers.GroupNormalization, {"groups": 1}, "normalised over one: groups"),
            (keras.layers.Softmax, {}, "softmax over one"),
        )
    ),
    *(
        _case(
            f"{layer.__name__.lower()} over one channel", family, OVER_ONE + f"{layer.__name__} of maps",
            _beside(_one_pixel_into(layer)), "unchanged_weights", *IN_FRONT,
        )
        for layer, family in (
            (keras.layers.LayerNormalization, "normalised over one: channels"),
            (keras.layers.Softmax, "softmax over one channel"),
        )
    ),
    _case(
        "attention by hand over the wrong axis", "softmax over one", OVER_ONE + "attention written by hand",
        _beside(_hand_made_attention), "unchanged_weights", "keys", "score",
    ),
    *(
        _case(
            f"{attention.__name__.lower()} to one step", "attention to one step", OVER_ONE + attention.__name__,
            _beside(_one_key(lambda attention=attention, given=given: attention(*given, name="attention"))),
            "unchanged_weights", "attention/query", "attention/key",
        )
        for attention, given in (
            (keras.layers.MultiHeadAttention, (2, 8)),
            (keras.layers.GroupQueryAttention, (8, 4, 2)),
        )
    ),
    _case(
        "zero kernels in a row", "zero behind zero", "Hu et al., LoRA (2021), where one kernel is zero; here both",
        _beside(_zero_behind_zero("linear")), "unchanged_weights", "down", "up",
    ),
    _case(
        "zero kernels around tanh", "zero behind zero", "made for the zoo: the same with a function between",
        _beside(_zero_behind_zero("tanh")), "unchanged_weights", "down", "up",
    ),
    _case(
        "zero convolutions in a row", "zero convolutions", "made for the zoo: ControlNet's zero convolution, twice",
        _beside(_zero_convolutions), "unchanged_weights", "first", "second",
    ),
    *(
        _case(
            f"{name} beside what learns", f"no slope: {part}", f"keras-team/keras issue 5521 and its kin: {name}",
            _beside(_step(function)), "blocked_gradient", "behind",
        )
        for name, (part, function) in STEPS.items()
    ),
    *(
        Case(
            f"{function} from a bias of {bias:g}", f"flat in front: {function}", "made for the zoo: flat at birth",
            _beside(_flat_in_front(function, bias)), {"unchanged_weights": ("behind", "flat")} | symptom,
            AND_SO | {"dying_relu", "saturated_activation", "not_zero_centred"},
        )
        for function, bias, symptom in (
            ("relu", -30.0, {"dying_relu": ("flat",)}),
            ("relu6", 30.0, {}),
            ("hard_sigmoid", 30.0, {"saturated_activation": ("flat",)}),
        )
    ),
    *(
        _case(
            f"variables in {where}", family, "tf-keras issue 513: tf.Variables that Keras 3 does not track",
            _beside(branch), "unchanged_weights", "scales",
        )
        for where, family, branch in (
            ("an attribute", "untracked: attributes", _untracked(lambda v: v)),
            ("a list", "untracked: attributes", _untracked(lambda v: [v])),
            ("a dictionary", "untracked: attributes", _untracked(lambda v: {"kernel": v})),
            ("a closure", "untracked: closures", _closed_over),
        )
    ),
    _case(
        "an output without loss", "cut from the loss: outputs", "keras-team/keras issue 12521: weights left unused",
        _output_without_loss, "unchanged_weights", "other", "even",
    ),
    _case(
        "a loss weight of zero", "cut from the loss: outputs", "made for the zoo: an output that counts for nothing",
        _weight_of_zero, "unchanged_weights", "other", "even",
    ),
    _case(
        "a gate left at zero", "cut from the loss: gates", "made for the zoo: a branch multiplied by zero",
        _beside(_masked_away), "unchanged_weights", "behind",
    ),
    *(
        _case(name, family, source, build, "unchanged_weights")
        for name, family, source, build in (
            ("frozen before compile", "nothing to train: frozen", "SimGAN-Captcha issue 4: frozen", _frozen(_whole)),
            ("each layer frozen", "nothing to train: frozen", "made for the zoo: layer by layer", _frozen(_each_layer)),
            ("a model without weights", "nothing to train: empty", "made for the zoo: no layer has weights", _empty),
            ("encoding without weights", "nothing to train: empty", "made for the zoo: of text", _empty_of_text),
        )
    ),
)  # fmt: skip
