"""What can be shown: every statistic of the schema, in the words and the order of a menu."""

from __future__ import annotations

from typing import Any, Final

from gradscope import schema
from gradscope.schema import Column, Table

MAIN: Final = {
    "activations.saturated_fraction": "saturation",
    "activations.dead_unit_fraction": "dead units",
    "gradients.rms": "gradient RMS",
    "activations.backward_rms": "backward signal",
    "gradients.update_to_weight_ratio": "update ratio",
    "activations.sample_std": "activation spread",
}
"""Statistics of the first menu, in its order, with their titles."""

_TABLES = {name: schema.TABLES[name] for name in ("activations", "gradients", "steps")}  # in the order of the menu
_GROUPS = {"pre_": "pre-activations", "backward_": "backward signal", "update_": "weights and updates"}
_TABLE_GROUPS = {"activations": "activations", "gradients": "gradients", "steps": "the whole model"}


def statistics() -> list[dict[str, Any]]:  # Any: JSON values
    """Return each statistic as JSON values, those of the first menu first, then by group.

    Example:
        >>> [statistic["title"] for statistic in statistics()][:2]
        ['saturation', 'dead units']
    """
    found = [_statistic(table, column) for table in _TABLES.values() for column in table.statistics]
    groups = list(dict.fromkeys(statistic["group"] for statistic in found))
    return sorted(found, key=lambda statistic: _order(statistic["id"], groups.index(statistic["group"])))


def statistic(identity: str) -> tuple[str, Column] | None:
    """Return the table and the column that an id names, or None."""
    table, _, name = identity.partition(".")
    if table not in _TABLES:
        return None
    return next(((table, column) for column in _TABLES[table].statistics if column.name == name), None)


def _statistic(table: Table, column: Column) -> dict[str, Any]:
    identity = f"{table.name}.{column.name}"
    return {
        "id": identity,
        "table": table.name,
        "name": column.name,
        "title": MAIN.get(identity, column.name.replace("_", " ")),
        "unit": column.unit,
        "meaning": column.meaning,
        "source": column.source,
        "scale": column.scale,
        "extreme": column.extreme,
        "group": _group(table.name, column.name),
        "main": identity in MAIN,
    }


def _group(table: str, name: str) -> str:
    return next((group for start, group in _GROUPS.items() if name.startswith(start)), _TABLE_GROUPS[table])


def _order(identity: str, group: int) -> tuple[int, int]:
    main = list(MAIN)
    return (0, main.index(identity)) if identity in MAIN else (1, group)
