"""Frames: a run as pandas tables, made of its records.

A new session voids all that was recorded at or after its first step, so that the frames show one training: a resumed
one as a whole, a repeated one by its last repetition.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gradscope import schema
from gradscope.network import Network
from gradscope.records import (
    BatchChecks,
    Causes,
    CausesNote,
    Costs,
    EpochRecord,
    FinalPass,
    FindingsNote,
    NetworkChange,
    Record,
    Session,
    SessionEnd,
    StepRecord,
)
from gradscope.store.layout import STEP_TABLES, known_columns

Columns: TypeAlias = dict[str, Any]
_OfArrays: TypeAlias = StepRecord | FinalPass


@dataclass(frozen=True, slots=True)
class Frames:
    """A run as tables, with the columns of `gradscope.schema`, keys first, and rows in the order of steps.

    Step, epoch and unit are int64, all other numbers float64. Columns that are 0 or 1 are bool, or float64 with NaN
    where a file does not tell. Names (layer, site, activation, variable, role) are categorical, their categories in the
    order of execution, so that grouping keeps that order. A column that only a newer version knows stands at the right.

    Attributes:
        steps: One row a recorded step.
        activations: One row a recorded step and site.
        final_activations: One row a site, under the weights that the training ended with; none where the recorded steps
            say enough of its units, or it has not ended.
        gradients: One row a recorded step and trainable variable.
        units: One row a window, site and unit whose state changed.
        epochs: One row an epoch: its keys, then a column for each log, NaN where an epoch lacks it. A log whose name
            is a key's is called ``log_epoch`` and so on.
        histograms: One row a bin of a site's activations, for the steps of which a histogram was kept.
        network: What was trained last; one without layers if none was recorded.
        networks: What was trained, by the step from which on it was.
        sessions: All sessions, in order, also those whose rows are void.
        costs: What recording cost, as last known of the last session.
        lost: One sentence for each loss by damage; empty for a sound run.
        checked: What the checks found in the first batch, each finding as JSON values.
        causes: What looking once more at a step has found out.
        ended: False where nothing says that the training has ended: it goes on, or it died.
    """

    steps: pd.DataFrame
    activations: pd.DataFrame
    final_activations: pd.DataFrame
    gradients: pd.DataFrame
    units: pd.DataFrame
    epochs: pd.DataFrame
    histograms: pd.DataFrame
    network: Network
    networks: Mapping[int, Network]
    sessions: tuple[Session, ...]
    costs: Costs
    lost: tuple[str, ...] = ()
    checked: tuple[Mapping[str, Any], ...] = ()
    causes: Causes = field(default_factory=Causes)
    ended: bool = True


@dataclass(frozen=True, slots=True)
class _Block:
    """Arrays of one table over consecutive steps with one network and the same columns."""

    network: Network
    columns: tuple[str, ...]
    records: Sequence[_OfArrays]
    arrays: Sequence[NDArray[Any]]


def frames_of(records: Iterable[Record], *, lost: tuple[str, ...] = ()) -> Frames:
    """Return the frames that show ``records``, in the order in which they were written.

    Of two records of one table and step, the later counts.

    Example:
        >>> frames_of([]).steps.columns[:4].tolist()
        ['step', 'epoch', 'wall_time', 'loss']
    """
    sessions: list[Session] = []
    steps: dict[str, dict[int, tuple[Network, _OfArrays]]] = {table: {} for table in STEP_TABLES}
    final_units: dict[int, tuple[Network, _OfArrays]] = {}
    final_pass: tuple[Network, FinalPass] | None = None
    epochs: dict[int, EpochRecord] = {}
    networks: dict[int, Network] = {}
    checks: dict[int, BatchChecks] = {}
    network, costs, causes, ended = Network(""), Costs(), Causes(), False
    for record in records:
        match record:
            case Session():
                sessions.append(record)
                if record.step <= causes.origin_step:
                    causes = Causes()
                costs, ended, final_pass = Costs(), False, None
                for by_step in (*steps.values(), final_units, epochs, networks, checks):
                    _void(by_step, record.step)
            case NetworkChange():
                network = networks[record.step] = record.network
            case StepRecord():
                for table in STEP_TABLES:
                    if getattr(record, table) is not None:
                        steps[table][record.step] = network, record
            case FinalPass():
                final_pass = (network, record) if record.activations is not None else None
                if record.units is not None:
                    final_units[record.step] = network, record
            case EpochRecord():
                epochs[record.step] = record
                costs = record.costs
            case SessionEnd():
                costs, ended = record.costs, True
            case BatchChecks():
                checks[record.step] = record
            case CausesNote():
                causes = record.causes
            case FindingsNote():
                pass  # findings are computed anew by the rules that are installed
    in_order = {table: [rows[step] for step in sorted(rows)] for table, rows in steps.items()}
    in_order["units"] = sorted([*in_order["units"], *final_units.values()], key=lambda row: row[1].step)
    blocks = {table: list(_blocks(table, rows)) for table, rows in in_order.items()}
    final_blocks = [] if final_pass is None else list(_blocks("activations", [final_pass]))
    return Frames(
        steps=_steps_frame(blocks["steps"]),
        activations=_activations_frame(blocks["activations"]),
        final_activations=_activations_frame(final_blocks),
        gradients=_gradients_frame(blocks["gradients"]),
        units=_units_frame(blocks["units"]),
        epochs=_epochs_frame([epochs[step] for step in sorted(epochs)]),
        histograms=_histograms_frame(blocks["steps"]),
        network=network,
        networks=networks,
        sessions=tuple(sessions),
        costs=costs,
        lost=lost,
        checked=checks[max(checks)].findings if checks else (),
        causes=causes,
        ended=ended,
    )


def _void(by_step: dict[int, Any], start: int) -> None:
    for step in [step for step in by_step if step >= start]:
        del by_step[step]


def _blocks(table: str, rows: Sequence[tuple[Network, _OfArrays]]) -> Iterator[_Block]:
    start = 0
    for end in range(1, len(rows) + 1):
        network, record = rows[start]
        if end < len(rows):
            next_network, next_record = rows[end]
            if next_network is network and next_record.extra_columns.get(table) == record.extra_columns.get(table):
                continue
        columns = (*known_columns(table), *record.extra_columns.get(table, ()))
        members = [record for _, record in rows[start:end]]
        yield _Block(network, columns, members, [getattr(member, table) for member in members])
        start = end


# --- one function a table ---


def _steps_frame(blocks: Sequence[_Block]) -> pd.DataFrame:
    records = [record for block in blocks for record in block.records]
    wall_time = np.array([record.wall_time for record in records], np.float64)
    keys = {**_step_keys(blocks, [1] * len(records)), "wall_time": wall_time}
    return _frame(schema.STEPS, keys, blocks)


def _activations_frame(blocks: Sequence[_Block]) -> pd.DataFrame:
    labels = [[(site.layer, site.key, site.activation) for site in block.network.sites] for block in blocks]
    return _labelled(schema.ACTIVATIONS, blocks, labels)


def _gradients_frame(blocks: Sequence[_Block]) -> pd.DataFrame:
    labels = [[(each.layer, each.path, str(each.role)) for each in block.network.variables] for block in blocks]
    return _labelled(schema.GRADIENTS, blocks, labels)


def _labelled(table: schema.Table, blocks: Sequence[_Block], labels: list[list[tuple[str, str, str]]]) -> pd.DataFrame:
    """Return the frame whose rows bear ``labels``, those of each block: the keys that follow step and epoch."""
    keys = _step_keys(blocks, [len(array) for block in blocks for array in block.arrays])
    tiled = [_tiled(block) for block in blocks]
    for place, column in enumerate(table.keys[2:]):
        keys[column.name] = _names([[label[place] for label in of_block] for of_block in labels], tiled)
    return _frame(table, keys, blocks)


def _units_frame(blocks: Sequence[_Block]) -> pd.DataFrame:
    places = [np.concatenate([array[:, 0] for array in block.arrays]).astype(np.intp) for block in blocks]
    keys = _step_keys(blocks, [len(array) for block in blocks for array in block.arrays])
    keys["layer"] = _names([[site.layer for site in block.network.sites] for block in blocks], places)
    keys["site"] = _names([[site.key for site in block.network.sites] for block in blocks], places)
    frame = _frame(schema.UNITS, keys, blocks)
    return frame.astype({"unit": np.int64})


def _epochs_frame(records: Sequence[EpochRecord]) -> pd.DataFrame:
    columns: Columns = {
        "epoch": np.array([record.epoch for record in records], np.int64),
        "step": np.array([record.step for record in records], np.int64),
        "wall_time": np.array([record.wall_time for record in records], np.float64),
    }
    keys = tuple(columns)
    for name in dict.fromkeys(name for record in records for name in record.logs):
        values = np.array([record.logs.get(name, np.nan) for record in records], np.float64)
        columns[f"log_{name}" if name in keys else name] = values
    return pd.DataFrame(columns)


def _histograms_frame(blocks: Sequence[_Block]) -> pd.DataFrame:
    kept = [
        (record, site, record.histograms[site.key])
        for block in blocks
        for record in block.records
        for site in block.network.sites
        if isinstance(record, StepRecord) and site.key in record.histograms
    ]
    places = np.repeat(np.arange(len(kept)), [len(bins) for *_, bins in kept])
    columns: Columns = {
        "step": np.array([record.step for record, *_ in kept], np.int64)[places],
        "epoch": np.array([record.epoch for record, *_ in kept], np.int64)[places],
        "layer": _names([[site.layer for _, site, _ in kept]], [places]),
        "site": _names([[site.key for _, site, _ in kept]], [places]),
    }
    numbers = np.concatenate([np.zeros((0, 3)), *(bins for *_, bins in kept)])
    return pd.DataFrame({**columns, **dict(zip(schema.HISTOGRAMS.statistic_names, numbers.T, strict=True))})


# --- columns ---


def _step_keys(blocks: Sequence[_Block], counts: Sequence[int]) -> Columns:
    """Return the columns that every table begins with; ``counts`` has the rows of each record."""
    records = [record for block in blocks for record in block.records]
    return {
        name: np.repeat(np.array([getattr(record, name) for record in records], np.int64), counts)
        for name in ("step", "epoch")
    }


def _tiled(block: _Block) -> NDArray[np.intp]:
    """Return the row within its record of each row of the block."""
    return np.tile(np.arange(len(block.arrays[0])), len(block.arrays))


def _names(labels: Sequence[Sequence[str]], places: Sequence[NDArray[np.intp]]) -> pd.Categorical:
    """Return a column of names: those of each block by place, their categories in order of first appearance."""
    categories = {name: code for code, name in enumerate(dict.fromkeys(name for block in labels for name in block))}
    codes = [
        np.array([categories[name] for name in block], np.int32)[place]
        for block, place in zip(labels, places, strict=True)
    ]
    dtype = pd.CategoricalDtype(pd.Series(list(categories), dtype=str))
    return pd.Categorical.from_codes(np.concatenate([np.zeros(0, np.int32), *codes]), dtype=dtype)


def _frame(table: schema.Table, keys: Columns, blocks: Sequence[_Block]) -> pd.DataFrame:
    """Return the frame of ``keys`` and the numbers of ``blocks``."""
    extra = dict.fromkeys(name for block in blocks for name in block.columns if name not in known_columns(table.name))
    names = (*table.statistic_names, *extra)
    numbers = _numbers(names, blocks)
    flags = {column.name for column in table.statistics if column.unit == "0/1"}
    columns: Columns = {
        name: values.astype(np.bool_) if name in flags and not np.isnan(values).any() else values
        for name, values in zip(names, numbers, strict=True)
    }
    return pd.DataFrame({**keys, **columns}, copy=False)


def _numbers(names: Sequence[str], blocks: Sequence[_Block]) -> NDArray[np.float64]:
    """Return shape ``(columns, rows)``: one contiguous array a column, without a copy when the frame is made of it."""
    parts = [np.concatenate([np.atleast_2d(array) for array in block.arrays]) for block in blocks]
    numbers = np.empty((len(names), sum(map(len, parts))), np.float64)
    start = 0
    for block, part in zip(blocks, parts, strict=True):
        end = start + len(part)
        for place, name in enumerate(names):
            numbers[place, start:end] = part[:, block.columns.index(name)] if name in block.columns else np.nan
        start = end
    return numbers
