"""Runs as CSV: one file a table, the run's name in the first column; RFC 4180 in UTF-8.

A number is written with the fewest digits that give it back exactly, or as ``nan``, ``inf`` and ``-inf``; a flag as
``true`` or ``false``; null as nothing. A name is written as it is, also one that a spreadsheet takes for a formula:
what is read back is what was recorded.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from contextlib import ExitStack
from itertools import repeat
from pathlib import Path
from typing import Any

import pandas as pd

from gradscope.errors import WriterError
from gradscope.store.export.destination import SCHEMA_FILE, Written, export_directory
from gradscope.store.export.tables import TABLES
from gradscope.store.export.tidy import TidyTables


def write_csv(directory: Path, runs: Iterable[tuple[str, TidyTables]]) -> list[Written]:
    """Write ``runs``, one at a time, to a file a table in ``directory``, and return the files.

    An export that is there is replaced file by file, once the new one is complete.

    Raises:
        WriterError: If the directory cannot take the export, or holds a file of such a name that is not an export's.
    """
    with export_directory(directory, "csv", adds=False) as stage, ExitStack() as files:
        _refuse_other_files(directory)
        rows = dict.fromkeys(TABLES, 0)
        writers: dict[str, Any] = {}
        for name, table in TABLES.items():
            file = (stage / f"{name}.csv").open("w", newline="", encoding="utf-8", errors="backslashreplace")
            writers[name] = csv.writer(files.enter_context(file))
            writers[name].writerow(["run", *(column.name for column in table.columns)])
        for run, tables in runs:
            for name, frame in tables.items():
                writers[name].writerows(zip(repeat(run), *(_cells(frame[column]) for column in frame), strict=False))
                rows[name] += len(frame)
        files.close()
        for name in TABLES:
            (stage / f"{name}.csv").replace(directory / f"{name}.csv")
    return [Written(directory / f"{name}.csv", None, {name: count}) for name, count in rows.items()]


def _refuse_other_files(directory: Path) -> None:
    if (directory / SCHEMA_FILE).exists():
        return
    for name in TABLES:
        if (directory / f"{name}.csv").exists():
            raise WriterError(
                f"{str(directory)!r} holds a {name}.csv that is no export of gradscope. Pass another directory."
            )


def _cells(column: pd.Series[Any]) -> list[Any]:
    if isinstance(column.dtype, pd.BooleanDtype):
        said = {True: "true", False: "false"}
        return [said.get(value, "") for value in column.tolist()]
    if isinstance(column.dtype, pd.CategoricalDtype):
        names = [*column.cat.categories.tolist(), ""]  # the code of null is -1
        return [names[code] for code in column.cat.codes.tolist()]
    return column.tolist()  # csv writes a float as repr does
