"""reproduce: one step of a model run once more, to learn by which operation it stops being finite."""

from __future__ import annotations

from typing import Any  # a Keras model, and a batch as the user nests it

from gradscope.errors import ArgumentError, ModelError
from gradscope.inspection import rehearsal
from gradscope.instrument.backend import UnobservableError, present_backend
from gradscope.instrument.keras_border import keras
from gradscope.records import NonFiniteOrigin
from gradscope.store.bad_batch import BadBatch


def reproduce(model: Any, batch: Any) -> NonFiniteOrigin | None:
    """Return the operation by which a training step of a batch stops being finite; None where all of it is finite.

    The step runs with its gradients on copies: no weight, optimizer, metric or random number of the model changes.

    Args:
        model: A compiled Keras model, built as it was when it trained.
        batch: What `Run.bad_batch` returns, run under the weights that were kept with it; or a batch as `fit` gives
            it to a step, such as ``(x, y)``, run under the model's own.

    Raises:
        ArgumentError: If the weights that were kept are not those of such a model.
        ModelError: If the model is not compiled, or its step cannot run on this batch.

    Example:
        >>> import numpy as np
        >>> layers = [keras.Input((2,)), keras.layers.Dense(2), keras.layers.Lambda(keras.ops.sqrt, name="root")]
        >>> model = keras.Sequential(layers)
        >>> model.compile("adam", "mse")
        >>> found = reproduce(model, (np.zeros((4, 2), "float32"), np.ones((4, 2), "float32")))
        >>> found.operation, found.layer, found.in_gradient
        ('Sqrt', 'root', True)
        >>> print(found)
        the gradient of Sqrt in root, whose input is 0,
    """
    rehearsal.check_model(model)
    data = batch.data if isinstance(batch, BadBatch) else batch
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    size = len(keras.tree.flatten(x)[0])
    batches = present_backend().batches_of_arrays(x, y, sample_weight, size=size, count=1)
    rehearsal.build(model, batches.elements[0])
    with rehearsal.unnoticed():
        try:
            look = present_backend().look_at(model, batches.spec)
        except UnobservableError as error:
            raise ModelError(f"The model cannot be looked at: {error}.") from error
        weights = [*batch.weights.values()] if isinstance(batch, BadBatch) else []
        if weights and [value.shape for value in weights] != [tuple(variable.shape) for variable in look.trained]:
            raise ArgumentError(
                f"batch holds {len(weights)} weights, which are not those of model {model.name!r}. "
                "Pass a model that is built as the one that was trained."
            )
        return look.origin(batches.elements[0], weights)
