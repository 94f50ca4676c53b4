"""The binary answers, each a pure function of the thinned tables: matrices, curves, steps and histograms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradscope import schema
from gradscope.network import main_variables
from gradscope.schema import COSTS, Column
from gradscope_dashboard.answers import layers_of, networks_of
from gradscope_dashboard.framing import MOST_BYTES, binary_answer, json_answer
from gradscope_dashboard.notes import Notes
from gradscope_dashboard.refusals import not_here
from gradscope_dashboard.sessions import counting
from gradscope_dashboard.source import Point, RecordedRun
from gradscope_dashboard.tables import Axis, ThinnedTable
from gradscope_dashboard.thinning import group_starts, places_among, thinned

_HEADER_BYTES = 60  # of the header, a column: two steps, an epoch and a time


@dataclass(frozen=True, slots=True)
class _Columns:
    """The columns of an answer: where the groups of an axis go, and what the header says of them.

    Attributes:
        first_steps: The first step of each.
        header: What tells the reader of them.
    """

    first_steps: NDArray[np.int64]
    header: Mapping[str, Any]

    def of(self, table: ThinnedTable, values: NDArray[np.float32], column: Column) -> NDArray[np.float32]:
        """Return rows of ``table`` thinned to these columns; its own groups may be those of an earlier moment."""
        places = places_among(self.first_steps, table.axis.first_steps)
        return thinned(values, places, len(self.first_steps), column.extreme)


def matrix(notes: Notes, table: ThinnedTable, column: Column, most: int) -> bytes:
    """Return one statistic: a row a site or layer, in the order of the model, and a column a group of steps."""
    rows = _matrix_rows(notes, table)
    shown = [{name: row[name] for name in ("key", "layer", "label")} for row in rows]
    values = table.column(column.name)[[row["place"] for row in rows]]
    columns = _columns(table.axis, most, len(rows), len(json_answer(shown)))
    header = {"stamp": table.stamp, "statistic": f"{table.name}.{column.name}", "rows": shown, **columns.header}
    return binary_answer({**header, "read": table.read_count}, columns.of(table, values, column))


def curves(
    run: RecordedRun, notes: Notes, activations: ThinnedTable, gradients: ThinnedTable, layer: str, most: int
) -> bytes:
    """Return every statistic of a layer's sites and variables.

    Raises:
        RequestError: If the run has no such layer.
    """
    sites = [site.key for network in networks_of(notes) for site in network.sites if site.layer == layer]
    variables = [found.path for network in networks_of(notes) for found in network.variables if found.layer == layer]
    if layer not in layers_of(notes) and not sites and not variables:
        raise not_here(f"Run {run.shown!r} has no layer {layer!r}.")
    series = [
        *_series(activations, sites, "site"),
        *_series(gradients, variables, "variable"),
    ]
    stamp = activations.stamp if gradients.stamp == run.stamp else gradients.stamp
    axis = max(activations.axis, gradients.axis, key=lambda axis: len(axis.steps))
    return _lines({"stamp": stamp, "layer": layer}, axis, series, most)


def steps(notes: Notes, table: ThinnedTable, most: int) -> bytes:
    """Return loss, norm, seconds and whatever else is recorded of a step as a whole."""
    costs = [
        {"title": part.title, "meaning": part.meaning, "seconds": getattr(notes.costs, part.name)} for part in COSTS
    ]
    header = {"stamp": table.stamp, "training_seconds": notes.costs.training_seconds, "costs": costs}
    return _lines(header, table.axis, _series(table, table.rows), most)


def histograms(stamp: str, notes: Notes, site: str, points: Sequence[Point]) -> bytes:
    """Return the bins of a site's activations: of all steps as many, and of evenly picked steps where they are many."""
    kept = counting(points, notes.sessions)
    bins = max((len(point.array) for point in kept), default=0)
    most = MOST_BYTES // (12 * bins + _HEADER_BYTES) - 10
    picked: list[int] = group_starts(len(kept), most).tolist()
    kept = [kept[place] for place in picked]
    values = np.zeros((len(kept), bins, 3), np.float32)
    for place, point in enumerate(kept):
        values[place, : len(point.array)] = point.array
        values[place, len(point.array) :, :2] = point.array[-1:, 1]  # empty bins of no width behind the last
    told = {"steps": [point.step for point in kept], "wall_times": [point.wall_time for point in kept]}
    return binary_answer({"stamp": stamp, "site": site, **told, "bins": bins}, values)


def _matrix_rows(notes: Notes, table: ThinnedTable) -> list[dict[str, Any]]:
    """Return key, layer and label of each row of a matrix, and its place in the table."""
    places = {key: place for place, key in enumerate(table.rows)}
    if table.name == "steps":
        return [{"key": key, "layer": "", "label": "model", "place": place} for key, place in places.items()]
    if table.name == "activations":
        layer_of = {site.key: site.layer for network in networks_of(notes)[::-1] for site in network.sites}
        order = dict.fromkeys(site.key for network in networks_of(notes) for site in network.sites)
        keys = [*(key for key in order if key in places), *(key for key in places if key not in order)]
        return [{"key": key, "layer": layer_of.get(key, key), "label": key, "place": places[key]} for key in keys]
    rows: dict[str, dict[str, Any]] = {}
    for network in networks_of(notes):
        for layer, main in main_variables(network.variables).items():
            if main.path in places:
                row = {"key": layer, "layer": layer, "label": layer, "place": places[main.path]}
                rows.setdefault(layer, row)
    return list(rows.values())


@dataclass(frozen=True, slots=True)
class _Line:
    told: Mapping[str, str]
    table: ThinnedTable
    values: NDArray[np.float32]
    column: Column


def _series(table: ThinnedTable, keys: Iterable[str], called: str | None = None) -> list[_Line]:
    """Return each statistic of the rows with these keys, those left out that are NaN throughout.

    Args:
        table: The table.
        keys: Of the rows; one that the table lacks is left out.
        called: Under which name the header tells the key; None for a table of one row.
    """
    columns = [(column, table.column(column.name)) for column in schema.TABLES[table.name].statistics]
    places = {key: place for place, key in enumerate(table.rows)}
    lines: list[_Line] = []
    for key in dict.fromkeys(key for key in keys if key in places):
        for column, values in columns:
            if not np.isnan(values[places[key]]).all():
                told = {"id": f"{table.name}.{column.name}", **({called: key} if called else {})}
                lines.append(_Line(told, table, values[places[key]], column))
    return lines


def _lines(header: Mapping[str, Any], axis: Axis, lines: Sequence[_Line], most: int) -> bytes:
    told = [line.told for line in lines]
    columns = _columns(axis, most, len(lines), len(json_answer(told)))
    values = [columns.of(line.table, line.values[np.newaxis], line.column)[0] for line in lines]
    together = np.stack(values) if values else np.zeros((0, len(columns.first_steps)), np.float32)
    return binary_answer({**header, "series": told, **columns.header}, together)


def _columns(axis: Axis, most: int, row_count: int, told_bytes: int) -> _Columns:
    """Return at most ``most`` columns for the groups of ``axis``: fewer where an answer has no room for them.

    Args:
        axis: The groups.
        most: Columns wanted.
        row_count: Rows of numbers.
        told_bytes: Bytes of the header, besides what it says of the columns.
    """
    room = MOST_BYTES - told_bytes - 1_000
    most = max(min(most, room // (4 * row_count + _HEADER_BYTES)), 1)
    firsts = axis.starts[group_starts(len(axis.starts), most)]
    lasts = np.append(firsts[1:], len(axis.steps))[: len(firsts)] - 1
    header = {
        "steps": axis.steps[firsts].tolist(),
        "last_steps": axis.steps[lasts].tolist(),
        "epochs": axis.epochs[firsts].tolist(),
        "wall_times": axis.wall_times[firsts].tolist(),
        "recorded": len(axis.steps),
    }
    return _Columns(axis.steps[firsts], header)
