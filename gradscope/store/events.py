"""Records to and from the payloads of an event file.

A recorded step is one event: its epoch, one tensor a table, and the scalars and histograms that a stock TensorBoard
shows. All else is JSON in a string tensor. The first value under each tag in a file says in its metadata what it holds.
Encoding and decoding are pure: what they remember from record to record travels as `Writing` and `Reading`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradscope import schema
from gradscope.errors import RunFormatError, ShapeError
from gradscope.lossless_json import from_json, to_json
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
from gradscope.store.charts import CHARTS_TAG, chart_layout
from gradscope.store.layout import FINAL_TABLES, STEP_TABLES, Layout
from gradscope.store.messages import (
    Event,
    SessionLog,
    Value,
    array_of,
    integer_tensor,
    mark_as,
    scalar_tensor,
    string_tensor,
    tensor_of,
)
from gradscope.store.time_series import Scalars, SeriesPlan, final_series, series_plan, time_series

PLUGIN: Final = "gradscope"

EPOCH_TAG: Final = "gradscope/epoch"
"""Stands first in each recorded step, and holds its epoch."""

FINAL_PASS_TAG: Final = "gradscope/final_pass"
"""Stands first in a final pass, and holds its epoch."""

SESSION_TAG: Final = "gradscope/session"
NETWORK_TAG: Final = "gradscope/network"
EPOCH_END_TAG: Final = "gradscope/epoch_end"
SESSION_END_TAG: Final = "gradscope/session_end"
CAUSES_TAG: Final = "gradscope/causes"
FINDINGS_TAG: Final = "gradscope/findings"
CHECKS_TAG: Final = "gradscope/checks"

TEXT_TAGS: Final = (SESSION_TAG, NETWORK_TAG, EPOCH_END_TAG, SESSION_END_TAG, CAUSES_TAG, FINDINGS_TAG, CHECKS_TAG)
"""Tags under which a record is one text, which `record_of` reads."""

HISTOGRAM_PREFIX: Final = "activation/"
"""Before the key of a site: tag of its histograms. TensorBoard shows the tag as it is."""

_FINDINGS_TEXT = "findings"

_TABLES: Final = (*STEP_TABLES, *FINAL_TABLES.values())

_WITH_FINAL_PASSES: Final = (1, 1)
"""Version from which on a final pass is a record of its own."""

TextRecord: TypeAlias = Session | NetworkChange | EpochRecord | SessionEnd | CausesNote | FindingsNote | BatchChecks

_NO_TABLES: Mapping[str, tuple[str, ...]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Writing:
    """What encoding the next record depends on.

    Attributes:
        scalars: Which scalars are written.
        layouts: Every layout used in the directory, by tag.
        tags: Tag of each table for the present network; empty before one is known.
        introduced: Tags whose metadata this file holds already.
        plan: What the scalars are called.
    """

    scalars: Scalars = "auto"
    layouts: Mapping[str, Layout] = field(default_factory=dict[str, Layout])
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    introduced: frozenset[str] = frozenset()
    plan: SeriesPlan = field(default_factory=SeriesPlan)


@dataclass(frozen=True, slots=True)
class Reading:
    """What decoding the next payload of a file depends on, and what was met so far.

    Attributes:
        layouts: Layouts met, by tag.
        rows: Keys of the rows of each table for the present network; empty before one is known.
        version: Of the file, as far as it is known: this one's until then.
        orphan_count: Tables left out because what describes their columns or rows was not met.
    """

    layouts: Mapping[str, Layout] = field(default_factory=dict[str, Layout])
    rows: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    version: tuple[int, int] = schema.VERSION
    orphan_count: int = 0


def file_version(wall_time: float) -> bytes:
    """Return the payload that every event file begins with."""
    return Event(wall_time=wall_time, file_version="brain.Event:2").SerializeToString()


def encode(record: Record, writing: Writing) -> tuple[tuple[bytes, ...], Writing]:
    """Return the payloads that hold ``record``, and what encoding the next one depends on.

    Raises:
        ShapeError: If a table's shape differs from the network's, or no network was encoded before a step.
    """
    match record:
        case StepRecord():
            values, writing = _step_values(record, writing)
        case FinalPass():
            values, writing = _final_values(record, writing)
        case Session():
            values, writing = _text(SESSION_TAG, record, writing)
        case EpochRecord():
            plain = replace(record, logs={name: float(value) for name, value in record.logs.items()})
            values, writing = _text(EPOCH_END_TAG, plain, writing)
        case CausesNote():
            body = dataclasses.asdict(record.causes)
            values, writing = _string(CAUSES_TAG, to_json(body), writing)
        case SessionEnd():
            values, writing = _text(SESSION_END_TAG, record, writing)
        case BatchChecks():
            values, writing = _text(CHECKS_TAG, record, writing)
        case FindingsNote():
            values, writing = _text(FINDINGS_TAG, record, writing)
            values.append(_shown_as_text(record))
        case NetworkChange():
            values, writing = _string(NETWORK_TAG, record.network.to_json(), writing)
            if writing.scalars != "none" and CHARTS_TAG not in writing.introduced:
                values.append(_charts())
                writing = replace(writing, introduced=writing.introduced | {CHARTS_TAG})
            writing = _with_tags(replace(writing, plan=series_plan(record.network)), _rows(record.network))
    event = Event(step=record.step, wall_time=record.wall_time)
    event.summary.value.extend(values)  # a Summary given to the Event would be copied once more
    payload: bytes = event.SerializeToString()
    return ((_start(record), payload) if isinstance(record, Session) else (payload,)), writing


def decode(payload: bytes, reading: Reading) -> tuple[Record | None, Reading]:
    """Return the record that ``payload`` holds, or None if it holds none of ours, and the state for the next payload.

    Columns are found by name: those that the file lacks are NaN, and those that this version does not know stand at the
    right, named in ``StepRecord.extra_columns``.

    Raises:
        RunFormatError: If the payload is of a newer major version.
        ValueError: If the payload is damaged; also KeyError, TypeError and protobuf's DecodeError.

    Example:
        >>> session = Session(step=0, wall_time=1.5, resumed=False, fingerprint="a1")
        >>> payloads, _ = encode(session, Writing())
        >>> decode(payloads[-1], Reading())[0] == session
        True
    """
    event = Event.FromString(payload)
    values = [value for value in event.summary.value if value.tag.startswith("gradscope/")]
    if not values:
        return None, reading
    reading = _with_metadata(values, reading)
    step, wall_time, tag = int(event.step), float(event.wall_time), values[0].tag
    if tag in (EPOCH_TAG, FINAL_PASS_TAG):
        return _record_of_arrays(event, values, reading)
    if tag not in TEXT_TAGS:
        return None, reading
    record = record_of(tag, step, wall_time, values[0].tensor.string_val[0].decode())
    if isinstance(record, NetworkChange):
        reading = replace(reading, rows=_rows(record.network))
    return record, reading


def record_of(tag: str, step: int, wall_time: float, text: str) -> TextRecord:
    """Return the record that is written as ``text`` under ``tag``, whatever brought it here.

    Fields that this version does not know are left out.

    Args:
        tag: One of `TEXT_TAGS`.
        step: Of the event, as is ``wall_time``: the text does not repeat them.
        wall_time: Seconds since 1970.
        text: What stands under the tag.

    Raises:
        ValueError: If the text is damaged, or the tag is none of these; also KeyError, TypeError and AttributeError.

    Example:
        >>> record_of(SESSION_TAG, 3, 1.5, '{"resumed": true, "fingerprint": "a1"}').resumed
        True
    """
    if tag == NETWORK_TAG:
        return NetworkChange(step, wall_time, Network.from_json(text))
    if tag == CAUSES_TAG:
        return CausesNote(step, wall_time, Causes.from_json(from_json(text)))
    body: dict[str, Any] = {**from_json(text), "step": step, "wall_time": wall_time}
    if tag == SESSION_TAG:
        return _known(Session, {**body, "counts": tuple(body.get("counts", ()))})
    if tag in (FINDINGS_TAG, CHECKS_TAG):
        return _known(
            FindingsNote if tag == FINDINGS_TAG else BatchChecks, {**body, "findings": tuple(body["findings"])}
        )
    if tag not in (EPOCH_END_TAG, SESSION_END_TAG):
        raise ValueError(f"The tag {tag!r} holds no record that is a text.")
    body["costs"] = _known(Costs, body["costs"])
    return _known(EpochRecord if tag == EPOCH_END_TAG else SessionEnd, body)


# --- steps ---


def _step_values(record: StepRecord, writing: Writing) -> tuple[list[Any], Writing]:
    new_tags: set[str] = set()
    values = [_epoch_value(EPOCH_TAG, record.epoch, writing, new_tags)]
    for table in STEP_TABLES:
        values += _table_values(table, getattr(record, table), writing, new_tags)
    values += _scalar_values(time_series(record, writing.plan, writing.scalars), writing, new_tags)
    for site, bins in record.histograms.items():
        value = Value(tag=f"{HISTOGRAM_PREFIX}{site}", tensor=tensor_of(bins))
        if value.tag not in writing.introduced:
            mark_as("histograms", value)
            new_tags.add(value.tag)
        values.append(value)
    return values, replace(writing, introduced=writing.introduced | new_tags) if new_tags else writing


def _final_values(record: FinalPass, writing: Writing) -> tuple[list[Any], Writing]:
    new_tags: set[str] = set()
    values = [_epoch_value(FINAL_PASS_TAG, record.epoch, writing, new_tags)]
    for name, table in FINAL_TABLES.items():
        values += _table_values(table, getattr(record, name), writing, new_tags)
    values += _scalar_values(final_series(record, writing.plan, writing.scalars), writing, new_tags)
    return values, replace(writing, introduced=writing.introduced | new_tags)


def _epoch_value(tag: str, epoch: int, writing: Writing, new_tags: set[str]) -> Any:
    value = Value(tag=tag, tensor=integer_tensor(epoch))
    if tag not in writing.introduced:
        _introduce(value, _content({}), new_tags)
    return value


def _table_values(table: str, array: NDArray[Any] | None, writing: Writing, new_tags: set[str]) -> Iterator[Any]:
    """Yield the value that holds ``array``, where there is one.

    Raises:
        ShapeError: If its shape differs from the network's, or there is no network yet.
    """
    if array is None:
        return
    if table not in writing.tags:
        raise ShapeError("A step was recorded before its network: write a NetworkChange first.")
    tag = writing.tags[table]
    layout = writing.layouts[tag]
    width = len(layout.columns)
    expected = {"steps": (width,), "units": (len(array), width), "final_units": (len(array), width)}.get(
        table, (len(layout.rows), width)
    )
    if array.shape != expected:
        raise ShapeError(f"The table {table!r} has shape {array.shape}, but its network needs {expected}.")
    value = Value(tag=tag, tensor=tensor_of(array))
    if tag not in writing.introduced:
        _introduce(value, _content(layout.to_content()), new_tags)
    yield value


def _scalar_values(series: Mapping[str, float], writing: Writing, new_tags: set[str]) -> Iterator[Any]:
    for tag, number in series.items():
        value = Value(tag=tag, tensor=scalar_tensor(number))
        if tag not in writing.introduced:
            mark_as("scalars", value)
            new_tags.add(tag)
        yield value


def _with_tags(writing: Writing, rows: Mapping[str, tuple[str, ...]]) -> Writing:
    """Give each table of a network its tag: the one that it had before in this directory, or the next number."""
    layouts, tags = dict(writing.layouts), dict[str, str]()
    for table, keys in rows.items():
        layout = Layout.of(table, keys)
        numbers = [int(tag.split("/")[2]) for tag, known in layouts.items() if known.table == table]
        known_as = next((tag for tag, known in layouts.items() if known == layout), None)
        tags[table] = known_as or f"{PLUGIN}/{table}/{max(numbers, default=-1) + 1}"
        layouts[tags[table]] = layout
    return replace(writing, layouts=layouts, tags=tags)


def _record_of_arrays(event: Any, values: list[Any], reading: Reading) -> tuple[StepRecord | FinalPass, Reading]:
    """Return the recorded step, or the final pass: what version 1.0 wrote without a table of steps was one too."""
    arrays: dict[str, NDArray[Any]] = {}
    extra: dict[str, tuple[str, ...]] = {}
    orphans = 0
    for value in values[1:]:
        table = value.tag.split("/")[1]
        if table not in _TABLES:
            continue  # a table of a newer version
        layout = reading.layouts.get(value.tag)
        if layout is None or (table != "steps" and reading.rows.get(table) != layout.rows):
            orphans += 1
            continue
        arrays[table] = layout.to_array(array_of(value.tensor))
        if layout.extra_columns:
            extra[table] = layout.extra_columns
    if orphans:
        reading = replace(reading, orphan_count=reading.orphan_count + orphans)
    step, epoch, wall_time = int(event.step), int(values[0].tensor.int64_val[0]), float(event.wall_time)
    if values[0].tag == FINAL_PASS_TAG:
        activations, units = (arrays.get(table) for table in FINAL_TABLES.values())
        more = {name: extra[table] for name, table in FINAL_TABLES.items() if table in extra} or _NO_TABLES
        return FinalPass(step, epoch, wall_time, activations, units, more), reading
    if "steps" not in arrays and "gradients" not in arrays and reading.version < _WITH_FINAL_PASSES:
        return FinalPass(max(step - 1, 0), epoch, wall_time, arrays.get("activations"), arrays.get("units")), reading
    steps, activations, gradients, units = (arrays.get(table) for table in STEP_TABLES)
    histograms, more = _histograms(event), extra or _NO_TABLES
    return StepRecord(step, epoch, wall_time, steps, activations, gradients, units, histograms, more), reading


def _histograms(event: Any) -> dict[str, NDArray[np.float64]]:
    shown = [value for value in event.summary.value if value.tag.startswith(HISTOGRAM_PREFIX)]
    return {value.tag.removeprefix(HISTOGRAM_PREFIX): array_of(value.tensor) for value in shown}


def _rows(network: Network) -> dict[str, tuple[str, ...]]:
    sites = tuple(site.key for site in network.sites)
    variables = tuple(variable.path for variable in network.variables)
    of_steps = {"steps": (), "activations": sites, "gradients": variables, "units": sites}
    return of_steps | {final: of_steps[name] for name, final in FINAL_TABLES.items()}


# --- everything else ---


def _start(record: Session) -> bytes:
    """Return the event that makes both of TensorBoard's loaders drop older rows at or after its step."""
    log = SessionLog(status=SessionLog.START)
    return Event(step=record.step, wall_time=record.wall_time, session_log=log).SerializeToString()


def _text(tag: str, record: Any, writing: Writing) -> tuple[list[Any], Writing]:
    body = {f.name: getattr(record, f.name) for f in dataclasses.fields(record) if f.name not in ("step", "wall_time")}
    if not body.get("counts", True):
        del body["counts"]  # of a model whose optimizers do not count
    if "costs" in body:
        body["costs"] = dataclasses.asdict(body["costs"])
    return _string(tag, to_json(body), writing)


def _string(tag: str, text: str, writing: Writing) -> tuple[list[Any], Writing]:
    value = Value(tag=tag, tensor=string_tensor(text))
    if tag in writing.introduced:
        return [value], writing
    new_tags: set[str] = set()
    _introduce(value, _content({}), new_tags)
    return [value], replace(writing, introduced=writing.introduced | new_tags)


def _shown_as_text(note: FindingsNote) -> Any:
    """Return the value that TensorBoard's Text tab shows: as a block of code, for names are no Markdown."""
    lines = [f"By the rules of gradscope {note.version}:", "", *(f"    {line}" for line in note.text.split("\n"))]
    value = Value(tag=_FINDINGS_TEXT, tensor=string_tensor("\n".join(lines)))
    mark_as("text", value)
    return value


def _charts() -> Any:
    """Return the value that tells TensorBoard's Custom Scalars tab which scalars go into one chart."""
    value = Value(tag=CHARTS_TAG, tensor=string_tensor(chart_layout()))
    mark_as("custom_scalars", value)
    return value


def _known(kind: Any, body: Mapping[str, Any]) -> Any:
    """Return a ``kind`` made of the fields that this version knows."""
    return kind(**{f.name: body[f.name] for f in dataclasses.fields(kind) if f.name in body})


# --- metadata ---


def _content(body: Mapping[str, Any]) -> bytes:
    return json.dumps({"version": schema.version_text(), **body}, ensure_ascii=False).encode()


def _introduce(value: Any, content: bytes, new_tags: set[str]) -> None:
    mark_as(PLUGIN, value)
    value.metadata.plugin_data.content = content
    new_tags.add(value.tag)


def _with_metadata(values: list[Any], reading: Reading) -> Reading:
    for value in values:
        if value.metadata.plugin_data.plugin_name != PLUGIN:
            continue
        content = json.loads(value.metadata.plugin_data.content)
        version = _version(content["version"])
        if version != reading.version:
            reading = replace(reading, version=version)
        if content.get("table") in _TABLES:
            reading = replace(reading, layouts={**reading.layouts, value.tag: Layout.from_content(content)})
    return reading


def _version(text: str) -> tuple[int, int]:
    major, minor = text.split(".")[:2]
    version = int(major), int(minor)
    if schema.compatibility(version) is schema.Compatibility.NEWER_MAJOR:
        ours = schema.version_text()
        raise RunFormatError(
            f"The run was recorded in format {text}, by a newer gradscope; this one reads up to {ours}. "
            "Update it: pip install --upgrade keras-gradscope"
        )
    return version
