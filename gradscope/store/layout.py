"""How a numeric table lies in the event file: which columns and rows its tensor has.

A tag never holds tensors of two shapes, and says in its metadata, by name, what its columns and rows are. So a file can
be read by any version, and a new column or another network is simply another tag.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gradscope import schema

STEP_TABLES: Final = ("steps", "activations", "gradients", "units")
"""The tables that a recorded step holds as arrays, each under its own name in the file."""

FINAL_TABLES: Final = {"activations": "final_activations", "units": "final_units"}
"""What the arrays of a final pass are called in the file: no reader takes them for those of a step."""

SITE_INDEX: Final = "site"
"""First column of tables of units in the file: the row of the `activations` table that is the unit's site."""


@cache
def known_columns(table: str) -> tuple[str, ...]:
    """Return the columns of a table's array in a record, in their order.

    Example:
        >>> known_columns("units")[:2]
        ('site', 'unit')
    """
    if table in ("units", "final_units"):
        return (SITE_INDEX, *schema.UNITS.statistic_names)
    return schema.TABLES[table].statistic_names


@dataclass(frozen=True)
class Layout:
    """What one tag holds.

    Attributes:
        table: Name of the table.
        columns: Names of the columns, in the tensor's order.
        rows: Keys of the rows; for units, of the sites that its first column counts; empty for `steps`.
        constants: Of files of version 1.0, what columns hold that the tensor lacks and that are not NaN.
    """

    table: str
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    constants: Mapping[str, float] = field(default_factory=dict[str, float])

    @classmethod
    def of(cls, table: str, rows: tuple[str, ...]) -> Layout:
        """Return the layout in which this version writes a table."""
        return cls(table, known_columns(table), rows)

    @classmethod
    def from_content(cls, content: Mapping[str, Any]) -> Layout:
        """Return the layout that a tag's metadata tells."""
        return cls(content["table"], tuple(content["columns"]), tuple(content["rows"]), content.get("constants", {}))

    def to_content(self) -> dict[str, Any]:
        """Return what a tag's metadata tells about it."""
        return {"table": self.table, "columns": list(self.columns), "rows": list(self.rows)}

    @cached_property
    def extra_columns(self) -> tuple[str, ...]:
        """Columns that this version does not know."""
        return tuple(name for name in self.columns if name not in known_columns(self.table))

    def to_array(self, tensor: NDArray[Any]) -> NDArray[Any]:
        """Return the record's array: the known columns in their order, then those of a newer version."""
        names = (*known_columns(self.table), *self.extra_columns)
        if names == self.columns:
            return tensor
        array = np.empty((*tensor.shape[:-1], len(names)), tensor.dtype)
        array[:] = [self.constants.get(name, np.nan) for name in names]
        array[..., [names.index(name) for name in self.columns]] = tensor
        return array
