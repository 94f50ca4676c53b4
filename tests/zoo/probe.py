"""Probe: a fixed batch of a training's own data, and what its labels alone say."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

PROBE_SAMPLES = 256
LABEL_SAMPLES = 4096  # of a stream; labels given as arrays are all looked at


@dataclass(frozen=True)
class Probe:
    """The batch, and the labels of the training set.

    Attributes:
        x: Input arrays, nested as the model takes them.
        y: Labels, None where the model has none.
        sample_weight: Weights, class weights included.
        labels: Labels of the training set (of the first samples, for a stream) where they are one array, else None.
        label_weights: Their weights.
        samples: Number of training samples, as far as looked at.
    """

    x: Any
    y: Any
    sample_weight: Any
    labels: Array | None
    label_weights: Array | None
    samples: int


def probe(fit: Mapping[str, Any] | None) -> Probe | None:
    """Return the probe of the data `fit` is called with; None without data, or for a generator, which reading empties.

    Samples are spread evenly over arrays, since these may be sorted by class; a stream gives its first ones.
    """
    x = None if fit is None else fit.get("x")
    if fit is None or x is None or isinstance(x, Iterator):
        return None
    y, weight = fit.get("y"), fit.get("sample_weight")
    if _is_stream(x):
        x, y, weight, samples = _first(x)
    else:
        samples = math.floor(len(keras.tree.flatten(x)[0]) * (1 - float(fit.get("validation_split") or 0)))
        x, y, weight = (_taken(value, slice(0, samples)) for value in (x, y, weight))
    if fit.get("class_weight") is not None:
        weight = _class_weights(y, fit["class_weight"])
    chosen = np.unique(np.linspace(0, samples - 1, min(samples, PROBE_SAMPLES)).astype(int))
    whole = isinstance(y, np.ndarray)
    return Probe(
        x=_taken(x, chosen),
        y=_taken(y, chosen),
        sample_weight=_taken(weight, chosen),
        labels=y if whole else None,
        label_weights=weight if whole and isinstance(weight, np.ndarray) else None,
        samples=samples,
    )


def baseline_loss(loss: str | None, labels: Array | None, weights: Array | None) -> float:
    """Return the loss of the best constant prediction: what a network reaches that has learnt nothing of its input.

    Weights enter as in Keras: the weighted sum over the number of samples. NaN for a loss not listed here.
    """
    if labels is None or loss is None or not len(labels):
        return math.nan
    y = np.asarray(labels, np.float64)
    w = np.ones(len(y)) if weights is None else np.asarray(weights, np.float64)
    if w.ndim > 1 or w.sum() <= 0:
        return math.nan
    scale = w.sum() / len(y)
    if loss == "sparse_categorical_crossentropy":
        classes = y.reshape(len(y), -1).astype(int)
        if classes.min() < 0:
            return math.nan
        mass = np.bincount(classes.ravel(), np.repeat(w, classes.shape[1]))
        return float(scale * _entropy(mass / mass.sum()))
    if loss == "categorical_crossentropy":
        rows = np.average(y.reshape(len(y), -1, y.shape[-1]).mean(1), axis=0, weights=w)
        return float(scale * _entropy(rows / rows.sum()))
    y = y.reshape(len(y), -1)
    centre = np.average(y, axis=0, weights=w)
    if loss == "binary_crossentropy":
        both = np.stack([centre, 1 - centre])
        return float(scale * np.mean([_entropy(column) for column in both.T]))
    if loss == "mean_squared_error":
        return float(scale * np.average((y - centre) ** 2, axis=0, weights=w).mean())
    if loss == "mean_absolute_error":
        middle = np.array([_weighted_median(column, w) for column in y.T])
        return float(scale * np.average(np.abs(y - middle), axis=0, weights=w).mean())
    return math.nan


def class_counts(loss: str | None, labels: Array | None) -> tuple[int, ...]:
    """Return how many labels each class has; nothing for a loss that is no cross-entropy."""
    if labels is None or loss is None or "crossentropy" not in loss:
        return ()
    if loss == "categorical_crossentropy":
        return tuple(int(count) for count in labels.reshape(-1, labels.shape[-1]).sum(0))
    if loss == "binary_crossentropy" and labels.reshape(len(labels), -1).shape[1] > 1:
        return ()  # several answers, not several classes
    values = labels.ravel()
    if not np.all(values == np.floor(values)) or values.min() < 0:
        return ()
    return tuple(int(count) for count in np.bincount(values.astype(int), minlength=2))


def accuracy(loss: str | None, from_logits: bool, y: Any, predicted: Any) -> float:
    """Return the share of right answers; NaN where it is no classification with one output."""
    if loss is None or not isinstance(y, np.ndarray) or not isinstance(predicted, np.ndarray):
        return math.nan
    if loss == "sparse_categorical_crossentropy":
        return float(np.mean(predicted.argmax(-1).ravel() == y.ravel()))
    if loss == "categorical_crossentropy":
        return float(np.mean(predicted.argmax(-1) == y.argmax(-1)))
    if loss == "binary_crossentropy":
        return float(np.mean((predicted.ravel() > (0 if from_logits else 0.5)) == (y.ravel() > 0.5)))
    return math.nan


def _is_stream(x: Any) -> bool:
    return isinstance(x, keras.utils.PyDataset) or not isinstance(x, (np.ndarray, dict, list, tuple))


def _first(stream: Any) -> tuple[Any, Any, Any, int]:
    batches: list[tuple[Any, ...]] = []
    samples = 0
    source = (stream[index] for index in range(len(stream))) if isinstance(stream, keras.utils.PyDataset) else stream
    for batch in source:
        parts = tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
        batches.append((*parts, *[None] * (3 - len(parts))))
        samples += len(keras.tree.flatten(parts[0])[0])
        if samples >= LABEL_SAMPLES:
            break
    x, y, weight = (
        None
        if batches[0][part] is None
        else keras.tree.map_structure(
            lambda *pieces: np.concatenate([np.asarray(piece) for piece in pieces]), *[batch[part] for batch in batches]
        )
        for part in range(3)
    )
    return x, y, weight, samples


def _taken(value: Any, chosen: Any) -> Any:
    if value is None:
        return None

    def part(array: Any) -> Array:
        rows = np.asarray(array)[chosen]
        return rows.astype(np.float32) if rows.dtype == np.float64 else rows  # as Keras does

    return keras.tree.map_structure(part, tuple(value) if isinstance(value, list) else value)


def _class_weights(y: Any, weights: Mapping[int, float]) -> Array:
    labels = y.argmax(-1) if y.ndim > 1 and y.shape[-1] > 1 else y.ravel()
    return np.array([weights.get(int(label), 1.0) for label in labels], np.float32)


def _entropy(shares: Array) -> float:
    positive = shares[shares > 0]
    return float(-(positive * np.log(positive)).sum())


def _weighted_median(values: Array, weights: Array) -> float:
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, reached[-1] / 2)])
