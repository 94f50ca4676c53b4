"""Copies of variables: what a function may write to where the training must not notice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gradscope.instrument.tensorflow.framework import copied, read, tf

_BITS = {1: tf.uint8, 2: tf.uint16, 4: tf.uint32, 8: tf.uint64}


class Copies:
    """Variables that hold what others held when they were copied.

    Args:
        handles: Handles of the others.
        are_perturbed: Whether they hold something like it instead, as `perturbed` makes it.
    """

    def __init__(self, handles: Sequence[Any], *, are_perturbed: bool = False) -> None:
        self._originals = list(handles)
        self._copies = [copied(handle) for handle in self._originals]
        for number, copy in enumerate(self._copies if are_perturbed else ()):
            copy.assign(perturbed(copy.read_value(), number))

    def assign(self, values: Mapping[int, Any]) -> None:
        """Give copies other values, by the identity of the original's handle."""
        for original, copy in zip(self._originals, self._copies, strict=True):
            if id(original) in values:
                copy.assign(values[id(original)])

    def in_place_of_originals(self, inputs: Sequence[Any]) -> list[Any]:
        """Return a function's inputs with the handles of the copies in the place of the originals'."""
        ours = {id(original): copy.handle for original, copy in zip(self._originals, self._copies, strict=True)}
        return [ours.get(id(tensor), tensor) for tensor in inputs]

    def equal_originals(self) -> bool:
        """Return whether every copy holds, bit for bit, what its original holds now."""
        return all(
            equal_bits(read(original), copy.read_value())
            for original, copy in zip(self._originals, self._copies, strict=True)
        )

    def equal(self, others: Copies) -> bool:
        """Return whether the copies hold, bit for bit, what other copies of the same variables hold now."""
        pairs = zip(self._copies, others._copies, strict=True)
        return all(equal_bits(ours.read_value(), theirs.read_value()) for ours, theirs in pairs)


def perturbed(tensor: Any, number: int = 0) -> Any:
    """Return numbers near those of ``tensor``, of their signs, and none of them 0: the same at every call.

    Zeros and other round numbers hide in what order a function adds and multiplies. What is not floating stays.

    Args:
        tensor: Values of any shape.
        number: Tells tensors of one shape apart.
    """
    if not isinstance(tensor, tf.Tensor) or not tensor.dtype.is_floating:
        return tensor
    factor, summand = (
        tf.cast(tf.random.stateless_uniform(tf.shape(tensor), [number, seed], low, high), tensor.dtype)
        for seed, low, high in ((1, 0.8, 1.2), (2, 0.001, 0.02))
    )
    return tensor * factor + summand


def equal_bits(a: Any, b: Any) -> bool:
    """Return whether two tensors are the same, bit for bit: NaN is itself, and 0 is not -0."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.dtype.is_floating and a.dtype.size in _BITS:
        a, b = (tf.bitcast(x, _BITS[x.dtype.size]) for x in (a, b))
    elif a.dtype.is_complex:
        return equal_bits(tf.math.real(a), tf.math.real(b)) and equal_bits(tf.math.imag(a), tf.math.imag(b))
    return bool(tf.reduce_all(tf.equal(a, b)))
