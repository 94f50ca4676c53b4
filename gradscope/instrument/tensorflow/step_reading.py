"""What of a measured step its operations tell, beside its tensors: the network as they know it, and where to look."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from gradscope.instrument.measured_step import MeasuredStep
from gradscope.instrument.measured_variables import MeasuredVariable
from gradscope.instrument.network_of import own_variables, places
from gradscope.instrument.notes import NotedTrace
from gradscope.instrument.optimizers import optimizers
from gradscope.instrument.selection import Slot
from gradscope.instrument.tensorflow.framework import tf
from gradscope.instrument.tensorflow.step_graph import StepGraph
from gradscope.network import Network


class StepReading:
    """The operations of a measured step.

    Args:
        function: The traced function that is the step.
        model: The model that trains.
        step: What is measured of it.
        traces: What was noted of it.

    Attributes:
        graph: Its operations.
        losses: The tensors that it trains by.
        gradients: The tensors of all gradients, in the order of the variables.
        labels: Those of the batch's tensors that are labels, where a batch is a pair or a triple.
    """

    def __init__(self, function: Any, model: Any, step: MeasuredStep, traces: Sequence[NotedTrace]) -> None:
        self._model, self._step = model, step
        targets = [target for trace in traces for target in trace.notes.targets]
        self.losses = [step.tensors[loss.value] for loss in step.losses] or targets
        slots = [slot for each in step.variables for slot in each.gradients]
        self.gradients = [step.tensors[slot.number if isinstance(slot, Slot) else slot.rows] for slot in slots]
        self.labels = _labels(step)
        self.graph = StepGraph(function, model, places(model), self.losses)

    def network(self, *, is_whole: bool) -> Network:
        """Return the network with what the operations tell of it.

        Args:
            is_whole: Whether all layers are recorded.
        """
        network, graph = self._step.network, self.graph
        if not graph.forward:
            return network
        known = [
            *(variable for place in places(self._model) for variable in own_variables(place.layer)),
            *own_variables(self._model),
            *self._model.variables,
            *(variable for optimizer in optimizers(self._model) for variable in optimizer.variables),
            *(each.value for each in self._step.variables),
        ]
        return dataclasses.replace(
            network,
            variables=tuple(self._described(each) for each in self._step.variables),
            untracked=tuple(graph.untracked(known)) if is_whole else (),
            broadcasts=tuple(graph.broadcasts()),
        )

    def _described(self, each: MeasuredVariable) -> Any:
        if each.gradients:
            return dataclasses.replace(each.variable, flattened_by=self.graph.flattened_by(each.value))
        return dataclasses.replace(each.variable, cut_by=self.graph.cut_by(each.value))


def _labels(step: MeasuredStep) -> list[Any]:
    if step.batch is None:
        return []
    numbers, structure = step.batch
    data: Any = structure[0][0] if structure[0] else None
    if type(data) is not tuple or len(data) < 2:  # pyright: ignore[reportUnknownArgumentType]
        return []
    first = len(tf.nest.flatten(data[0], expand_composites=True))
    return [step.tensors[number] for number in numbers[first:]]
