"""What to try: remedies for the layers, the optimizer and the data at hand, in words and as code.

A remedy that would change nothing is not advised: one that is there already, or that these layers cannot take.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import numpy as np

from gradscope.diagnose.finding import Advice
from gradscope.diagnose.keras_code import (
    FUNCTIONS,
    RECURRENT,
    USUAL_RATES,
    identifier,
    optimizer_code,
    scaled_schedule,
)
from gradscope.diagnose.neighbours import Neighbours, neighbours
from gradscope.diagnose.remedy import Remedy, RemedyKind, code_of
from gradscope.diagnose.series import step_series
from gradscope.nearest import few
from gradscope.network import Layer, Network
from gradscope.store.frames import Frames

_INITIALISERS: Final[Mapping[str, str]] = {
    "relu": "he_normal", "relu6": "he_normal", "leaky_relu": "he_normal", "elu": "he_normal", "gelu": "he_normal",
    "silu": "he_normal", "mish": "he_normal", "selu": "lecun_normal",
}  # fmt: skip
_SCALES: Final[Mapping[tuple[float, str], str]] = {
    (2.0, "fan_in"): "he_normal", (1.0, "fan_avg"): "glorot_normal", (1.0, "fan_in"): "lecun_normal",
}  # fmt: skip
_REGRESSIONS: Final = ("mean_squared", "mean_absolute", "huber", "log_cosh", "mse", "mae")
_NAMES: Final = 3
_EPOCHS: Final = 1000  # more are not worth the waiting
_RAISED: Final = 10.0  # times the usual rate: no larger one is advised
_LOWERED: Final = 10.0  # times the usual rate: what is still larger after it was lowered is replaced by the usual one


def advice(network: Network, kind: RemedyKind, text: str, layers: Iterable[str] = (), **settings: Any) -> Advice:
    """Return a remedy with the words that tell it, and as code for this network.

    Args:
        network: What was trained.
        kind: What is changed.
        text: What to try and why, in one sentence.
        layers: Keys of the layers that are changed.
        settings: As of `Remedy`.
    """
    remedy = Remedy(kind, tuple(layers), settings)
    return Advice(text, code_of(remedy, network), remedy)


def those(parts: Iterable[Advice | Iterable[Advice] | None]) -> tuple[Advice, ...]:
    """Return what there is to advise, in order, without the gaps and each once."""
    found: list[Advice] = []
    for part in parts:
        found += [] if part is None else [part] if isinstance(part, Advice) else part
    return tuple(dict.fromkeys(found))


# ---- Layers


def layer_of(network: Network, key: str) -> Layer | None:
    """Return the layer with this key; None for a function that belongs to no layer."""
    return next((layer for layer in network.layers if layer.key == key), None)


def initialiser_for(activation: str) -> str:
    """Return the initialiser that keeps the spread of activations through layers of this function.

    Source: He et al., ICCV 2015, for functions that are flat below zero; Klambauer et al., NeurIPS 2017, for SELU;
    Glorot and Bengio, AISTATS 2010, for the others.
    """
    return _INITIALISERS.get(activation, "glorot_uniform")


def initialiser_of(layer: Layer, name: str = "kernel_initializer") -> str:
    """Return the initialiser that a layer's kernel has now, in snake case; ``""`` where it has none."""
    found = identifier(layer.config.get(name))
    if found == "variance_scaling":
        config: Mapping[str, Any] = layer.config[name].get("config", {})
        return _SCALES.get((float(config.get("scale", 1.0)), str(config.get("mode", "fan_in"))), found)
    return found


def another_function(network: Network, layers: Iterable[str], activation: str, why: str) -> Iterator[Advice]:
    """Yield another activation function for these layers, with the initialiser that goes with it.

    Left out are layers that have it already, outputs, and those whose function belongs to gates or to attention.
    """
    around = neighbours(network)
    own: list[str] = []
    for key in layers:
        layer = around.layers.get(key)
        if layer is None:
            remedy = Remedy("activation", (key,), {"activation": activation})
            yield Advice(why, f"keras.activations.{activation}", remedy)
        elif _can_change(around, layer) and around.function_of(key) != activation:
            own.append(key)
    with_own = [key for key in own if around.layers[key].class_name not in FUNCTIONS]
    alone = [key for key in own if key not in set(with_own)]
    settings = {"activation": activation, "kernel_initializer": initialiser_for(activation)}
    if with_own:
        yield advice(network, "activation", why, with_own, **settings)
    if alone:
        yield advice(network, "activation", why, alone, activation=activation)
        before = dict.fromkeys(key for at in alone if (key := around.weights_of(at)) is not None)
        yield from another_initialiser(network, before, activation)


def _can_change(around: Neighbours, layer: Layer) -> bool:
    has_function = "activation" in layer.config or layer.class_name in FUNCTIONS or not layer.config
    is_gated = layer.class_name in RECURRENT or "Attention" in layer.class_name
    return has_function and not is_gated and not around.ends(layer.key)


def another_initialiser(network: Network, layers: Iterable[str], activation: str | None = None) -> Iterator[Advice]:
    """Yield the initialisers that suit the functions of these layers; nothing where they have them already.

    Args:
        network: What was trained.
        layers: Keys; of a layer that is a function alone, the weights before it are meant.
        activation: The function that the layers are to have; None for those that they have.
    """
    around = neighbours(network)
    wanted: dict[tuple[str, str, str], list[str]] = {}
    for key in dict.fromkeys(around.weights_of(key) for key in layers):
        if key is None:
            continue
        function = activation or around.function_of(key)
        for name in ("kernel_initializer", "depthwise_initializer", "recurrent_initializer"):
            best = "orthogonal" if name == "recurrent_initializer" else initialiser_for(function)
            now = initialiser_of(around.layers[key], name)
            if now and now not in {best, best.replace("normal", "uniform"), best.replace("uniform", "normal")}:
                wanted.setdefault((name, best, function), []).append(key)
    for (name, best, function), keys in wanted.items():
        suits = "keeps what passes from step to step its size" if "recurrent" in name else f"suits {function}"
        now = initialiser_of(around.layers[keys[0]], name)
        said = f"Draw the weights of {few(keys, _NAMES)} by {best!r}, which {suits}, instead of {now!r}."
        yield advice(network, "initialiser", said, keys, **{name: best})


def normalise(network: Network, layers: Iterable[str]) -> Iterator[Advice]:
    """Yield a normalisation for these layers: before their functions, or in front of those with gates or attention.

    Left out are outputs, layers that are normalised already, and embeddings.
    """
    around = neighbours(network)
    kinds: dict[tuple[str, bool], list[str]] = {}
    for at in layers:
        layer = around.layers.get(around.weights_of(at) or at)
        if layer is None or around.ends(layer.key) or around.is_normalised(layer.key):
            continue
        if layer.class_name == "Embedding" or "Norm" in layer.class_name:
            continue
        in_front = layer.class_name in RECURRENT or "Attention" in layer.class_name
        is_convolution = "Conv" in layer.class_name and layer.class_name not in RECURRENT
        kind = "BatchNormalization" if is_convolution else "LayerNormalization"
        kinds.setdefault((kind, in_front), []).append(layer.key)
    for (kind, in_front), keys in kinds.items():
        names = few(list(dict.fromkeys(keys)), _NAMES)
        said = f"Normalise what {names} computes before the activation function, so that its scale no longer matters."
        if in_front:
            said = f"Normalise what goes into {names}, so that its scale no longer matters."
        yield advice(network, "normalisation", said, dict.fromkeys(keys), class_name=kind)


def gates(network: Network, layers: Iterable[str], why: str) -> Advice | None:
    """Advise layers with gates in place of plain recurrent ones; None without one."""
    around = neighbours(network)
    plain = [key for key in layers if key in around.layers and around.layers[key].class_name == "SimpleRNN"]
    settings = {"class_name": "LSTM", "activation": "tanh", "recurrent_initializer": "orthogonal"}
    return advice(network, "code", why, plain, **settings) if plain else None


def usual_gates(network: Network, layers: Iterable[str]) -> Advice | None:
    """Advise tanh for gated layers that have another function; None without one: only tanh keeps the state bounded."""
    around = neighbours(network)
    odd = [
        key
        for key in layers
        if (layer := around.layers.get(key)) is not None
        and layer.class_name in RECURRENT
        and identifier(layer.config.get("activation")) not in {"tanh", "sigmoid", ""}
    ]
    if not odd:
        return None
    now = identifier(around.layers[odd[0]].config["activation"])
    said = f"Use tanh in {few(odd, _NAMES)}: with {now} the state grows from step to step, for nothing bounds it."
    return advice(network, "activation", said, odd, activation="tanh")


def residual(network: Network, layers: Iterable[str]) -> Advice | None:
    """Advise to lead the signal past those of these layers that put out as much as they get; None without one."""
    square: dict[str, bool] = {}
    for variable in network.variables:
        if variable.role == "kernel":
            square.setdefault(variable.layer, len(variable.shape) >= 2 and variable.shape[-1] == variable.shape[-2])
    around = neighbours(network)
    passed = [
        key
        for key in layers
        if square.get(key)
        and not around.ends(key)
        and (layer := around.layers.get(key)) is not None
        and layer.class_name not in RECURRENT
        and layer.config.get("padding", "same") == "same"
        and identifier(layer.config.get("activation")) != ""
    ]
    said = "Let the signal pass by: add what enters a layer to what leaves it."
    return advice(network, "residual", said, passed) if passed else None


def another_output(network: Network, layer: str) -> Advice | None:
    """Advise the function that an output needs for its loss; None where it has it, or is not known."""
    around = neighbours(network)
    now = around.function_of(layer)
    wanted = output_function(network, layer)
    if wanted == now or layer not in around.layers:
        return None
    end = "without an activation function" if wanted == "linear" else f"with {wanted}"
    said = f"End {layer} {end}, so that every target can be reached and a gradient always passes."
    settings = {"activation": wanted}
    if initialiser_of(around.layers[layer]) == "zeros":
        settings["kernel_initializer"] = "glorot_uniform"
    return advice(network, "output", said, [layer], **settings)


def output_function(network: Network, layer: str) -> str:
    """Return the function that an output needs for its loss: linear, sigmoid or softmax."""
    loss = loss_of(network, layer)
    if network.compiled.from_logits or "crossentropy" not in loss:
        return "linear"
    return "sigmoid" if "binary" in loss else "softmax"


def loss_of(network: Network, layer: str | None = None) -> str:
    """Return the name of the loss of an output; of the only one where none is named."""
    parts = [part.strip() for part in network.compiled.loss.split(",")]
    named = [part.partition(": ")[2] for part in parts if layer is not None and part.startswith(f"{layer}: ")]
    return (named or [part.rpartition(": ")[2] for part in parts])[0]


def is_regression(network: Network) -> bool:
    """Return whether the (first) loss is a distance between numbers."""
    return loss_of(network).startswith(_REGRESSIONS)


# ---- The optimizer


def learning_rate_of(frames: Frames) -> float:
    """Return the learning rate last recorded; NaN where none is."""
    rates = step_series(frames, "learning_rate")
    rates = rates[~np.isnan(rates)]
    return float(rates[-1]) if len(rates) else math.nan


def learning_rate(frames: Frames, factor: float, why: str) -> Advice | None:
    """Advise to multiply the learning rate by ``factor``, or the whole schedule by it.

    A rate far above the usual one of its optimizer is replaced by the usual one, and none is raised far above it: what
    needs more has another cause. None where it is there already, and where the optimizer is not Keras' own.
    """
    network, compiled = frames.network, frames.network.compiled
    now, usual = learning_rate_of(frames), USUAL_RATES.get(compiled.optimizer, math.nan)
    if math.isnan(usual):
        return Advice(why, "", Remedy("learning_rate")) if compiled.optimizer else None
    wanted = float(f"{now * factor:.2g}")
    is_usual = math.isnan(now) or now == 0 or (factor < 1 and wanted > _LOWERED * usual)
    if factor > 1:
        wanted = min(wanted, _RAISED * usual)
        if wanted <= now:
            return None
    schedule = scaled_schedule(compiled, wanted / now) if not is_usual else None
    rate = schedule or (usual if is_usual else wanted)
    found = advice(network, "learning_rate", why, learning_rate=rate)
    told = "" if math.isnan(now) or not found.code else f"  # {now:.3g} now"
    return Advice(why, found.code + told, found.remedy)


def adaptive(frames: Frames, why: str) -> Advice | None:
    """Advise Adam, whose steps have the same size however small a gradient is; None where the optimizer is alike."""
    if frames.network.compiled.optimizer != "SGD":
        return None
    return advice(frames.network, "learning_rate", why, class_name="Adam", learning_rate=USUAL_RATES["Adam"])


def clip_gradients(frames: Frames) -> Advice | None:
    """Advise to clip gradients; None where they are clipped already, or where the optimizer is not Keras' own."""
    compiled = frames.network.compiled
    if compiled.clipping or not optimizer_code(compiled):
        return None
    now = learning_rate_of(frames)
    settings: dict[str, Any] = {"global_clipnorm": 1.0}
    if not math.isnan(now) and scaled_schedule(compiled, 1.0) is None:
        settings["learning_rate"] = float(f"{now:.6g}")
    said = "Clip the gradients, so that one batch cannot throw the weights far away."
    return advice(frames.network, "clipping", said, **settings)


# ---- The data


def scale_inputs(network: Network) -> Advice | None:
    """Advise to bring inputs to unit scale; None where the model does so itself, or its inputs are indices."""
    if not network.layers or any(layer.class_name in {"Normalization", "Rescaling"} for layer in network.layers):
        return None
    entering = {layer.key for layer in network.layers}
    if network.edges is not None:
        entering -= {end for _, end in network.edges}
    else:
        entering = {network.layers[0].key}
    first = [layer.class_name for layer in network.layers if layer.key in entering]
    if "Embedding" in first or (network.layers and network.layers[0].class_name == "BatchNormalization"):
        return None
    return advice(network, "input_scaling", "Bring every input to mean 0 and spread 1.")


def scale_targets(network: Network) -> Advice | None:
    """Advise to bring the targets to unit scale; None where they are not numbers to be hit."""
    if not is_regression(network):
        return None
    return advice(network, "target_scaling", "Bring the targets to mean 0 and spread 1, and the answers back.")


def check_data() -> Advice:
    """Advise to look for values in the data that are not finite."""
    return Advice(
        "Check the data and the labels for values that are not finite, and leave their rows out.",
        "print(keras.ops.all(keras.ops.isfinite(x)), keras.ops.all(keras.ops.isfinite(y)))",
        Remedy("data", (), {"check": "finite"}),
    )


def overfit() -> Advice:
    """Advise to see whether the network can learn a few samples by heart."""
    return Advice(
        "Overfit ten samples first: if that fails, the model, the loss or the labels are wrong.",
        "model.fit(x[:10], y[:10], epochs=200)",
        Remedy("data", (), {"samples": 10}),
    )


def train_on(epochs: float) -> Advice:
    """Advise to train for so many epochs more."""
    return Advice(
        "Train on: the loss still falls.",
        f"model.fit(x, y, epochs={epochs:.0f})" if epochs <= _EPOCHS else "",
        Remedy("code", (), {"epochs": epochs}),
    )
