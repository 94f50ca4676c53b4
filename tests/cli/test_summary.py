"""``gradscope summary``: the table, JSON, and where a run is looked for."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from runs import awkward_names, deep, not_finite, sick, write
from sweeps import sweep

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
    assert document["last_loss"] == "NaN"
    assert document["costs"]["record_count"] == 12
    assert [layer["site"] for layer in document["layers"]] == ["dense", "dense_1", "dense_2"]
    assert document["layers"][0]["gradient_rms"] == "NaN"
    assert document["layers"][0]["nonfinite_count"] == 14
    assert document["layers"][0]["first_gradient_rms"] == pytest.approx(1.1e-3)


def test_the_only_run_below_a_directory_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "only", sick())
    assert main(["summary", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("only: 300 steps")


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Six runs, one of them damaged."""
    for name, records in sweep().items():
        write(tmp_path / "logs" / name, records)
    (file,) = (write(tmp_path / "logs" / "g", sick()) / "gradscope").glob("*.gradscope")
    file.write_bytes(b"no event at all")
    return tmp_path / "logs"


def names(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> list[str]:
    assert main(["summary", *map(str, arguments), "--json"]) == 2  # for the damaged one
    return [run["run"] for run in json.loads(capsys.readouterr().out)["runs"]]


def test_several_runs_get_a_line_each_with_what_could_not_be_read(
    logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["summary", str(logs)]) == 2
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in shown[3:9]] == ["b", "c", "d", "a", "e", "f"]
    assert "high: vanishing_gradient@dense" in shown[3]
    assert any(line.startswith("Not ended, so running or broken off: e (last record") for line in shown)
    assert any(line.startswith("g: No record can be read") for line in shown)


def test_runs_are_sorted_and_filtered(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert names(capsys, logs, "--sort", "lr") == ["f", "a", "e", "b", "c", "d"]
    assert names(capsys, logs, "--sort", "-lr")[0] == "d"
    assert names(capsys, logs, "--sort=-lr", "--where", "lr<0.1", "--where", "activation=relu") == ["a", "e", "f"]
    assert names(capsys, logs, "--where", "lr>9") == []


def test_columns_that_are_asked_for_are_shown(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(logs / "g")
    assert main(["summary", str(logs), "--sort", "steps", "--show", "accuracy"]) == 0
    header = capsys.readouterr().out.splitlines()[1]
    assert {"accuracy", "steps"} <= set(header.split())


def test_json_of_several_runs_is_strict_and_names_the_damaged_one(
    logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    assert main(["summary", str(logs), "--json"]) == 2
    document = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert [run["run"] for run in document["left_out"]] == ["g"]
    by_name = {run["run"]: run for run in document["runs"]}
    assert by_name["d"]["batch_loss"] == "NaN"
    assert by_name["b"]["params"] == {"lr": 0.01, "activation": "sigmoid", "seed": 0}
    assert by_name["e"]["ended"] is False
    assert by_name["a"]["ended"] is True
    assert by_name["a"]["path"] == str(logs / "a")


def test_one_run_can_be_shown_as_a_line_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "only", sick())
    assert main(["summary", str(path), "--show", "steps"]) == 0
    assert "only  high: vanishing_gradient@dense" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--sort", "val_los"], "Did you mean 'val_loss'?"),
        (["--where", "lr"], "is no condition"),
        (["--where", "lrr<1"], "Did you mean 'lr'?"),
        (["--show", "acuracy"], "Did you mean 'accuracy'?"),
    ],
)
def test_a_mistake_about_columns_names_the_nearest(
    logs: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    assert main(["summary", str(logs), *options]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert said in error
    assert error.count("\n") == 1


def test_a_path_that_is_nearly_there_is_named(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["summary", str(logs.parent / "lgos")]) == 2
    assert f"Did you mean {str(logs)!r}?" in capsys.readouterr().err


def test_a_directory_of_damaged_runs_only_exits_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        (file,) = (write(tmp_path / name, sick()) / "gradscope").glob("*.gradscope")
        file.write_bytes(b"no event at all")
    assert main(["summary", str(tmp_path)]) == 2
    assert capsys.readouterr().out.startswith("No run could be read.")
    assert main(["summary", str(tmp_path), "--json"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert document["runs"] == []
    assert [run["run"] for run in document["left_out"]] == ["a", "b"]


def test_it_loads_no_framework(tmp_path: Path) -> None:
    program = """if True:
        import sys
        from gradscope.cli.main import main
        assert main(["summary", sys.argv[1]]) == 0
        assert not {"keras", "tensorflow", "plotly"} & set(sys.modules)
    """
    path = write(tmp_path / "sick", sick())
    subprocess.run([sys.executable, "-c", program, path], check=True, capture_output=True, timeout=60)
