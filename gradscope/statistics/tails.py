"""Which entries lie where the activation function has no slope, how many, and in which units all of them.

What a function has no tail for is not computed: None stands for "nowhere", NaN for "no answer".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from gradscope.statistics.backend import Tensor, ops
from gradscope.statistics.sums import Limits


class Tails(NamedTuple):
    """Where entries lie, as bools of their shape; None where the function has no such tail, NaN where no profile."""

    low: Any
    high: Any
    inactive: Any


class Count(NamedTuple):
    """How many entries of each unit, shape ``(units,)``, and how many in all; both scalars where they are constant."""

    by_unit: Tensor
    total: Tensor


def tails(z: Tensor, limits: Limits | None) -> Tails:
    """Return in which tails the entries of ``z`` lie; NaN entries lie in none."""
    if limits is None:
        return Tails(math.nan, math.nan, math.nan)
    zero_low, zero_high = _at_most(z, limits.zero_low), _at_least(z, limits.zero_high)
    inactive = zero_low if zero_high is None else zero_high if zero_low is None else ops.logical_or(zero_low, zero_high)
    return Tails(_at_most(z, limits.z_low), _at_least(z, limits.z_high), inactive)


def counts(flags: Sequence[Any], kept: Tensor) -> list[Count]:
    """Return how many of the entries that are ``kept`` each flag is true of.

    Args:
        flags: Bools of shape ``(positions, units)``, or None or NaN as in `Tails`.
        kept: Bool, of the same shape.
    """
    present = [flag for flag in flags if not _is_constant(flag)]
    if not present:
        return [Count(_constant(flag), _constant(flag)) for flag in flags]
    # Counted together: a graph of few large operations is traced faster than one of many small ones.
    by_unit = ops.sum(ops.cast(ops.logical_and(ops.stack(present), kept), "float32"), axis=1)
    counted = zip(ops.unstack(by_unit, len(present)), ops.unstack(ops.sum(by_unit, axis=1), len(present)), strict=True)
    return [Count(_constant(flag), _constant(flag)) if _is_constant(flag) else Count(*next(counted)) for flag in flags]


def everywhere(where: Any, mask: Tensor | None) -> Tensor:
    """Return 1 for each unit whose entries all lie in a tail, masked ones aside, else 0: float32, or NaN."""
    if _is_constant(where):
        return _constant(where)
    where = where if mask is None else ops.logical_or(where, ops.logical_not(mask))
    return ops.cast(ops.all(where, axis=0), "float32")


def _at_most(z: Tensor, limit: Tensor | float) -> Any:
    """Return where ``z <= limit``; an infinite entry lies in no tail that begins at infinity."""
    if isinstance(limit, float | int):
        return limit if math.isnan(limit) else None if limit == -math.inf else z <= limit
    limit = ops.cast(limit, "float32")
    return ops.logical_and(z <= limit, limit > -math.inf)


def _at_least(z: Tensor, limit: Tensor | float) -> Any:
    """Return where ``z >= limit``, likewise."""
    if isinstance(limit, float | int):
        return limit if math.isnan(limit) else None if limit == math.inf else z >= limit
    limit = ops.cast(limit, "float32")
    return ops.logical_and(z >= limit, limit < math.inf)


def _is_constant(where: Any) -> bool:
    return where is None or isinstance(where, float)


def _constant(where: float | None) -> Tensor:
    return ops.convert_to_tensor(0.0 if where is None else where, "float32")
