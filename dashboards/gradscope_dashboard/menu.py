"""What can be shown: every statistic of the schema, in the words and the order of a menu."""

from __future__ import annotations

from typing import Any, Final

from gradscope.schema import HEADLINE, STATISTICS, Statistic

_GROUPS: Final = {"pre_": "pre-activations", "backward_": "backward signal", "update_": "weights and updates"}
_TABLE_GROUPS: Final = {"activations": "activations", "gradients": "gradients", "steps": "the whole model"}


def statistics() -> list[dict[str, Any]]:  # Any: JSON values
    """Return each statistic as JSON values, those of the first menu first, then by group.

    Example:
        >>> [statistic["title"] for statistic in statistics()][:2]
        ['saturated entries', 'dead units']
    """
    others = [statistic for statistic in STATISTICS.values() if statistic not in HEADLINE]
    groups = list(dict.fromkeys(map(_group, others)))
    return [_told(each) for each in (*HEADLINE, *sorted(others, key=lambda other: groups.index(_group(other))))]


def _told(statistic: Statistic) -> dict[str, Any]:
    column = statistic.column
    return {
        "id": statistic.key,
        "table": statistic.table.name,
        "name": column.name,
        "title": column.title,
        "short": column.short,
        "unit": column.unit,
        "meaning": f"{column.meaning} {column.reading}".rstrip(),
        "source": column.source,
        "scale": column.scale,
        "extreme": column.extreme,
        "group": _group(statistic),
        "main": statistic in HEADLINE,
    }


def _group(statistic: Statistic) -> str:
    name, of_table = statistic.column.name, _TABLE_GROUPS[statistic.table.name]
    return next((group for start, group in _GROUPS.items() if name.startswith(start)), of_table)
