"""The first batch of a training whose step was not finite, with the weights before it: to be run once more."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast  # a batch is nested as the user nests it

import numpy as np
from numpy.typing import NDArray

FILE_NAME: Final = "bad_batch.npz"
"""Its file, in the directory of the run."""

BYTES: Final = 256 * 2**20
"""What batch and weights may take; weights that do not fit beside the batch are left out."""


@dataclass(frozen=True, slots=True, eq=False)
class BadBatch:
    """A batch whose step was not finite.

    Attributes:
        step: The step, counted from 0 over the whole run.
        data: What the step was given: inputs, or a tuple of inputs, labels and weights of the samples, of NumPy arrays.
        weights: Trained variables before the step, by path, in the order of the `gradients` table; empty where they
            were too large to be kept.
    """

    step: int
    data: Any
    weights: Mapping[str, NDArray[Any]] = field(default_factory=dict[str, NDArray[Any]])

    def save(self, directory: Path) -> None:
        """Write it to its file in a run's directory, in place of one that is there."""
        leaves: list[NDArray[Any]] = []
        structure = _flattened(self.data, leaves)
        arrays = {f"data_{at}": leaf for at, leaf in enumerate(leaves)}
        arrays |= {f"weight_{at}": value for at, value in enumerate(self.weights.values())}
        meta = json.dumps({"step": self.step, "structure": structure, "weights": [*self.weights]})
        directory.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(directory / FILE_NAME, meta=np.array(meta), **cast("dict[str, Any]", arrays))


def load_bad_batch(directory: Path) -> BadBatch | None:
    """Return the batch that lies in a run's directory; None where none does."""
    path = directory / FILE_NAME
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as arrays:
        meta = json.loads(str(arrays["meta"]))
        data = _nested(meta["structure"], iter([arrays[name] for name in arrays.files if name.startswith("data_")]))
        weights = {name: arrays[f"weight_{at}"] for at, name in enumerate(meta["weights"])}
    return BadBatch(int(meta["step"]), data, weights)


def nested_like(data: Any, convert: Callable[[Any], Any]) -> Any:
    """Return nested tuples, lists and dicts with each leaf converted; None stays."""
    if isinstance(data, (tuple, list)):
        parts = [nested_like(part, convert) for part in cast("list[Any]", data)]
        return tuple(parts) if isinstance(data, tuple) else parts
    if isinstance(data, Mapping):
        return {name: nested_like(part, convert) for name, part in cast("Mapping[str, Any]", data).items()}
    return None if data is None else convert(data)


def _flattened(data: Any, leaves: list[NDArray[Any]]) -> Any:
    """Return the structure of nested data as JSON values, and put its leaves into a list."""
    if isinstance(data, (tuple, list)):
        kind = "tuple" if isinstance(data, tuple) else "list"
        return {kind: [_flattened(part, leaves) for part in cast("list[Any]", data)]}
    if isinstance(data, Mapping):
        return {"dict": {name: _flattened(part, leaves) for name, part in cast("Mapping[str, Any]", data).items()}}
    if data is None:
        return None
    leaves.append(np.asarray(data))
    return "leaf"


def _nested(structure: Any, leaves: Iterator[NDArray[Any]]) -> Any:
    if structure == "leaf":
        return next(leaves)
    if structure is None:
        return None
    ((kind, parts),) = structure.items()
    if kind == "dict":
        return {name: _nested(part, leaves) for name, part in parts.items()}
    made = [_nested(part, leaves) for part in parts]
    return tuple(made) if kind == "tuple" else made
