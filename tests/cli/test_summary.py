"""``gradscope summary``: the table, JSON, and where a run is looked for."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from runs import awkward_names, deep, not_finite, sick, write

from gradscope import load
from gradscope.cli.main import main


def test_the_table_is_that_of_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "sick", sick())
    assert main(["summary", str(path)]) == 0
    assert capsys.readouterr().out == f"{load(path).summary()}\n"


def test_names_reach_the_terminal_as_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["summary", str(write(tmp_path / "names", awkward_names()))]) == 0
    shown = capsys.readouterr().out
    assert "[red]x[/red]" in shown
    assert "\x1b" not in shown


def test_a_file_gets_every_row_with_and_without_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(write(tmp_path / "deep", deep()))
    assert main(["summary", path]) == main(["summary", path, "--all"]) == 0
    assert capsys.readouterr().out.count("dense_45 ") == 2


def test_json_is_strict_and_holds_every_layer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    assert main(["summary", str(write(tmp_path / "broken", not_finite())), "--json"]) == 0
    document = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert document["run"] == "broken"
    assert document["last_loss"] is None
    assert document["costs"]["record_count"] == 12
    assert [layer["site"] for layer in document["layers"]] == ["dense", "dense_1", "dense_2"]
    assert document["layers"][0]["gradient_rms"] is None
    assert document["layers"][0]["nonfinite_count"] == 14
    assert document["layers"][0]["first_gradient_rms"] == pytest.approx(1.1e-3)


def test_the_only_run_below_a_directory_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "only", sick())
    assert main(["summary", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("only: 300 steps")


def test_several_runs_below_a_directory_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, sick())
    assert main(["summary", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "holds 2 runs" in error
    assert str(tmp_path / "b") in error


def test_it_answers_quickly_and_loads_no_framework(tmp_path: Path) -> None:
    program = """if True:
        import sys, time
        from gradscope.cli.main import main
        assert main(["summary", sys.argv[1]]) == 0
        assert not {"keras", "tensorflow", "plotly"} & set(sys.modules)
        print(time.process_time())
    """
    path = write(tmp_path / "sick", sick())
    # CPU seconds of the process: the machine may be busy with other tests.
    finished = subprocess.run([sys.executable, "-c", program, path], check=True, capture_output=True, timeout=60)
    assert float(finished.stdout.split()[-1]) < 1.5
