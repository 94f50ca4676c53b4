"""The slow second opinion: what a step does, by an eager tape and NumPy in float64, without a line of ours.

`look` runs a model's forward pass and loss under a tape of its own and puts every variable back, so that a training
that follows begins as if nothing had been. `site_row` says from the definitions what a row of `activations` must hold.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

RTOL = {"float32": 2e-4, "float16": 3e-2}
"""Relative tolerance of norms and moments: a graph may add up in another order than an eager tape."""

FLOOR = 0.05  # a tail's slope is at most this share of the function's steepest


@dataclass
class Application:
    """One application of an activation function: what went in, what came out, and the gradient that came back."""

    z: Any
    a: Any
    dz: Any = None


@dataclass
class Step:
    """What a batch does to a model: its loss, the gradient of every trained variable, and the sites spied on."""

    loss: float
    gradients: dict[str, np.ndarray | None]
    sites: dict[str, list[Application]] = field(default_factory=dict)

    def norm(self, path: str) -> float:
        gradient = self.gradients[path]
        return math.nan if gradient is None else float(np.sqrt(np.sum(np.square(gradient))))

    @property
    def global_norm(self) -> float:
        return math.sqrt(sum(np.square(g).sum() for g in self.gradients.values() if g is not None))


def look(
    model: Any,
    x: Any,
    y: Any,
    sample_weight: Any = None,
    *,
    spies: Mapping[str, Any] | None = None,
    training: bool = True,
) -> Step:
    """Return what one batch does to ``model`` under its present weights.

    Args:
        model: A compiled Keras model.
        x: The batch's inputs.
        y: Its labels.
        sample_weight: Its weights.
        spies: Layers or objects with an ``activation`` to look into, by the name to report them under.
        training: How the model is called.
    """
    x, y = (keras.tree.map_structure(tf.convert_to_tensor, part) for part in (x, y))
    if not model.built:
        model(x)
    before = [(variable, variable.numpy()) for variable in model.variables]
    seen: dict[str, list[Application]] = {}
    with tf.GradientTape(persistent=True) as tape, contextlib.ExitStack() as stack:
        for name, layer in (spies or {}).items():
            stack.enter_context(_spied(tape, layer, seen.setdefault(name, [])))
        value = model.compute_loss(x, y, model(x, training=training), sample_weight, training=training)
    for applications in seen.values():
        for application in applications:
            gradient = tape.gradient(value, application.z)
            application.dz = None if gradient is None else _array(gradient)
            application.z, application.a = _array(application.z), _array(application.a)
    gradients = {variable.path: tape.gradient(value, variable.value) for variable in model.trainable_variables}
    for variable, old in before:
        variable.assign(old)
    return Step(float(value), {path: None if g is None else _array(g) for path, g in gradients.items()}, seen)


@contextlib.contextmanager
def _spied(tape: tf.GradientTape, layer: Any, into: list[Application]) -> Iterator[None]:
    """Watch what goes into the layer's ``activation``, or into the layer itself where it has none."""
    name = "activation" if callable(getattr(layer, "activation", None)) and not _is_function(layer) else "call"
    original = getattr(layer, name)
    is_linear = name == "call" and not _is_function(layer)

    def spy(*arguments: Any, **keywords: Any) -> Any:
        if is_linear:
            z = tf.identity(original(*arguments, **keywords))
            tape.watch(z)
            into.append(Application(z, z))
            return z
        z = tf.identity(arguments[0])
        tape.watch(z)
        a = original(z, *arguments[1:], **keywords)
        into.append(Application(z, a))
        return a

    had = name in vars(layer)
    object.__setattr__(layer, name, spy)
    try:
        yield
    finally:
        object.__setattr__(layer, name, original) if had else object.__delattr__(layer, name)


def _is_function(layer: Any) -> bool:
    return type(layer).__name__ in {"Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax"}


def _array(tensor: Any) -> np.ndarray:
    return tf.convert_to_tensor(tensor).numpy().astype(np.float64)


def tails(function: Callable[[Any], Any]) -> tuple[float, float]:
    """Return where the low and the high tail of an elementwise function begin, to a thousandth; NaN without a slope."""
    z = tf.constant(np.arange(-200.0, 200.0, 1e-3) + 5e-4)
    with tf.GradientTape() as tape:
        tape.watch(z)
        value = function(z)
    gradient = tape.gradient(value, z)
    z, slope = z.numpy(), np.zeros(z.shape) if gradient is None else np.abs(gradient.numpy())
    # Where the slope grows without bound, as of the exponential, it is compared with that on [-1, 1].
    steepest = slope[np.abs(z) <= 1].max() if slope.max() > 100 else slope.max()
    if steepest == 0:
        return math.nan, math.nan
    steep = np.flatnonzero(slope > FLOOR * steepest)
    dies = [slope[side].max() <= 1e-3 * steepest for side in (z < -100, z > 100)]
    return z[steep[0]] if dies[0] else -math.inf, z[steep[-1]] if dies[1] else math.inf


def site_row(
    application: Application,
    *,
    samples: int,
    limits: tuple[float, float] | None = None,
    flat_below: float = -math.inf,
    mask: np.ndarray | None = None,
) -> dict[str, float]:
    """Return what the statistics of one application are, by their definitions, in float64.

    Args:
        application: What went in, came out and came back; units last.
        samples: Samples in the batch.
        limits: Where the tails begin; None where the function mixes entries.
        flat_below: The function is exactly 0 and flat up to here.
        mask: True at the positions that count, shape of the leading axes.
    """
    z, a = application.z, application.a
    dz = None if application.dz is None else application.dz * samples
    if mask is None:
        mask = np.ones(z.shape[:1], bool)
    z, a, dz = (None if part is None else part[mask].reshape(-1, z.shape[-1]) for part in (z, a, dz))
    finite_z, finite_a = z[np.isfinite(z)], a[np.isfinite(a)]
    by_unit = [column[np.isfinite(column)] for column in a.T]
    means = np.array([np.abs(column).mean() for column in by_unit if column.size])
    row = {
        "pre_mean": finite_z.mean() if finite_z.size else math.nan,
        "pre_std": finite_z.std() if finite_z.size else math.nan,
        "pre_min": np.nanmin(z) if not np.isnan(z).all() else math.nan,
        "pre_max": np.nanmax(z) if not np.isnan(z).all() else math.nan,
        "mean": finite_a.mean() if finite_a.size else math.nan,
        "std": finite_a.std() if finite_a.size else math.nan,
        "sample_std": math.sqrt(np.mean([column.var() for column in by_unit if column.size]))
        if means.size
        else math.nan,
        "rms": math.sqrt(np.square(finite_a).mean()) if finite_a.size else math.nan,
        "abs_max": _largest(a),
        "zero_fraction": float(np.mean(a == 0)),
        "dormant_unit_fraction": float(np.mean(means <= 0.025 * means.mean())) if means.size else math.nan,
        "nonfinite_count": float(np.sum(~(np.isfinite(z) & np.isfinite(a)))),
        "backward_rms": math.nan,
        "backward_zero_fraction": math.nan,
    }
    if dz is not None:
        finite = dz[np.isfinite(dz)]
        row["backward_rms"] = math.sqrt(np.square(finite).mean()) if finite.size else math.nan
        row["backward_zero_fraction"] = float(np.mean(dz == 0))
    low, high = (math.nan, math.nan) if limits is None else limits
    blocked = math.isnan(low)
    # An infinite entry lies in no tail that begins at infinity: there is none.
    row["saturated_low_fraction"] = math.nan if blocked else float(np.mean((z <= low) & (low > -math.inf)))
    row["saturated_high_fraction"] = math.nan if blocked else float(np.mean((z >= high) & (high < math.inf)))
    row["saturated_fraction"] = row["saturated_low_fraction"] + row["saturated_high_fraction"]
    row["inactive_fraction"] = (
        math.nan if limits is None else float(np.mean((z <= flat_below) & (flat_below > -math.inf)))
    )
    return row


def assert_row(actual: pd.Series, expected: Mapping[str, float], *, rtol: float = RTOL["float32"]) -> None:
    """Fail, naming the column, where a recorded row differs from ``expected``: counts and shares not at all."""
    scale = max([abs(v) for name, v in expected.items() if name in _MOMENTS and math.isfinite(v)], default=0.0)
    for name, value in expected.items():
        exact = name.endswith(("_fraction", "_count"))
        np.testing.assert_allclose(
            float(actual[name]),
            value,
            rtol=1e-6 if exact else rtol,
            atol=0.0 if exact or name == "backward_rms" else rtol * scale * 1e-2,
            err_msg=f"{name} of {actual['site']}",
        )


_MOMENTS = {"pre_std", "std", "rms", "pre_mean", "pre_min", "pre_max", "abs_max"}


def assert_gradients(frame: pd.DataFrame, step: Step, *, rtol: float = RTOL["float32"], noise: float = 1e-6) -> None:
    """Fail where the gradients recorded at one step are not those of the tape, connected or not, one for one.

    Args:
        frame: The rows of one step.
        step: What the tape says.
        rtol: Relative tolerance.
        noise: What rounding may leave of a gradient that is 0 on paper, as of a bias before a normalisation, as a
            share of the norm over all gradients.
    """
    recorded = {row["variable"]: row for _, row in frame.iterrows()}
    assert set(recorded) == set(step.gradients)
    atol = noise * np.nan_to_num(step.global_norm, posinf=0.0)
    for path, gradient in step.gradients.items():
        row = recorded[path]
        assert bool(row["connected"]) == (gradient is not None), path
        if gradient is None:
            assert math.isnan(row["norm"]), path
            continue
        expected = {"norm": step.norm(path), "nonfinite_count": np.sum(~np.isfinite(gradient))}
        if row["role"] != "embedding":  # of which only the touched rows are looked at
            expected |= {"rms": step.norm(path) / math.sqrt(gradient.size), "abs_max": _largest(gradient)}
        for name, value in expected.items():
            np.testing.assert_allclose(row[name], value, rtol=rtol, atol=atol, err_msg=f"{name} of {path}")


def _largest(x: np.ndarray) -> float:
    return math.nan if np.isnan(x).all() else float(np.nanmax(np.abs(x)))
