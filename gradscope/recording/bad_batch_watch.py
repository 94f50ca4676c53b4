"""Keeps the latest batches with the weights before their steps, and tells which was bad when the loss is lost.

A loss that is not finite has one of two reasons: the step is bad itself, or the one before has made the weights so,
whose own loss was finite still. Two steps are all that has to be kept.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradscope.store.bad_batch import BYTES, BadBatch, nested_like


@dataclass(frozen=True, slots=True)
class _Step:
    step: int
    data: Any
    weights: Mapping[str, Any]


class BadBatchWatch:
    """Watches the steps of a training until one is bad.

    Attributes:
        is_over: Whether it has seen one, and asks for no more.
    """

    def __init__(self) -> None:
        self.is_over = False
        self._steps: deque[_Step] = deque(maxlen=2)

    def see(self, step: int, data: Any, weights: Mapping[str, Any], loss: float) -> BadBatch | None:
        """Return the first bad batch where the loss of this step, or the weights before it, show that there was one.

        Args:
            step: The step that has ended.
            data: Its batch, nested tensors; None where it is not known.
            weights: Trained variables before it, by path.
            loss: Its loss; NaN where it is not finite or not known.
        """
        if self.is_over or data is None:
            return None
        self._steps.append(_Step(step, data, weights))
        if math.isfinite(loss):
            return None
        arrays = {path: _array(value) for path, value in weights.items()}
        found = self._steps[-1] if all(np.isfinite(value).all() for value in arrays.values()) else self._steps[0]
        self.is_over = True
        self._steps.clear()
        return _bounded(found)


def _bounded(found: _Step) -> BadBatch | None:
    """Return a batch with its weights, without them where they are too large, or None where it is so itself."""
    sizes: list[int] = []

    def array(value: Any) -> NDArray[Any]:
        made = _array(value)
        sizes.append(made.nbytes)
        return made

    data = nested_like(found.data, array)
    left = BYTES - sum(sizes)
    if left < 0:
        return None
    weights = {path: _array(value) for path, value in found.weights.items()}
    fits = sum(value.nbytes for value in weights.values()) <= left
    return BadBatch(found.step, data, weights if fits else {})


def _array(value: Any) -> NDArray[Any]:
    made = np.asarray(value)
    return made.astype(np.float32) if made.dtype.name == "bfloat16" else made
