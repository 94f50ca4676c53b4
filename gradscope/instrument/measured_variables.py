"""Which variables of a step are measured, and from which of the step's gradients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gradscope.instrument.keras_border import value_of
from gradscope.instrument.network_of import Place, own_variables, role, unit_axes
from gradscope.instrument.notes import GivenGradient, NotedTrace
from gradscope.instrument.optimizers import part_for
from gradscope.instrument.selection import Selection, Slot, SparseSlot, Wanted
from gradscope.instrument.tensors import Tensors
from gradscope.network import Variable


@dataclass(eq=False, slots=True)
class MeasuredVariable:
    """A variable and what is measured of it.

    Attributes:
        variable: The variable, as it is described.
        value: Keras' own.
        axes: The axes that tell its units; None where it has none.
        gradients: Of each replica from which the loss depends on it.
        optimizer: What updates it; None where only a tape is known.
    """

    variable: Variable
    value: Any
    axes: tuple[int, ...] | None
    gradients: list[Slot | SparseSlot]
    optimizer: Any


def measured_variables(
    traces: Sequence[NotedTrace], selection: Selection, wanted: Wanted, tensors: Tensors
) -> list[MeasuredVariable]:
    """Return the variables that are measured, in the order of optimizers, then of tapes; their gradients are wanted."""
    owner: dict[int, tuple[Place, Any]] = {}
    for place in [*selection.places, Place(selection.model, "")]:
        for variable in own_variables(place.layer):
            for identity in (variable, value_of(variable), *tensors.held(variable)):
                owner.setdefault(id(identity), (place, variable))
    found: list[MeasuredVariable] = []
    for variable, by_replica in _latest(traces, owner):
        first = by_replica[min(by_replica)]
        place, _ = owner.get(id(first.variable), (None, None))
        key = "" if place is None else place.inside_loop or place.key
        if not selection.wants(key) or not hasattr(variable, "shape") or not hasattr(variable, "assign"):
            continue
        layer = None if place is None else place.layer
        kind = role(variable, layer)
        gradients = [by_replica[replica].gradient for replica in sorted(by_replica)]
        found.append(
            MeasuredVariable(
                Variable(_path(variable), key, tuple(int(size) for size in variable.shape), kind),
                variable,
                unit_axes(variable, layer) if kind == "kernel" else None,
                [wanted.add_gradient(gradient, tensors) for gradient in gradients if gradient is not None],
                None if first.optimizer is None else part_for(first.optimizer, variable),
            )
        )
    return _distinct(found)


def _latest(
    traces: Sequence[NotedTrace], owner: Mapping[int, tuple[Place, Any]]
) -> Iterator[tuple[Any, dict[int, GivenGradient]]]:
    """Yield each variable with its gradient by replica: what an optimizer was given, else what a tape said."""
    given = [gradient for trace in traces for gradient in trace.notes.given]
    taped = [gradient for trace in traces for gradient in trace.notes.tape_gradients]
    latest: dict[int, dict[int, GivenGradient]] = {}
    variables: dict[int, Any] = {}
    for each in (*given, *taped):
        _, variable = owner.get(id(each.variable), (None, each.variable))
        variables.setdefault(id(variable), variable)
    for each in (*taped, *given):
        _, variable = owner.get(id(each.variable), (None, each.variable))
        latest.setdefault(id(variable), {})[each.replica] = each
    for identity, variable in variables.items():
        yield variable, latest[identity]


def _distinct(found: list[MeasuredVariable]) -> list[MeasuredVariable]:
    """Give variables of one path, such as those of two towers with equal names, the path of their layer's key."""
    paths = [each.variable.path for each in found]
    for each in found:
        described = each.variable
        if paths.count(described.path) > 1 and described.layer:
            path = f"{described.layer}/{described.path.rsplit('/', 1)[-1]}"
            each.variable = Variable(path, described.layer, described.shape, described.role)
    return found


def _path(variable: Any) -> str:
    """Return a Keras variable's path, or the name of a TensorFlow variable that a custom step trains."""
    return str(getattr(variable, "path", None) or variable.name)
