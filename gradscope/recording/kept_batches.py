"""KeptBatches: batches kept from the beginning of a training, to be looked at once more when it has ended.

Units are judged over at least 1,000 positions. A short training may record fewer, and one of which few steps are
recorded has them from weights of long ago; its first batches, run once more under the final weights, say how it ended.
"""

from __future__ import annotations

import math
from typing import Any

from gradscope.instrument.keras_border import keras

SAMPLES = 1_000
BYTES = 64 * 2**20


class KeptBatches:
    """Keeps batches until they are enough, or too large to be kept."""

    def __init__(self) -> None:
        self.batches: list[Any] = []
        self._samples = 0
        self._bytes = 0
        self._is_closed = False

    @property
    def wants_more(self) -> bool:
        """Whether another batch is needed."""
        return not self._is_closed and self._samples < SAMPLES

    def add(self, batch: Any) -> None:
        """Keep one more batch."""
        if not self.wants_more:
            return
        leaves: list[Any] = [leaf for leaf in keras.tree.flatten(batch) if hasattr(leaf, "dtype") and len(leaf.shape)]
        if not leaves:
            return
        self._samples += int(leaves[0].shape[0])
        self._bytes += sum(math.prod(_stored(leaf).shape) * leaf.dtype.size for leaf in leaves)
        if self._bytes > BYTES:
            self.close()
        else:
            self.batches.append(batch)

    def close(self) -> None:
        """Forget all batches, and ask for no more."""
        self._is_closed = True
        self.batches = []


def _stored(leaf: Any) -> Any:
    """Return the tensor itself; of a ragged or a sparse one, the values that it stores."""
    return getattr(leaf, "flat_values", getattr(leaf, "values", leaf))
