"""A run's frames as the tables of an export: always the same columns, always of the same types."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from gradscope import schema
from gradscope._version import __version__
from gradscope.lossless_json import to_json
from gradscope.network import Network
from gradscope.records import Session
from gradscope.store.export.tables import LAYERS, RUNS, TABLES, Type
from gradscope.store.frames import Frames

TidyTables: TypeAlias = Mapping[str, pd.DataFrame]
"""The tables of one run by name, as `tidy_tables` makes them."""


def tidy_tables(frames: Frames, findings: pd.DataFrame) -> TidyTables:
    """Return the tables of `gradscope.store.export.tables.TABLES` for one run.

    Args:
        frames: The run.
        findings: What is wrong with it, as `run.findings` holds it.

    Returns:
        Frames whose columns are int64, float64, boolean (with NA) or categorical. A flag is boolean also where frames
        hold it as a number because some are not known. A column that only a newer version of gradscope knows is left
        out with a warning, because nothing here could say what it means.
    """
    sources: dict[str, pd.DataFrame] = {name: getattr(frames, name) for name in schema.TABLES}
    unknown = list(_unknown_columns(sources))
    if unknown:
        warnings.warn(
            f"Not exported: {', '.join(unknown)}. They were recorded by a newer version than gradscope {__version__}, "
            "which cannot say what they mean. Upgrade it to export them.",
            stacklevel=2,
        )
    sources |= {
        "runs": _run_frame(frames),
        "layers": _layer_frame(frames.network),
        "logs": _log_frame(frames.epochs),
        "findings": findings,
    }
    return {
        name: pd.DataFrame({column.name: _typed(sources[name][column.name], column.type) for column in table.columns})
        for name, table in TABLES.items()
    }


def _unknown_columns(frames: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    for name, frame in frames.items():
        if name != schema.EPOCHS.name:  # what stands at the right of those are logs
            yield from (f"{name}.{column}" for column in frame.columns[len(schema.TABLES[name].columns) :])


def _typed(column: pd.Series[Any], wanted: Type) -> Any:  # Any: an array of numbers, or an extension array of pandas
    match wanted:
        case "string":
            return column.array if isinstance(column.dtype, pd.CategoricalDtype) else pd.Categorical(column)
        case "bool":
            numbers = column.to_numpy(np.float64)
            return pd.arrays.BooleanArray(numbers != 0, np.isnan(numbers))
        case _:
            return column.to_numpy(np.dtype(wanted))


def _run_frame(frames: Frames) -> pd.DataFrame:
    last = frames.sessions[-1] if frames.sessions else None
    row = {
        "model": frames.network.name,
        "optimizer": frames.network.compiled.optimizer,
        "began": _began(frames.sessions),
        "session_count": len(frames.sessions),
        **asdict(frames.costs),
        "params": to_json(last.params if last else {}),
        "settings": to_json(last.settings if last else {}),
        "versions": to_json(frames.network.versions),
        "lost": to_json(frames.lost),
        "network": frames.network.to_json(),
        "exported_by": __version__,
    }
    return pd.DataFrame([row], columns=[column.name for column in RUNS.columns])


def _began(sessions: Sequence[Session]) -> float:
    """Return when the last training began that is not the continuation of another."""
    starts = [session.wall_time for session in sessions if not session.resumed] or [s.wall_time for s in sessions]
    return starts[-1] if starts else np.nan


def _layer_frame(network: Network) -> pd.DataFrame:
    rows = [
        (each.key, each.order, each.path, each.class_name, each.trainable, each.dtype, to_json(each.config))
        for each in network.layers
    ]
    return pd.DataFrame(rows, columns=[column.name for column in LAYERS.columns])


def _log_frame(epochs: pd.DataFrame) -> pd.DataFrame:
    """Return one row an epoch and log: the columns of ``epochs`` behind its keys, on top of each other."""
    names = list(epochs.columns[len(schema.EPOCHS.columns) :])
    codes = np.tile(np.arange(len(names)), len(epochs))
    return pd.DataFrame(
        {
            "epoch": np.repeat(epochs["epoch"].to_numpy(), len(names)),
            "step": np.repeat(epochs["step"].to_numpy(), len(names)),
            "log": pd.Categorical.from_codes(codes, categories=pd.Index(names, dtype=str)),
            "value": epochs[names].to_numpy(np.float64).ravel(),
        }
    )
