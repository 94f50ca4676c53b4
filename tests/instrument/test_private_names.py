"""The private names of TensorFlow and Keras that recording needs: a release that moves one fails here."""

from __future__ import annotations

import keras
import pytest
import tensorflow as tf

from gradscope.instrument.tensorflow.framework import PRIVATE_NAMES, step_functions


@pytest.mark.parametrize(
    ("owner", "name"), [(owner, name) for owner, (_, names) in PRIVATE_NAMES.items() for name in names]
)
def test_a_private_name_is_where_it_was(owner: str, name: str) -> None:
    versions = f"TensorFlow {tf.__version__} or Keras {keras.__version__}"
    assert hasattr(PRIVATE_NAMES[owner][0], name), f"{versions} has moved {name!r} of {owner}, which recording needs"


def test_the_functions_of_one_step_are_found_inside_a_train_function_of_keras() -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.make_train_function()
    found = step_functions(model.train_function)
    assert found is not None
    assert all(hasattr(function, "get_concrete_function") for function in found)
