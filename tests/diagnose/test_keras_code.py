"""Code of layers and optimizers makes what they were, but for what is changed: held against Keras itself."""

import inspect
from collections.abc import Iterator
from typing import Any

import keras
import pytest

from gradscope.diagnose.keras_code import USUAL_RATES, comment, layer_code, optimizer_code, scaled_schedule
from gradscope.instrument.network_of import compiled, configuration
from gradscope.network import Compiled, Layer

SHARED = {
    "weight_decay": 0.02, "use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 7,
    "gradient_accumulation_steps": 3, "loss_scale_factor": 2.0,
}  # fmt: skip
"""Arguments of every optimizer, each unlike its default; it takes one way of clipping at a time."""

OPTIMIZERS = {
    name: found
    for name, found in vars(keras.optimizers).items()
    if inspect.isclass(found) and "learning_rate" in inspect.signature(found).parameters
}


def recorded(optimizer: Any) -> Compiled:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(optimizer, "mse")
    return compiled(model)


def arguments(optimizer: Any) -> dict[str, Any]:
    return {name: value for name, value in optimizer.get_config().items() if name != "name"}


def other_arguments(optimizer: type) -> Iterator[dict[str, Any]]:
    """Yield arguments that are not the defaults: those shared by all with each clipping, and the optimizer's own."""
    for clipping in ("clipnorm", "clipvalue", "global_clipnorm"):
        yield {**SHARED, clipping: 0.5}
    for name, parameter in inspect.signature(optimizer).parameters.items():
        default = parameter.default
        if isinstance(default, bool):
            yield {name: not default}
        elif isinstance(default, float) and name != "learning_rate" and "ema" not in name:
            yield {name: default * 0.5 or 0.5}
        elif isinstance(default, int):
            yield {name: default + 1}


def test_every_optimizer_of_keras_is_known() -> None:
    assert OPTIMIZERS.keys() == USUAL_RATES.keys()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_keeps_all_its_arguments_but_the_rate(name: str) -> None:
    for given in ({}, *other_arguments(OPTIMIZERS[name])):
        made = OPTIMIZERS[name](**given)
        code = optimizer_code(recorded(made), learning_rate=0.25)
        again = eval(code, {"keras": keras})
        assert arguments(again) == {**arguments(made), "learning_rate": 0.25}, code


def test_what_is_the_default_is_not_told() -> None:
    assert optimizer_code(recorded(keras.optimizers.Adam()), learning_rate=0.1) == (
        "keras.optimizers.Adam(learning_rate=0.1)"
    )


def test_a_loss_scale_stays_where_it_was_chosen() -> None:
    chosen = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1, momentum=0.9), initial_scale=8.0)
    again = eval(optimizer_code(recorded(chosen), learning_rate=0.25), {"keras": keras})
    assert arguments(again)["initial_scale"] == 8.0
    assert again.inner_optimizer.momentum == 0.9
    usual = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1))
    assert optimizer_code(recorded(usual), learning_rate=0.25) == "keras.optimizers.SGD(learning_rate=0.25)"


SCHEDULES = [
    keras.optimizers.schedules.CosineDecay(0.1, 100, warmup_target=0.2, warmup_steps=5),
    keras.optimizers.schedules.CosineDecayRestarts(0.1, 100),
    keras.optimizers.schedules.ExponentialDecay(0.1, 100, 0.9),
    keras.optimizers.schedules.InverseTimeDecay(0.1, 100, 0.9),
    keras.optimizers.schedules.PiecewiseConstantDecay([10, 20], [0.1, 0.2, 0.05]),
    keras.optimizers.schedules.PolynomialDecay(0.1, 100, 0.01),
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: type(schedule).__name__)
def test_a_schedule_is_scaled_as_a_whole(schedule: Any) -> None:
    known = recorded(keras.optimizers.SGD(schedule, momentum=0.9))
    code = optimizer_code(known, learning_rate=scaled_schedule(known, 0.1))
    again = eval(code, {"keras": keras})
    for step in (0, 4, 15, 50, 99):
        assert float(again._learning_rate(step)) == pytest.approx(0.1 * float(schedule(step)), rel=1e-4)


def test_an_optimizer_of_the_users_own_is_not_written() -> None:
    class Mine(keras.optimizers.SGD):
        pass

    assert optimizer_code(recorded(Mine(0.1)), learning_rate=0.25) == ""
    assert optimizer_code(Compiled(), learning_rate=0.25) == ""


def test_another_optimizer_keeps_what_every_optimizer_takes() -> None:
    known = recorded(keras.optimizers.SGD(0.1, momentum=0.9, clipnorm=2.0, weight_decay=0.01))
    code = optimizer_code(known, class_name="Adam", learning_rate=1e-3)
    assert code == "keras.optimizers.Adam(learning_rate=0.001, weight_decay=0.01, clipnorm=2.0)"


# ---- Layers

LAYERS = {
    "dense": keras.layers.Dense(7, activation="tanh", use_bias=False, kernel_regularizer="l2"),
    "a dense layer with objects": keras.layers.Dense(
        7,
        kernel_initializer=keras.initializers.RandomNormal(stddev=2.0, seed=3),
        bias_initializer="ones",
        kernel_constraint=keras.constraints.MaxNorm(3),
    ),
    "einsum": keras.layers.EinsumDense("abc,cd->abd", (None, 5), bias_axes="d"),
    "conv 1": keras.layers.Conv1D(5, 3, strides=2, padding="causal", dilation_rate=1),
    "conv 2": keras.layers.Conv2D(5, 3, padding="same", groups=1, activation="relu", kernel_initializer="he_normal"),
    "conv 3": keras.layers.Conv3D(5, (1, 2, 3), dilation_rate=2),
    "transposed": keras.layers.Conv2DTranspose(5, 3, strides=2, output_padding=1),
    "depthwise": keras.layers.DepthwiseConv2D(3, depth_multiplier=2, depthwise_initializer="he_normal"),
    "separable": keras.layers.SeparableConv1D(5, 3, pointwise_initializer="zeros"),
    "rnn": keras.layers.SimpleRNN(4, activation="relu", return_sequences=True, recurrent_initializer="he_normal"),
    "lstm": keras.layers.LSTM(4, dropout=0.2, unit_forget_bias=False, go_backwards=True),
    "gru": keras.layers.GRU(4, reset_after=False, recurrent_activation="hard_sigmoid"),
    "conv lstm": keras.layers.ConvLSTM2D(4, 3, padding="same"),
    "function": keras.layers.Activation("selu"),
    "function with a parameter": keras.layers.Activation(keras.layers.LeakyReLU(negative_slope=0.3)),
}


def described(layer: Any) -> Layer:
    name = layer.name
    return Layer(name, name, type(layer).__name__, 0, True, "float32", configuration(layer))


def plain(config: Any) -> Any:
    """Return a configuration without names, and with initialisers as Keras writes those given by name."""
    unnamed = {name: value for name, value in config.items() if name not in {"name", "quantization_config"}}
    return {name: plain(value) if isinstance(value, dict) else value for name, value in unnamed.items()}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_keeps_all_its_arguments(name: str) -> None:
    code = layer_code(described(LAYERS[name]))
    again = eval(code, {"keras": keras})
    assert plain(again.get_config()) == plain(LAYERS[name].get_config()), code


@pytest.mark.parametrize("name", [name for name in LAYERS if "function" not in name])
def test_a_change_changes_one_thing(name: str) -> None:
    code = layer_code(described(LAYERS[name]), activation="softsign")
    again = eval(code, {"keras": keras})
    assert plain(again.get_config()) == {**plain(LAYERS[name].get_config()), "activation": "softsign"}, code


def test_what_is_the_users_own_is_not_written() -> None:
    class Dense(keras.layers.Dense):
        pass

    own_function = Layer(
        "d", "d", "Dense", 0, True, "float32", {"units": 3, "activation": {"class_name": "__lambda__"}}
    )
    assert layer_code(own_function) == ""
    assert layer_code(own_function, activation="relu") == 'keras.layers.Dense(3, activation="relu")'
    assert layer_code(Layer("mine", "mine", "Mine", 0, True, "float32", {"units": 3})) == ""
    assert layer_code(Layer("d", "d", "Dense", 0, True, "float32", {})) == ""


def test_names_in_comments_are_on_one_line() -> None:
    assert "\n" not in comment(["a\nb", "c\r"])
