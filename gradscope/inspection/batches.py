"""From what a person trains on to batches as `fit` would make them."""

from __future__ import annotations

import itertools
import types
from dataclasses import dataclass
from typing import Any

from keras.src.trainers import data_adapters as _data_adapters

from gradscope.errors import ArgumentError
from gradscope.inspection.dataset import first_elements
from gradscope.instrument.keras_border import keras
from gradscope.instrument.tensorflow.framework import tf

_adapters: Any = _data_adapters  # Keras ships no types

BATCHES = 5
"""How many batches the window of a unit takes at least; only the first is shown."""


@dataclass(frozen=True, slots=True, eq=False)
class Batches:
    """Some batches of one training.

    Attributes:
        elements: What the training's iterator would yield: up to `BATCHES`, the first first.
        spec: Their element spec.
    """

    elements: tuple[Any, ...]
    spec: Any


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
    if isinstance(x, (tf.data.Dataset, keras.utils.PyDataset, types.GeneratorType)):
        if y is not None or sample_weight is not None:
            given = "y" if y is not None else "sample_weight"
            raise ArgumentError(f"{given} was given beside a {type(x).__name__}, which yields it itself. Leave it out.")
        if isinstance(x, tf.data.Dataset):
            elements = first_elements(x, BATCHES)
            _some(elements, "x")
            return Batches(_whole(elements), x.element_spec)
        inputs, targets, weights = keras.utils.unpack_x_y_sample_weight(_first(x))
        return _of_arrays(inputs, targets, weights, None)
    return _of_arrays(x, y, sample_weight, size)


def _first(source: Any) -> Any:
    if isinstance(source, keras.utils.PyDataset):
        if source.num_batches == 0:
            raise ArgumentError(f"x is an empty {type(source).__name__}: it has no batch. Pass data with one.")
        return source[0]
    return _some(list(itertools.islice(source, 1)), "x")[0]


def _some(elements: list[Any], name: str) -> list[Any]:
    if not elements:
        raise ArgumentError(f"{name} is empty: it has no batch. Pass data with at least one sample.")
    return elements


def _of_arrays(x: Any, y: Any, sample_weight: Any, size: int | None) -> Batches:
    """Return batches of arrays; one of all samples where ``size`` is None."""
    samples = _sample_count(x, y, sample_weight)
    size = min(size or samples, samples)
    wanted = size * BATCHES

    def beginning(leaf: Any) -> Any:
        is_sparse = isinstance(leaf, tf.SparseTensor) or not hasattr(leaf, "__getitem__")
        return leaf if leaf is None or is_sparse else leaf[:wanted]

    parts = [keras.tree.map_structure(beginning, part) for part in (x, y, sample_weight)]
    try:
        adapter = _adapters.get_data_adapter(parts[0], parts[1], parts[2], batch_size=size)
    except ValueError as error:
        raise ArgumentError(f"The data cannot be trained on: {error}") from error
    dataset = adapter.get_tf_dataset()
    return Batches(_whole(list(dataset)), dataset.element_spec)


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


def _whole(elements: list[Any]) -> tuple[Any, ...]:
    """Return the first element and those that have as many samples: a short last one would weigh as much."""
    lengths = [_length(element) for element in elements]
    return tuple(element for element, length in zip(elements, lengths, strict=True) if length == lengths[0])


def _length(element: Any) -> int:
    leaf = tf.nest.flatten(element)[0]
    return int(leaf.nrows() if isinstance(leaf, tf.RaggedTensor) else leaf.shape[0])
