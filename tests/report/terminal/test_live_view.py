"""The live view: what a person sees, at any size of the terminal."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import runs
from findings import SICK
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from runs import awkward_names, cut_off, deep, healthy, network, not_finite, nothing_recorded, saturated, sick

from gradscope.records import Record
from gradscope.report.terminal.heat_strip import BLOCKS, SHADES
from gradscope.report.terminal.history import MEASURES, History, Measure
from gradscope.report.terminal.live_view import Watched, chosen_rows, finding_lines, live_view, parting, pulse
from gradscope.report.values.summary import summarise
from gradscope.store.read import frames_of

RUNS = (awkward_names, cut_off, deep, healthy, not_finite, nothing_recorded, saturated, sick)


def watched(records: list[Record]) -> Watched:
    history = History()
    for record in records:
        history.take(record)
    summary = summarise(frames_of(records), SICK, name="mlp", path=Path("logs/mlp"))
    return Watched("mlp", "running", 4.0, 2.0, summary, history)


def lines(view: Watched, statistic: Measure = "gradient", width: int = 80, height: int | None = 24) -> list[str]:
    return live_view(view, statistic, width=width, height=height, ending="Ctrl-C leaves.").plain.split("\n")


@pytest.mark.parametrize("statistic", MEASURES)
def test_the_view_is_that_of_the_golden_file(statistic: Measure, golden: Callable[[str, str], None]) -> None:
    for name, glyphs in (("blocks", BLOCKS), ("shades", SHADES)):
        text = live_view(watched(sick() if statistic == "gradient" else healthy()), statistic, height=24, glyphs=glyphs)
        golden(f"console/watch_{statistic}_{name}.txt", text.plain + "\n")


@given(width=st.integers(40, 200), height=st.integers(10, 80), made=st.sampled_from(RUNS))
def test_nothing_is_wider_or_higher_than_the_terminal(
    width: int, height: int, made: Callable[[], list[Record]]
) -> None:
    shown = lines(watched(made()), width=width, height=height)
    assert len(shown) <= height
    assert max(map(cell_len, shown)) <= width


@pytest.mark.parametrize("height", [18, 24, 40, 60])
def test_how_to_leave_is_the_last_line_and_every_screen_has_layers(height: int) -> None:
    shown = lines(watched(deep()), height=height)
    assert shown[-1] == "Ctrl-C leaves."
    assert sum(line.startswith("dense") for line in shown) >= 3
    assert any("of 90 layers" in line for line in shown)


def test_all_layers_are_shown_where_the_height_has_no_end() -> None:
    shown = lines(watched(deep()), height=None)
    assert sum(line.startswith("dense") for line in shown) == 90
    assert not any("of 90 layers" in line for line in shown)


def test_layers_with_findings_are_kept_when_there_is_no_room_for_all() -> None:
    rows = watched(deep()).summary
    assert rows is not None
    many = replace(SICK[0], layers=tuple(f"dense_{order}" for order in range(1, 30)))
    chosen = chosen_rows(rows.rows, [many, replace(SICK[0], layer="dense_37", layers=("dense_37",))], 6)
    assert len(chosen) == 6
    assert {0, 37, 89} <= set(chosen)
    assert chosen == sorted(chosen)
    assert chosen_rows(rows.rows, SICK, 90) == list(range(90))


def test_columns_make_room_for_the_strip_and_the_one_it_shows_goes_last() -> None:
    for statistic, header in (("update", "update /"), ("backward", "backward"), ("dead", "dead")):
        narrow = "\n".join(lines(watched(healthy()), statistic, width=50))  # pyright: ignore
        assert header in narrow
    wide = "\n".join(lines(watched(healthy()), width=140))
    assert all(header in wide for header in ("saturated", "dead", "gradient", "backward", "update /"))


@pytest.mark.parametrize(
    ("silent", "usual", "said"),
    [
        (4.0, 2.0, "last record 4 s ago"),
        (59.0, 1.0, "last record 59 s ago"),
        (310.0, 2.0, "no new record for 5 min"),
        (310.0, 200.0, "last record 5 min ago"),
        (310.0, float("nan"), "no new record for 5 min"),
    ],
)
def test_silence_is_told_against_what_is_usual(silent: float, usual: float, said: str) -> None:
    assert pulse(replace(watched(sick()), silent_seconds=silent, usual_seconds=usual)) == said


def test_an_end_is_told_and_a_beginning_is_waited_for() -> None:
    assert "; ended 2 min ago" in lines(replace(watched(sick()), phase="ended", silent_seconds=130.0))[0]
    waiting = Watched("mlp", "waiting", float("nan"), float("nan"), None, History(), ("Waiting for 'logs/mlp'.",))
    assert lines(waiting) == ["mlp: no record yet", "Waiting for 'logs/mlp'.", "Ctrl-C leaves."]


@pytest.mark.parametrize("room", [3, 4, 8, 50])
def test_findings_keep_to_their_room(room: int) -> None:
    findings = [replace(finding, cause=None) for finding in SICK]
    shown = [line.plain for line in finding_lines(findings, "gradscope check logs/mlp", room)]
    assert len(shown) <= room
    assert shown[0] == "7 findings of medium or high severity (gradscope check logs/mlp):"
    assert shown[1].startswith("high: vanishing_gradient in dense, steps 0–275")
    assert shown[-1].startswith("… and ") is (room < 8)


def test_what_a_person_leaves_with_names_every_cause() -> None:
    text = parting(watched(sick())).plain
    assert text.startswith("mlp: 300 steps in 6 epochs, 12 recorded; last record 4 s ago\n")
    assert "dying_relu in dense_5" in text


def test_names_reach_the_terminal_as_text() -> None:
    shown = "\n".join(lines(watched(awkward_names()), height=60))
    assert "[red]x[/red]" in shown
    assert "\x1b" not in shown


def test_a_strip_stands_beside_the_layer_that_it_is_of() -> None:
    net = network("relu", ["small", "large"])
    records = runs.training(net, losses=[1.0] * 3, gradient=[1e-6, 1.0], every=1)
    shown = {line.split()[0]: line for line in lines(watched(records)) if line}
    assert shown["small"].endswith("▁▁▁")
    assert shown["large"][-1] in "▇█"
