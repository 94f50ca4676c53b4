"""What is advised fits the network at hand, runs as it is printed, and is nothing that is there already."""

import dataclasses
import math
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradscope.diagnose.advice import (
    adaptive,
    another_function,
    another_initialiser,
    another_output,
    check_data,
    clip_gradients,
    gates,
    layer_of,
    learning_rate,
    learning_rate_of,
    normalise,
    output_function,
    overfit,
    residual,
    scale_inputs,
    scale_targets,
    those,
    usual_gates,
)
from gradscope.diagnose.finding import Advice
from gradscope.diagnose.remedy import REMEDY_KINDS, Remedy
from gradscope.network import Compiled
from gradscope.testing import ADAM, Part, network, run, stack

HE = {"kernel_initializer": {"class_name": "HeNormal", "config": {"seed": None}}}
SGD = dataclasses.replace(ADAM, optimizer="SGD")
MSE = dataclasses.replace(ADAM, loss="mean_squared_error", from_logits=None)


def rnn(key: str, class_name: str = "LSTM", activation: str = "tanh", **config: Any) -> Part:
    return Part(key, class_name, activation, config={"recurrent_initializer": "orthogonal", **config})


def only(parts: Any) -> Advice:
    (found,) = those([parts])
    return found


def codes(parts: Any) -> list[str]:
    return [found.code for found in those([parts])]


def executed(advice: Advice) -> None:
    x, y = np.zeros((20, 64), np.float32), np.arange(20.0)[:, None]
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    names = {"keras": keras, "model": model, "x": x, "y": y}
    exec(advice.code.replace("epochs=200", "epochs=1, verbose=0"), names)


# ---- Functions


def test_another_function_is_put_into_all_layers_that_are_named_as_they_are() -> None:
    found = only(another_function(stack("sigmoid", depth=3), ["dense", "dense_1"], "relu", "Why."))
    assert found.code == 'keras.layers.Dense(64, activation="relu", kernel_initializer="he_normal")  # dense, dense_1'
    assert found.remedy == Remedy(
        "activation", ("dense", "dense_1"), {"activation": "relu", "kernel_initializer": "he_normal"}
    )


def test_a_function_that_is_there_is_not_advised() -> None:
    assert codes(another_function(stack("relu"), ["dense"], "relu", "Why.")) == []


def test_a_layer_that_is_a_function_is_replaced_and_the_weights_before_it_are_drawn_to_match() -> None:
    net = network(
        Part("dense"),
        Part("norm", "BatchNormalization", None, None),
        Part("tanh", "Activation", "tanh", None),
        Part("out"),
    )
    assert codes(another_function(net, ["tanh"], "relu", "Why.")) == [
        'keras.layers.Activation("relu")  # tanh',
        'keras.layers.Dense(64, kernel_initializer="he_normal")  # dense',
    ]


@pytest.mark.parametrize("class_name", ["LSTM", "GRU", "SimpleRNN", "MultiHeadAttention"])
def test_gates_and_attention_get_no_function_of_hidden_layers(class_name: str) -> None:
    net = network(Part("layer", class_name, "tanh"), Part("out"))
    assert codes(another_function(net, ["layer"], "relu", "Why.")) == []


def test_an_output_gets_no_function_of_hidden_layers() -> None:
    net = network(Part("dense", activation="relu"), Part("out", activation="relu"), compiled=MSE)
    assert codes(another_function(net, ["dense", "out"], "leaky_relu", "Why."))[0].endswith("# dense")
    assert codes(normalise(net, ["out"])) == []


def test_a_function_without_a_layer_is_named_itself() -> None:
    assert codes(another_function(stack(), ["elsewhere"], "relu", "Why.")) == ["keras.activations.relu"]


def test_a_lambda_is_replaced() -> None:
    config = {"activation": {"class_name": "__lambda__", "config": {"code": "…"}}}
    net = network(Part("dense", activation="lambda", config=config), Part("out"))
    assert codes(another_function(net, ["dense"], "relu", "Why.")) == [
        'keras.layers.Dense(64, activation="relu", kernel_initializer="he_normal")  # dense'
    ]
    assert codes(another_initialiser(net, ["dense"], "relu")) == [""]


# ---- Outputs


@pytest.mark.parametrize(
    ("loss", "from_logits", "wanted"),
    [
        ("mean_squared_error", None, "linear"),
        ("binary_crossentropy", False, "sigmoid"),
        ("binary_crossentropy", True, "linear"),
        ("sparse_categorical_crossentropy", False, "softmax"),
        ("out: binary_crossentropy, other: huber", None, "sigmoid"),
        ("other: binary_crossentropy, out: huber", None, "linear"),
    ],
)
def test_an_output_ends_as_its_loss_needs(loss: str, from_logits: bool | None, wanted: str) -> None:
    compiled = dataclasses.replace(ADAM, loss=loss, from_logits=from_logits)
    net = network(Part("dense"), Part("out", activation="relu"), compiled=compiled)
    assert output_function(net, "out") == wanted
    found = another_output(net, "out")
    assert found is not None
    assert found.remedy == Remedy("output", ("out",), {"activation": wanted})
    executed(found)


def test_an_output_that_ends_so_is_left_alone() -> None:
    assert another_output(stack(), "dense_5") is None


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
    net = stack(activation, config={"kernel_initializer": {"class_name": now, "config": {}}})
    found = those([another_initialiser(net, ["dense", "dense_1"])])
    assert [item.remedy for item in found] == (
        [Remedy("initialiser", ("dense", "dense_1"), {"kernel_initializer": wanted})] if wanted else []
    )


@pytest.mark.parametrize(
    ("scale", "mode", "is_he"), [(2.0, "fan_in", True), (1.0, "fan_in", False), (2.0, "fan_avg", False)]
)
def test_an_initialiser_is_known_by_its_scale(scale: float, mode: str, is_he: bool) -> None:
    config = {"scale": scale, "mode": mode}
    net = stack("relu", config={"kernel_initializer": {"class_name": "VarianceScaling", "config": config}})
    assert (codes(another_initialiser(net, ["dense"])) == []) == is_he


def test_a_function_of_its_own_counts_as_that_of_the_weights_before_it() -> None:
    net = network(Part("dense"), Part("drop", "Dropout", None, None), Part("re_lu", "ReLU", "relu", None), Part("out"))
    for named in ("dense", "re_lu"):
        assert codes(another_initialiser(net, [named])) == [
            'keras.layers.Dense(64, kernel_initializer="he_normal")  # dense'
        ]


def test_weights_from_step_to_step_are_drawn_orthogonal() -> None:
    net = network(rnn("rnn", "SimpleRNN", recurrent_initializer="he_normal"), Part("out"))
    (code,) = codes(another_initialiser(net, ["rnn"]))
    assert code == "keras.layers.SimpleRNN(64)  # rnn"  # orthogonal is Keras' own choice
    assert codes(another_initialiser(network(rnn("rnn"), Part("out")), ["rnn"])) == []


# ---- Normalisation, gates, residual connections


def test_a_normalisation_stands_between_the_weights_and_the_function() -> None:
    net = network(Part("conv", "Conv1D", "relu", (3, 8, 16)), Part("dense", activation="relu"), Part("out"))
    assert codes(normalise(net, ["conv", "dense"])) == [
        'keras.layers.Conv1D(16, (3,)), keras.layers.BatchNormalization(), keras.layers.Activation("relu")  # conv',
        'keras.layers.Dense(64), keras.layers.LayerNormalization(), keras.layers.Activation("relu")  # dense',
    ]


def test_a_layer_with_gates_is_normalised_in_front() -> None:
    net = network(rnn("lstm"), Part("out"))
    found = only(normalise(net, ["lstm"]))
    assert found.code == "keras.layers.LayerNormalization(), keras.layers.LSTM(64)  # lstm"
    assert "what goes into lstm" in found.text


@pytest.mark.parametrize("order", ["dense norm relu", "dense relu norm", "norm dense relu"])
def test_what_is_normalised_already_is_left_alone(order: str) -> None:
    parts = {
        "dense": Part("dense"),
        "norm": Part("norm", "LayerNormalization", None, None),
        "relu": Part("relu", "Activation", "relu", None),
    }
    net = network(*(parts[name] for name in order.split()), Part("hidden"), Part("out"))
    assert codes(normalise(net, ["dense"])) == []


def test_gates_take_the_place_of_a_plain_recurrent_layer_with_all_it_was_given() -> None:
    net = network(rnn("rnn", "SimpleRNN", return_sequences=True), rnn("lstm"), Part("out"))
    found = gates(net, ["rnn", "lstm"], "Why.")
    assert found is not None
    assert found.code == "keras.layers.LSTM(64, return_sequences=True)  # rnn"
    assert gates(net, ["lstm"], "Why.") is None


def test_relu_in_a_layer_with_gates_is_questioned() -> None:
    net = network(rnn("lstm", activation="relu"), rnn("gru", "GRU"), Part("out"))
    found = usual_gates(net, ["lstm", "gru"])
    assert found is not None
    assert found.code == "keras.layers.LSTM(64)  # lstm"
    assert usual_gates(net, ["gru"]) is None


def test_the_signal_is_led_past_layers_that_keep_its_size() -> None:
    net = network(Part("first", activation="tanh", kernel=(8, 64)), Part("second", activation="tanh"), Part("out"))
    found = residual(net, ["first", "second"])
    assert found is not None
    assert found.code == 'x = x + keras.layers.Dense(64, activation="tanh")(x)  # second'
    executed(found)
    assert residual(net, ["first"]) is None


# ---- The optimizer


def rate(advice: Advice | None) -> Any:
    assert advice is not None
    assert advice.remedy is not None
    return advice.remedy.settings["learning_rate"]


def test_the_learning_rate_is_multiplied_and_what_it_is_now_is_told() -> None:
    frames = run(stack(compiled=SGD), steps={"learning_rate": 0.5})
    found = learning_rate(frames, 0.1, "Why.")
    assert found is not None
    assert found.code == "keras.optimizers.SGD(learning_rate=0.05)  # 0.5 now"


@pytest.mark.parametrize("now", [math.nan, 0.0])
def test_where_there_is_no_learning_rate_the_usual_one_is_advised(now: float) -> None:
    assert rate(learning_rate(run(stack(), steps={"learning_rate": now}), 0.1, "Why.")) == 1e-3


def test_the_learning_rate_is_the_last_that_was_recorded() -> None:
    rates = [0.1] * 10 + [0.2, math.nan]
    assert learning_rate_of(run(stack(), steps={"learning_rate": rates})) == pytest.approx(0.2)
    assert math.isnan(learning_rate_of(run(stack(), recorded=[])))


def test_a_tenth_of_a_rate_that_has_blown_up_is_not_advised() -> None:
    assert rate(learning_rate(run(stack(compiled=SGD), steps={"learning_rate": 1e4}), 0.1, "Why.")) == 0.01


def test_no_rate_is_raised_far_above_the_usual_one() -> None:
    frames = run(stack(compiled=SGD), steps={"learning_rate": 0.01})
    assert rate(learning_rate(frames, 1000.0, "Why.")) == pytest.approx(0.1)
    assert learning_rate(run(stack(compiled=SGD), steps={"learning_rate": 0.1}), 10.0, "Why.") is None


def test_an_optimizer_of_the_users_own_is_told_in_words() -> None:
    frames = run(stack(compiled=dataclasses.replace(ADAM, optimizer="Mine")))
    found = learning_rate(frames, 0.1, "Why.")
    assert found is not None
    assert found.code == ""
    assert clip_gradients(frames) is None
    assert learning_rate(run(stack(compiled=Compiled())), 0.1, "Why.") is None


def test_clipping_is_advised_where_nothing_is_clipped() -> None:
    found = clip_gradients(run(stack()))
    assert found is not None
    assert found.code == "keras.optimizers.Adam(learning_rate=0.001, global_clipnorm=1.0)"
    assert clip_gradients(run(stack(compiled=dataclasses.replace(ADAM, clipping={"clipnorm": 1.0})))) is None


def test_steps_of_one_size_are_advised_for_plain_descent_alone() -> None:
    found = adaptive(run(stack(compiled=SGD)), "Why.")
    assert found is not None
    assert found.code == "keras.optimizers.Adam(learning_rate=0.001)"
    assert adaptive(run(stack()), "Why.") is None


@given(st.floats(1e-12, 1e6), st.sampled_from([1e-6, 0.1, 10.0, 1e6]))
def test_whatever_the_learning_rate_it_is_a_float_that_keras_takes(now: float, factor: float) -> None:
    frames = run(network(Part("out")), recorded=[0], steps={"learning_rate": now})
    for found in (learning_rate(frames, factor, "Why."), clip_gradients(frames)):
        if found is not None:
            assert isinstance(rate(found), float)
            executed(found)


# ---- The data


def test_inputs_are_scaled_where_the_model_does_not() -> None:
    found = scale_inputs(stack())
    assert found is not None
    executed(found)
    for class_name in ("Normalization", "Rescaling", "BatchNormalization", "Embedding"):
        assert scale_inputs(network(Part("first", class_name, None, None), Part("out"))) is None


def test_targets_are_scaled_where_they_are_numbers_to_be_hit() -> None:
    found = scale_targets(stack(compiled=MSE))
    assert found is not None
    executed(found)
    assert scale_targets(stack()) is None


def test_what_is_advised_for_the_data_runs() -> None:
    executed(check_data())
    executed(overfit())


# ---- Small things

ANY_NAME = st.text(st.characters(exclude_categories=["Cc", "Cs"]) | st.just("\n"), min_size=1, max_size=20)


@given(ANY_NAME)
def test_no_name_of_a_layer_or_of_a_function_breaks_the_code(name: str) -> None:
    net = network(Part(name, activation="sigmoid"), Part(f"{name}2", activation=name, config=HE), Part("out"))
    parts = [
        another_function(net, [name], "relu", "Why."),
        another_initialiser(net, [name, f"{name}2"], "relu"),
        normalise(net, [name]),
        residual(net, [name]),
    ]
    for found in those(parts):
        compile(found.code, "advice", "exec")


def test_a_layer_is_found_by_its_key() -> None:
    net = stack(depth=1)
    assert layer_of(net, "dense") is net.layers[0]
    assert layer_of(net, "elsewhere") is None


def test_gaps_are_left_out_and_what_is_said_twice() -> None:
    advice = Advice("Do.")
    assert those([None, advice, [advice], iter([Advice("More.")])]) == (advice, Advice("More."))


def test_kinds_of_remedies_are_those_that_can_be_applied() -> None:
    assert len(REMEDY_KINDS) == 14
