"""One row a run: its values, in which order, and how they read."""

import json
import math
from collections.abc import Callable

import pytest
from findings import DYING, OSCILLATING, VANISHING, unchanged
from runs import BEGAN, awkward_names, healthy, nothing_recorded
from sweeps import many, run, sweep

from gradscope import ArgumentError
from gradscope.report.terminal.runs_table import sweep_text
from gradscope.report.values.runs_table import COLUMNS, Sweep, run_row, worst_first
from gradscope.report.values.selection import condition_of, ordered, selected
from gradscope.report.values.summary import summarise
from gradscope.run import Run
from gradscope.runs import Runs
from gradscope.store.read import frames_of


def swept() -> Sweep:
    return Runs({name: Run(frames_of(records), name=name) for name, records in sweep().items()}).summary()


def names(shown: Sweep) -> list[str]:
    return [row.run for row in shown.rows]


# ---- Rows


def test_the_worst_finding_is_the_first_of_the_severest() -> None:
    summary = summarise(frames_of(healthy()), [OSCILLATING, DYING, VANISHING, unchanged("dense_1", "high")])
    row = run_row(summary, {})
    assert (row.worst, row.finding_count) == (VANISHING, 4)
    assert run_row(summarise(frames_of(healthy())), {}).worst is None


def test_overhead_is_what_a_limit_can_bound_so_setting_up_is_apart() -> None:
    row = run_row(summarise(frames_of(healthy())), {})
    assert row.overhead == pytest.approx((0.4 + 0.05 + 0.15) / 10)
    assert row.setup_seconds == 3.0
    assert math.isnan(run_row(summarise(frames_of([])), {}).overhead)


def test_runs_with_the_severest_findings_come_first_and_those_without_records_last() -> None:
    shown = swept()
    ranks = [{"high": 2, "medium": 1, "low": 0}.get(record["severity"], -1) for record in shown.records]
    assert ranks == sorted(ranks, reverse=True)
    assert names(shown)[-1] == "f"
    assert worst_first(reversed(shown.rows))[-1].run == "f"


def test_the_frame_has_a_row_a_run_and_columns_for_logs_and_parameters() -> None:
    frame = swept().frame
    assert list(frame.columns)[: len(COLUMNS)] == list(COLUMNS)
    assert {"val_loss", "accuracy", "lr", "activation", "clip"} <= set(frame.columns)
    by_run = frame.set_index("run")
    assert by_run.loc["b", "lr"] == 0.01
    assert by_run.loc["b", "finding"] == "vanishing_gradient@dense"
    assert (frame["severity"] >= "medium").sum() >= 2
    assert len(Sweep(()).frame) == 0


def test_a_parameter_with_the_name_of_another_column_keeps_both() -> None:
    shown = Runs({"a": run(healthy(), "a", loss="mse", steps=7, lr=0.1)}).summary()
    assert {"loss", "params.loss", "steps", "params.steps", "lr"} <= set(shown.columns)
    record = shown.records[0]
    assert (record["steps"], record["params.steps"], record["params.loss"]) == (300, 7, "mse")


def test_only_parameters_that_tell_runs_apart_vary() -> None:
    assert swept().varying == ("lr", "activation", "clip")
    assert Runs({"a": run(healthy(), "a", lr=1, seed=0)}).summary().varying == ("lr", "seed")


def test_json_holds_every_run_and_what_was_left_out() -> None:
    document = Sweep(swept().rows, {"g": "damaged"}).to_json()
    assert document["left_out"] == [{"run": "g", "reason": "damaged"}]
    assert {each["run"] for each in document["runs"]} == set("abcdef")
    (d,) = (each for each in document["runs"] if each["run"] == "d")
    assert d["params"] == {"lr": 1.0, "activation": "relu", "seed": 0, "clip": True}
    json.dumps(document)


# ---- Selection


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (["lr<0.01"], "aef"),
        (["lr <= 0.01"], "abef"),
        (["lr=0.010"], "b"),
        (["activation=sigmoid"], "bc"),
        (["activation==sigmoid", "lr>0.05"], "c"),
        (["activation!=sigmoid"], "adef"),
        (["clip=true"], "d"),
        (["clip!=true"], "abcef"),
        (["finding=vanishing_gradient@dense"], "b"),
        (["lr>5"], ""),
        (["run=e"], "e"),
        (["recorded=0"], "f"),
    ],
)
def test_conditions_keep_the_runs_that_meet_all_of_them(conditions: list[str], expected: str) -> None:
    assert sorted(names(selected(swept(), map(condition_of, conditions)))) == list(expected)


def test_a_severity_is_compared_by_how_bad_it_is() -> None:
    shown = swept()
    severe = selected(shown, [condition_of("severity>=medium")])
    assert {record["severity"] for record in severe.records} <= {"medium", "high"}
    assert "b" in names(severe)
    assert "a" not in names(severe)


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("lr", "is no condition"),
        ("<3", "is no condition"),
        ("", "is no condition"),
        ("__import__('os').system('x')", "is no condition"),
        ("lrr<3", "Did you mean 'lr'"),
        ("val_los<3", "Did you mean 'val_loss'"),
        ("activation<3", "holds text"),
        ("lr<small", "needs a number"),
        ("severity>bad", "is no severity"),
    ],
)
def test_a_condition_that_cannot_be_meant_is_an_error(condition: str, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        selected(swept(), [condition_of(condition)])


def test_sorting_goes_up_or_down_and_runs_without_a_value_come_last() -> None:
    assert names(ordered(swept(), "lr")) == ["f", *names(ordered(swept(), "lr"))[1:]]
    rates = [record["lr"] for record in ordered(swept(), "-lr").records]
    assert rates == sorted(rates, reverse=True)
    for column in ("clip", "-clip"):
        assert names(ordered(swept(), column))[0] == "d"
    for column in ("severity", "-severity"):
        assert ordered(swept(), column).records[-1]["severity"] is None
    assert ordered(swept(), "-severity").records[0]["severity"] == "high"


def test_equal_runs_keep_their_order() -> None:
    first, second = (ordered(Sweep(rows), "seed") for rows in (swept().rows, swept().rows[::-1]))
    assert names(first) == names(second)[::-1]


def test_a_column_whose_name_begins_with_a_dash_can_be_sorted_by() -> None:
    shown = Runs({"a": run(healthy(), "a", **{"-x": 2}), "b": run(healthy(), "b", **{"-x": 1})}).summary()
    assert names(ordered(shown, "-x")) == ["b", "a"]
    assert names(ordered(shown, "--x")) == ["a", "b"]


def test_an_unknown_column_names_the_nearest() -> None:
    with pytest.raises(ArgumentError, match=r"no column 'acuracy'. Did you mean 'accuracy'\?"):
        ordered(swept(), "-acuracy")


# ---- Text


def test_the_table_reads_so(golden: Callable[[str, str], None]) -> None:
    shown = Sweep(swept().rows, {"g": "No record can be read from 'logs/g'.\x1b[31m"})
    golden("console/sweep.txt", sweep_text(shown).plain + "\n")


def test_thirty_runs_read_so(golden: Callable[[str, str], None]) -> None:
    golden("console/sweep_many.txt", sweep_text(Runs({each.name: each for each in many(30)}).summary()).plain + "\n")


@pytest.mark.parametrize("width", [80, 100, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    long = run(awkward_names(), "a/very/long/name/" * 9, **{f"parameter_{index}" * 4: "x" * 40 for index in range(9)})
    shown = Runs({long.name: long, "\x1b[31m\n": run(healthy(), "b", lr=1)}).summary()
    text = sweep_text(shown, width=width)
    assert max(line.cell_len for line in text.split()) <= width
    assert "\x1b" not in text.plain


def test_a_run_that_recorded_nothing_is_not_called_healthy() -> None:
    text = sweep_text(Runs({"f": run(nothing_recorded(), "f")}).summary()).plain
    assert "nothing recorded" in text
    assert "none" not in text


def test_a_run_that_has_not_ended_is_shown_with_the_age_of_its_last_record() -> None:
    summary = summarise(frames_of(healthy()), name="a")
    rows = tuple(run_row(summary, {}, ended=ended, last_wall_time=BEGAN + 275) for ended in (True, False, False, None))
    for age, said in ((30, "30 seconds"), (600, "10 minutes"), (3 * 3600, "3 hours"), (9 * 86400, "9 days")):
        text = sweep_text(Sweep(rows), now=BEGAN + 275 + age).plain
        assert f"Not ended, so running or broken off: a (last record {said} ago), a" in " ".join(text.split())
    assert "ended" not in sweep_text(Sweep(rows[:1])).plain


def test_columns_are_shown_when_they_are_asked_for() -> None:
    assert "steps" not in sweep_text(swept()).plain
    assert "accuracy  steps" in sweep_text(swept(), width=120, show=("accuracy", "steps", "steps", "run")).plain


def test_a_sweep_tells_in_one_line_what_it_is_and_prints_in_a_notebook() -> None:
    shown = Runs({"<b>": run(healthy(), "<b>")}).summary()
    assert repr(shown) == "<gradscope sweep of 1 run>"
    assert "&lt;b&gt;" in shown._repr_html_()


def test_a_sweep_of_which_nothing_is_left_says_so() -> None:
    assert str(Sweep(())) == "No run meets the conditions."
    assert str(Sweep((), {"a": "empty"})).startswith("No run could be read.")
