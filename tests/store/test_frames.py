import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import (
    BEGAN,
    COSTS,
    cut_off,
    healthy,
    layer_names,
    network,
    nothing_recorded,
    numbers,
    session,
    training,
    two_trainings,
)

from gradscope import schema
from gradscope.network import Network
from gradscope.records import (
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
from gradscope.store.frames import Frames, frames_of

TABLES = tuple(schema.TABLES)
NETWORK = network("relu", ["a", "b", "c"])


def step(number: int, **tables: Mapping[str, float]) -> StepRecord:
    """A step whose tables hold these numbers in every row."""
    row, sites, variables = tables.get("steps"), tables.get("activations"), tables.get("gradients")
    return StepRecord(
        number,
        number // 10,
        BEGAN + number,
        steps=None if row is None else numbers(STEPS, [row])[0],
        activations=None if sites is None else numbers(ACTIVATIONS, [sites] * len(NETWORK.sites)),
        gradients=None if variables is None else numbers(GRADIENTS, [variables] * len(NETWORK.variables)),
    )


def units(number: int, rows: list[Mapping[str, float]]) -> StepRecord:
    names = ("site", *UNITS.statistic_names)
    return StepRecord(number, 0, BEGAN, units=np.array([[row.get(name, math.nan) for name in names] for row in rows]))


def started(*records: Record) -> Frames:
    return frames_of([session(), NetworkChange(0, BEGAN, NETWORK), *records])


# --- columns ---


@pytest.mark.parametrize("records", [[], nothing_recorded(), healthy()], ids=["none", "no step", "healthy"])
def test_frames_have_the_columns_of_the_schema_and_always_the_same_dtypes(records: list[Record]) -> None:
    frames = frames_of(records)
    flags = {"clipped", "skipped", "connected", "dead", "confirmed"}
    for name in TABLES:
        frame: pd.DataFrame = getattr(frames, name)
        assert tuple(frame.columns[: len(schema.TABLES[name].columns)]) == schema.TABLES[name].columns
        assert isinstance(frame.index, pd.RangeIndex)
        for column in schema.TABLES[name].columns:
            if column in ("layer", "site", "activation", "variable", "role"):
                expected = "category"
            elif column in ("step", "epoch", "unit"):
                expected = "int64"
            elif column in flags and not frame[column].isna().any():
                expected = "bool"
            else:
                expected = "float64"
            assert frame[column].dtype == expected, (name, column)


def test_a_run_without_records_is_empty_and_has_a_network_without_layers() -> None:
    frames = frames_of([])
    assert [len(getattr(frames, name)) for name in TABLES] == [0] * len(TABLES)
    assert (frames.network, frames.sessions, frames.costs, frames.lost) == (Network(""), (), Costs(), ())


def test_a_flag_is_true_or_false_and_a_number_only_where_some_are_not_known() -> None:
    known = started(step(0, steps={"clipped": 0.0, "skipped": 1.0}), step(1, steps={"clipped": 1.0, "skipped": 0.0}))
    assert known.steps["clipped"].tolist() == [False, True]
    assert known.steps["skipped"].dtype == bool
    unknown = started(step(0, steps={"clipped": 1.0}), step(1, steps={}))
    assert unknown.steps["clipped"].dtype == np.float64


def test_a_disconnected_variable_is_not_connected_and_has_no_norm() -> None:
    gradients = frames_of(cut_off()).gradients
    last = gradients[gradients["step"] == gradients["step"].max()]
    assert not last["connected"].any()
    assert last["norm"].isna().all()


def test_names_keep_the_order_of_execution_when_grouped() -> None:
    names = ["z", "m", "a"]
    frames = frames_of(training(network("relu", names), losses=[1.0, 2.0], gradient=[1.0] * 3))
    assert frames.activations.groupby("layer", observed=True).size().index.tolist() == names
    assert frames.activations["site"].tolist() == names * 2
    assert frames.activations["activation"].tolist() == ["relu", "relu", "softmax"] * 2
    assert frames.gradients["variable"].tolist()[:2] == ["z/kernel", "z/bias"]
    assert frames.gradients["role"].tolist() == ["kernel", "bias"] * 6


def test_every_number_lies_in_its_own_column() -> None:
    rng = np.random.default_rng(0)
    records = [
        StepRecord(
            number,
            number // 3,
            BEGAN + number,
            steps=rng.random(len(STEPS.statistics), np.float32),
            activations=rng.random((len(NETWORK.sites), len(ACTIVATIONS.statistics)), np.float32),
            gradients=rng.random((len(NETWORK.variables), len(GRADIENTS.statistics)), np.float32),
        )
        for number in range(0, 40, 4)
    ]
    frames = started(*records)
    site_rows = iter(frames.activations.to_dict("records"))
    variable_rows = iter(frames.gradients.to_dict("records"))
    for record, row in zip(records, frames.steps.to_dict("records"), strict=True):
        assert record.steps is not None
        assert record.activations is not None
        assert record.gradients is not None
        common = {"step": record.step, "epoch": record.epoch}
        plain = dict(zip(STEPS.statistic_names, record.steps.tolist(), strict=True))
        flags = {name: bool(plain[name]) for name in ("clipped", "skipped")}
        assert row == {**common, "wall_time": record.wall_time, **plain, **flags}
        for site, array in zip(NETWORK.sites, record.activations.tolist(), strict=True):
            keys = {**common, "layer": site.layer, "site": site.key, "activation": site.activation}
            assert next(site_rows) == {**keys, **dict(zip(ACTIVATIONS.statistic_names, array, strict=True))}
        for variable, array in zip(NETWORK.variables, record.gradients.tolist(), strict=True):
            keys = {**common, "layer": variable.layer, "variable": variable.path, "role": variable.role}
            found = dict(zip(GRADIENTS.statistic_names, array, strict=True))
            assert next(variable_rows) == {**keys, **found, "connected": bool(found["connected"])}


def test_units_name_their_site_by_its_index() -> None:
    alive = {"site": 1, "unit": 7, "dead": 0.0, "confirmed": 0.0, "positions": 640}
    dead = {"site": 2, "unit": 9, "dead": 1.0, "confirmed": 1.0, "positions": 640, "dead_since_step": 3}
    frame = started(units(5, [alive, dead]), units(8, [{**dead, "dead": 0.0}])).units
    assert frame["step"].tolist() == [5, 5, 8]
    assert frame["site"].tolist() == ["b", "c", "c"]
    assert frame["layer"].tolist() == ["b", "c", "c"]
    assert frame["unit"].tolist() == [7, 9, 9]
    assert frame["dead"].tolist() == [False, True, False]
    assert frame["dead_since_step"].tolist()[1:] == [3.0, 3.0]


def test_a_column_of_a_newer_version_stands_at_the_right() -> None:
    wide = np.column_stack([numbers(GRADIENTS, [{"norm": 1.0}] * len(NETWORK.variables)), np.full(6, 9.0)])
    newer = StepRecord(1, 0, BEGAN, gradients=wide.astype(np.float32), extra_columns={"gradients": ("flatness",)})
    frame = started(step(0, gradients={"norm": 2.0}), newer).gradients
    assert tuple(frame.columns) == (*GRADIENTS.columns, "flatness")
    np.testing.assert_array_equal(frame["flatness"], [math.nan] * 6 + [9.0] * 6)
    assert frame["norm"].tolist() == [2.0] * 6 + [1.0] * 6


# --- epochs, networks, costs ---


def test_each_log_is_a_column_and_missing_where_an_epoch_lacks_it() -> None:
    frame = started(
        EpochRecord(9, 0, BEGAN, {"loss": 2.0, "step": 5.0}, Costs()),
        EpochRecord(19, 1, BEGAN, {"loss": math.inf, "val_loss": 3.0}, Costs()),
    ).epochs
    assert tuple(frame.columns) == ("epoch", "step", "wall_time", "loss", "log_step", "val_loss")
    assert frame["step"].tolist() == [9, 19]
    np.testing.assert_array_equal(frame["val_loss"], [math.nan, 3.0])
    np.testing.assert_array_equal(frame["log_step"], [5.0, math.nan])


def test_each_step_is_read_with_the_network_of_its_time() -> None:
    grown = network("relu", ["a", "new", "b", "c"])
    frames = started(
        step(0, activations={}),
        NetworkChange(5, BEGAN, grown),
        StepRecord(5, 0, BEGAN, activations=numbers(ACTIVATIONS, [{}] * 4)),
    )
    assert frames.activations["layer"].tolist() == ["a", "b", "c", "a", "new", "b", "c"]
    assert (frames.network, frames.networks) == (grown, {0: NETWORK, 5: grown})


def test_costs_are_the_last_known_of_the_last_session() -> None:
    assert frames_of(healthy()).costs == COSTS
    assert frames_of([*healthy(), session(300, resumed=True)]).costs == Costs()


# --- sessions ---


def test_a_training_begun_anew_voids_the_one_before_and_a_resumed_one_continues_it() -> None:
    frames = frames_of(two_trainings())
    assert [s.step for s in frames.sessions] == [0, 0, 300]
    assert frames.steps["step"].tolist() == [*range(0, 300, 25), 300, 325]
    assert frames.epochs["step"].tolist() == [49, 99, 149, 199, 249, 299, 349]
    pd.testing.assert_frame_equal(frames.steps[:12], frames_of(healthy()).steps)


def test_a_session_that_resumes_earlier_voids_what_came_later() -> None:
    resumed = Session(2, BEGAN, True, "")
    other = network("relu", ["a", "b", "d"])
    records = [step(n, steps={"loss": float(n)}, activations={}) for n in range(5)]
    again = [NetworkChange(2, BEGAN, other), step(2, steps={"loss": 20.0}, activations={})]
    frames = started(*records, EpochRecord(4, 0, BEGAN, {}, Costs()), resumed, *again)
    assert frames.steps["loss"].tolist() == [0.0, 1.0, 20.0]
    assert frames.activations["site"].tolist() == ["a", "b", "c"] * 2 + ["a", "b", "d"]
    assert frames.networks == {0: NETWORK, 2: other}
    assert frames.epochs.empty


def final(number: int, dead: float, *unit: Mapping[str, float]) -> FinalPass:
    rows = numbers(ACTIVATIONS, [{"dead_unit_fraction": dead}] * 3)
    return FinalPass(number, 0, BEGAN, activations=rows, units=units(number, list(unit)).units if unit else None)


def test_a_final_pass_is_a_table_of_its_own_and_its_units_come_last() -> None:
    recorded = units(1, [{"site": 0, "unit": 4, "dead": 0}])
    frames = started(step(0, steps={}, activations={}), recorded, final(1, 0.5, {"site": 0, "unit": 4, "dead": 1}))
    assert frames.steps["step"].tolist() == [0]
    assert frames.activations["step"].tolist() == [0] * 3
    assert frames.final_activations["step"].tolist() == [1] * 3
    assert frames.final_activations["dead_unit_fraction"].tolist() == [0.5] * 3
    assert frames.final_activations.columns.equals(frames.activations.columns)
    assert frames.units["dead"].tolist() == [False, True]


def test_of_a_training_that_goes_on_the_last_final_pass_counts_and_all_units() -> None:
    first = final(4, 0.5, {"site": 0, "unit": 4, "dead": 1})
    resumed = Session(5, BEGAN, resumed=True, fingerprint="")
    frames = started(step(4, steps={}), first, resumed, step(5, steps={}))
    assert frames.final_activations.empty
    assert len(frames.units) == 1
    again = final(5, 0.25)
    frames = started(step(4, steps={}), first, resumed, step(5, steps={}), again)
    assert frames.final_activations["dead_unit_fraction"].tolist() == [0.25] * 3


def test_of_two_records_of_one_step_the_later_counts_in_the_tables_that_it_has() -> None:
    frames = started(
        step(3, steps={"loss": 1.0}, activations={"mean": 1.0}),
        step(3, activations={"mean": 2.0}),
    )
    assert frames.steps["loss"].tolist() == [1.0]
    assert frames.activations["mean"].tolist() == [2.0] * 3


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=12))
def test_frames_show_what_a_slow_reading_shows(script: list[tuple[bool, int]]) -> None:
    records: list[Record] = []
    shown: dict[int, float] = {}
    for order, (is_session, number) in enumerate(script):
        if is_session:
            records.append(session(number))
            shown = {step: loss for step, loss in shown.items() if step < number}
        else:
            records.append(step(number, steps={"loss": float(order)}))
            shown[number] = float(order)
    frame = started(*records).steps
    assert dict(zip(frame["step"].tolist(), frame["loss"].tolist(), strict=True)) == shown
    assert frame["step"].tolist() == sorted(shown)


def test_layers_of_many_steps_are_found_again() -> None:
    frames = frames_of(healthy())
    assert len(frames.activations) == 12 * 9
    assert set(frames.activations["layer"]) == set(layer_names(9))


# --- the end ---


def test_a_training_has_ended_where_its_last_session_says_so() -> None:
    *records, end = healthy()
    assert isinstance(end, SessionEnd)
    note = FindingsNote(9, end.wall_time, "1.0", (), "No findings.")
    assert frames_of([*records, end]).ended
    assert frames_of([*records, note, end]).ended
    for without in ([], records[:1], records[:3], records, [*records, note], [*records, end, *records]):
        assert not frames_of(without).ended
