"""Baseline loss: what a network that had learnt nothing but the labels' averages would score.

A loss says little by itself: 0.69 is good for ten classes and useless for two. The *baseline loss* is the loss of the
best **constant** prediction under the labels seen so far, so that "no better than chance" has a number. For every loss
here that constant is known: the mean target for cross-entropies and the squared error, the median for the absolute
error. A constant is one value for each output, the same at every sample and position. Definition ours.

The *lowest loss* is that of an answer equal to the labels: 0 but for cross-entropies of labels that are no whole
classes, such as soft targets, smoothed labels or grey pixels, whose own entropy no answer can undercut. What there is
to learn is what lies between the two.

Weights enter as in Keras (reduction ``sum_over_batch_size``): the sum of weight times loss, over the number of losses.
"""

from __future__ import annotations

import math
import re
from typing import Final, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

BaselineKind: TypeAlias = Literal[
    "sparse_categorical_crossentropy",
    "categorical_crossentropy",
    "binary_crossentropy",
    "mean_squared_error",
    "mean_absolute_error",
]
"""A loss whose best constant prediction is known."""

_KINDS: Final[dict[str, BaselineKind]] = {
    "sparse_categorical_crossentropy": "sparse_categorical_crossentropy",
    "categorical_crossentropy": "categorical_crossentropy",
    "binary_crossentropy": "binary_crossentropy",
    "bce": "binary_crossentropy",
    "mean_squared_error": "mean_squared_error",
    "mse": "mean_squared_error",
    "mean_absolute_error": "mean_absolute_error",
    "mae": "mean_absolute_error",
}

_ROW_LIMIT: Final = 4_096
_ENTRY_LIMIT: Final = 1 << 18  # keeps the medians of a wide output within some 15 ms

_Floats: TypeAlias = NDArray[np.float64]


class BaselineState(NamedTuple):
    """What is known of the labels seen so far.

    Attributes:
        kind: The loss.
        label_smoothing: As given to the loss.
        ignore_class: As given to the loss.
        entries: Losses seen: one for each sample and position.
        weight: Sum of their weights.
        mean: Weighted mean target of each output; of a sparse loss the share of each class.
        squares: Weighted sum of squared deviations from ``mean``, of each output.
        entropy: Weighted sum of the labels' own entropies.
        rows: For the median: every ``stride``-th target seen, shape ``(rows, outputs)``.
        row_weights: Their weights.
        stride: Distance between the rows kept; doubled whenever they become too many.
    """

    kind: BaselineKind
    label_smoothing: float
    ignore_class: int | None
    entries: int
    weight: float
    mean: _Floats
    squares: _Floats
    entropy: float
    rows: _Floats
    row_weights: _Floats
    stride: int


def kind_of(loss_name: str) -> BaselineKind | None:
    """Return the kind of a loss by Keras' name of its function or class, or None if its baseline is not known.

    Example:
        >>> kind_of("MeanSquaredError"), kind_of("mse"), kind_of("my_loss")
        ('mean_squared_error', 'mean_squared_error', None)
    """
    snake_case = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", loss_name).lower()
    return _KINDS.get(snake_case)


def init(kind: BaselineKind, label_smoothing: float = 0.0, ignore_class: int | None = None) -> BaselineState:
    """Return the state before any label was seen.

    Args:
        kind: The loss, see `kind_of`.
        label_smoothing: The loss's own, in [0, 1]; used by the categorical and binary cross-entropies.
        ignore_class: The loss's own: the class whose entries do not count; used by the sparse cross-entropy.
    """
    none = np.zeros(0)
    return BaselineState(kind, label_smoothing, ignore_class, 0, 0.0, none, none, 0.0, np.zeros((0, 0)), none, 1)


def update(state: BaselineState, y: ArrayLike, sample_weight: ArrayLike | None = None) -> BaselineState:
    """Return the state after one more batch.

    Args:
        state: What was known before.
        y: The batch's targets, shape ``(batch, *positions, outputs)`` or ``(batch,)``; of a sparse loss the classes,
            shape ``(batch, *positions)`` or ``(batch, *positions, 1)``.
        sample_weight: Shape ``(batch,)`` or that of the losses, as Keras takes it, class weights multiplied in.

    Raises:
        ValueError: If the weights do not fit the targets.
    """
    targets = np.asarray(y)
    if state.kind == "sparse_categorical_crossentropy":
        return _with_classes(state, targets, sample_weight)
    targets = targets.astype(np.float64)
    if targets.ndim < 2:
        targets = targets.reshape(-1, 1)
    weights = _weights(sample_weight, targets.shape[:-1])
    rows = targets.reshape(weights.size, targets.shape[-1])
    if state.kind == "mean_absolute_error":
        return _with_rows(state, rows, weights)
    weight = float(weights.sum())
    mean = weights @ rows / (weight or 1.0)
    merged = _merge(state, weights.size, weight, mean, weights @ (rows - mean) ** 2)
    if state.kind == "mean_squared_error":
        return merged
    return merged._replace(entropy=state.entropy + float(weights @ _cross_entropy(state, rows)))


def baseline_loss(state: BaselineState) -> float:
    """Return the loss of the best constant prediction under the labels seen; NaN before the first.

    It is what a network scores that ignores its input. A loss that stays there has learnt nothing; one above it has
    learnt the wrong thing. The absolute error's is an estimate, from at most 4,096 of the targets.

    Example:
        >>> coin = update(init("binary_crossentropy"), [0, 1, 1, 0])
        >>> round(baseline_loss(coin), 4)
        0.6931
    """
    if not state.entries:
        return math.nan
    if state.kind == "mean_absolute_error":
        return _mean_absolute_deviation(state.rows, state.row_weights)
    if state.kind == "mean_squared_error":
        return float(state.squares.mean() / state.entries)
    return float(_cross_entropy(state, state.mean)) * state.weight / state.entries


def lowest_loss(state: BaselineState) -> float:
    """Return the loss of an answer that is equal to the labels seen; NaN before the first.

    Example:
        >>> grey = update(init("binary_crossentropy"), [[0.5], [0.5]])
        >>> round(lowest_loss(grey), 4), lowest_loss(update(init("mean_squared_error"), [1.0]))
        (0.6931, 0.0)
    """
    return state.entropy / state.entries if state.entries else math.nan


def _cross_entropy(state: BaselineState, labels: _Floats) -> _Floats:
    """Return the loss of answers equal to ``labels``, shape ``(..., outputs)``, one for each."""
    smoothing = state.label_smoothing
    if state.kind == "binary_crossentropy":
        labels = labels * (1 - smoothing) + smoothing / 2
        return (_surprise(labels, labels) + _surprise(1 - labels, 1 - labels)).mean(axis=-1)
    if state.kind == "categorical_crossentropy":
        labels = labels * (1 - smoothing) + smoothing / labels.shape[-1]
    total = labels.sum(axis=-1, keepdims=True)
    return _surprise(labels, labels / np.where(total == 0, 1.0, total)).sum(axis=-1)


def _surprise(share: _Floats, probability: _Floats) -> _Floats:
    """Return ``-share * log(probability)``, 0 where the share is 0, NaN where the logarithm has no value."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(share == 0, 0.0, -share * np.log(probability))


def _weights(sample_weight: ArrayLike | None, shape: tuple[int, ...]) -> _Floats:
    """Return one weight for each loss, flat, with Keras' rule for shapes that differ by one axis."""
    if sample_weight is None:
        return np.ones(math.prod(shape))
    weights = np.asarray(sample_weight, dtype=np.float64)
    if weights.ndim == len(shape) + 1 and weights.shape[-1] == 1:
        weights = weights[..., 0]
    elif weights.ndim == len(shape) - 1 and shape[-1] == 1:
        weights = weights[..., np.newaxis]
    return np.broadcast_to(weights, shape).reshape(-1)


def _with_classes(state: BaselineState, classes: NDArray[np.generic], sample_weight: ArrayLike | None) -> BaselineState:
    if classes.ndim > 1 and classes.shape[-1] == 1:
        classes = classes[..., 0]
    weights = _weights(sample_weight, classes.shape)
    labels = classes.reshape(-1).astype(np.int64)
    counted = labels >= 0  # a negative number names no class
    if state.ignore_class is not None:
        counted &= labels != state.ignore_class
    labels, weights = labels[counted], weights[counted]
    weight = float(weights.sum())
    shares = np.bincount(labels, weights=weights, minlength=state.mean.size) / (weight or 1.0)
    return _merge(state, labels.size, weight, shares, np.zeros_like(shares))


def _merge(state: BaselineState, entries: int, weight: float, mean: _Floats, squares: _Floats) -> BaselineState:
    """Merge weighted moments by Chan's formula: a difference of large squares would lose small variances."""
    missing = (0, mean.size - state.mean.size)  # outputs on the first batch, classes not seen before
    old_mean, old_squares = np.pad(state.mean, missing), np.pad(state.squares, missing)
    total = state.weight + weight
    share, gap = weight / (total or 1.0), mean - old_mean
    return state._replace(
        entries=state.entries + entries,
        weight=total,
        mean=old_mean + gap * share,
        squares=old_squares + squares + gap**2 * (state.weight * share),
    )


def _with_rows(state: BaselineState, rows: _Floats, weights: _Floats) -> BaselineState:
    """Keep every ``stride``-th row of all that were ever seen; deterministic, as the records must be."""
    first = -state.entries % state.stride
    kept = np.concatenate([state.rows.reshape(-1, rows.shape[1]), rows[first :: state.stride]])
    kept_weights = np.concatenate([state.row_weights, weights[first :: state.stride]])
    stride, limit = state.stride, min(_ROW_LIMIT, max(1, _ENTRY_LIMIT // rows.shape[1]))
    while len(kept) > limit:
        kept, kept_weights, stride = kept[::2], kept_weights[::2], stride * 2
    return state._replace(
        entries=state.entries + len(rows),
        weight=state.weight + float(weights.sum()),
        rows=np.ascontiguousarray(kept),  # a strided view would keep the rows alive that were dropped
        row_weights=np.ascontiguousarray(kept_weights),
        stride=stride,
    )


def _mean_absolute_deviation(rows: _Floats, weights: _Floats) -> float:
    """Return the weighted mean absolute deviation from each output's weighted median, averaged over outputs."""
    order = np.argsort(rows, axis=0)
    below = np.cumsum(weights[order], axis=0)
    middle = np.argmax(below >= weights.sum() / 2, axis=0)
    median = np.take_along_axis(rows, order, axis=0)[middle, np.arange(rows.shape[1])]
    return float((weights @ np.abs(rows - median)).mean() / len(rows))
