"""The border to Keras: every private name of it that GradScope needs stands here, in a function that says what for.

Keras ships no types, so that from here on what comes from it is Any. A test asks for each name: a release that moves
one fails that test with a sentence. A training that meets it is not recorded, and is told by which version.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import keras as _keras

from gradscope import reasons
from gradscope.errors import MovedNameError

keras: Any = _keras

UPDATE_STEP = "_backend_update_step"
"""The method with which an optimizer changes weights at a learning rate."""


def _held(owner: Any, name: str) -> Any:
    try:
        return getattr(owner, name)
    except AttributeError as error:
        raise _moved(f"{type(owner).__name__}.{name}") from error


@functools.cache
def _inside(path: str) -> Any:
    """Return what Keras keeps to itself at ``path``."""
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise _moved(path) from error


def _moved(name: str) -> MovedNameError:
    return MovedNameError(reasons.moved("Keras", keras.__version__, name))


# --- layers and models ---


def snake_case(name: str) -> str:
    """Return a class's name as Keras makes a layer's name of it.

    Example:
        >>> snake_case("LeakyReLU"), snake_case("Conv2D")
        ('leaky_re_lu', 'conv2d')
    """
    return _inside("keras.src.utils.naming.to_snake_case")(name)


def is_activation_class(cls: type) -> bool:
    """Return whether a class is one of Keras' layers that are nothing but an activation function."""
    return cls.__module__.startswith("keras.src.layers.activations")


def layers_within(layer: Any) -> Sequence[Any]:
    """Return the layers that a layer holds itself."""
    return getattr(layer, "_layers", ())


def all_layers(model: Any) -> Sequence[Any]:
    """Return the layers within a model, at any depth."""
    return _held(model, "_flatten_layers")(include_self=False)


def weights_held(layer: Any) -> list[Any]:
    """Return the variables that a layer holds itself, the trainable ones first."""
    return [*getattr(layer, "_trainable_variables", ()), *getattr(layer, "_non_trainable_variables", ())]


def is_recomputed(layer: Any) -> bool:
    """Return whether a layer is computed a second time for its gradient."""
    return getattr(layer, "_remat_mode", None) is not None


def build_ahead(model: Any, batch: Any) -> None:
    """Give layers, metrics and optimizer their variables, as `fit` does at its first step."""
    _held(model, "_symbolic_build")(data_batch=batch)


def value_of(variable: Any) -> Any:
    """Return the backend's own variable behind a Keras variable; of any other, itself."""
    return getattr(variable, "_value", variable)


# --- functional graphs ---


def functional_graph(model: Any) -> Any:
    """Return the functional graph of a model; None where it has none."""
    graph = getattr(model, "_functional", None) or model
    return graph if hasattr(graph, "_nodes_by_depth") else None


def nodes_of(graph: Any) -> list[Any]:
    """Return the calls that a functional graph is made of."""
    return [node for nodes in graph._nodes_by_depth.values() for node in nodes]


def inputs_by_name(graph: Any) -> Mapping[str, Any]:
    """Return the inputs of a functional graph that was made from a dict; else nothing."""
    structure = getattr(graph, "_inputs_struct", None)
    return cast("dict[str, Any]", structure) if isinstance(structure, dict) else {}


def made_by(tensor: Any) -> Any:
    """Return the operation that a tensor of a functional graph comes from."""
    return _held(tensor, "_keras_history").operation


def mask_of(tensor: Any) -> Any:
    """Return the mask that Keras has put on a tensor; None where there is none."""
    return getattr(tensor, "_keras_mask", None)


def put_mask(tensor: Any, mask: Any) -> None:
    """Put a mask on a tensor, where there is one."""
    if mask is not None:
        tensor._keras_mask = mask


# --- losses and optimizers ---


def compiled_losses(model: Any) -> Iterator[tuple[Sequence[Any], Any]]:
    """Yield each loss of a compiled model, and the path to the output that it is for."""
    for path, loss, *_ in _held(_held(model, "_compile_loss"), "_flat_losses") or ():
        yield path, loss


def loss_arguments(loss: Any) -> Mapping[str, Any]:
    """Return what a loss passes on to its function, such as ``from_logits``."""
    return getattr(loss, "_fn_kwargs", {})


def trained_variables(optimizer: Any) -> Sequence[Any]:
    """Return the variables that an optimizer was built for."""
    return getattr(optimizer, "_trainable_variables", ())


def given_rate(optimizer: Any) -> Any:
    """Return the learning rate as an optimizer holds it: a variable or a schedule; None where it has none."""
    return getattr(optimizer, "_learning_rate", None)


def batch_counter(optimizer: Any) -> Any:
    """Return what counts the batches that an optimizer was given: the public one leaves accumulated ones out.

    Raises:
        MovedNameError: If it has none, as an object of the user's own.
    """
    return _held(optimizer, "_iterations")


# --- trainings ---


def data_adapter(x: Any, y: Any, sample_weight: Any, batch_size: int) -> Any:
    """Return what makes batches of data, as `fit` does.

    Raises:
        ValueError: If they cannot be trained on.
    """
    return _inside("keras.src.trainers.data_adapters.get_data_adapter")(x, y, sample_weight, batch_size=batch_size)


def backend_functions(module: str) -> Any:
    """Return the module of the backend in which public functions are looked up when they are called."""
    return _inside(f"keras.src.backend.{module}")


def activation_class(name: str) -> Any:
    """Return the class with whose ``static_call`` Keras computes an activation function in another way."""
    return _inside(f"keras.src.activations.activations.{name}")


def step_functions(train_function: Any) -> tuple[Any, Any] | None:
    """Return the functions of one step and of an iterator's next inside a train function that Keras made; else None."""
    try:
        outer = _closed_over(train_function)
        one = _closed_over(outer["one_step_on_data"])["step_func"]
        return one, outer["multi_step_on_iterator"]
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _closed_over(function: Any) -> dict[str, Any]:
    cells = [cell.cell_contents for cell in function.__closure__]
    return dict(zip(function.__code__.co_freevars, cells, strict=True))
