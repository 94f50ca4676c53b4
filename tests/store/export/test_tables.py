"""Exports: the declared schema, exact round trips through every format, and one dataset that many readers take."""

import csv
import io
import json
import math
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runs import (
    BEGAN,
    awkward_names,
    cut_off,
    healthy,
    network,
    not_finite,
    nothing_recorded,
    session,
    sick,
    two_trainings,
    write,
)

import gradscope.store
from gradscope import Run, WriterError, load_runs, schema
from gradscope.diagnose.finding import COLUMNS
from gradscope.errors import GradscopeError
from gradscope.records import Costs, EpochRecord, NetworkChange, Record, Session, StepRecord
from gradscope.runs import Runs
from gradscope.schema import GRADIENTS, STEPS, UNITS
from gradscope.store.export.csv import write_csv
from gradscope.store.export.json import write_json
from gradscope.store.export.parquet import encoded, write_parquet
from gradscope.store.export.tables import FINDINGS, TABLES, VERSION, ExportedColumn
from gradscope.store.export.tidy import TidyTables, tidy_tables
from gradscope.store.frames import frames_of

README = Path(gradscope.store.__file__).with_name("README.md")
NETWORK = network("relu", ["a", "b"])
HOSTILE = ("sweep/lr=0.1, wd=1e-3", "é🔥 100%'\"\\", "<img src=x onerror=alert(1)>")
HARD = (math.nan, math.inf, -math.inf, -0.0, 5e-324, 2.2250738585072014e-308, 0.1, 1 / 3, 1.7976931348623157e308)


def exported(records: Iterable[Record]) -> TidyTables:
    run = Run(frames_of(records))
    return tidy_tables(run.frames, run.findings)


def logged(values: Sequence[float], name: str = "loss") -> list[Record]:
    """A run whose epochs logged these float64 numbers."""
    epochs = [EpochRecord(step, step, BEGAN, {name: value}, Costs()) for step, value in enumerate(values)]
    return [session(), NetworkChange(0, BEGAN, NETWORK), *epochs]


def bits(values: Iterable[float]) -> list[int]:
    """The numbers bit for bit, but for the sign and payload of a NaN, which no text can hold."""
    numbers = np.array(list(values), np.float64)
    return np.where(np.isnan(numbers), math.nan, numbers).view(np.int64).tolist()


def read_parquet(directory: Path, table: str) -> pd.DataFrame:
    """The rows of a table of all runs, as pyarrow gives them: null is None, NaN is NaN."""
    parts = sorted((directory / f"table={table}").glob("*/*.parquet"))
    rows = [row for part in parts for row in pq.ParquetFile(part).read().to_pylist()]
    return pd.DataFrame(rows, dtype=object)


def read_csv(directory: Path, table: str) -> list[dict[str, str]]:
    with (directory / f"{table}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read_json(path: Path) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


# --- the schema ---


def test_an_export_holds_every_recorded_table_with_its_columns_and_the_findings() -> None:
    for name, table in schema.TABLES.items():
        assert tuple(column.name for column in TABLES[name].columns) == table.columns
    assert tuple(column.name for column in FINDINGS.columns) == COLUMNS
    assert set(TABLES) == {*schema.TABLES, "runs", "layers", "logs", "findings"}


def test_a_column_has_one_type_in_all_tables_so_that_they_can_be_read_as_one() -> None:
    types: dict[str, set[str]] = {}
    for table in TABLES.values():
        for column in table.columns:
            types.setdefault(column.name.lower(), set()).add(column.type)
            assert column.meaning.endswith(".")
        assert len({column.name.lower() for column in table.columns}) == len(table.columns)
    assert {name for name, found in types.items() if len(found) > 1} == set()
    assert {"run", "table"}.isdisjoint(types), "those are the names of the partitions"


@pytest.mark.parametrize("records", [[], nothing_recorded(), healthy(), cut_off()], ids=len)
def test_every_run_has_the_same_columns_and_types(records: list[Record]) -> None:
    dtypes = {"int64": "int64", "float64": "float64", "bool": "boolean", "string": "category"}
    tables = exported(records)
    assert list(tables) == list(TABLES)
    for name, frame in tables.items():
        expected = {column.name: dtypes[column.type] for column in TABLES[name].columns}
        assert {column: str(dtype) for column, dtype in frame.dtypes.items()} == expected, name


def test_the_tables_are_the_frames_of_the_run() -> None:
    run = Run(frames_of(healthy()))
    tables = tidy_tables(run.frames, run.findings)
    for name in schema.TABLES:
        frame: pd.DataFrame = getattr(run.frames, name)
        for column in schema.TABLES[name].columns:
            pd.testing.assert_series_equal(tables[name][column].astype(frame[column].dtype), frame[column])


def test_each_log_is_a_row_named_as_the_epochs_frame_names_it() -> None:
    odd = {"loss": 1.0, 'val "x", <img>\n': 2.0, "step": 3.0, "Loss": math.nan}
    logs = exported([session(), EpochRecord(9, 0, BEGAN, odd, Costs()), EpochRecord(19, 1, BEGAN, {}, Costs())])["logs"]
    assert logs["log"].tolist() == ["loss", 'val "x", <img>\n', "log_step", "Loss"] * 2
    assert logs["epoch"].tolist() == [0] * 4 + [1] * 4
    assert logs["step"].tolist() == [9] * 4 + [19] * 4
    np.testing.assert_array_equal(logs["value"], [1.0, 2.0, 3.0, *[math.nan] * 5])


def test_a_flag_that_is_not_known_is_null_and_the_column_stays_a_boolean(tmp_path: Path) -> None:
    row = np.full(len(STEPS.statistics), math.nan, np.float32)
    known = row.copy()
    known[STEPS.statistic_names.index("clipped")] = 1.0
    records = [session(), StepRecord(0, 0, BEGAN, steps=known), StepRecord(1, 0, BEGAN, steps=row)]
    write_parquet(tmp_path, [("half", exported(records)), ("all", exported(records[:2]))])
    for run, expected in (("half", [True, None]), ("all", [True])):
        content = pq.ParquetFile(tmp_path / "table=steps" / f"run={run}" / "part-0.parquet").read()
        assert content.schema.field("clipped").type == pa.bool_()
        assert content["clipped"].to_pylist() == expected
        assert all(math.isnan(value) for value in content["loss"].to_pylist()), "a missing number is NaN, never null"


def test_the_row_of_a_run_tells_what_it_was(tmp_path: Path) -> None:
    again = Session(0, BEGAN + 5, False, "", {"schedule": "every 1"}, {"lr": 1e-3, "name": "<b>"})
    resumed = Session(0, BEGAN + 9, True, "", {}, {"lr": math.inf})
    records = [session(), again, resumed, NetworkChange(0, BEGAN, NETWORK)]
    (row,) = exported(records)["runs"].to_dict("records")
    assert (row["began"], row["session_count"], row["model"]) == (BEGAN + 5, 3, "mlp")
    assert json.loads(row["params"]) == {"lr": "Infinity"}
    assert json.loads(row["network"])["sites"][1]["key"] == "b"
    assert math.isnan(exported([])["runs"]["began"][0])


def test_a_column_of_a_newer_version_is_left_out_with_a_warning() -> None:
    wide = np.zeros((4, len(GRADIENTS.statistics) + 1), np.float32)
    newer = StepRecord(1, 0, BEGAN, gradients=wide, extra_columns={"gradients": ("flatness",)})
    with pytest.warns(UserWarning, match=r"Not exported: gradients\.flatness\..*Upgrade"):
        tables = exported([session(), NetworkChange(0, BEGAN, NETWORK), newer])
    assert tuple(tables["gradients"].columns) == GRADIENTS.columns


# --- exact numbers ---


@settings(max_examples=25)
@given(st.lists(st.floats(), min_size=1, max_size=30).map(lambda values: [*values, *HARD]))
def test_numbers_come_back_bit_for_bit_from_every_format(
    tmp_path_factory: pytest.TempPathFactory, values: list[float]
) -> None:
    out = tmp_path_factory.mktemp("out")
    tables = [("run", exported(logged(values)))]
    write_parquet(out / "parquet", tables)
    write_csv(out / "csv", tables)
    write_json(out / "run.json", tables)
    assert bits(read_parquet(out / "parquet", "logs")["value"]) == bits(values)
    assert bits(float(row["value"]) for row in read_csv(out / "csv", "logs")) == bits(values)
    column = read_json(out / "run.json")["runs"][0]["tables"]["logs"]["value"]
    assert bits(map(float, column)) == bits(values)
    found = duckdb.sql(f"SELECT value FROM read_parquet('{out}/parquet/table=logs/*/*.parquet') ORDER BY step")
    assert bits(row[0] for row in found.fetchall()) == bits(values)


def test_pandas_reads_every_csv_back_exactly_as_the_readme_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = exported(logged([value for value in HARD for _ in range(3)]))
    write_csv(tmp_path / "csv", [("run", tables)])
    monkeypatch.chdir(tmp_path)
    line = next(block for block in blocks("python") if "read_csv" in block).replace("steps", "logs")
    namespace: dict[str, Any] = {}
    exec(line, namespace)
    assert bits(namespace["logs"]["value"]) == bits(tables["logs"]["value"])


def test_all_values_of_all_tables_come_back_from_every_format(tmp_path: Path) -> None:
    for records in (awkward_names(), not_finite(), two_trainings(), nothing_recorded(), [*healthy(), dead_unit()]):
        tables = exported(records)
        out = tmp_path / str(len(list(tmp_path.iterdir())))
        write_parquet(out / "parquet", [("run", tables)])
        write_csv(out / "csv", [("run", tables)])
        write_json(out / "run.json", [("run", tables)])
        (document,) = read_json(out / "run.json")["runs"]
        for name, frame in tables.items():
            columns = TABLES[name].columns
            expected = [tuple(known(row[c.name], c) for c in columns) for row in frame.to_dict("records")]
            rows = read_parquet(out / "parquet", name).to_dict("records")
            assert [tuple(known(row[c.name], c) for c in columns) for row in rows] == expected
            assert [tuple(of_text(row[c.name], c) for c in columns) for row in read_csv(out / "csv", name)] == expected
            lists = document["tables"][name]
            assert list(lists) == [c.name for c in columns]
            assert list(zip(*([known(v, c) for v in lists[c.name]] for c in columns), strict=True)) == expected


def dead_unit() -> StepRecord:
    values = {"site": 1.0, "unit": 7.0, "dead": 1.0, "confirmed": math.nan}
    names = ("site", *UNITS.statistic_names)
    return StepRecord(400, 7, BEGAN, units=np.array([[values.get(name, math.nan) for name in names]]))


def known(value: Any, column: ExportedColumn) -> Any:
    """A value as something that equals itself."""
    if column.type == "float64":
        return bits([float(value)])[0]
    return None if value is None or value is pd.NA or value != value else value


def of_text(text: str, column: ExportedColumn) -> Any:
    match column.type:
        case "int64":
            return int(text)
        case "bool":
            return {"true": True, "false": False, "": None}[text]
        case "float64":
            return known(text, column)
        case _:
            return text if text or column.name not in ("layer", "cause") else None


# --- one dataset ---


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three runs of names that have to be encoded, in the directory that the README's queries read."""
    monkeypatch.chdir(tmp_path)
    runs = dict(zip(HOSTILE, (healthy(), not_finite(), nothing_recorded()), strict=True))
    Runs({name: Run(frames_of(records)) for name, records in runs.items()}).to_parquet("tables")
    return tmp_path / "tables"


def test_the_duckdb_query_of_the_readme_shows_each_run_by_its_name(dataset: Path) -> None:
    (query,) = blocks("sql")
    found = duckdb.connect().execute(query).fetchall()
    assert {row[0] for row in found} == set(HOSTILE[:2])  # nothing was recorded in the third
    frame = frames_of(healthy()).gradients
    kernels = frame[frame["role"] == "kernel"].groupby("layer", observed=True)["norm"]
    expected = [(HOSTILE[0], layer, int(group.count()), group.min()) for layer, group in kernels]
    assert [row for row in found if row[0] == HOSTILE[0]] == expected


def test_duckdb_reads_the_whole_dataset_at_once(dataset: Path) -> None:
    query = f"""
        SELECT "table", run, count(*) FROM read_parquet('{dataset}/**/*.parquet', hive_partitioning = true,
        union_by_name = true) GROUP BY ALL"""
    found = {(table, run): count for table, run, count in duckdb.sql(query).fetchall()}
    assert found[("runs", HOSTILE[2])] == 1
    assert found[("activations", HOSTILE[0])] == 12 * 9
    assert ("steps", HOSTILE[2]) not in found


def test_pandas_reads_all_runs_of_a_table_in_place(dataset: Path) -> None:
    line = next(block for block in blocks("python") if "pivot_table" in block)
    namespace: dict[str, Any] = {}
    exec(line, namespace)
    epochs = namespace["epochs"].loc[HOSTILE[0]]
    expected = frames_of(healthy()).epochs.set_index("epoch")
    for log in ("loss", "val_loss", "accuracy"):
        assert epochs[log].tolist() == expected[log].tolist()
    assert set(pd.read_parquet(dataset / "table=runs")["run"]) == set(HOSTILE)


@pytest.mark.parametrize("name", [*HOSTILE, "007", "a\nb", "..", "%2F", "\x1b[31m", "x=y"])
def test_a_name_is_one_directory_and_is_decoded_by_duckdb(tmp_path: Path, name: str) -> None:
    directory = encoded(name)
    assert "/" not in directory
    assert directory.isprintable()
    write_parquet(tmp_path, [(name, exported([]))])
    query = f"SELECT run FROM read_parquet('{tmp_path}/table=runs/*/*.parquet', hive_types_autocast = false)"
    assert duckdb.sql(query).fetchall() == [(name,)]


def test_ascii_alone_is_encoded_because_spark_decodes_each_byte_to_a_character() -> None:
    assert encoded("a/b c=é🔥") == "a%2Fb%20c%3Dé🔥"
    assert encoded("\udce9") == "%5Cudce9"  # a byte of a path that is not UTF-8


def test_every_file_says_its_schema_and_an_empty_one_has_it_too(dataset: Path) -> None:
    for table in TABLES:
        files = [pq.ParquetFile(file) for file in (dataset / f"table={table}").glob("*/part-0.parquet")]
        assert len(files) == 3
        assert len({str(file.schema_arrow.remove_metadata()) for file in files}) == 1
        assert files[0].metadata.metadata[b"gradscope.schema_version"] == b"1.0"


def test_the_schema_lies_beside_the_dataset(dataset: Path) -> None:
    document = json.loads((dataset / "_schema.json").read_text(encoding="utf-8"))
    assert (document["version"], document["format"]) == (".".join(map(str, VERSION)), "parquet")
    for name, table in document["tables"].items():
        (part, *_) = (dataset / f"table={name}").glob("*/part-0.parquet")
        assert [column["name"] for column in table["columns"]] == pq.ParquetFile(part).schema_arrow.names


def test_a_run_exported_again_replaces_itself_and_touches_no_other(dataset: Path) -> None:
    def stamps() -> dict[Path, int]:
        return {file: file.stat().st_mtime_ns for file in dataset.rglob("*.parquet")}

    before = stamps()
    Run(frames_of(sick()), name=HOSTILE[1]).to_parquet(dataset)
    after = stamps()
    assert before.keys() == after.keys()
    changed = {file.parent.name for file in before if before[file] != after[file]}
    assert changed == {f"run={encoded(HOSTILE[1])}"}
    found = duckdb.sql(f"SELECT run, count(*) FROM '{dataset}/table=steps/*/*.parquet' GROUP BY run").fetchall()
    assert dict(found) == {HOSTILE[0]: 12, HOSTILE[1]: 12}
    assert [path.name for path in dataset.iterdir() if path.name.startswith(".")] == []


def test_an_export_that_fails_leaves_what_was_there(dataset: Path) -> None:
    def runs() -> Iterable[tuple[str, TidyTables]]:
        yield HOSTILE[0], exported(sick())
        raise RuntimeError

    for form, writer in (("csv", write_csv), ("run.json", write_json)):
        target = dataset.parent / form
        writer(target, [("first", exported(healthy()))])
        before = {file: file.read_bytes() for file in target.parent.rglob("*") if file.is_file()}
        with pytest.raises(RuntimeError):
            writer(target, runs())
        assert {file: file.read_bytes() for file in target.parent.rglob("*") if file.is_file()} == before
    with pytest.raises(RuntimeError):
        write_parquet(dataset, runs())
    assert len(read_parquet(dataset, "steps")) == 12 + 3  # the first is complete, the second is as it was
    assert [path.name for path in dataset.iterdir() if path.name.startswith(".")] == []


def test_runs_are_taken_one_at_a_time(tmp_path: Path) -> None:
    for name, target, writer in (("p", "p", write_parquet), ("c", "c", write_csv), ("j", "j.json", write_json)):
        alive: list[str] = []

        def runs(alive: list[str] = alive) -> Iterable[tuple[str, TidyTables]]:
            for run in ("a", "b"):
                alive.append(run)
                yield run, exported(healthy())

        stream = iter(runs())
        writer(tmp_path / target, stream)
        assert alive == ["a", "b"], name
        assert next(iter(stream), None) is None


# --- refusals ---


def test_a_target_that_cannot_take_the_export_is_refused(tmp_path: Path) -> None:
    run = Run(frames_of(healthy()))
    file = tmp_path / "file"
    file.write_text("mine")
    for export in (run.to_parquet, run.to_csv):
        with pytest.raises(WriterError, match="it is a file"):
            export(file)
        with pytest.raises(WriterError, match="Not a directory"):
            export(file / "below")
    with pytest.raises(WriterError, match="it is a directory"):
        run.to_json(tmp_path)
    assert file.read_text() == "mine"


def test_a_name_too_long_for_a_directory_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(WriterError, match="File name too long"):
        Run(frames_of([]), name="/" * 100).to_parquet(tmp_path)


def test_a_directory_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    run = Run(frames_of(healthy()))
    (tmp_path / "steps.csv").write_text("mine")
    with pytest.raises(WriterError, match=r"steps\.csv that is no export"):
        run.to_csv(tmp_path)
    assert (tmp_path / "steps.csv").read_text() == "mine"
    run.to_csv(tmp_path / "csv")
    run.to_csv(tmp_path / "csv")
    with pytest.raises(WriterError, match="holds an export to csv"):
        run.to_parquet(tmp_path / "csv")


@pytest.mark.parametrize("content", ["mine", "", '{"schema": "another"}'])
def test_a_file_that_is_no_export_is_not_replaced_by_json_and_an_export_is(tmp_path: Path, content: str) -> None:
    run, file = Run(frames_of(healthy())), tmp_path / "note.txt"
    file.write_text(content)
    with pytest.raises(WriterError, match="is no export of gradscope, so it is not replaced"):
        run.to_json(file)
    assert file.read_text() == content
    assert list(tmp_path.iterdir()) == [file]
    run.to_json(tmp_path / "run.json")
    Run(frames_of(sick()), name="other").to_json(tmp_path / "run.json")
    assert [each["run"] for each in read_json(tmp_path / "run.json")["runs"]] == ["other"]


def test_csv_takes_the_place_of_an_export_of_a_newer_minor_version_with_its_schema(tmp_path: Path) -> None:
    run, file = Run(frames_of(healthy())), tmp_path / "_schema.json"
    run.to_csv(tmp_path)
    ours = file.read_text()
    file.write_text(ours.replace('"version": "1.0"', '"version": "1.7"'))
    run.to_csv(tmp_path)
    assert file.read_text() == ours


def test_a_dataset_of_another_major_version_is_never_mixed_and_a_newer_minor_keeps_its_schema(dataset: Path) -> None:
    file = dataset / "_schema.json"
    ours = file.read_text()
    for version, message in (("2.0", r"schema 2\.0, and this gradscope writes 1\.0"), ("x", "none of ours")):
        file.write_text(ours.replace('"version": "1.0"', f'"version": "{version}"'))
        with pytest.raises(WriterError, match=message):
            Run(frames_of([])).to_parquet(dataset)
    newer = ours.replace('"version": "1.0"', '"version": "1.7"')
    file.write_text(newer)
    Run(frames_of([])).to_parquet(dataset)
    assert file.read_text() == newer


def test_without_pyarrow_the_line_to_install_it_is_given_and_nothing_is_made(tmp_path: Path) -> None:
    (tmp_path / "pyarrow.py").write_text("raise ModuleNotFoundError('No module', name='pyarrow')")
    program = """if True:
        import sys
        sys.path.insert(0, sys.argv[1])
        from gradscope.cli.main import main
        sys.exit(main(["export", sys.argv[2], "--to", "parquet", "-o", sys.argv[1] + "/out"]))
    """
    line = [sys.executable, "-c", program, str(tmp_path), str(write(tmp_path / "mlp", healthy()))]
    finished = subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)
    assert finished.returncode == 2
    assert "pip install 'keras-gradscope[parquet]'" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert not (tmp_path / "out").exists()


def test_no_pyarrow_is_a_gradscope_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(GradscopeError, match="CSV and JSON do without"):
        Run(frames_of([])).to_parquet(tmp_path)


# --- text ---


def test_csv_quotes_what_needs_it_and_keeps_line_breaks(tmp_path: Path) -> None:
    write_csv(tmp_path, [('a,"b"\r\n', exported(awkward_names()))])
    rows = read_csv(tmp_path, "layers")
    assert {row["run"] for row in rows} == {'a,"b"\r\n'}
    assert "two\nlines" in {row["layer"] for row in rows}
    text = (tmp_path / "layers.csv").read_bytes()
    assert text.startswith(b"run,layer,position,")
    assert pd.read_csv(io.BytesIO(text))["layer"].tolist() == [row["layer"] for row in rows]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@a"])
def test_csv_gives_back_a_name_that_a_spreadsheet_takes_for_a_formula(tmp_path: Path, name: str) -> None:
    write_csv(tmp_path, [(name, exported(healthy()))])
    assert {row["run"] for row in read_csv(tmp_path, "steps")} == {name}


def test_json_holds_all_runs_and_says_what_the_columns_mean(tmp_path: Path) -> None:
    write(tmp_path / "logs" / "a", healthy())
    write(tmp_path / "logs" / "b", not_finite())
    load_runs(tmp_path / "logs").to_json(tmp_path / "all.json")
    document = read_json(tmp_path / "all.json")
    assert [run["run"] for run in document["runs"]] == ["a", "b"]
    assert document["runs"][1]["tables"]["steps"]["loss"][-1] == "NaN"
    assert document["tables"]["steps"]["columns"][0]["unit"] == "step"
