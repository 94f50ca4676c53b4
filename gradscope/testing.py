"""Small runs made by hand, to test a rule on: the same numbers every time, with no framework and no training.

A network is made of `Part` by `network`, or by `stack` where dense layers only follow one another; `run` records a
training of it that is healthy but for what the test says. Columns are independent: none is derived from another, so
that a test says all that it needs.

Example:
    >>> frames = run(
    ...     stack("relu", depth=5),
    ...     recorded=range(0, 300, 25),
    ...     epochs={"loss": [2.31, 2.3, 2.3, 2.3, 2.3, 2.3]},
    ...     steps={"baseline_loss": 2.3},
    ...     activations={"dense_2": {"dead_unit_fraction": lambda step: 0.6 * step / 275}},
    ... )
    >>> from gradscope.diagnose.rules.dying_relu import dying_relu
    >>> [(finding.severity, finding.layer) for finding in dying_relu(frames)]
    [('high', 'dense_2')]
"""

from __future__ import annotations

import fnmatch
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradscope.activations.known import known_profile
from gradscope.errors import ArgumentError
from gradscope.nearest import nearest
from gradscope.network import Compiled, Layer, Network, Profile, Site, Variable
from gradscope.records import (
    Causes,
    CausesNote,
    Costs,
    EpochRecord,
    NetworkChange,
    Record,
    Session,
    SessionEnd,
    StepRecord,
)
from gradscope.schema import ACTIVATIONS, GRADIENTS, STEPS, UNITS, Table
from gradscope.store.frames import Frames, frames_of

Value: TypeAlias = float | Sequence[float] | NDArray[np.floating[Any]] | Callable[[int], float]
"""What a column holds: one number throughout, one a recorded step, or a function of the step."""

Columns: TypeAlias = Mapping[str, Value]
"""Values by the name of the column."""

ADAM: Final = Compiled(loss="sparse_categorical_crossentropy", from_logits=False, optimizer="Adam", epsilon=1e-7)
LEARNT: Final = (1.8, 1.2, 0.8, 0.6, 0.5, 0.45)
"""Losses of the epochs of a training that learns: a fifth of the baseline is left."""

_BEGAN = 1_700_000_000.0
_STEP: Final[Columns] = {
    "baseline_loss": math.log(10), "lowest_loss": 0.0, "learning_rate": 1e-3, "global_norm": 0.3, "loss_scale": 1.0,
    "clipped": 0.0, "skipped": 0.0, "samples": 32.0, "step_seconds": 0.01, "recording_seconds": 0.01,
}  # fmt: skip
_SITE: Final[Columns] = {
    **dict.fromkeys(ACTIVATIONS.statistic_names, 0.0), "entropy": math.nan, "top_probability": math.nan,
    "pre_std": 1.25, "pre_min": -4.0, "pre_max": 4.0, "std": 1.25, "sample_std": 1.0, "rms": 1.25, "abs_max": 4.0,
    "saturated_fraction": 0.1, "saturated_low_fraction": 0.05, "saturated_high_fraction": 0.05, "backward_rms": 1e-2,
}  # fmt: skip
_SOFTMAX: Final[Columns] = {
    **{name: math.nan for name in _SITE if name.startswith("saturated") or name.endswith("active_fraction")},
    "dead_unit_fraction": math.nan, "stuck_unit_fraction": math.nan, "entropy": 0.5, "top_probability": 0.6,
}  # fmt: skip
_VARIABLE: Final[Columns] = {
    "connected": 1.0, "norm": 0.1, "rms": 1e-3, "abs_max": 1e-2, "zero_fraction": 0.0, "nonfinite_count": 0.0,
    "weight_norm": 8.0, "update_norm": 8e-3, "update_to_weight_ratio": 1e-3, "sign_agreement": 0.6,
}  # fmt: skip
_UNIT: Final[Mapping[str, float]] = {
    "active_fraction": 0.5, "saturated_low_fraction": 0.0, "saturated_high_fraction": 0.0, "max_activation": 1.0,
    "mean_abs": 0.5, "positions": 1024.0, "dead": 0.0, "confirmed": 0.0, "dead_since_step": math.nan,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Part:
    """One layer of a `network`, as much of it as a test cares for.

    Attributes:
        key: The layer's key.
        class_name: Its class in Keras.
        activation: Name of its activation function; None for a layer such as Dropout that has no site.
        kernel: Shape of its kernel, units last; None for a layer without weights. One that is trainable has a kernel
            and a bias in the `gradients` table: ``key/kernel`` and ``key/bias``.
        units: Units of its site where it has no kernel to tell.
        profile: Where its function loses its slope; by default that of Keras' function of this name, and None, not
            profiled, for another name.
        config: Its configuration, besides units, activation and initialiser, which follow from the rest; what is given
            here replaces them.
        trainable: Whether its weights are trained.
        dtype: Name of its dtype policy.

    Example:
        >>> Part("conv", "Conv2D", activation="relu", kernel=(3, 3, 8, 16), config={"kernel_regularizer": "l2"}).key
        'conv'
    """

    key: str
    class_name: str = "Dense"
    activation: str | None = "linear"
    kernel: tuple[int, ...] | None = (64, 64)
    units: int = 64
    profile: Profile | None = None
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])
    trainable: bool = True
    dtype: str = "float32"


def network(
    *parts: Part,
    edges: Iterable[tuple[str, str]] | Literal["chain"] | None = "chain",
    outputs: Sequence[str] | None = None,
    compiled: Compiled = ADAM,
) -> Network:
    """Return the network of these layers.

    Args:
        *parts: The layers in the order of execution.
        edges: Pairs of layer keys, from and to; ``"chain"`` where each reads the one before it; None where the graph
            is not known, as of a subclassed model.
        outputs: Keys of the layers whose activation is the model's output; by default the last.
        compiled: How it was compiled.

    Example:
        >>> net = network(Part("dense", activation="tanh"), Part("dropout", "Dropout", None, None), Part("head"))
        >>> net.edges, [site.key for site in net.sites if site.is_output]
        ((('dense', 'dropout'), ('dropout', 'head')), ['head'])
    """
    keys = [part.key for part in parts]
    if len(set(keys)) < len(keys):
        raise ArgumentError(f"Every layer needs a key of its own, got {keys}.")
    outputs = keys[-1:] if outputs is None else outputs
    pairs = itertools.pairwise(keys) if isinstance(edges, str) else edges
    return Network(
        name="model",
        layers=tuple(
            Layer(part.key, part.key, part.class_name, order, part.trainable, part.dtype, _config(part))
            for order, part in enumerate(parts)
        ),
        sites=tuple(
            Site(part.key, part.key, part.activation, _profile(part), _units(part), is_output=part.key in outputs)
            for part in parts
            if part.activation is not None
        ),
        variables=tuple(
            variable
            for part in parts
            if part.kernel is not None and part.trainable
            for variable in (
                Variable(f"{part.key}/kernel", part.key, part.kernel, "kernel"),
                Variable(f"{part.key}/bias", part.key, part.kernel[-1:], "bias"),
            )
        ),
        edges=None if pairs is None else tuple(pairs),
        compiled=compiled,
    )


def stack(
    activation: str = "relu",
    *,
    depth: int = 5,
    units: int = 64,
    classes: int = 10,
    config: Mapping[str, Any] | None = None,
    compiled: Compiled = ADAM,
) -> Network:
    """Return a classifier of dense layers: ``depth`` hidden ones and a softmax output, named as Keras names them.

    Args:
        activation: Activation function of the hidden layers.
        depth: Number of hidden layers.
        units: Units of each, and number of inputs.
        classes: Units of the output.
        config: What to replace in the configuration of the hidden layers, such as ``kernel_initializer``.
        compiled: How it was compiled.

    Example:
        >>> [site.key for site in stack("tanh", depth=2).sites]
        ['dense', 'dense_1', 'dense_2']
    """
    keys = ["dense", *(f"dense_{index}" for index in range(1, depth + 1))]
    hidden = [Part(key, activation=activation, kernel=(units, units), config=config or {}) for key in keys[:-1]]
    return network(*hidden, Part(keys[-1], activation="softmax", kernel=(units, classes)), compiled=compiled)


def _config(part: Part) -> dict[str, Any]:
    """Return what Keras' configuration of such a layer holds, as far as rules read it."""
    config: dict[str, Any] = {}
    if part.kernel is not None:
        config = {"units": part.kernel[-1], "kernel_initializer": {"class_name": "GlorotUniform", "config": {}}}
        if "Conv" in part.class_name:
            config["filters"], config["kernel_size"] = config.pop("units"), list(part.kernel[:-2])
    if part.activation is not None and (part.kernel is not None or part.class_name == "Activation"):
        config["activation"] = part.activation
    return {**config, **part.config}


def _profile(part: Part) -> Profile | None:
    return part.profile or known_profile(part.activation or "linear")


def _units(part: Part) -> int:
    return part.units if part.kernel is None else part.kernel[-1]


def run(
    net: Network,
    *,
    recorded: Sequence[int] = range(0, 300, 25),
    epochs: Mapping[str, Sequence[float]] | None = None,
    steps: Columns | None = None,
    activations: Mapping[str, Columns] | None = None,
    gradients: Mapping[str, Columns] | None = None,
    units: Mapping[str, Mapping[int, Mapping[str, float]]] | None = None,
    causes: Causes | None = None,
) -> Frames:
    """Return the frames of a training of ``net`` that is healthy but for what is said here.

    Healthy means: the loss falls to a fifth of that of a constant answer, the backward signal and the spread over
    samples are the same in every layer, updates are a thousandth of the weights, a tenth of the entries is saturated,
    no unit is dead, every variable has a gradient, and all is finite.

    Args:
        net: What was trained.
        recorded: The recorded steps, ascending.
        epochs: Logs of the epochs by name, each as long as the others; the epochs share the steps evenly. By default
            the loss of a training that learns. The loss of a batch is that of its epoch, unless ``steps`` says more.
        steps: Columns of the `steps` table.
        activations: Columns of the `activations` table, by key of the site or by pattern: ``"*"`` is every site,
            ``"dense_*"`` those that begin so. What stands later replaces what stands before.
        gradients: Columns of the `gradients` table, by path of the variable or by pattern, such as ``"*/kernel"``.
        units: Columns of the `units` table, by key of the site and index of the unit, written at the last recorded
            step.
        causes: What looking once more at a step has found out.

    Raises:
        ArgumentError: If a column, a site or a variable is not known, or a column is not as long as ``recorded``.

    Example:
        >>> frames = run(stack(depth=1), recorded=[0, 1], gradients={"*/kernel": {"rms": [1.0, 0.5]}})
        >>> frames.gradients[frames.gradients["variable"] == "dense/kernel"]["rms"].tolist()
        [1.0, 0.5]
    """
    logs = {"loss": LEARNT} if epochs is None else epochs
    ends = _epoch_ends(recorded, logs)
    epoch_of = np.minimum(np.searchsorted(ends, recorded), max(len(ends) - 1, 0))
    losses = np.array(logs["loss"])[epoch_of] if len(ends) and "loss" in logs else 1.0
    of_step = _table(STEPS, recorded, {"loss": losses, **_STEP}, [""], {"": steps or {}})[:, 0]
    of_sites = _rows(ACTIVATIONS, recorded, [(site.key, _healthy(site)) for site in net.sites], activations or {})
    of_variables = _rows(GRADIENTS, recorded, [(v.path, _VARIABLE) for v in net.variables], gradients or {})
    of_units = _units_table(net, units or {})
    records: list[Record] = [Session(0, _BEGAN, False, "made by hand"), NetworkChange(0, _BEGAN, net)]
    for at, step in enumerate(recorded):
        records.append(
            StepRecord(
                step,
                int(epoch_of[at]),
                _BEGAN + step,
                of_step[at],
                of_sites[at],
                of_variables[at],
                of_units if at == len(recorded) - 1 and len(of_units) else None,
            )
        )
    for epoch, end in enumerate(ends):
        values = {name: float(column[epoch]) for name, column in logs.items()}
        records.append(EpochRecord(end, epoch, _BEGAN + end, values, Costs()))
    if causes is not None:
        records.append(CausesNote(max(recorded, default=0), _BEGAN, causes))
    return frames_of([*records, SessionEnd(max([*recorded, *ends], default=0), _BEGAN, Costs())])


def _epoch_ends(recorded: Sequence[int], logs: Mapping[str, Sequence[float]]) -> list[int]:
    """Return the last step of each epoch: the epochs end one record's distance after the last record."""
    lengths = {len(values) for values in logs.values()}
    if len(lengths) > 1:
        raise ArgumentError(f"epochs holds logs of unlike lengths: { {name: len(v) for name, v in logs.items()} }.")
    count = lengths.pop() if lengths else 0
    apart = recorded[-1] - recorded[-2] if len(recorded) > 1 else 1
    total = max(recorded[-1] + apart if len(recorded) else 0, count)
    return [math.ceil(total * (epoch + 1) / count) - 1 for epoch in range(count)]


def _healthy(site: Site) -> Columns:
    is_softmax = site.profile is not None and not site.profile.elementwise
    return {**_SITE, **(_SOFTMAX if is_softmax else {})}


def _rows(
    table: Table, recorded: Sequence[int], places: Sequence[tuple[str, Columns]], changes: Mapping[str, Columns]
) -> NDArray[np.float32]:
    """Return the numeric table of all recorded steps, shape ``(records, places, columns)``."""
    names = [name for name, _ in places]
    for pattern in changes:
        if not any(_matches(name, pattern) for name in names):
            raise ArgumentError(f"{table.name} names {pattern!r}, which is none of: {', '.join(names) or 'nothing'}.")
    numbers = [
        _table(table, recorded, healthy, [pattern for pattern in changes if _matches(name, pattern)], changes)
        for name, healthy in places
    ]
    shape = (len(recorded), 0, len(table.statistics))
    return np.concatenate([np.empty(shape, np.float32), *numbers], axis=1)


def _matches(name: str, pattern: str) -> bool:
    return name == pattern or fnmatch.fnmatchcase(name, pattern)


def _table(
    table: Table, recorded: Sequence[int], healthy: Columns, patterns: Sequence[str], changes: Mapping[str, Columns]
) -> NDArray[np.float32]:
    """Return the numbers of one place, shape ``(records, 1, columns)``."""
    columns = dict(healthy)
    for pattern in patterns:
        for name in changes[pattern]:
            _check_column(table, name)
        columns |= changes[pattern]
    values = [_over(recorded, columns.get(name, math.nan), name) for name in table.statistic_names]
    return np.stack(values, axis=-1).astype(np.float32)[:, None]


def _check_column(table: Table, name: str) -> None:
    if name not in table.statistic_names:
        near = nearest(name, table.statistic_names, count=3) or table.statistic_names
        raise ArgumentError(f"The table {table.name!r} has no column {name!r}. Nearest: {', '.join(near)}.")


def _over(recorded: Sequence[int], value: Value, name: str) -> NDArray[np.float64]:
    """Return ``value`` at each recorded step."""
    if callable(value):
        return np.array([value(step) for step in recorded], np.float64)
    values = np.asarray(value, np.float64)
    if values.shape not in {(), (len(recorded),)}:
        raise ArgumentError(f"{name} has shape {values.shape}, but {len(recorded)} steps are recorded.")
    return np.broadcast_to(values, (len(recorded),))


def _units_table(net: Network, units: Mapping[str, Mapping[int, Mapping[str, float]]]) -> NDArray[np.float64]:
    """Return the rows of the `units` table, each with the index of its site before it."""
    keys = [site.key for site in net.sites]
    rows: list[list[float]] = []
    for key, of_site in units.items():
        if key not in keys:
            raise ArgumentError(f"units names {key!r}, which is none of: {', '.join(keys) or 'nothing'}.")
        for unit, columns in of_site.items():
            for name in columns:
                _check_column(UNITS, name)
            values = {"unit": float(unit), **_UNIT, **columns}
            rows.append([float(keys.index(key)), *(values[name] for name in UNITS.statistic_names)])
    return np.array(rows, np.float64).reshape(-1, 1 + len(UNITS.statistics))
