"""Runs as one Parquet dataset: ``table=<table>/run=<run>/part-0.parquet``, a run's name percent-encoded.

The table comes first because a reader such as pandas takes a directory for one table: below ``table=steps`` all files
have one schema, so that thousands of runs are read in place by naming that directory.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gradscope._version import __version__
from gradscope.errors import GradscopeError
from gradscope.store.export.destination import Written, export_directory
from gradscope.store.export.tables import TABLES, VERSION, ExportedTable, Type
from gradscope.store.export.tidy import TidyTables


def write_parquet(directory: Path, runs: Iterable[tuple[str, TidyTables]]) -> list[Written]:
    """Add ``runs`` to the dataset in ``directory``, one at a time, and return the files.

    A run that is there already is replaced, table by table: a reader sees the old or the new file of each, never part
    of one. Other runs are not touched.

    Raises:
        GradscopeError: If pyarrow is not installed.
        WriterError: If the directory cannot take the export.
    """
    arrow, parquet = _module("pyarrow"), _module("pyarrow.parquet")
    written: list[Written] = []
    with export_directory(directory, "parquet", adds=True) as stage:
        for run, tables in runs:
            for name, frame in tables.items():
                content = arrow_table(arrow, frame, TABLES[name])
                parquet.write_table(content, stage / f"{name}.parquet", compression="zstd")
            for name, frame in tables.items():
                part = directory / f"table={name}" / f"run={encoded(run)}" / "part-0.parquet"
                part.parent.mkdir(parents=True, exist_ok=True)
                (stage / f"{name}.parquet").replace(part)
                written.append(Written(part, run, {name: len(frame)}))
    return written


def encoded(name: str) -> str:
    """Return ``name`` as the value of a partition: ASCII that is not a letter, a digit or one of ``-_.`` as ``%XX``.

    Other letters stay as they are. Spark decodes each ``%XX`` to a character of its own, the other readers to a byte
    of UTF-8: they agree on ASCII only.

    Example:
        >>> encoded("sweep/lr=0.1 é")
        'sweep%2Flr%3D0.1%20é'
    """
    text = name.encode("utf-8", "backslashreplace").decode()  # a path may hold bytes that are not UTF-8
    return "".join(c if not c.isascii() or c.isalnum() or c in "-_." else f"%{ord(c):02X}" for c in text)


def _module(name: str) -> Any:  # Any: pyarrow is optional, and its types with it
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("pyarrow"):
            raise
        raise GradscopeError(
            "An export to Parquet needs pyarrow: pip install 'keras-gradscope[parquet]'. CSV and JSON do without."
        ) from None


def arrow_table(arrow: Any, frame: pd.DataFrame, table: ExportedTable) -> Any:  # Any: pyarrow's
    """Return ``frame`` as a table of pyarrow; NaN stays NaN, and an empty one has its columns and types too."""
    types = {"int64": arrow.int64(), "float64": arrow.float64(), "bool": arrow.bool_(), "string": arrow.string()}
    fields = [arrow.field(column.name, types[column.type]) for column in table.columns]
    version = ".".join(map(str, VERSION))
    about = {"gradscope.schema_version": version, "gradscope.version": __version__, "gradscope.table": table.name}
    arrays = [_arrow_array(arrow, frame[column.name], column.type) for column in table.columns]
    return arrow.table(arrays, schema=arrow.schema(fields, about))


def _arrow_array(arrow: Any, column: pd.Series[Any], wanted: Type) -> Any:
    match wanted:
        case "string":
            names = arrow.array(column.cat.categories.tolist(), arrow.string())
            codes = column.cat.codes.to_numpy(np.int32)
            return arrow.DictionaryArray.from_arrays(arrow.array(codes, mask=codes < 0), names).dictionary_decode()
        case "bool":
            return arrow.array(column.to_numpy(np.bool_, na_value=False), mask=column.isna().to_numpy())
        case _:
            return arrow.array(column.to_numpy())  # pyarrow keeps NaN of an array, and makes it null of a Series
