"""From what a person trains on to batches as `fit` would make them."""

from __future__ import annotations

import itertools
import types
from collections.abc import Sequence
from typing import Any

from gradscope.errors import ArgumentError
from gradscope.instrument.backend import Batches, present_backend
from gradscope.instrument.keras_border import keras

BATCHES = 5
"""How many batches the window of a unit takes at least; only the first is shown."""


def batch_size(value: object) -> int:
    """Return ``batch_size``.

    Raises:
        ArgumentError: If it is no positive integer.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ArgumentError(f"batch_size={value!r} is no number of samples. Pass a positive integer.")
    return value


def first_batches(x: Any, y: Any, sample_weight: Any, size: int) -> Batches:
    """Return the first batches of the data.

    Of arrays and of a dataset several are taken; of a generator and of a `PyDataset` one, as each may be dear.

    Raises:
        ArgumentError: If the data are of a kind that `fit` does not take, are empty, or do not belong together.
    """
    is_dataset = present_backend().is_dataset(x)
    if is_dataset or isinstance(x, (keras.utils.PyDataset, types.GeneratorType)):
        if y is not None or sample_weight is not None:
            given = "y" if y is not None else "sample_weight"
            raise ArgumentError(f"{given} was given beside a {type(x).__name__}, which yields it itself. Leave it out.")
        if is_dataset:
            batches = present_backend().batches_of_dataset(x, BATCHES)
            _some(batches.elements, "x")
            return batches
        inputs, targets, weights = keras.utils.unpack_x_y_sample_weight(_first(x))
        return _of_arrays(inputs, targets, weights, None)
    return _of_arrays(x, y, sample_weight, size)


def _first(source: Any) -> Any:
    if isinstance(source, keras.utils.PyDataset):
        if source.num_batches == 0:
            raise ArgumentError(f"x is an empty {type(source).__name__}: it has no batch. Pass data with one.")
        return source[0]
    return _some(list(itertools.islice(source, 1)), "x")[0]


def _some(elements: Sequence[Any], name: str) -> Sequence[Any]:
    if not elements:
        raise ArgumentError(f"{name} is empty: it has no batch. Pass data with at least one sample.")
    return elements


def _of_arrays(x: Any, y: Any, sample_weight: Any, size: int | None) -> Batches:
    """Return batches of arrays; one of all samples where ``size`` is None."""
    samples = _sample_count(x, y, sample_weight)
    size = min(size or samples, samples)
    return present_backend().batches_of_arrays(x, y, sample_weight, size=size, count=BATCHES)


def _sample_count(x: Any, y: Any, sample_weight: Any) -> int:
    """Return how many samples there are.

    Raises:
        ArgumentError: If a part is no array, is empty, or has another length than ``x``.
    """
    counts: dict[str, int] = {}
    for name, part in (("x", x), ("y", y), ("sample_weight", sample_weight)):
        for leaf in keras.tree.flatten(part):
            if leaf is None:
                continue
            shape = getattr(leaf, "shape", None)
            if shape is None or not len(shape):
                raise ArgumentError(
                    f"{name} holds {_shown(leaf)}, which is no array with an axis of samples. Pass arrays, lists or "
                    f"dicts of arrays, a tf.data.Dataset, a keras.utils.PyDataset or a generator of batches."
                )
            counts.setdefault(name, int(shape[0]))
            if counts[name] != int(shape[0]):
                raise ArgumentError(f"The arrays of {name} have {counts[name]} and {int(shape[0])} samples.")
    if "x" not in counts:
        raise ArgumentError(f"x={_shown(x)} holds no array. Pass the data that the model is to be trained on.")
    if not counts["x"]:
        raise ArgumentError("x is empty: it has no samples. Pass data with at least one.")
    for name, count in counts.items():
        if count != counts["x"]:
            raise ArgumentError(f"x has {counts['x']} samples and {name} {count}. Each sample needs one of each.")
    return counts["x"]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"a {type(value).__name__}"
