"""What runs were trained with, and in what of it they differ: parameters, compilation, layers, versions.

Everything is brought to flat names and plain values first, so that two runs are compared by one rule, whatever their
layers are.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from gradscope.network import Layer, Network
from gradscope.report.values.flat_names import flat

if TYPE_CHECKING:
    from gradscope.store.read import Frames

Settings: TypeAlias = Mapping[tuple[str, str], Any]
"""By layer, ``""`` for the whole training, and name: a JSON value."""

_SHOWN_ELSEWHERE: Final = ("name", "trainable", "dtype", "activation")
"""Parts of a layer's configuration that its `Layer` and its `Site` tell in one form for all layers."""


_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Difference:
    """One setting that is not the same in all runs.

    Attributes:
        name: The setting, such as ``params.lr``, ``optimizer`` or ``kernel_initializer``.
        layers: Keys of the layers that it is about; empty where it concerns the whole training.
        values: JSON values, one a run, in their order; None where a run lacks the setting or the layer.
    """

    name: str
    layers: tuple[str, ...]
    values: tuple[Any, ...]


def settings_of(frames: Frames) -> Settings:
    """Return what the last session of ``frames`` was trained with."""
    params = frames.sessions[-1].params if frames.sessions else _NOTHING
    recording = frames.sessions[-1].settings if frames.sessions else _NOTHING
    whole: dict[str, Any] = {f"params.{name}": value for name, value in flat(params).items()}
    whole |= flat({**dataclasses.asdict(frames.network.compiled), "optimizer_config": {}})
    whole["learning_rate"] = _learning_rate(frames)
    settings: dict[tuple[str, str], Any] = {("", name): value for name, value in whole.items()}
    for layer in frames.network.layers:
        settings |= {(layer.key, name): value for name, value in _of_layer(layer, frames.network).items()}
    last = {f"recording.{name}": value for name, value in recording.items()}
    last |= {f"version.{name}": value for name, value in frames.network.versions.items()}
    return settings | {("", name): value for name, value in last.items()}


def differences(runs: Sequence[Settings]) -> list[Difference]:
    """Return the settings in which ``runs`` differ: of the whole training first, then of layers.

    A run that lacks a layer does not differ in that layer's settings: it has none. Layers that differ in the same way
    are told together.
    """
    having = [{layer for layer, _ in settings} for settings in runs]
    found: dict[tuple[str, str], tuple[tuple[Any, ...], list[str]]] = {}
    for layer, name in dict.fromkeys(key for settings in runs for key in settings):
        values = tuple(settings.get((layer, name)) for settings in runs)
        told = [_text(value) for value, layers in zip(values, having, strict=True) if layer in layers]
        if len(set(told)) > 1:
            scope = "" if not layer else _text(values)
            found.setdefault((name, scope), (values, []))[1].append(layer)
    return sorted(
        (Difference(name, tuple(filter(None, layers)), values) for (name, _), (values, layers) in found.items()),
        key=_place,
    )


def _place(difference: Difference) -> int:
    """Return where the difference stands: what the user chose, then what follows, then how it was recorded."""
    if difference.layers:
        return 2
    kinds = {"params": 0, "recording": 3, "version": 4}
    return kinds.get(difference.name.partition(".")[0], 1)


def _learning_rate(frames: Frames) -> float | str | None:
    """Return the learning rate, as first and last recorded where it changed; None where it is not known."""
    rates = frames.steps["learning_rate"].dropna()
    if rates.empty:
        return None
    first, last = (f"{rate:.4g}" for rate in (rates.iloc[0], rates.iloc[-1]))
    return float(first) if first == last else f"{first} → {last}"


def _of_layer(layer: Layer, network: Network) -> dict[str, Any]:
    functions = [site.activation for site in network.sites if site.layer == layer.key]
    config = {name: _plain(value) for name, value in layer.config.items() if name not in _SHOWN_ELSEWHERE}
    return {
        "class": layer.class_name,
        "activation": ", ".join(functions) or None,
        **config,
        "trainable": layer.trainable,
        "dtype": layer.dtype,
    }


def _plain(value: Any) -> Any:
    """Return a part of Keras' configuration; an object, such as an initialiser, as its class and what it was given.

    Example:
        >>> _plain({"module": "keras.initializers", "class_name": "HeNormal", "config": {"seed": None}})
        'HeNormal'
    """
    item = cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else _NOTHING
    if "class_name" not in item:
        return cast("Any", value)
    config = cast("Mapping[str, Any]", item.get("config") or {})
    given = ", ".join(f"{name}={part}" for name, part in config.items() if part is not None)
    return f"{item['class_name']}({given})" if given else str(item["class_name"])


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
