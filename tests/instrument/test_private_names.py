"""The private names of TensorFlow and Keras that are needed: a release that moves one fails here, with a sentence."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import gradscope
from gradscope.errors import MovedNameError
from gradscope.instrument import keras_border
from gradscope.instrument.keras_border import step_functions
from gradscope.instrument.tensorflow.framework import PRIVATE_NAMES

PACKAGE = Path(gradscope.__file__).parent
VERSIONS = f"TensorFlow {tf.__version__} or Keras {keras.__version__}"


def model() -> Any:
    inputs = {"x": keras.Input((2,), name="x")}
    made = keras.Model(inputs, keras.layers.Dense(1)(inputs["x"]))
    made.compile("sgd", "mse")
    made.train_on_batch({"x": np.ones((1, 2))}, np.ones((1, 1)))
    return made


# What each private name of Keras is found at.
KERAS_NAMES: dict[str, Callable[[], Any]] = {
    "_backend_update_step": lambda: keras.optimizers.SGD(),
    "_compile_loss": model,
    "_flat_losses": lambda: model()._compile_loss,
    "_flatten_layers": model,
    "_fn_kwargs": lambda: keras.losses.BinaryCrossentropy(),
    "_functional": lambda: keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]),
    "_inputs_struct": model,
    "_iterations": lambda: keras.optimizers.SGD(),
    "_keras_history": lambda: keras.Input((2,)),
    "_keras_mask": lambda: keras.layers.Masking()(np.ones((1, 2, 2), "float32")),
    "_layers": model,
    "_learning_rate": lambda: keras.optimizers.SGD(),
    "_nodes_by_depth": model,
    "_non_trainable_variables": lambda: keras.layers.Dense(1),
    "_remat_mode": lambda: keras.layers.Dense(1),
    "_symbolic_build": model,
    "_trainable_variables": lambda: keras.layers.Dense(1),
    "_value": lambda: keras.Variable(1.0),
}
KERAS_PATHS = (
    "keras.src.utils.naming.to_snake_case",
    "keras.src.trainers.data_adapters.get_data_adapter",
    "keras.src.backend.nn",
    "keras.src.backend.numpy",
    "keras.src.activations.activations.ReLU",
    "keras.src.activations.activations.Mish",
)


@pytest.mark.parametrize("name", KERAS_NAMES)
def test_a_private_name_of_keras_is_where_it_was(name: str) -> None:
    assert hasattr(KERAS_NAMES[name](), name), f"{VERSIONS} has moved {name!r}, which recording needs"


@pytest.mark.parametrize("path", KERAS_PATHS)
def test_what_keras_keeps_to_itself_is_where_it_was(path: str) -> None:
    assert vars(keras_border)["_inside"](path) is not None


def test_the_border_names_nothing_else() -> None:
    tree = ast.parse(Path(keras_border.__file__).read_text("utf-8"))
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    words = {str(node.value) for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert {name for name in attributes | words if re.fullmatch("_[a-z]+(_[a-z]+)*", name)} == KERAS_NAMES.keys()


def test_private_names_of_keras_stand_at_the_border_only() -> None:
    names = "|".join(KERAS_NAMES)
    meant = re.compile(rf"keras\.src\.|from keras\.src|(?<!self)(?<!cls)\.({names})\b|[\"']({names})[\"']")
    found = {
        str(path.relative_to(PACKAGE)): match[0]
        for path in PACKAGE.rglob("*.py")
        if path != Path(keras_border.__file__) and (match := meant.search(path.read_text("utf-8"))) is not None
    }
    assert found == {}


def test_a_name_that_keras_has_moved_ends_the_recording_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(keras.Layer, "_flatten_layers")
    with pytest.raises(MovedNameError, match=rf"Keras {re.escape(keras.__version__)} has moved Sequential\._flatten_"):
        keras_border.all_layers(keras.Sequential())


@pytest.mark.parametrize(
    ("owner", "name"), [(owner, name) for owner, (_, names) in PRIVATE_NAMES.items() for name in names]
)
def test_a_private_name_of_tensorflow_is_where_it_was(owner: str, name: str) -> None:
    assert hasattr(PRIVATE_NAMES[owner][0], name), f"{VERSIONS} has moved {name!r} of {owner}, which recording needs"


def test_the_functions_of_one_step_are_found_inside_a_train_function_of_keras() -> None:
    sequential = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    sequential.compile("sgd", "mse")
    sequential.make_train_function()
    found = step_functions(sequential.train_function)
    assert found is not None
    assert all(hasattr(function, "get_concrete_function") for function in found)
