"""What is measured of a step that was noted, and which of its tensors that takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gradscope.instrument.keras_border import given_rate
from gradscope.instrument.measured_sites import MeasuredSite, Part, measured_sites
from gradscope.instrument.measured_variables import MeasuredVariable, measured_variables
from gradscope.instrument.network_of import LayerFilter, describe
from gradscope.instrument.not_measured import miss_the_rest
from gradscope.instrument.notes import NotedTrace
from gradscope.instrument.optimizers import inner
from gradscope.instrument.selection import Selection, Slot, Wanted
from gradscope.instrument.tensors import Tensors
from gradscope.network import Network, NotMeasured
from gradscope.statistics.backend import ops


@dataclass(frozen=True, slots=True)
class MeasuredLoss:
    """The loss of one replica, its labels and its weights, by their numbers among the wanted tensors."""

    value: int
    labels: int | None
    weights: int | None


@dataclass(frozen=True, slots=True)
class MeasuredStep:
    """What is measured of a step.

    Attributes:
        network: The model, with what is measured of it and what is not.
        tensors: The step's tensors whose values are wanted.
        sites: In the order of ``network.sites``.
        variables: In the order of ``network.variables``.
        optimizers: That were given gradients, each once.
        losses: Of each replica.
        rate: Where the learning rate stands: among the wanted tensors, in a variable, a schedule or a number.
        batch: The numbers of the batch's tensors, and its structure; None where they are not known.
    """

    network: Network
    tensors: Sequence[Any]
    sites: Sequence[MeasuredSite]
    variables: Sequence[MeasuredVariable]
    optimizers: Sequence[Any]
    losses: Sequence[MeasuredLoss]
    rate: Any
    batch: tuple[Sequence[int], Any] | None

    @property
    def parts(self) -> list[tuple[MeasuredSite, int, Part]]:
        """Every application with its site and its replica, those that can be summed side by side first."""
        found = [(site, replica, part) for site in self.sites for replica, part in enumerate(site.parts)]
        return sorted(found, key=lambda each: not each[0].is_plain)


def measured_step(
    model: Any,
    traces: Sequence[NotedTrace],
    batch: tuple[Sequence[Any], Any] | None,
    layers: LayerFilter | None,
    tensors: Tensors,
    not_measured: Sequence[NotMeasured] = (),
) -> MeasuredStep:
    """Decide what is measured of a step.

    Args:
        model: The model that trains.
        traces: What was noted, in the order of execution.
        batch: The tensors of the step's batch, where they are known, and their structure.
        layers: Which layers are recorded; None for all.
        tensors: Of the backend.
        not_measured: What is known not to be measured before.
    """
    selection, wanted = Selection(model, layers), Wanted()
    sites = measured_sites(traces, selection, wanted, tensors)
    variables = measured_variables(traces, selection, wanted, tensors)
    optimizers = list({id(each.optimizer): each.optimizer for each in variables if each.optimizer}.values())
    losses = _losses(traces, wanted, tensors)
    rate = _rate(model, traces, variables, optimizers, wanted, tensors)
    numbers = None if batch is None else ([wanted.add(leaf) for leaf in batch[0]], batch[1])
    miss_the_rest(traces, selection, sites, variables)
    network = describe(
        model,
        selection.places,
        sites=[each.site for each in sites],
        variables=[each.variable for each in variables],
        not_measured=[*not_measured, *selection.not_measured],
    )
    return MeasuredStep(network, wanted.tensors, sites, variables, optimizers, losses, rate, numbers)


def _losses(traces: Sequence[NotedTrace], wanted: Wanted, tensors: Tensors) -> list[MeasuredLoss]:
    """Return each replica's first loss."""
    found: dict[int, MeasuredLoss] = {}
    for loss in [loss for trace in traces for loss in trace.notes.losses]:
        if loss.replica not in found and ops.is_tensor(loss.value):
            labels, weights = (
                wanted.add(tensor) if tensors.is_dense(tensor) else None for tensor in (loss.labels, loss.weights)
            )
            found[loss.replica] = MeasuredLoss(wanted.add(loss.value), labels, weights)
    return [found[replica] for replica in sorted(found)]


def _rate(
    model: Any,
    traces: Sequence[NotedTrace],
    variables: Sequence[MeasuredVariable],
    optimizers: Sequence[Any],
    wanted: Wanted,
    tensors: Tensors,
) -> Any:
    """Return where the learning rate stands: that of the model's own optimizer, if it was given gradients."""
    rates = {name: rate for trace in traces for name, rate in trace.notes.rates.items()}
    own, known = inner(model.optimizer), [inner(optimizer) for optimizer in optimizers]
    for each in variables:
        if each.optimizer is None or (own in known and inner(each.optimizer) is not own):
            continue
        rate = rates.get(id(each.value))
        if tensors.is_dense(rate):
            return Slot(wanted.add(rate))
        return given_rate(inner(each.optimizer))
    return None
