"""Measuring a step: its tensors are wanted, and their values become an observation.

A measurement is made once for a step that was noted. What it computes, it computes in a function of its own: the step
itself computes nothing for it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradscope.instrument.decoding import observation_of
from gradscope.instrument.measured_step import MeasuredStep
from gradscope.instrument.observation import Observation
from gradscope.instrument.optimizers import known_rate, loss_scale
from gradscope.instrument.selection import Slot
from gradscope.instrument.step_sums import StepSums, dense, is_finite
from gradscope.instrument.tensors import Arrays, Tensors
from gradscope.network import Network, NotMeasured


@dataclass(frozen=True, slots=True)
class Settings:
    """What is known of a step before it runs: factors on the losses, PReLU's slopes, the learning rate."""

    scales: list[float]
    alphas: list[Any]
    learning_rate: float


class Measurement:
    """What is measured of a noted step.

    Args:
        step: What that is.
        tensors: Of the backend.

    Attributes:
        network: The model, with what is measured of it.
        trace_count: How often something was traced.
    """

    def __init__(self, step: MeasuredStep, tensors: Tensors) -> None:
        self._step, self._tensors = step, tensors
        self.network: Network = step.network
        self.trace_count = 0
        self._functions: dict[bool, Callable[..., Arrays]] = {}
        self._finite = True

    @property
    def tensors(self) -> Sequence[Any]:
        """The step's tensors whose values are wanted."""
        return self._step.tensors

    @property
    def trained(self) -> list[Any]:
        """The variables of the `gradients` table, in its order."""
        return [each.value for each in self._step.variables]

    @property
    def is_applied(self) -> bool:
        """Whether an optimizer is given gradients."""
        return bool(self._step.optimizers)

    @property
    def kind(self) -> Hashable:
        """What two measurements have in common that measure the same of two eager steps."""
        kinds = tuple(map(self._tensors.kind, self.tensors))
        return kinds, self.network.sites, self.network.variables

    def adopt(self, other: Measurement) -> None:
        """Take over what another one of the same kind has traced."""
        self.network, self._functions, self._finite = other.network, other._functions, other._finite
        self.trace_count = other.trace_count

    def miss(self, key: str, reason: str) -> None:
        """Say of one thing more that it is not measured."""
        missed = NotMeasured(key, reason)
        if missed not in self.network.not_measured:
            self.network = dataclasses.replace(self.network, not_measured=(*self.network.not_measured, missed))

    def settings(self) -> Settings:
        """Return what is to be known of the step before it runs: it changes with it."""
        step = self._step
        scales = [loss_scale(optimizer) for optimizer in step.optimizers]
        alphas = [self._tensors.value(each.alpha) for each in step.sites if each.alpha is not None]
        rate = math.nan if isinstance(step.rate, Slot) else known_rate(step.rate, step.optimizers)
        return Settings(scales or [1.0], alphas, rate)

    def observation(self, values: Sequence[Any], settings: Settings, number: int, *, histograms: bool) -> Observation:
        """Return the numbers of a step.

        Args:
            values: Of `tensors`.
            settings: From before the step.
            number: Of the record; moves the sample of large tensors along.
            histograms: Whether activations for histograms are wanted.
        """
        arrays = self._run(values, settings, number, histograms)
        if self._finite and not is_finite(arrays):
            self._finite = False
            arrays = self._run(values, settings, number, histograms)
        return observation_of(
            self._step,
            arrays,
            loss_scale=settings.scales[0],
            learning_rate=settings.learning_rate,
            histograms=histograms,
        )

    def has_lost(self, observation: Observation) -> bool:
        """Whether the loss of a step is not finite; NaN is also what stands where it has shown none."""
        return bool(self._step.losses) and not math.isfinite(observation.loss)

    def labels(self, values: Sequence[Any]) -> tuple[Any, Any] | None:
        """Return labels and weights from which the step's loss was computed; None where it is not one loss of one."""
        if len(self._step.losses) != 1:
            return None
        (loss,) = self._step.losses
        if loss.labels is None:
            return None
        return values[loss.labels], None if loss.weights is None else values[loss.weights]

    def gradients(self, values: Sequence[Any]) -> dict[int, NDArray[np.float32]]:
        """Return the gradients by identity of their variable, of one replica; without those that have none."""
        found: dict[int, NDArray[np.float32]] = {}
        for each in self._step.variables:
            if each.gradients:
                scale = 1.0 if each.optimizer is None else loss_scale(each.optimizer)
                gradient = dense(each.gradients[0], values, each.variable.shape, self._tensors)
                found[id(each.value)] = np.asarray(gradient, np.float32) / np.float32(scale)
        return found

    def batch_of(self, values: Sequence[Any]) -> list[Any] | None:
        """Return the tensors of the step's batch; None where they are not known."""
        return None if self._step.batch is None else [values[number] for number in self._step.batch[0]]

    def _run(self, values: Sequence[Any], settings: Settings, number: int, histograms: bool) -> Arrays:
        examples = settings.scales, settings.alphas, number, histograms
        if self._finite not in self._functions:
            self.trace_count += 1
            sums = StepSums(self._step, self._tensors, finite=self._finite)
            self._functions[self._finite] = self._tensors.compiled(sums, self.tensors, values, *examples)
        return self._functions[self._finite](values, *examples)
