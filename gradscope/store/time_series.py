"""The few scalars of a step that are worth a card in TensorBoard's Time Series tab.

A deep net has hundreds of layers, and a card for each would bury the rest: above 30 of a kind only extremes and means
are shown, unless all are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradscope import schema
from gradscope.network import Network
from gradscope.records import FinalPass, StepRecord

Scalars: TypeAlias = Literal["auto", "all", "none"]
"""Which scalars are written: few on deep nets, one a layer always, or none."""

MOST_CARDS: Final = 30

_GLOBAL_NORM = schema.STEPS.statistic_names.index("global_norm")
_SATURATED = schema.ACTIVATIONS.statistic_names.index("saturated_fraction")
_DEAD = schema.ACTIVATIONS.statistic_names.index("dead_unit_fraction")
_NORM = schema.GRADIENTS.statistic_names.index("norm")


@dataclass(frozen=True, slots=True)
class SeriesPlan:
    """What the scalars of a network are called, worked out once.

    Attributes:
        sites: Keys of the sites whose function can lose its slope.
        site_rows: Rows of the `activations` table that are theirs.
        layers: Keys of the layers that have a kernel.
        kernels: Rows of the `gradients` table that hold kernels, those of one layer together.
        starts: Where in ``kernels`` each layer begins.
    """

    sites: tuple[str, ...] = ()
    site_rows: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, np.intp))
    layers: tuple[str, ...] = ()
    kernels: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, np.intp))
    starts: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, np.intp))


def series_plan(network: Network) -> SeriesPlan:
    """Return what the scalars of ``network`` are called."""
    rows: dict[str, list[int]] = {}
    for row, variable in enumerate(network.variables):
        if variable.role == "kernel":
            rows.setdefault(variable.layer, []).append(row)
    counts = [len(of_layer) for of_layer in rows.values()]
    bending = [row for row, site in enumerate(network.sites) if site.profile is None or not site.profile.linear]
    return SeriesPlan(
        sites=tuple(network.sites[row].key for row in bending),
        site_rows=np.array(bending, np.intp),
        layers=tuple(rows),
        kernels=np.array([row for of_layer in rows.values() for row in of_layer], np.intp),
        starts=np.cumsum([0, *counts[:-1]], dtype=np.intp) if counts else np.zeros(0, np.intp),
    )


def time_series(record: StepRecord, plan: SeriesPlan, scalars: Scalars = "auto") -> Mapping[str, float]:
    """Return the scalars of ``record`` by tag; those that are NaN are left out.

    ``gradient_norm`` of a layer is the norm over its kernels together.
    """
    if scalars == "none":
        return {}
    series: dict[str, float] = {}
    if record.steps is not None:
        series["global_norm"] = float(record.steps[_GLOBAL_NORM])
    few = scalars == "auto"
    if record.activations is not None:
        for tag, column in (("saturated_fraction", _SATURATED), ("dead_unit_fraction", _DEAD)):
            series.update(_of_sites(tag, record.activations[plan.site_rows, column], plan, few=few))
    if record.gradients is not None and plan.layers:
        norms = record.gradients[plan.kernels, _NORM].astype(np.float64)
        norms = np.sqrt(np.add.reduceat(norms * norms, plan.starts))
        tag = "gradient_norm"
        series.update(_min_and_max(tag, norms) if few and len(norms) > MOST_CARDS else _each(tag, plan.layers, norms))
    return _without_nan(series)


def final_series(record: FinalPass, plan: SeriesPlan, scalars: Scalars = "auto") -> Mapping[str, float]:
    """Return the scalars of a final pass by tag: the dead units that the training has left."""
    if scalars == "none" or record.activations is None:
        return {}
    values = record.activations[plan.site_rows, _DEAD]
    return _without_nan(dict(_of_sites("dead_unit_fraction", values, plan, few=scalars == "auto")))


def _without_nan(series: Mapping[str, float]) -> Mapping[str, float]:
    return {tag: value for tag, value in series.items() if value == value}  # NaN differs from itself


def _of_sites(tag: str, values: NDArray[np.floating], plan: SeriesPlan, *, few: bool) -> Iterator[tuple[str, float]]:
    return _mean_and_max(tag, values) if few and len(values) > MOST_CARDS else _each(tag, plan.sites, values)


def _each(tag: str, keys: Sequence[str], values: NDArray[np.floating]) -> Iterator[tuple[str, float]]:
    return ((f"{tag}/{key}", value) for key, value in zip(keys, values.tolist(), strict=True))


def _mean_and_max(tag: str, values: NDArray[np.floating]) -> Iterator[tuple[str, float]]:
    if known := _known(values):
        yield f"{tag}/mean", sum(known) / len(known)
        yield f"{tag}/max", max(known)


def _min_and_max(tag: str, values: NDArray[np.floating]) -> Iterator[tuple[str, float]]:
    if known := _known(values):
        yield f"{tag}/min", min(known)
        yield f"{tag}/max", max(known)


def _known(values: NDArray[np.floating]) -> list[float]:
    """Return the values that are numbers; a list, as its sums are faster than NumPy's for tens of values."""
    return [value for value in values.tolist() if value == value]
