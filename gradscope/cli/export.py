"""``gradscope export``: recorded runs as Parquet, CSV or JSON, for other tools to read."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from gradscope.cli.many_runs import runs_at
from gradscope.lossless_json import to_json

if TYPE_CHECKING:
    from gradscope.store.export.destination import Written
    from gradscope.store.export.tidy import TidyTables

    Write: TypeAlias = Callable[[Path, Iterable[tuple[str, TidyTables]]], list[Written]]


class Format(enum.StrEnum):
    """What is written."""

    PARQUET = "parquet"
    CSV = "csv"
    JSON = "json"


def export(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A run's directory, or one that holds several runs.")],
    to: Annotated[Format, typer.Option("--to", help="Format to write.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="OUT", help="Directory to write to; with --to json, a file.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON what was written.")] = False,
) -> int:
    """Write tables for pandas, DuckDB, Spark and others.

    The tables are those of a run in Python, and runs, layers and logs. Every
    number comes back exactly, NaN and infinity included.

    \b
    Formats:
      parquet  one dataset, OUT/table=steps/run=mlp/part-0.parquet and so on;
               runs are added to it, one that is there already is replaced
      csv      one file a table, OUT/steps.csv and so on; an older export is
               replaced, file by file
      json     one file for all; NaN and infinity are strings; an older export
               is replaced

    \b
    Parquet and CSV come with OUT/_schema.json, JSON with a schema inside:
    what each column says, its type and unit, and a version.

    \b
    Exit codes:
      0  all runs were exported
      2  nothing was exported, or a damaged run was left out

    \b
    Examples:
      gradscope export logs --to parquet -o tables
      gradscope export logs/mlp --to csv -o mlp
      gradscope export logs/mlp --to json -o mlp.json
      gradscope export logs --to parquet -o tables --json | jq '.files[].path'
    """
    write = _writer(to)
    from gradscope.store.export.tidy import tidy_tables

    runs = runs_at([path])
    names: list[str] = []

    def tables() -> Iterator[tuple[str, TidyTables]]:
        for run in runs.readable():
            yield run.name, tidy_tables(run.frames, run.findings)
            names.append(run.name)

    written = write(output, tables())
    print(written_json(to, output, names, written) if as_json else _said(to, output, names, written))
    return 2 if runs.left_out else 0


def _writer(to: Format) -> Write:
    match to:
        case Format.PARQUET:
            from gradscope.store.export.parquet import write_parquet

            return write_parquet
        case Format.CSV:
            from gradscope.store.export.csv import write_csv

            return write_csv
        case Format.JSON:
            from gradscope.store.export.json import write_json

            return write_json


def written_json(to: Format, output: Path, runs: Sequence[str], written: Sequence[Written]) -> str:
    """Return as strict JSON what was written: the runs, and each file with the rows of each table in it."""
    from gradscope.store.export.tables import VERSION

    document = {
        "to": to.value,
        "output": str(output),
        "schema_version": ".".join(map(str, VERSION)),
        "runs": list(runs),
        "files": [{"path": str(each.path), "run": each.run, "rows": each.rows} for each in written],
    }
    return to_json(document, indent=2)


def _said(to: Format, output: Path, runs: Sequence[str], written: Sequence[Written]) -> str:
    from gradscope.report.words.names import printable
    from gradscope.store.export.destination import SCHEMA_FILE

    rows: dict[str, int] = {}
    for each in written:
        for table, count in each.rows.items():
            rows[table] = rows.get(table, 0) + count
    width = max(map(len, rows))
    what = f"run {printable(runs[0])}" if len(runs) == 1 else f"{len(runs):,} runs"
    lines = [f"Exported {what} to {printable(str(output))}"]
    lines += [f"  {table:<{width}}  {count:>11,} {'row' if count == 1 else 'rows'}" for table, count in rows.items()]
    if to is not Format.JSON:
        lines.append(f"What each column says: {printable(str(output / SCHEMA_FILE))}")
    return "\n".join(lines)
