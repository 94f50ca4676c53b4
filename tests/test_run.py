"""What a person holds after a training, whether it was kept in memory or written to a directory."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from runs import healthy, layer_names, not_finite, nothing_recorded, saturated, sick, two_trainings, write

import gradscope
from gradscope import Evidence, Finding, Findings, Run, load, load_runs
from gradscope.diagnose.finding import COLUMNS
from gradscope.schema import ACTIVATIONS, EPOCHS, GRADIENTS, STEPS, UNITS
from gradscope.store.read import Frames, frames_of


def test_a_run_in_memory_makes_its_frames_when_they_are_first_asked_for() -> None:
    made: list[Frames] = []

    def make() -> Frames:
        made.append(frames_of(sick()))
        return made[-1]

    run = Run(make, name="sick")
    assert made == []
    assert len(run.steps) == 12
    assert run.gradients is run.gradients
    assert len(made) == 1


def test_every_table_begins_with_its_columns() -> None:
    run = Run(frames_of(healthy()))
    for table in (STEPS, ACTIVATIONS, GRADIENTS, UNITS, EPOCHS):
        assert tuple(getattr(run, table.name).columns)[: len(table.columns)] == table.columns


def test_a_run_that_was_written_and_loaded_equals_the_one_in_memory(tmp_path: Path) -> None:
    loaded, kept = load(write(tmp_path / "mlp", healthy())), Run(frames_of(healthy()), name="mlp")
    assert loaded.name == "mlp"
    assert loaded.path == tmp_path / "mlp"
    for table in ("steps", "activations", "gradients", "units", "epochs"):
        pd.testing.assert_frame_equal(getattr(loaded, table), getattr(kept, table))
    assert (loaded.network, loaded.sessions, loaded.costs) == (kept.network, kept.sessions, kept.costs)
    assert str(loaded.summary()) == str(kept.summary())
    assert (loaded.not_measured, loaded.lost) == ((), ())


def test_a_run_is_named_after_its_directory_however_it_is_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "mlp", sick())
    (file,) = (tmp_path / "mlp" / "gradscope").glob("*.gradscope")
    assert {load(path).name for path in (tmp_path / "mlp", tmp_path / "mlp" / "gradscope", file)} == {"mlp"}
    monkeypatch.chdir(tmp_path / "mlp")
    assert load(".").name == "mlp"


def test_a_run_tells_in_one_line_what_it_holds(tmp_path: Path) -> None:
    assert repr(Run(frames_of(sick()), name="sick")) == "<gradscope run 'sick': 12 recorded steps of 9 sites>"
    assert repr(Run(frames_of(nothing_recorded()))) == "<gradscope run 'run': nothing recorded>"
    path = write(tmp_path / "mlp", sick())
    assert repr(load(path)).endswith(f"of 9 sites, from {str(path)!r}>")


def test_what_is_not_measured_stands_with_its_reason() -> None:
    (missing,) = Run(frames_of(nothing_recorded())).not_measured
    assert missing.reason == "its batches cannot be fed a second time"


def test_all_sessions_are_listed_and_the_tables_show_the_last_training() -> None:
    run = Run(frames_of(two_trainings()))
    assert [session.resumed for session in run.sessions] == [False, False, True]
    assert len(run.steps) == 14


def test_many_runs_make_one_set_of_frames(tmp_path: Path) -> None:
    write(tmp_path / "healthy", healthy())
    write(tmp_path / "sweep" / "sick", sick())
    runs = load_runs(tmp_path)
    assert list(runs) == ["healthy", "sweep/sick"]
    assert repr(runs) == "<gradscope runs: healthy, sweep/sick>"
    for table in ("steps", "activations", "gradients", "epochs"):
        frame = getattr(runs, table)
        assert frame.columns[0] == "run"
        for name, run in runs.items():
            part = frame[frame["run"] == name].drop(columns="run").reset_index(drop=True)
            pd.testing.assert_frame_equal(part, getattr(run, table), check_dtype=False, check_categorical=False)
    assert list(runs.units.columns) == ["run", *UNITS.columns]


def test_names_of_many_runs_are_grouped_in_the_order_of_the_model(tmp_path: Path) -> None:
    write(tmp_path / "a", saturated())
    write(tmp_path / "b", healthy())
    groups = load_runs(tmp_path).activations.groupby(["run", "layer"], observed=True)["saturated_fraction"].mean()
    assert list(groups["b"].index) == layer_names(9)


def test_a_run_without_records_joins_no_rows_and_does_no_harm(tmp_path: Path) -> None:
    write(tmp_path / "a", nothing_recorded())
    write(tmp_path / "b", sick())
    runs = load_runs(tmp_path)
    assert set(runs.steps["run"]) == {"b"}
    assert runs.steps["step"].dtype == runs["b"].steps["step"].dtype


def test_the_parent_may_be_a_run_itself(tmp_path: Path) -> None:
    assert list(load_runs(write(tmp_path / "mlp", sick()))) == ["mlp"]


def test_a_run_that_cannot_be_read_is_left_out_with_a_warning(tmp_path: Path) -> None:
    write(tmp_path / "good", sick())
    write(tmp_path / "bad", sick())
    (file,) = (tmp_path / "bad" / "gradscope").glob("*.gradscope")
    file.write_bytes(b"no event at all")
    with pytest.warns(UserWarning, match="A run is left out.*bad"):
        assert list(load_runs(tmp_path)) == ["good"]


@pytest.mark.parametrize("path", ["missing", "."])
def test_no_run_is_a_clear_error(tmp_path: Path, path: str) -> None:
    for loader in (load, load_runs):
        with pytest.raises(gradscope.RunNotFoundError, match=r".+") as caught:
            loader(tmp_path / path)
        assert str(tmp_path) in str(caught.value)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'GradeScope'"):
        _ = gradscope.GradeScope  # type: ignore[attr-defined]


def test_importing_gradscope_loads_no_pandas_and_loading_a_run_no_framework(tmp_path: Path) -> None:
    program = """if True:
        import sys, gradscope
        assert not {"pandas", "keras", "tensorflow"} & set(sys.modules), "on import"
        print(gradscope.load(sys.argv[1]).summary())
        gradscope.load_runs(sys.argv[1])
        assert not {"keras", "tensorflow", "plotly"} & set(sys.modules), "on load"
    """
    path = write(tmp_path / "mlp", sick())
    subprocess.run([sys.executable, "-c", program, path], check=True, capture_output=True, timeout=60)


# ---- Findings


def always(frames: Frames, *, floor: float = 3.0) -> Iterator[Finding]:
    """A rule that finds something in every run of so many records."""
    if len(frames.steps) >= floor:
        yield Finding("always", "medium", "dense", 0, 9, "There.", (Evidence("records", len(frames.steps), floor),))


def test_findings_are_made_once_by_the_installed_rules() -> None:
    run = Run(frames_of(sick()))
    assert run.diagnose() is run.diagnose()
    assert run.findings is run.findings
    assert list(run.findings.columns) == list(COLUMNS)
    assert list(run.findings["rule"]) == [finding.rule for finding in run.diagnose()]


def test_other_rules_and_thresholds_are_asked_for_by_name_or_function() -> None:
    run = Run(frames_of(sick()))
    (finding,) = run.diagnose(rules=[always])
    assert finding.key == "always@dense"
    assert run.diagnose(rules=[always], always={"floor": 100}) == ()
    assert isinstance(run.diagnose(rules=["dying_relu"]), Findings)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"rules": ["dying_rulu"]}, "Nearest: dying_relu"),
        ({"rules": "dying_relu"}, "is one name"),
        ({"rules": [3]}, "rules holds 3"),
        ({"dying_rulu": {"floor": 1}}, "dying_rulu"),
        ({"dying_relu": {"flor": 1}}, "no threshold 'flor'"),
    ],
)
def test_what_is_no_rule_or_threshold_is_refused(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(gradscope.ArgumentError, match=said):
        Run(frames_of(sick())).diagnose(**arguments)


def test_findings_of_many_runs_have_a_column_for_the_run_and_keep_the_order_of_severity(tmp_path: Path) -> None:
    write(tmp_path / "a", sick())
    write(tmp_path / "b", nothing_recorded())
    write(tmp_path / "c", not_finite())
    runs = load_runs(tmp_path)
    findings = runs.findings
    assert list(findings.columns) == ["run", *COLUMNS]
    assert len(findings) == sum(len(run.findings) for run in runs.values())
    assert findings["severity"].cat.ordered
    assert list(findings["severity"].cat.categories) == ["low", "medium", "high"]


def test_the_summary_leads_with_the_findings_and_names_the_command(tmp_path: Path) -> None:
    run = load(write(tmp_path / "my runs" / "sick", sick()))
    shown = str(run.summary())
    assert run.summary().findings == run.diagnose()
    assert shown.index("severity") < shown.index("gradient RMS")
    if run.diagnose():
        assert f'gradscope check "{tmp_path}/my runs/sick"' in shown
