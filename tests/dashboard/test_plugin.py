"""What the routes answer of a run that grows, ends with a final pass, or is larger or stranger than most."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import runs
from dashboard.provider import MemoryProvider, Tab

from gradscope.network import Network
from gradscope.recording.histogram import histogram
from gradscope.records import FinalPass, FindingsNote, NetworkChange, Record, Session, StepRecord
from gradscope.schema import ACTIVATIONS, UNITS
from gradscope_dashboard import answers
from gradscope_dashboard.cache import SLOW
from gradscope_dashboard.framing import MOST_BYTES
from gradscope_dashboard.notes import Notes
from gradscope_dashboard.source import RecordedRun, Series

NET = runs.network("relu", ["hidden", "out"])


def tab(*records: Record, name: str = "mlp/gradscope") -> Tab:
    provider = MemoryProvider(name)
    provider.write(records)
    return Tab(provider)


# --- a run that grows ---


def slow_tab(*records: Record) -> tuple[MemoryProvider, Tab]:
    provider = MemoryProvider()
    provider.write(records)
    provider.seconds = 1.2 * SLOW
    return provider, Tab(provider)


def test_the_last_findings_and_the_end_are_there_at_once_however_slow_reading_is() -> None:
    *records, end = runs.healthy()
    provider, tab = slow_tab(*records)
    assert tab.json("findings", run="mlp")["findings"] == []
    provider.write([FindingsNote(299, runs.BEGAN + 300, "0.1.0", ({"rule": "dying_relu"},), "text"), end])
    found = tab.json("findings", run="mlp")
    (run,) = tab.json("runs")["runs"]
    assert found["findings"] == [{"rule": "dying_relu"}]
    assert found["stamp"] == run["stamp"]
    assert run["ended"]


def test_the_last_histogram_is_there_at_once_however_slow_reading_is() -> None:
    bins = histogram(np.arange(31.0))
    assert bins is not None
    first, *others = [StepRecord(step, 0, runs.BEGAN + step, histograms={"hidden": bins}) for step in (0, 10)]
    provider, tab = slow_tab(runs.session(), NetworkChange(0, runs.BEGAN, NET), first)
    assert tab.binary("histograms", run="mlp", site="hidden")[0]["steps"] == [0]
    provider.write(others)
    assert tab.binary("histograms", run="mlp", site="hidden")[0]["steps"] == [0, 10]


# --- a final pass ---


def with_final_pass(dead: float, *, steps: int = 3) -> list[Record]:
    """A short training whose only numbers of dead units are those of its final pass."""
    *records, end = runs.training(NET, losses=[1.0] * steps, gradient=[1.0, 1.0], saturated=0.5)
    row = {"saturated_fraction": 0.9, "mean": 0.1, "dead_unit_fraction": dead, "backward_rms": 7.0}
    seen = FinalPass(25 * steps - 1, 1, runs.BEGAN + 25 * steps, activations=runs.numbers(ACTIVATIONS, [row, row]))
    return [*records, seen, end]


@pytest.mark.parametrize("statistic", ["gradients.rms", "activations.saturated_fraction", "steps.loss"])
@pytest.mark.parametrize("dead", [0.25, math.nan])
def test_a_final_pass_is_no_recorded_step_and_no_column(statistic: str, dead: float) -> None:
    header, values = tab(*with_final_pass(dead)).binary("matrix", run="mlp", statistic=statistic)
    assert header["steps"] == header["last_steps"] == [0, 25, 50]
    assert (header["recorded"], header["read"]) == (3, 3)
    assert not np.isnan(values[0]).any()
    assert values[0].max() != np.float32(0.9)


def test_the_dead_units_that_only_a_final_pass_knows_are_those_of_the_last_column() -> None:
    header, values = tab(*with_final_pass(0.25)).binary("matrix", run="mlp", statistic="activations.dead_unit_fraction")
    assert header["steps"] == header["last_steps"] == [0, 25, 50]
    assert (header["recorded"], header["read"]) == (3, 3)
    np.testing.assert_array_equal(values[0], [math.nan] * 2 + [0.25])


def test_curves_know_the_final_pass_in_their_dead_units_alone() -> None:
    header, values = tab(*with_final_pass(0.25)).binary("curves", run="mlp", layer="hidden")
    series = {line["id"]: row for line, row in zip(header["series"], values, strict=True)}
    assert header["steps"] == [0, 25, 50]
    assert series["activations.dead_unit_fraction"][-1] == 0.25
    assert "activations.mean" not in series


def test_a_final_pass_in_the_middle_of_a_run_that_goes_on_is_one_of_its_group() -> None:
    again = runs.session(100, resumed=True)
    later = runs.training(NET, losses=[1.0, 1.0], gradient=[2.0, 2.0], saturated=0.25, start=again)
    both = tab(*with_final_pass(0.75), *later)
    for statistic in ("activations.dead_unit_fraction", "activations.saturated_fraction"):
        header, values = both.binary("matrix", run="mlp", statistic=statistic)
        assert header["steps"] == [0, 25, 50, 100, 125]
        assert header["recorded"] == header["read"] == 5
    np.testing.assert_array_equal(values[0], np.float32([0.5, 0.5, 0.5, 0.25, 0.25]))
    _, values = both.binary("matrix", run="mlp", statistic="activations.dead_unit_fraction")
    assert values[0, 2] == 0.75


def test_units_that_only_a_final_pass_found_dead_are_told() -> None:
    row = {"site": 0, "unit": 3, "dead": 1, "active_fraction": 0.0}
    names = ("site", *UNITS.statistic_names)
    units = np.array([[float(row.get(name, math.nan)) for name in names]])
    *records, end = with_final_pass(0.25)
    found = replace(records[-1], units=units)
    (change,) = tab(*records[:-1], found, end).json("units", run="mlp", site="hidden")["changes"]
    assert (change["unit"], change["state"], change["step"]) == (3, "dead", 74)


# --- strange and large ones ---


def test_a_run_whose_name_is_not_utf_8_is_listed_with_the_others() -> None:
    name = b"caf\xe9/gradscope".decode("utf-8", "surrogateescape")
    (run,) = tab(*runs.healthy(), name=name).json("runs")["runs"]
    assert run["run"] == "caf\udce9"


def recorded(name: str, params: dict[str, str]) -> tuple[RecordedRun, Notes]:
    run = RecordedRun(name, name, {"gradscope/session": Series(0, 0.0, {})})
    return run, Notes(sessions=(Session(0, 0.0, resumed=False, fingerprint="", params=params),))


def test_the_longest_params_are_left_out_of_a_list_of_runs_that_is_too_long() -> None:
    lengths = [10, 1_500_000, 600_000, 300_000]
    found = answers.runs(recorded(f"run{length}", {"p": "x" * length}) for length in lengths)
    listed = json.loads(found)["runs"]
    assert len(found) <= MOST_BYTES
    assert [len(run["params"].get("p", "")) for run in listed] == [10, 0, 600_000, 300_000]
    assert [run["params_left_out"] for run in listed] == [False, True, False, False]


def test_a_network_that_is_too_long_is_told_without_configurations() -> None:
    layers = tuple(replace(layer, config={"text": "x" * 1_200_000}) for layer in NET.layers)
    long = Notes(networks=(NetworkChange(0, 0.0, Network("n", layers=layers, sites=NET.sites)),))
    found = answers.network("stamp", long)
    assert len(found) <= MOST_BYTES
    network = json.loads(found)["network"]
    assert [layer["config"] for layer in network["layers"]] == [{}, {}]
    assert len(network["sites"]) == 2


def test_a_note_that_makes_no_sense_is_left_out() -> None:
    note = FindingsNote(299, runs.BEGAN + 300, "0.1.0", ({"rule": "dying_relu"},), "text")
    broken = replace(note, step=300, findings=7)  # type: ignore[arg-type]
    assert tab(*runs.healthy(), note, broken).json("findings", run="mlp")["findings"] == [{"rule": "dying_relu"}]
