"""What an export holds: every table and every column, with type, unit and meaning, declared once for all formats.

The set of columns is closed: every run of every export of one version has exactly these, with these types, so that a
reader may take the schema of any file for that of all. That is why the logs of an epoch, whose names are the user's,
are rows of a table of their own, `LOGS`, and not columns of `epochs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, TypeAlias

from gradscope import schema
from gradscope._version import __version__

VERSION: Final = (1, 0)
"""Major and minor version of what is declared here. A newer minor adds tables or columns; a major changes some."""

Type: TypeAlias = Literal["int64", "float64", "bool", "string"]


@dataclass(frozen=True, slots=True)
class ExportedColumn:
    """One column.

    Attributes:
        name: Its name, the same in all formats.
        type: ``int64`` is never missing; in ``float64`` a missing number is NaN, in ``bool`` and ``string`` null.
        unit: Its unit, or ``""`` for a pure number or a text; ``fraction`` for a share in [0, 1].
        meaning: What it says, in one sentence.
    """

    name: str
    type: Type
    unit: str
    meaning: str


@dataclass(frozen=True, slots=True)
class ExportedTable:
    """One table.

    Attributes:
        name: Its name.
        row: What one row stands for.
        columns: Its columns, in order; the run's name stands before them, or in the path.
    """

    name: str
    row: str
    columns: tuple[ExportedColumn, ...]


def _text(name: str, meaning: str) -> ExportedColumn:
    return ExportedColumn(name, "string", "", meaning)


def _seconds(name: str, meaning: str) -> ExportedColumn:
    return ExportedColumn(name, "float64", "s", meaning)


RUNS: Final = ExportedTable(
    "runs",
    "run",
    (
        _text("model", "Name of the model."),
        _text("optimizer", "Class of the optimizer."),
        _seconds("began", "Seconds since 1970 at which the training began that the tables show; NaN if none did."),
        ExportedColumn("session_count", "int64", "sessions", "Beginnings and continuations, void ones included."),
        ExportedColumn("record_count", "int64", "steps", "Steps that the last session recorded."),
        _seconds("training_seconds", "The last session's own time; recording, set-up and validation left out."),
        *(_seconds(part.name, part.meaning) for part in schema.COSTS),
        _text("params", "JSON object: the params that the last session was given."),
        _text("settings", "JSON object: how the last session was recorded."),
        _text("versions", "JSON object: versions of Python, gradscope, the framework and Keras that recorded it."),
        _text("lost", "JSON list: what could not be read of damaged files, in words; empty as a rule."),
        _text("network", "JSON object: all that is known of what was trained last, as Network.to_json writes it."),
        _text("exported_by", "Version of gradscope that wrote this row."),
    ),
)

LAYERS: Final = ExportedTable(
    "layers",
    "layer of the network that was trained last",
    (
        _text("layer", "Key of the layer: its path without the model, automatic numbers recounted."),
        ExportedColumn("position", "int64", "", "Place in the order of execution: what to sort layers by."),
        _text("path", "Path of the layer, as Keras names it."),
        _text("class_name", "Class of the layer."),
        ExportedColumn("trainable", "bool", "0/1", "True where its weights are trained."),
        _text("dtype", "Dtype that it computes in."),
        _text("config", "JSON object: its configuration."),
    ),
)

LOGS: Final = ExportedTable(
    "logs",
    "epoch and log",
    (
        ExportedColumn("epoch", "int64", "epoch", "Epoch, counted from 0."),
        ExportedColumn("step", "int64", "step", "Last step of the epoch."),
        _text("log", "Name of the log, such as val_loss, as run.epochs calls it."),
        ExportedColumn("value", "float64", "", "Its value; NaN also where the epoch lacks it."),
    ),
)

FINDINGS: Final = ExportedTable(
    "findings",
    "finding of the rules that were installed when it was exported",
    (
        _text("rule", "Id of the rule that found it."),
        _text("severity", "high: the training is failing; medium: a part is lost, or will be; low: information."),
        _text("layer", "Key of the layer to look at first; null where it concerns the whole model."),
        ExportedColumn("first_step", "int64", "step", "First step at which it is seen."),
        ExportedColumn("last_step", "int64", "step", "Last step at which it is seen."),
        _text("message", "What it means, in one sentence."),
        _text("evidence", "The numbers that made the rule fire, one a line."),
        _text("advice", "What to try, one a line."),
        _text("code", "The change as Keras code."),
        _text("cause", "rule@layer of the finding that it follows from; null where it stands for itself."),
    ),
)


def _recorded(table: schema.Table) -> ExportedTable:
    """Return the declaration of a recorded table, with the types that `Frames` gives its columns."""
    keys = [ExportedColumn(key.name, _key_type(key), key.unit, key.meaning) for key in table.keys]
    numbers = [ExportedColumn(each.name, _number_type(each), each.unit, each.meaning) for each in table.statistics]
    return ExportedTable(table.name, table.row, (*keys, *numbers))


def _key_type(column: schema.Column) -> Type:
    if column.unit in ("step", "epoch"):
        return "int64"
    return "float64" if column.unit else "string"


def _number_type(column: schema.Column) -> Type:
    if column.unit == "0/1":
        return "bool"
    return "int64" if column.name == "unit" else "float64"


TABLES: Final[Mapping[str, ExportedTable]] = {
    table.name: table for table in (RUNS, LAYERS, *map(_recorded, schema.TABLES.values()), LOGS, FINDINGS)
}
"""All tables of an export, by name."""


def schema_document(form: str) -> dict[str, Any]:  # Any: JSON values
    """Return what lies beside every export in the format ``form``: its version, and what each column says.

    Example:
        >>> document = schema_document("csv")
        >>> document["version"], document["tables"]["logs"]["columns"][2]["name"]
        ('1.0', 'log')
    """
    tables = {
        name: {"row": table.row, "columns": [asdict(column) for column in table.columns]}
        for name, table in TABLES.items()
    }
    version = ".".join(map(str, VERSION))
    return {
        "schema": "gradscope export",
        "version": version,
        "gradscope": __version__,
        "format": form,
        "tables": tables,
    }
