"""What a step did to the weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gradscope.instrument.tensorflow.framework import tf, values_of
from gradscope.instrument.tensorflow.sharing import of_any_size, shared
from gradscope.statistics.moments import difference_norm, scaled_norm


class Updates:
    """Norms of weights, and of what one training step added to them."""

    def __init__(self, variables: Sequence[Any]) -> None:
        self._variables = [values_of(variable)[0] for variable in variables]
        self._norms: Any = None

    def values(self, held: Mapping[int, Any] | None = None) -> list[Any]:
        """Return the weights as they are, or as they were ``held``, by identity of the variable.

        They are not copied: what the next step writes, it then writes elsewhere.
        """
        known = held or {}
        return [known[id(v)] if id(v) in known else v.read_value() for v in self._variables]

    def norms(self, before: Sequence[Any]) -> Any:
        """Return weight norms before the step and norms of what it added, shape ``(variables, 2)``, float32."""
        if self._norms is None:
            specs = [tf.TensorSpec(variable.shape, variable.dtype) for variable in self._variables]
            # Traced once, here: TensorFlow warns of a `tf.function` that several trainings in one process trace.
            self._norms = tf.function(_weight_and_update_norms, autograph=False).get_concrete_function(specs, specs)
        return self._norms(self.values(), list(before)).numpy()


_NORM, _CHANGE = shared(scaled_norm), shared(difference_norm)


def _weight_and_update_norms(after: list[Any], before: list[Any]) -> Any:
    # As vectors of any size, so that each is traced once.
    new, old = ([of_any_size(tf.reshape(x, [-1])) for x in values] for values in (after, before))
    rows = [[_NORM(x), _CHANGE(y, x)] for y, x in zip(new, old, strict=True)]
    return tf.stack([tf.stack(row) for row in rows]) if rows else tf.zeros((0, 2))
