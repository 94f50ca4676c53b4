"""Runs as one JSON document that any reader takes: each table as an object of columns, each column as a list.

Standard JSON has no NaN and no infinity. In a column of numbers they are the strings ``"NaN"``, ``"Infinity"`` and
``"-Infinity"``, as in the JSON form of Protocol Buffers: ``float`` and JavaScript's ``Number`` take them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gradscope.lossless_json import word
from gradscope.store.export.destination import Written, export_file
from gradscope.store.export.tables import TABLES, schema_document
from gradscope.store.export.tidy import TidyTables


def write_json(path: Path, runs: Iterable[tuple[str, TidyTables]]) -> list[Written]:
    """Write ``runs``, one at a time, to the file ``path``, a line each, and return what was written.

    Raises:
        WriterError: If the file cannot be written, or is there and no export.
    """
    rows = dict.fromkeys(TABLES, 0)
    document = schema_document("json")
    beginning = json.dumps({"schema": document["schema"]})[:-1]
    with export_file(path, beginning) as target, target.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(json.dumps(document)[:-1] + ', "runs": [')
        separator = "\n"
        for run, tables in runs:
            columns = {name: {str(c): _values(frame[c]) for c in frame} for name, frame in tables.items()}
            # json.dump would do without its C encoder
            file.write(separator + json.dumps({"run": run, "tables": columns}, ensure_ascii=False, allow_nan=False))
            separator = ",\n"
            for name, frame in tables.items():
                rows[name] += len(frame)
        file.write("\n]}\n")
    return [Written(path, None, rows)]


def _values(column: pd.Series[Any]) -> list[Any]:
    if isinstance(column.dtype, (pd.BooleanDtype, pd.CategoricalDtype)):
        return column.astype(object).where(column.notna(), None).tolist()
    numbers = column.to_numpy()
    values = numbers.tolist()
    for place in np.flatnonzero(~np.isfinite(numbers)).tolist():
        values[place] = word(values[place])
    return values
