"""How a numeric table lies in the event file: which columns and rows its tensor has.

A tag never holds tensors of two shapes, and says in its metadata, by name, what its columns and rows are. So a file can
be read by any version, and a new column or another network is simply another tag.

A column that holds everywhere what it usually holds (no number, no infinite entry, a connected gradient) is not written
until it says something for the first time. That makes a file about a tenth smaller.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gradscope import schema

ARRAYS: Final = ("steps", "activations", "gradients", "units")
"""The tables that a recorded step holds as arrays."""

USUAL: Final[Mapping[str, float]] = {"connected": 1.0, "nonfinite_count": 0.0}
"""What a column that is not written holds, where that is not NaN."""

SITE_INDEX: Final = "site"
"""First column of the `units` table in the file: the row of the `activations` table that is the unit's site."""


@cache
def known_columns(table: str) -> tuple[str, ...]:
    """Return the columns of a table's array in a record, in their order.

    Example:
        >>> known_columns("units")[:2]
        ('site', 'unit')
    """
    names = schema.TABLES[table].statistic_names
    return (SITE_INDEX, *names) if table == "units" else names


@dataclass(frozen=True)
class Layout:
    """What one tag holds.

    Attributes:
        table: Name of the table.
        columns: Names of the columns, in the tensor's order.
        rows: Keys of the rows; for `units`, of the sites that its first column counts; empty for `steps`.
        constants: The value of each column that is left out and is not NaN.
    """

    table: str
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    constants: Mapping[str, float] = field(default_factory=dict[str, float])

    @classmethod
    def from_content(cls, content: Mapping[str, Any]) -> Layout:
        """Return the layout that a tag's metadata tells."""
        return cls(content["table"], tuple(content["columns"]), tuple(content["rows"]), content.get("constants", {}))

    def to_content(self) -> dict[str, Any]:
        """Return what a tag's metadata tells about it."""
        columns, rows = list(self.columns), list(self.rows)
        return {"table": self.table, "columns": columns, "rows": rows, "constants": dict(self.constants)}

    @cached_property
    def extra_columns(self) -> tuple[str, ...]:
        """Columns that this version does not know."""
        known = known_columns(self.table)
        return tuple(name for name in self.columns if name not in known)

    @cached_property
    def written(self) -> NDArray[np.intp]:
        """Place in the record's array of each column of the tensor."""
        names = (*known_columns(self.table), *self.extra_columns)
        return np.array([names.index(name) for name in self.columns], np.intp)

    @cached_property
    def left_out(self) -> NDArray[np.intp]:
        """Place in the record's array of each known column that the tensor lacks."""
        return np.setdiff1d(np.arange(len(known_columns(self.table))), self.written)

    @cached_property
    def left_out_values(self) -> NDArray[np.float32]:
        """What each known column that the tensor lacks holds."""
        names = [name for name in known_columns(self.table) if name not in self.columns]
        return np.array([self.constants.get(name, np.nan) for name in names], np.float32)

    @cached_property
    def _left_out_nan(self) -> NDArray[np.bool_]:
        return np.isnan(self.left_out_values)

    def holds(self, array: NDArray[Any]) -> bool:
        """Whether the record's ``array`` fits: every column that the tensor lacks holds what it usually does."""
        if not self.left_out.size:
            return True
        rest = array.take(self.left_out, axis=-1)
        return bool(((rest == self.left_out_values) | (np.isnan(rest) & self._left_out_nan)).all())

    def to_tensor(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the columns of the record's ``array`` that are written."""
        return array.take(self.written, axis=-1) if self.left_out.size else array

    def to_array(self, tensor: NDArray[Any]) -> NDArray[Any]:
        """Return the record's array: the known columns in their order, then those of a newer version."""
        width = len(self.written) + len(self.left_out)
        if not self.left_out.size and np.array_equal(self.written, np.arange(width)):
            return tensor
        array = np.empty((*tensor.shape[:-1], width), tensor.dtype)
        array[..., self.written] = tensor
        array[..., self.left_out] = self.left_out_values
        return array


def layout_for(table: str, rows: tuple[str, ...], array: NDArray[Any], before: Layout | None = None) -> Layout:
    """Return the layout that the record's ``array`` needs, and that keeps all columns of the one ``before``."""
    names = known_columns(table)
    if table in ("steps", "units"):  # one row, or few records: nothing to be gained
        return Layout(table, names, rows)
    usual = np.array([USUAL.get(name, np.nan) for name in names])
    telling = ~((array == usual) | (np.isnan(array) & np.isnan(usual))).all(axis=0)
    columns = tuple(
        name for name, tells in zip(names, telling, strict=True) if tells or (before and name in before.columns)
    )
    left_out = set(names) - set(columns)
    return Layout(table, columns, rows, {name: value for name, value in USUAL.items() if name in left_out})
