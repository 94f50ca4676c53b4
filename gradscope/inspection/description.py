"""The ends of a Keras model as plain values: what goes in, what comes out, and which loss it meets."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd

from gradscope.diagnose.subject import Input, Output, Subject
from gradscope.instrument.backend import present_backend
from gradscope.instrument.keras_border import (
    compiled_losses,
    functional_graph,
    inputs_by_name,
    keras,
    made_by,
    nodes_of,
    snake_case,
)
from gradscope.instrument.network_of import from_logits, places
from gradscope.network import Layer, Network, Site
from gradscope.store.frames import Frames


def described(model: Any, batch: Any, network: Network, frames: Frames | None) -> Subject:
    """Return what the checks look at; what cannot be known of a model is left out."""
    x, y, _ = keras.utils.unpack_x_y_sample_weight(batch)
    keys = {id(place.layer): place.key for place in places(model)}
    inputs: tuple[Input, ...] = ()
    outputs: tuple[Output, ...] = ()
    with contextlib.suppress(AttributeError, KeyError, IndexError, TypeError):  # structures of the user's own
        inputs = tuple(_inputs(model, x, keys, network, frames))
    with contextlib.suppress(AttributeError, KeyError, IndexError, TypeError):
        outputs = tuple(_outputs(model, y, keys, network, frames))
    return Subject(
        network,
        inputs,
        outputs,
        loss=_of_step(frames, "loss"),
        global_norm=_of_step(frames, "global_norm"),
        ran=frames is not None,
    )


def _of_step(frames: Frames | None, column: str) -> float:
    return math.nan if frames is None else float(frames.steps[column].iloc[-1])


def _row(frames: Frames | None, site: Site | None) -> pd.Series | None:
    if frames is None or site is None:
        return None
    rows = frames.activations[frames.activations["site"] == site.key]
    return rows.iloc[-1] if len(rows) else None


# --- inputs ---


def _inputs(model: Any, x: Any, keys: Mapping[int, str], network: Network, frames: Frames | None) -> Iterator[Input]:
    leaves: list[Any] = keras.tree.flatten(x)
    graph = functional_graph(model)
    tensors: Sequence[Any] = [] if graph is None else _input_tensors(graph, x)
    single = len(leaves) == 1
    for place, leaf in enumerate(leaves):
        values = present_backend().plain_values(leaf)
        if values is None or not values.size:
            continue
        known = len(tensors) == len(leaves)
        name = str(tensors[place].name) if known and not single else ("x" if single else f"x[{place}]")
        readers = _readers(graph, tensors[place], keys, network) if known else None
        site = _first_site(network, readers, single)
        row = _row(frames, site)
        arriving = math.nan if row is None else math.hypot(float(row["pre_mean"]), float(row["pre_std"]))
        saturated = math.nan if row is None else float(row["saturated_fraction"])
        yield Input(name, values, readers, site, arriving, saturated)


def _input_tensors(graph: Any, x: Any) -> Sequence[Any]:
    """Return the graph's input tensors in the order of the leaves of ``x``."""
    tensors: list[Any] = list(graph.inputs)
    if isinstance(x, dict):
        named = {**{tensor.name: tensor for tensor in tensors}, **inputs_by_name(graph)}
        return [named[name] for name in sorted(cast("dict[str, Any]", x))]  # as Keras flattens a dict
    return tensors


def _readers(graph: Any, tensor: Any, keys: Mapping[int, str], network: Network) -> tuple[Layer, ...] | None:
    """Return the layers that read a tensor; None where something reads it that is no layer of the network."""
    layers = {layer.key: layer for layer in network.layers}
    readers = [
        layers.get(keys.get(id(node.operation), ""))
        for node in nodes_of(graph)
        if any(argument is tensor for argument in node.arguments.keras_tensors)
    ]
    plain = [reader for reader in readers if reader is not None]
    return tuple(plain) if len(plain) == len(readers) and plain else None


def _first_site(network: Network, readers: Sequence[Layer] | None, single: bool) -> Site | None:
    """Return the first site behind the readers; of a model with one input the first of all."""
    if single or not network.sites:
        return next(iter(network.sites), None)
    if readers is None or network.edges is None:
        return None
    reached = {reader.key for reader in readers}
    while True:
        site = next((site for site in network.sites if site.layer in reached), None)
        further = {end for start, end in network.edges if start in reached} - reached
        if site is not None or not further:
            return site
        reached |= further


# --- outputs ---


def _outputs(model: Any, y: Any, keys: Mapping[int, str], network: Network, frames: Frames | None) -> Iterator[Output]:
    graph = functional_graph(model)
    names: list[str] = [] if graph is None else [str(name) for name in graph.output_names]
    layers = {layer.key: layer for layer in network.layers}
    for path, loss in compiled_losses(model):
        place = _place(path, names)
        if place is None:
            continue
        site = _output_site(graph, place, keys, network)
        row = _row(frames, site)
        minimum, maximum = _bounds(site, row)
        loss_name = _loss_name(loss)
        logits = from_logits(loss)
        yield Output(
            name=names[place] if len(names) > 1 else "",
            site=site,
            layer=None if site is None else layers.get(site.layer),
            loss=loss_name,
            from_logits=bool(logits) if loss_name else None,
            reads_logits=None if site is None else _reads_logits(loss, loss_name, site, _dtype(model, site, keys)),
            ignore_class=getattr(loss, "ignore_class", None),
            rank=None if graph is None else len(graph.outputs[place].shape),
            targets=present_backend().plain_values(_at(y, place, names)),
            minimum=minimum,
            maximum=maximum,
        )


def _place(path: Sequence[Any], names: Sequence[str]) -> int | None:
    """Return the number of the output that a loss of Keras' own list is for; None where that is not plain."""
    if not path:
        return 0 if len(names) <= 1 else None
    last = path[-1]
    if len(path) > 1:
        return None
    return last if isinstance(last, int) else names.index(last) if last in names else None


def _at(y: Any, place: int, names: Sequence[str]) -> Any:
    if isinstance(y, dict):
        return cast("dict[str, Any]", y).get(names[place])
    if isinstance(y, (list, tuple)):
        return cast("Sequence[Any]", y)[place]
    return y if place == 0 else None


def _output_site(graph: Any, place: int, keys: Mapping[int, str], network: Network) -> Site | None:
    ends = [site for site in network.sites if site.is_output]
    if graph is not None and len(graph.outputs) > 1:
        key = keys.get(id(made_by(graph.outputs[place])), "")
        ends = [site for site in ends if site.layer == key or site.layer.startswith(f"{key}/")]
    return ends[0] if len(ends) == 1 else None


def _bounds(site: Site | None, row: pd.Series | None) -> tuple[float, float]:
    """Return what an output's function can answer, or without a function did answer; NaN where unknown."""
    if site is None or site.profile is None or not site.profile.elementwise:
        return math.nan, math.nan
    if site.activation != "linear":
        return site.profile.minimum, site.profile.maximum
    return (math.nan, math.nan) if row is None else (float(row["pre_min"]), float(row["pre_max"]))


def _loss_name(loss: Any) -> str:
    """Return the name of a loss of Keras' own; ``""`` for another, of which nothing is known."""
    function = getattr(loss, "fn", None)
    known = str(getattr(function, "__module__", "")).startswith("keras.") and type(loss).__module__.startswith("keras.")
    return snake_case(str(getattr(function, "__name__", ""))) if known else ""


def _dtype(model: Any, site: Site, keys: Mapping[int, str]) -> str:
    layer = next((p.layer for p in places(model) if keys[id(p.layer)] == site.layer), None)
    return str(getattr(layer, "compute_dtype", "float32"))


def _reads_logits(loss: Any, name: str, site: Site, dtype: str) -> bool | None:
    """Return whether Keras takes the logits from behind ``site`` for this loss, by trying it on three made-up logits.

    Softmax and sigmoid leave their logits on the tensor that they return, and the cross-entropies look for them there,
    whatever ``from_logits`` and the function are. A tensor that was cast has lost them.
    """
    classes = {"sparse_categorical_crossentropy": [1, 0], "categorical_crossentropy": [[0, 1, 0], [1, 0, 0]]}
    labels: Any = classes.get(name, [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]] if name == "binary_crossentropy" else None)
    if labels is None or site.activation not in {"softmax", "sigmoid"}:
        return None
    logits = keras.ops.convert_to_tensor([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0]], dtype)
    probabilities = keras.activations.get(site.activation)(logits)
    try:
        behind = float(loss(np.array(labels), probabilities))
        plain = float(loss(np.array(labels), keras.ops.stop_gradient(probabilities)))
    except Exception:  # whatever the backend raises where a loss does not take them
        return None
    return not math.isclose(behind, plain, rel_tol=1e-5)
