"""Figures as a person can read them in a diff: plain JSON, arrays as lists, floats with six digits."""

from __future__ import annotations

import base64
import dataclasses
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from runs import numbers

from gradscope.recording.histogram import histogram
from gradscope.records import NetworkChange, Record, StepRecord
from gradscope.schema import UNITS


def spec(figure: go.Figure) -> dict[str, Any]:
    """The figure as it goes into a page, with its arrays decoded."""
    return decoded(json.loads(figure.to_json()))


def decoded(value: Any) -> Any:
    if isinstance(value, dict):
        if "bdata" in value:
            array = np.frombuffer(base64.b64decode(value["bdata"]), np.dtype(value["dtype"]))
            shape = [int(size) for size in value.get("shape", str(array.size)).split(",")]
            return decoded(array.reshape(shape).tolist())
        return {key: decoded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [decoded(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value


def golden_text(figure: go.Figure) -> str:
    """The sorted spec, one array a line; without the template, which all figures share."""
    whole = spec(figure)
    del whole["layout"]["template"]
    lines: list[str] = []
    for place, item in leaves(whole):
        lines.append(f"{json.dumps(place)}: {json.dumps(item, ensure_ascii=False, sort_keys=True)}")
    return "{\n" + ",\n".join(sorted(lines)) + "\n}\n"


def leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every part of a spec that is not divided further, with its path: numbers, words, and lists of them."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, f"{place}.{key}" if place else key)
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for index, item in enumerate(value):
            yield from leaves(item, f"{place}[{index:02}]")
    else:
        yield place, value


def strings(value: Any) -> Iterator[str]:
    """Every string in a spec."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


def with_distributions(records: Sequence[Record], *, spread: float = 1.0, dead: int = 3) -> list[Record]:
    """The records, with a histogram of every site at every step, and units that die at the second record."""
    places = np.linspace(-3, 3, 1_000)
    samples = np.maximum(places * np.abs(places) * spread, 0.0)
    net = next(record.network for record in records if isinstance(record, NetworkChange))
    changed: list[Record] = []
    seen = 0
    for record in records:
        if isinstance(record, StepRecord):
            bins = histogram(samples * (1 + seen))
            found = {site.key: bins for site in net.sites if bins is not None}
            units = None
            if seen == 1:
                rows = [{"unit": 7.0 * unit, "dead": 1.0, "dead_since_step": record.step - 5.0} for unit in range(dead)]
                units = numbers(UNITS, [*rows, {"unit": 1.0, "dead": 0.0, "saturated_high_fraction": 1.0}])
                sites = range(len(net.sites))
                units = np.concatenate([np.column_stack([np.full(len(units), float(site)), units]) for site in sites])
            record = dataclasses.replace(record, histograms=found, units=units)
            seen += 1
        changed.append(record)
    return changed
