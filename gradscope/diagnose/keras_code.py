"""Layers and optimizers as the Keras code that makes them, with all that they were given and some of it changed."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast  # Any: what Keras' configurations hold

from gradscope.network import Compiled, Layer

RECURRENT: Final = frozenset({"SimpleRNN", "LSTM", "GRU", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"})
FUNCTIONS: Final = frozenset({"Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax"})
"""Layers that are an activation function and nothing else."""

_LAYERS: Final = RECURRENT | {
    "Activation", "Dense", "EinsumDense", "Conv1D", "Conv2D", "Conv3D", "Conv1DTranspose", "Conv2DTranspose",
    "Conv3DTranspose", "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D",
}  # fmt: skip
USUAL_RATES: Final[Mapping[str, float]] = {
    "SGD": 1e-2, "Adadelta": 1.0, "Adagrad": 1e-2, "Lion": 1e-4, "Adafactor": 1e-3, "Adam": 1e-3, "AdamW": 1e-3,
    "Adamax": 1e-3, "Ftrl": 1e-3, "Lamb": 1e-3, "Muon": 1e-3, "Nadam": 1e-3, "RMSprop": 1e-3,
    "ScheduleFreeAdamW": 2.5e-3,
}  # fmt: skip
"""By Keras' optimizers the rate that each is used with; Keras' own default for Adadelta is a thousandth of that."""

_FIRST: Final = ("units", "filters", "kernel_size")  # given by place
_UNSHOWN: Final = frozenset({"name", "trainable", "dtype", "quantization_config"})
_LAYER_DEFAULTS: Final[Mapping[str, Any]] = {
    "padding": "valid", "data_format": "channels_last", "groups": 1, "depth_multiplier": 1, "use_bias": True,
    "kernel_initializer": "glorot_uniform", "depthwise_initializer": "glorot_uniform",
    "pointwise_initializer": "glorot_uniform", "recurrent_initializer": "orthogonal", "bias_initializer": "zeros",
    "recurrent_activation": "sigmoid", "unit_forget_bias": True, "reset_after": True, "dropout": 0.0,
    "recurrent_dropout": 0.0, "return_sequences": False, "return_state": False, "go_backwards": False,
    "stateful": False, "unroll": False, "zero_output_for_mask": False,
}  # fmt: skip
_OPTIMIZER_DEFAULTS: Final[Mapping[str, Any]] = {
    "use_ema": False, "ema_momentum": 0.99, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7, "amsgrad": False,
}  # fmt: skip
_DEFAULTS_OF: Final[Mapping[str, Mapping[str, Any]]] = {
    "Adadelta": {"rho": 0.95},
    "Adafactor": {
        "beta_2_decay": -0.8, "epsilon_1": 1e-30, "epsilon_2": 1e-3, "clip_threshold": 1.0, "relative_step": True,
    },
    "Adagrad": {"initial_accumulator_value": 0.1},
    "AdamW": {"weight_decay": 0.004},
    "Ftrl": {
        "learning_rate_power": -0.5, "initial_accumulator_value": 0.1, "l1_regularization_strength": 0.0,
        "l2_regularization_strength": 0.0, "l2_shrinkage_regularization_strength": 0.0, "beta": 0.0,
    },
    "Lion": {"beta_2": 0.99},
    "Muon": {
        "adam_beta_1": 0.9, "adam_beta_2": 0.999, "adam_weight_decay": 0.004, "weight_decay": 0.004,
        "exclude_layers": [], "exclude_embeddings": True, "muon_a": 3.4445, "muon_b": -4.775, "muon_c": 2.0315,
        "adam_lr_ratio": 1, "momentum": 0.95, "ns_steps": 5, "nesterov": True, "rms_rate": 0.2,
    },
    "RMSprop": {"rho": 0.9, "momentum": 0.0, "centered": False},
    "SGD": {"momentum": 0.0, "nesterov": False},
    "ScheduleFreeAdamW": {"epsilon": 1e-8, "warmup_steps": 0},
}  # fmt: skip
_LOSS_SCALE: Final[Mapping[str, Any]] = {"initial_scale": 32768.0, "dynamic_growth_steps": 2000}
_RATES: Final = frozenset({"initial_learning_rate", "end_learning_rate", "warmup_target", "values"})


class UnwritableError(ValueError):
    """A part is not Keras' own: which name it has in the user's code is not known."""


def layer_code(layer: Layer, **changes: Any) -> str:
    """Return the layer as Keras code, with ``changes`` in place of what it has; ``""`` where it cannot be written.

    Arguments that have Keras' defaults are left out; a layer, or a part of one, that is the user's own cannot be
    written.

    Example:
        >>> config = {"units": 64, "activation": "sigmoid"}
        >>> layer_code(Layer("dense", "dense", "Dense", 0, True, "float32", config), activation="relu")
        'keras.layers.Dense(64, activation="relu")'
    """
    class_name = str(changes.pop("class_name", layer.class_name))
    if class_name not in _LAYERS or not layer.config:
        return ""
    defaults = {**_LAYER_DEFAULTS, "activation": "tanh" if class_name in RECURRENT else "linear"}
    values = {name: value for name, value in layer.config.items() if name not in changes} | changes
    try:
        if class_name == "Activation":
            return f"keras.layers.Activation({written(values['activation'])})"
        first = [written(values.pop(name)) for name in _FIRST if name in values]
        rest = _arguments({name: value for name, value in values.items() if not _is_one(name, value)}, defaults)
    except (UnwritableError, KeyError):
        return ""
    return f"keras.layers.{class_name}({', '.join([*first, *rest])})"


def optimizer_code(compiled: Compiled, **changes: Any) -> str:
    """Return the optimizer as Keras code, with ``changes`` in place of what it has; ``""`` where it is not Keras' own.

    A loss scale that mixed precision adds by itself is left out.

    Example:
        >>> optimizer_code(Compiled(optimizer="SGD", clipping={"clipnorm": 1.0}), learning_rate=0.1)
        'keras.optimizers.SGD(learning_rate=0.1, clipnorm=1.0)'
    """
    recorded = cast("dict[str, Any]", compiled.optimizer_config) or {
        "module": "keras.optimizers",
        "class_name": compiled.optimizer,
        "config": dict(compiled.clipping),
    }
    scale = None
    if "inner_optimizer" in recorded["config"]:
        scale, recorded = recorded["config"], recorded["config"]["inner_optimizer"]
    name = str(changes.pop("class_name", recorded["class_name"]))
    if name not in USUAL_RATES or not str(recorded.get("module")).startswith("keras"):
        return ""
    shared = ("clipnorm", "global_clipnorm", "clipvalue", "weight_decay", "gradient_accumulation_steps")
    config = {
        key: value
        for key, value in recorded["config"].items()
        if name == recorded["class_name"] or (key in shared and value is not None)
    }
    values = {"learning_rate": None, **config, **changes}
    try:
        given = _arguments(values, {**_OPTIMIZER_DEFAULTS, **_DEFAULTS_OF.get(name, {})})
        code = f"keras.optimizers.{name}({', '.join(given)})"
        if scale is None:
            return code
        given = _arguments({key: value for key, value in scale.items() if key != "inner_optimizer"}, _LOSS_SCALE)
    except UnwritableError:
        return ""
    return f"keras.optimizers.LossScaleOptimizer({', '.join([code, *given])})" if given else code


def scaled_schedule(compiled: Compiled, factor: float) -> Mapping[str, Any] | None:
    """Return the schedule of the learning rate, all rates multiplied by ``factor``; None without one of Keras' own."""
    config = cast("dict[str, Any]", compiled.optimizer_config).get("config", {})
    config = config.get("inner_optimizer", {}).get("config", config)
    schedule = cast("dict[str, Any]", config.get("learning_rate", {}))
    if not str(schedule.get("module")).startswith("keras"):
        return None

    def scaled(value: Any) -> Any:
        if isinstance(value, list):
            return [scaled(item) for item in cast("list[float]", value)]
        return value and _short(value * factor)

    settings = {name: scaled(value) if name in _RATES else value for name, value in schedule["config"].items()}
    return {**schedule, "config": settings}


def identifier(value: Any) -> str:
    """Return the name, in snake case, of what Keras' configuration holds: a string, or a serialised object."""
    if isinstance(value, Mapping):
        item = cast("dict[str, Any]", value)
        value = item["config"] if item.get("class_name") == "function" else item.get("class_name", "")
    return snake_case(value) if isinstance(value, str) else ""


def snake_case(name: str) -> str:
    """Return a class's name as Keras writes it in small letters.

    Example:
        >>> snake_case("GlorotUniform")
        'glorot_uniform'
    """
    return re.sub(r"(?<=.)(?=[A-Z])", "_", name).lower()


def comment(names: Iterable[str]) -> str:
    """Return names of layers as they may stand in a comment: on one line, whatever they hold.

    Example:
        >>> comment(["dense", "dense_1", "dense_2", "dense_3"])
        'dense, dense_1, dense_2, dense_3'
    """
    return ", ".join(json.dumps(name)[1:-1] for name in names)


def written(value: Any) -> str:
    """Return a value of Keras' configuration as Python, objects as the calls that make them.

    Raises:
        UnwritableError: If a part is not Keras' own.

    Example:
        >>> written({"module": "keras.regularizers", "class_name": "L2", "config": {"l2": 0.01}})
        'keras.regularizers.L2(l2=0.01)'
    """
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, (list, tuple)):
        items = [written(item) for item in cast("list[Any]", value)]
        return f"({', '.join(items)}{',' if len(items) == 1 else ''})"
    if isinstance(value, float):
        return repr(_short(value)) if math.isfinite(value) else f'float("{value}")'
    if not isinstance(value, Mapping):
        return repr(value)
    item = cast("dict[str, Any]", value)
    name, config = item.get("class_name"), item.get("config")
    module = str(item.get("module", "keras.initializers"))
    if config is None or isinstance(config, str) or not module.startswith("keras") or str(name).startswith("_"):
        raise UnwritableError
    plain = {key: part for key, part in config.items() if part is not None}
    if module == "keras.initializers" and plain in ({}, {"gain": 1.0}):
        return json.dumps(snake_case(str(name)))
    given = [f"{key}={written(part)}" for key, part in plain.items() if key not in _UNSHOWN]
    return f"{module}.{name}({', '.join(given)})"


def _arguments(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> list[str]:
    """Return the arguments that differ from the defaults; None stands for the default where there is none."""
    shown = {name: value for name, value in values.items() if name not in _UNSHOWN}
    return [
        f"{name}={text}" for name, value in shown.items() if (text := written(value)) != written(defaults.get(name))
    ]


def _is_one(name: str, value: Any) -> bool:
    """Whether it is a stride or a dilation that is none."""
    ones = cast("list[Any]", value) if isinstance(value, list) else [value]
    return name in {"strides", "dilation_rate"} and all(item == 1 for item in ones)


def _short(number: float) -> float:
    """Return a number without the digits that float32 has put behind it."""
    return float(f"{number:.6g}")
