"""A look at a model's step without a training: nothing of it is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradscope.instrument.backend import StepFailedError
from gradscope.instrument.observation import Observation
from gradscope.instrument.tensorflow import watching
from gradscope.instrument.tensorflow.framework import tf
from gradscope.instrument.tensorflow.plan import Plan
from gradscope.network import Network
from gradscope.records import NonFiniteOrigin


class Look:
    """One training step of a model, traced for nothing but to be looked at.

    Args:
        model: A compiled and built Keras model.
        element_spec: What the training's iterator would yield.

    Raises:
        UnobservableError: If the step cannot be looked at without being noticed.
    """

    def __init__(self, model: Any, element_spec: Any) -> None:
        self.layer_classes = watching.layer_classes(model)
        specs = [spec for spec in tf.nest.flatten(element_spec) if not _is_absent(spec)]

        def step(leaves: list[Any]) -> Any:
            remaining = iter(leaves)
            flat = [None if _is_absent(spec) else next(remaining) for spec in tf.nest.flatten(element_spec)]
            return model.train_step(tf.nest.pack_sequence_as(element_spec, flat))

        watching.begin(self)
        try:
            self._function = tf.function(step, autograph=False).get_concrete_function(specs)
        finally:
            watching.end(self)
        self._plan = Plan(model, self._function, None, frozenset(), inline=False)

    def called(self, function: Any, inputs: list[Any], captured: list[Any], run: Any, *, is_last: bool) -> Any:
        return run(inputs, captured)

    def disarm(self) -> None:
        """Nothing: it is told of no calls."""

    @property
    def network(self) -> Network:
        """The model, with what is measured of it."""
        return self._plan.measurement.network

    @property
    def trained(self) -> list[Any]:
        """The variables of the `gradients` table, in its order."""
        return self._plan.measurement.trained

    def __call__(self, batch: Any, number: int) -> Observation:
        """Return the numbers of a batch under the present weights.

        Args:
            batch: What the iterator yielded.
            number: Moves the sample of large tensors along.
        """
        measurement = self._plan.measurement
        settings = measurement.settings()
        try:
            return measurement.observation(self._values(batch), settings, number, histograms=False)
        except tf.errors.OpError as error:
            raise StepFailedError(str(error.message).splitlines()[0]) from error

    def origin(self, batch: Any, weights: Sequence[Any]) -> NonFiniteOrigin | None:
        """Return by which operation the numbers of a batch stop being finite; None where they do not.

        Args:
            batch: What the iterator yielded.
            weights: Values of `trained` to be taken in place of the present ones; empty for these.
        """
        flat, captured = self._flat(batch), self._function.captured_inputs
        given = self._plan.updates.by_handle([tf.convert_to_tensor(value) for value in weights]) if weights else {}
        return self._plan.origin(self._function, flat, captured, given)

    def gradients(self, batch: Any) -> dict[int, NDArray[np.float32]]:
        """Return the gradients of a batch by the identity of the variable; without those that have none."""
        return self._plan.measurement.gradients(self._values(batch))

    def _values(self, batch: Any) -> list[Any]:
        return self._plan.observe(self._function, self._flat(batch), self._function.captured_inputs)

    @staticmethod
    def _flat(batch: Any) -> list[Any]:
        leaves = [leaf for leaf in tf.nest.flatten(batch) if not _is_absent(leaf)]
        return tf.nest.flatten(leaves, expand_composites=True)


def _is_absent(leaf: Any) -> bool:
    """Return whether a part of a batch is missing, such as the sample weights that were not given."""
    absent = isinstance(leaf, (tf.experimental.Optional, tf.OptionalSpec))
    return leaf is None or absent or "NoneTensor" in type(leaf).__name__
