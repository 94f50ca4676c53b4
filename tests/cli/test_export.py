"""``gradscope export``: what is written, what is said, and how mistakes are answered."""

import json
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from runs import awkward_names, healthy, sick, write

from gradscope import load
from gradscope.cli.main import main
from gradscope.store.export.tables import TABLES


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    write(tmp_path / "logs" / "sweep" / "lr=0.1", healthy())
    write(tmp_path / "logs" / "<img src=x onerror=alert(1)>", awkward_names())
    return tmp_path / "logs"


def damage(directory: Path) -> None:
    (file,) = write(directory, sick()).glob("gradscope/*.gradscope")
    file.write_bytes(b"nonsense")


def test_all_runs_below_a_directory_become_one_dataset(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = logs.parent / "out"
    assert main(["export", str(logs), "--to", "parquet", "-o", str(out)]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Exported 2 runs to {out}\n")
    assert str(out / "_schema.json") in shown
    found = duckdb.sql(f"SELECT run, count(*) FROM '{out}/table=steps/*/*.parquet' GROUP BY run").fetchall()
    assert dict(found) == {"sweep/lr=0.1": 12, "<img src=x onerror=alert(1)>": 2}


@pytest.mark.parametrize("to", ["parquet", "csv", "json"])
def test_one_run_is_written_as_the_methods_of_a_run_write_it(to: str, tmp_path: Path) -> None:
    path = write(tmp_path / "mlp", healthy())
    assert main(["export", str(path), "--to", to, "-o", str(tmp_path / "by command")]) == 0
    getattr(load(path), f"to_{to}")(tmp_path / "by method")
    if to == "json":
        assert (tmp_path / "by command").read_bytes() == (tmp_path / "by method").read_bytes()
        return
    files = [{f.relative_to(root): f.read_bytes() for f in root.rglob("*.*")} for root in tmp_path.glob("by *")
             if root.is_dir()]  # fmt: skip
    assert files[0] == files[1]
    assert len(files[0]) == len(TABLES) + 1


def test_csv_names_the_run_of_each_row(logs: Path) -> None:
    out = logs.parent / "out"
    assert main(["export", str(logs), "--to", "csv", "-o", str(out)]) == 0
    assert {file.name for file in out.iterdir()} == {"_schema.json", *(f"{name}.csv" for name in TABLES)}
    counts = pd.read_csv(out / "activations.csv")["run"].value_counts().to_dict()
    assert counts == {"sweep/lr=0.1": 12 * 9, "<img src=x onerror=alert(1)>": 2 * 7}


@pytest.mark.parametrize("to", ["parquet", "csv", "json"])
def test_a_machine_reads_what_was_written(to: str, logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = logs.parent / "out"
    assert main(["export", str(logs), "--to", to, "-o", str(out), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["to"], document["output"], document["schema_version"]) == (to, str(out), "1.0")
    assert set(document["runs"]) == {"sweep/lr=0.1", "<img src=x onerror=alert(1)>"}
    assert all(Path(file["path"]).is_file() for file in document["files"])
    assert sum(file["rows"].get("steps", 0) for file in document["files"]) == 12 + 2


@pytest.mark.parametrize("typed", ["parqet", "Parquet", "cvs", "jsn", "xlsx"])
def test_a_misspelt_format_is_answered_with_the_nearest(
    typed: str, logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    meant = {"cvs": "csv", "jsn": "json"}.get(typed, "parquet")
    out = logs.parent / "out"
    assert main(["export", str(logs), "--to", typed, "-o", str(out)]) == 2
    printed, error = capsys.readouterr()
    assert printed == ""
    assert error.count("\n") == 1
    assert "'parquet', 'csv', 'json'" in error
    assert (f"Did you mean '{meant}'?" in error) == (typed != "xlsx")
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["logs", "--to", "csv"], "--output"),
        (["logs", "-o", "out"], "--to"),
        (["no/such/run", "--to", "csv", "-o", "out"], "no/such/run"),
        (["logs", "--to", "csv", "-o", "file"], "it is a file"),
        (["logs", "--to", "parquet", "-o", "file/below"], "Not a directory"),
        (["logs", "--to", "json", "-o", "logs"], "it is a directory"),
        (["logs", "--too", "csv", "-o", "out"], "--to"),
    ],
)
def test_a_mistake_gets_one_line_and_exit_code_2(
    arguments: list[str], said: str, logs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(logs.parent)
    Path("file").write_text("mine")
    assert main(["export", *arguments]) == 2
    printed, error = capsys.readouterr()
    assert printed == ""
    assert error.startswith("gradscope: ")
    assert error.count("\n") == 1
    assert said in error
    assert not Path("out").exists()


@pytest.mark.filterwarnings("default")  # as outside of tests, where the warning is one line on standard error
def test_a_damaged_run_is_left_out_and_the_exit_code_says_so(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage(logs / "damaged")
    out = logs.parent / "out"
    assert main(["export", str(logs), "--to", "parquet", "-o", str(out), "--json"]) == 2
    printed, error = capsys.readouterr()
    assert len(json.loads(printed)["runs"]) == 2
    assert "damaged" in error


@pytest.mark.filterwarnings("default")  # as outside of tests, where the warning is one line on standard error
@pytest.mark.parametrize("to", ["parquet", "csv", "json"])
def test_without_a_run_that_can_be_read_nothing_is_replaced(
    to: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--to", to, "-o", str(tmp_path / "out")]
    assert main(["export", str(write(tmp_path / "mlp", healthy())), *arguments]) == 0
    before = {file: file.read_bytes() for file in tmp_path.rglob("out*") if file.is_file()}
    damage(tmp_path / "bad" / "a")
    damage(tmp_path / "bad" / "b")
    assert main(["export", str(tmp_path / "bad"), *arguments]) == 2
    assert "No record can be read" in capsys.readouterr().err
    assert {file: file.read_bytes() for file in tmp_path.rglob("out*") if file.is_file()} == before


def test_help_gives_examples_and_fits_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "gradscope export logs --to parquet -o tables\n" in shown
    assert max(map(len, shown.splitlines())) <= 80
