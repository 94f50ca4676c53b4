"""What is advised is Python, and Keras code for the layer and the optimizer at hand."""

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradscope.diagnose.advice import (
    another_function,
    another_initialiser,
    clip_gradients,
    initialiser_for,
    layer_code,
    layer_of,
    learning_rate,
    learning_rate_of,
    normalise,
    scale_inputs,
    those,
)
from gradscope.diagnose.finding import Advice
from gradscope.network import Layer
from gradscope.testing import ADAM, Part, network, run, stack

GLOROT = {"module": "keras.initializers", "class_name": "GlorotUniform", "config": {"seed": None}}
CONV: dict[str, Any] = {
    "filters": 16, "kernel_size": [3, 3], "strides": [1, 1], "padding": "valid", "activation": "relu",
    "kernel_initializer": GLOROT,
}  # fmt: skip
LAYERS = {
    "dense": ("Dense", {"units": 64, "activation": "sigmoid", "kernel_initializer": GLOROT}),
    "conv2d": ("Conv2D", CONV),
    "activation": ("Activation", {"activation": "tanh"}),
    "re_lu": ("ReLU", {"max_value": None, "negative_slope": 0.0, "threshold": 0.0}),
    "lstm": ("LSTM", {"units": 32, "activation": "tanh", "kernel_initializer": GLOROT}),
    "of_their_own": ("TheirOwnLayer", {}),
}


def layer(kind: str, key: str = "") -> Layer:
    class_name, config = LAYERS[kind]
    return Layer(key or kind, key or kind, class_name, 0, True, "float32", config)


def is_python(advice: Advice | None) -> bool:
    compile(advice.code if advice is not None else "", "advice", "exec")
    return True


@pytest.mark.parametrize("kind", LAYERS)
def test_all_that_is_advised_for_a_layer_is_python(kind: str) -> None:
    for function in ("relu", "leaky_relu", "tanh", "sigmoid"):
        assert is_python(another_function(layer(kind), function, "Why."))
        assert is_python(another_initialiser(layer(kind), function))
    assert is_python(normalise(layer(kind)))


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("dense", 'keras.layers.Dense(64, activation="leaky_relu", kernel_initializer="glorot_uniform")'),
        ("conv2d", 'keras.layers.Conv2D(16, (3, 3), activation="leaky_relu", kernel_initializer="glorot_uniform")'),
        ("activation", 'keras.layers.Activation("leaky_relu")'),
        ("re_lu", "keras.layers.LeakyReLU()"),
        ("lstm", 'keras.layers.LSTM(32, activation="leaky_relu", kernel_initializer="glorot_uniform")'),
    ],
)
def test_another_function_is_put_into_the_layer_as_it_is(kind: str, code: str) -> None:
    expected = code.replace("glorot_uniform", initialiser_for("leaky_relu"))
    assert another_function(layer(kind), "leaky_relu", "Why.").code == expected


def test_a_function_without_a_layer_is_named_itself() -> None:
    assert another_function(None, "relu", "Why.").code == "keras.activations.relu"


def test_strides_and_padding_stay_as_they_are() -> None:
    conv = dataclasses.replace(layer("conv2d"), config={**CONV, "strides": [2, 2], "padding": "same"})
    assert layer_code(conv, activation="tanh") == (
        'keras.layers.Conv2D(16, (3, 3), strides=(2, 2), padding="same", activation="tanh")'
    )


def test_a_convolution_over_one_position_keeps_its_kernel_size() -> None:
    conv = dataclasses.replace(layer("conv2d"), config={**CONV, "kernel_size": [1, 1]})
    assert "(16, (1, 1)" in layer_code(conv)


@pytest.mark.parametrize("class_name", ["Lambda", "TheirOwnLayer"])
def test_no_argument_is_given_to_a_layer_that_does_not_have_it(class_name: str) -> None:
    other = Layer("other", "other", class_name, 0, True, "float32", {})
    assert "kernel_initializer" not in another_function(other, "sigmoid", "Why.").code


def test_the_initialiser_is_named_as_the_layer_names_it() -> None:
    config = {"kernel_size": [3, 3], "activation": "linear", "depthwise_initializer": GLOROT}
    depthwise = Layer("depthwise", "depthwise", "DepthwiseConv2D", 0, True, "float32", config)
    assert "kernel_initializer" not in another_function(depthwise, "relu", "Why.").code


# ---- Names that are no names

ANY_NAME = st.text(st.characters(exclude_categories=["Cc", "Cs"]) | st.just("\n"), min_size=1, max_size=20)


@given(ANY_NAME)
def test_no_name_of_a_layer_breaks_the_code(name: str) -> None:
    hostile = layer("dense", name)
    assert is_python(normalise(hostile))
    assert is_python(another_function(hostile, "relu", "Why."))
    assert is_python(another_initialiser(hostile, "relu"))


@given(ANY_NAME)
def test_no_name_of_a_function_breaks_the_code(name: str) -> None:
    config = {**LAYERS["dense"][1], "activation": name}
    assert is_python(another_initialiser(dataclasses.replace(layer("dense"), config=config), "relu"))


# ---- Initialisers


@pytest.mark.parametrize(
    ("activation", "now", "wanted"),
    [
        ("relu", "GlorotUniform", "he_normal"),
        ("selu", "GlorotUniform", "lecun_normal"),
        ("tanh", "RandomNormal", "glorot_uniform"),
        ("relu", "HeUniform", None),
        ("relu", "HeNormal", None),
        ("tanh", "GlorotNormal", None),
        ("tanh", "glorot_uniform", None),
    ],
)
def test_an_initialiser_is_advised_where_it_does_not_suit_the_function(
    activation: str, now: str, wanted: str | None
) -> None:
    config = {"units": 8, "kernel_initializer": {"class_name": now, "config": {}}}
    advice = another_initialiser(dataclasses.replace(layer("dense"), config=config), activation)
    assert (advice is None) == (wanted is None)
    if advice is not None:
        assert f'kernel_initializer="{wanted}"' in advice.code
        assert "'dense'" in advice.text


def test_a_layer_without_a_kernel_needs_no_initialiser() -> None:
    assert another_initialiser(layer("re_lu"), "relu") is None
    assert another_initialiser(None, "relu") is None


# ---- The optimizer


def test_the_learning_rate_is_multiplied_and_what_it_is_now_is_told() -> None:
    frames = run(stack(compiled=dataclasses.replace(ADAM, optimizer="SGD")), steps={"learning_rate": 0.5})
    assert learning_rate(frames, 0.1, "Why.").code == "keras.optimizers.SGD(learning_rate=0.05)  # 0.5 now"


@pytest.mark.parametrize("rate", [math.nan, 0.0])
def test_where_there_is_no_learning_rate_a_usual_one_is_advised(rate: float) -> None:
    frames = run(stack(), steps={"learning_rate": rate})
    assert learning_rate(frames, 0.1, "Why.").code == "keras.optimizers.Adam(learning_rate=1e-3)"


def test_the_learning_rate_is_the_last_that_was_recorded() -> None:
    rates = [0.1] * 10 + [0.2, math.nan]
    assert learning_rate_of(run(stack(), steps={"learning_rate": rates})) == pytest.approx(0.2)
    assert math.isnan(learning_rate_of(run(stack(), recorded=[])))


def test_clipping_is_advised_where_nothing_is_clipped() -> None:
    advice = clip_gradients(run(stack()))
    assert advice is not None
    assert advice.code == "keras.optimizers.Adam(learning_rate=0.001, global_clipnorm=1.0)"
    clipped = stack(compiled=dataclasses.replace(ADAM, clipping={"clipnorm": 1.0}))
    assert clip_gradients(run(clipped)) is None


@given(st.floats(1e-12, 1e6), st.sampled_from([1e-6, 0.1, 10.0, 1e6]))
def test_whatever_the_learning_rate_the_code_is_python(rate: float, factor: float) -> None:
    frames = run(network(Part("out")), recorded=[0], steps={"learning_rate": rate})
    assert is_python(learning_rate(frames, factor, "Why."))
    assert is_python(clip_gradients(frames))


def test_the_code_that_scales_inputs_is_python() -> None:
    assert is_python(scale_inputs())


# ---- Small things


def test_a_layer_is_found_by_its_key() -> None:
    net = stack(depth=1)
    assert layer_of(net, "dense") is net.layers[0]
    assert layer_of(net, "elsewhere") is None


def test_gaps_are_left_out() -> None:
    advice = Advice("Do.")
    assert those([None, advice, None]) == (advice,)
