import json
import math
from collections.abc import Iterable
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from runs import BEGAN, healthy, network, numbers, session, training
from tensorboard.compat.proto import event_pb2

from gradscope import schema
from gradscope.errors import RunFormatError, ShapeError
from gradscope.network import Network, Role, Site, Variable
from gradscope.recording.histogram import histogram
from gradscope.records import (
    BatchChecks,
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
from gradscope.schema import ACTIVATIONS, GRADIENTS, STEPS, UNITS
from gradscope.store.events import TEXT_TAGS, Reading, Writing, decode, encode, record_of
from gradscope.store.layout import FINAL_TABLES, STEP_TABLES, Layout

Event: Any = getattr(event_pb2, "Event")  # noqa: B009 - a generated module, whose classes no type checker sees


def encoded(records: Iterable[Record], writing: Writing | None = None) -> tuple[list[bytes], Writing]:
    writing, payloads = writing or Writing(), list[bytes]()
    for record in records:
        new, writing = encode(record, writing)
        payloads += new
    return payloads, writing


def decoded(payloads: Iterable[bytes]) -> tuple[list[Record], Reading]:
    reading, records = Reading(), list[Record]()
    for payload in payloads:
        record, reading = decode(payload, reading)
        if record is not None:
            records.append(record)
    return records, reading


def assert_same(found: Iterable[Record], expected: Iterable[Record]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert type(one) is type(other)
        if not isinstance(one, (StepRecord, FinalPass)):
            assert repr(one) == repr(other)  # NaN equals NaN so
            continue
        for name in ("step", "epoch", "wall_time"):
            assert getattr(one, name) == getattr(other, name)
        for name in STEP_TABLES if isinstance(one, StepRecord) else FINAL_TABLES:
            array, wanted = getattr(one, name), getattr(other, name)
            assert (array is None) == (wanted is None)
            if array is not None:
                assert array.dtype == wanted.dtype
                np.testing.assert_array_equal(array, wanted)


# --- strategies ---

steps = st.integers(0, 2**53)
times = st.floats(0, 4e9)
words = st.text(max_size=8)
plain = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats() | words
settings = st.dictionaries(words, plain | st.lists(plain, max_size=3), max_size=3)
costs = st.builds(Costs, *[st.floats()] * 5, st.integers(0, 10**6))
sessions = st.builds(Session, steps, times, st.booleans(), words, settings, settings)
epochs = st.builds(EpochRecord, steps, st.integers(0, 10**6), times, st.dictionaries(words, st.floats()), costs)
ends = st.builds(SessionEnd, steps, times, costs)
found = st.lists(settings, max_size=2).map(tuple)
notes = st.builds(FindingsNote, steps, times, words, found, words) | st.builds(BatchChecks, steps, times, words, found)
# Small choice of values, so that columns are often all alike.
single = st.sampled_from([math.nan, 0.0, 1.0]) | st.floats(width=32)


@st.composite
def networks(draw: st.DrawFn) -> Network:
    keys = draw(st.lists(words, max_size=3, unique=True))
    sites = tuple(Site(key, key.split(":")[0], draw(words), None, draw(st.integers(1, 9))) for key in keys)
    paths = draw(st.lists(words, max_size=3, unique=True))
    roles = st.sampled_from(get_args(Role))
    return Network("net", sites=sites, variables=tuple(Variable(path, "a", (2,), draw(roles)) for path in paths))


def tables(rows: int, columns: int, dtype: type = np.float32) -> st.SearchStrategy[Any]:
    return st.none() | arrays(dtype, (rows, columns), elements=single, fill=single)


@st.composite
def step_records(draw: st.DrawFn, net: Network) -> StepRecord:
    row = draw(tables(1, len(STEPS.statistics)))
    return StepRecord(
        draw(steps),
        draw(st.integers(0, 10**6)),
        draw(times),
        steps=None if row is None else row[0],
        activations=draw(tables(len(net.sites), len(ACTIVATIONS.statistics))),
        gradients=draw(tables(len(net.variables), len(GRADIENTS.statistics))),
        units=draw(tables(draw(st.integers(0, 3)), 1 + len(UNITS.statistics), np.float64)),
    )


@st.composite
def final_passes(draw: st.DrawFn, net: Network) -> FinalPass:
    return FinalPass(
        draw(steps),
        draw(st.integers(0, 10**6)),
        draw(times),
        activations=draw(tables(len(net.sites), len(ACTIVATIONS.statistics))),
        units=draw(tables(draw(st.integers(0, 3)), 1 + len(UNITS.statistics), np.float64)),
    )


@st.composite
def trainings(draw: st.DrawFn) -> list[Record]:
    records: list[Record] = []
    for net in draw(st.lists(networks(), min_size=1, max_size=2)):
        records.append(NetworkChange(draw(steps), draw(times), net))
        records += draw(st.lists(step_records(net) | final_passes(net) | sessions | epochs | notes | ends, max_size=4))
    return records


# --- identity ---


@given(trainings())
def test_what_is_written_is_read(records: list[Record]) -> None:
    found, reading = decoded(encoded(records)[0])
    assert_same(found, records)
    assert reading.orphan_count == 0


def test_a_note_of_findings_is_no_record_to_a_reader_that_does_not_know_it() -> None:
    (payload,), _ = encode(FindingsNote(7, 0.5, "9.9", ({"rule": "a", "steps": [1, 2]},), "two\nlines"), Writing())
    values = Event.FromString(payload).summary.value
    assert [(value.tag, value.metadata.plugin_data.plugin_name) for value in values] == [
        ("gradscope/findings", "gradscope"),
        ("findings", "text"),
    ]
    assert values[1].tensor.string_val[0].decode() == "By the rules of gradscope 9.9:\n\n    two\n    lines"
    event = Event.FromString(payload)
    event.summary.value[0].tag = "gradscope/not_known_yet"
    assert decode(event.SerializeToString(), Reading()) == (None, Reading())


@given(trainings())
def test_a_tag_never_holds_two_shapes_but_units_of_several_lengths(records: list[Record]) -> None:
    shapes: dict[str, set[tuple[int, ...]]] = {}
    for payload in encoded(records)[0]:
        for value in Event.FromString(payload).summary.value:
            shape = tuple(dim.size for dim in value.tensor.tensor_shape.dim)
            shapes.setdefault(value.tag, set()).add(shape[1:] if "units/" in value.tag else shape)
    assert all(len(of_tag) == 1 for of_tag in shapes.values())


def test_a_whole_training_is_written_and_read() -> None:
    assert_same(decoded(encoded(healthy())[0])[0], healthy())


@given(sessions | epochs | ends | notes | st.builds(NetworkChange, steps, times, networks()))
def test_a_text_is_the_same_record_whatever_brought_it(record: Any) -> None:
    event = Event.FromString(encoded([record])[0][-1])
    value = event.summary.value[0]
    text = value.tensor.string_val[0].decode()
    assert value.tag in TEXT_TAGS
    assert repr(record_of(value.tag, event.step, event.wall_time, text)) == repr(record)  # NaN equals NaN so


def test_a_tag_of_numbers_holds_no_text() -> None:
    with pytest.raises(ValueError, match="'gradscope/epoch' holds no record that is a text"):
        record_of("gradscope/epoch", 0, 0.0, "{}")


# --- what lies in the file ---


def values_of(payload: bytes) -> dict[str, Any]:
    return {value.tag: value for value in Event.FromString(payload).summary.value}


def test_a_session_is_a_start_for_tensorboard_and_then_our_own_words() -> None:
    payloads, _ = encoded([session(40, resumed=True)])
    start, words = map(Event.FromString, payloads)
    assert (start.session_log.status, start.step) == (start.session_log.START, 40)
    body = json.loads(words.summary.value[0].tensor.string_val[0])
    assert body == {"resumed": True, "fingerprint": "0123456789abcdef", "settings": {}, "params": {}}


def test_a_step_is_one_event_whose_scalars_have_no_axis() -> None:
    payloads, _ = encoded(healthy()[:3])
    values = values_of(payloads[-1])
    for tag in ("gradient_norm/dense", "saturated_fraction/dense_1"):
        tensor = values[tag].tensor
        assert tensor.HasField("tensor_shape")
        assert not tensor.tensor_shape.dim
        assert values[tag].metadata.plugin_data.plugin_name == "scalars"
        assert values[tag].metadata.data_class == 1
    table = values["gradscope/steps/0"]
    assert table.metadata.plugin_data.plugin_name == "gradscope"
    assert table.metadata.data_class == 2
    content = json.loads(table.metadata.plugin_data.content)
    columns = list(STEPS.statistic_names)
    assert content == {"version": schema.version_text(), "table": "steps", "columns": columns, "rows": []}


def test_metadata_stands_once_in_a_file_and_again_in_the_next() -> None:
    records = healthy()[:4]
    payloads, writing = encoded(records)
    assert values_of(payloads[3])["gradscope/steps/0"].HasField("metadata")
    assert not values_of(payloads[4])["gradscope/steps/0"].HasField("metadata")
    again, _ = encoded(records, Writing(layouts=writing.layouts))
    assert again == payloads


def test_histograms_are_those_of_tensorboard_and_are_read_again() -> None:
    bins = histogram(np.arange(31, dtype=np.float32))
    assert bins is not None
    step = StepRecord(0, 0, 0.0, histograms={"a/b": bins})
    payloads, _ = encoded([NetworkChange(0, 0.0, network("relu", ["a/b", "c"])), step])
    value = values_of(payloads[-1])["activation/a/b"]
    assert np.array_equal(np.frombuffer(value.tensor.tensor_content).reshape(30, 3), bins)
    assert value.metadata.plugin_data.plugin_name == "histograms"
    (_, read), _ = decoded(payloads)
    assert isinstance(read, StepRecord)
    assert {key: table.tolist() for key, table in read.histograms.items()} == {"a/b": bins.tolist()}


def test_another_network_gets_another_tag_and_the_first_its_own_again() -> None:
    first = training(network("relu", ["a", "b"]), losses=[1.0], gradient=[1.0, 1.0])
    second = training(network("relu", ["a", "c"]), losses=[1.0], gradient=[1.0, 1.0])
    payloads, writing = encoded([*first, *second, *first])
    tags = [tag for payload in payloads for tag in values_of(payload) if tag.startswith("gradscope/gradients")]
    assert tags == ["gradscope/gradients/0", "gradscope/gradients/1", "gradscope/gradients/0"]
    assert writing.layouts["gradscope/gradients/1"].rows == ("a/kernel", "a/bias", "c/kernel", "c/bias")


def test_a_new_layout_never_takes_a_number_that_the_directory_has_used() -> None:
    _, writing = encoded(training(network("relu", ["a"]), losses=[1.0], gradient=[1.0]))
    used = {"gradscope/steps/0": writing.layouts["gradscope/steps/0"]}
    used["gradscope/gradients/4"] = writing.layouts["gradscope/gradients/0"]  # those before it were lost by damage
    _, after = encoded(training(network("relu", ["b"]), losses=[1.0], gradient=[1.0]), Writing(layouts=used))
    assert after.tags["gradients"] == "gradscope/gradients/5"


def test_numbers_of_numpy_among_the_logs_are_written() -> None:
    record = EpochRecord(0, 0, 0.0, {"loss": np.float32(0.5), "val_loss": np.float64("inf")}, Costs())  # type: ignore[dict-item]
    assert decoded(encoded([record])[0])[0] == [EpochRecord(0, 0, 0.0, {"loss": 0.5, "val_loss": math.inf}, Costs())]


# --- what does not fit ---


def test_a_step_before_its_network_is_refused() -> None:
    with pytest.raises(ShapeError, match="write a NetworkChange first"):
        encode(StepRecord(0, 0, 0.0, steps=numbers(STEPS, [{}])[0]), Writing())


@pytest.mark.parametrize("name", STEP_TABLES)
def test_a_table_of_another_shape_is_refused(name: str) -> None:
    _, writing = encoded([NetworkChange(0, 0.0, network("relu", ["a", "b"]))])
    with pytest.raises(ShapeError, match=f"{name!r} has shape \\(3, 3\\)"):
        encode(StepRecord(0, 0, 0.0, **{name: np.zeros((3, 3), np.float32)}), writing)  # type: ignore[arg-type]


# --- other versions ---


def with_content(payload: bytes, **changes: Any) -> bytes:
    """The payload as another version would have written it."""
    event = Event.FromString(payload)
    for value in event.summary.value:
        if value.metadata.plugin_data.plugin_name == "gradscope":
            content = {**json.loads(value.metadata.plugin_data.content), **changes}
            value.metadata.plugin_data.content = json.dumps(content).encode()
    return event.SerializeToString()


def test_a_newer_major_version_is_refused() -> None:
    payloads, _ = encoded([session()])
    with pytest.raises(RunFormatError, match=r"format 2\.0, by a newer gradscope.*pip install --upgrade"):
        decoded(with_content(payload, version="2.0") for payload in payloads)


def test_a_newer_minor_version_is_read_and_told() -> None:
    records, reading = decoded(with_content(payload, version="1.7") for payload in encoded(healthy())[0])
    assert_same(records, healthy())
    assert reading.version == (1, 7)


def test_columns_of_another_version_are_found_by_name() -> None:
    net = Network("net", variables=(Variable("a", "a", (2,), "kernel"),))
    gradients = np.arange(1, 11, dtype=np.float32)[None] * 10
    step = StepRecord(0, 0, 0.0, gradients=gradients)
    payloads, _ = encoded([NetworkChange(0, 0.0, net), step])
    columns = ["invented", *GRADIENTS.statistic_names[1:]]  # as if one column were dropped and another added
    event = Event.FromString(payloads[-1])
    value = event.summary.value[1]
    assert value.tag == "gradscope/gradients/0"
    content = {**json.loads(value.metadata.plugin_data.content), "columns": columns, "version": "1.3"}
    value.metadata.plugin_data.content = json.dumps(content).encode()
    (_, found), _ = decoded([payloads[0], event.SerializeToString()])
    assert isinstance(found, StepRecord)
    assert found.gradients is not None
    assert found.extra_columns == {"gradients": ("invented",)}
    np.testing.assert_array_equal(found.gradients[0], [math.nan, *gradients[0, 1:], 10.0])


def test_what_version_1_0_wrote_behind_the_last_step_is_a_final_pass() -> None:
    net = network("relu", ["a"])
    rows = numbers(ACTIVATIONS, [{"mean": 0.5, "dead_unit_fraction": 0.25}])
    old = StepRecord(7, 1, BEGAN, activations=rows)
    payloads, _ = encoded([NetworkChange(0, BEGAN, net), old])
    (_, found), _ = decoded(with_content(payload, version="1.0") for payload in payloads)
    assert_same([found], [FinalPass(6, 1, BEGAN, activations=rows)])


def test_columns_that_version_1_0_left_out_hold_their_constants() -> None:
    content = {"table": "gradients", "columns": ["norm"], "rows": ["a"], "constants": {"connected": 1.0}}
    array = Layout.from_content(content).to_array(np.array([[3.0]], np.float32))
    row = dict(zip(GRADIENTS.statistic_names, array[0].tolist(), strict=True))
    assert (row["norm"], row["connected"]) == (3.0, 1.0)
    assert math.isnan(row["rms"])


def test_a_final_pass_shows_a_stock_tensorboard_its_dead_units_alone() -> None:
    rows = numbers(ACTIVATIONS, [{"saturated_fraction": 0.5, "dead_unit_fraction": 0.25}])
    change = NetworkChange(0, BEGAN, network("relu", ["a"]))
    payloads, _ = encoded([change, FinalPass(9, 0, BEGAN, activations=rows)])
    shown = [tag for tag in values_of(payloads[-1]) if not tag.startswith("gradscope/")]
    assert shown == ["dead_unit_fraction/a"]


def test_fields_and_tables_of_a_newer_version_are_left_out() -> None:
    payloads, _ = encoded([SessionEnd(3, BEGAN, Costs(record_count=4))])
    event = Event.FromString(payloads[0])
    body = json.loads(event.summary.value[0].tensor.string_val[0])
    body["mood"], body["costs"]["coffee"] = "good", 2
    event.summary.value[0].tensor.string_val[0] = json.dumps(body).encode()
    assert decoded([event.SerializeToString()])[0] == [SessionEnd(3, BEGAN, Costs(record_count=4))]

    event = Event.FromString(encoded(healthy()[:3])[0][-1])
    event.summary.value[1].tag = "gradscope/attention/0"
    assert decoded([event.SerializeToString()])[1].orphan_count == 2  # the other two lack their network here


def test_an_event_of_another_writer_holds_no_record() -> None:
    event = Event(step=3)
    event.summary.value.add(tag="epoch_loss", simple_value=1.0)
    assert decode(event.SerializeToString(), Reading()) == (None, Reading())


def test_tables_whose_network_was_lost_are_left_out_and_counted() -> None:
    payloads, _ = encoded(healthy()[:4])
    records, reading = decoded([*payloads[:2], *payloads[3:]])  # without the network
    assert reading.orphan_count == 2 * 2
    recorded = [record for record in records if isinstance(record, StepRecord)]
    assert [record.activations is record.gradients is None for record in recorded] == [True, True]
    assert [record.steps is not None for record in recorded] == [True, True]


def test_the_version_written_is_the_schemas() -> None:
    value = Event.FromString(encoded([session()])[0][-1]).summary.value[0]
    assert json.loads(value.metadata.plugin_data.content) == {"version": schema.version_text()}
