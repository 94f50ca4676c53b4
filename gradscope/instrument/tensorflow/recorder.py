"""Recording a step of a running training: swap one step's function, replay its batch, give the batch back.

`fit` looks ``model.train_function`` up anew for every step. A step that is not recorded therefore runs the training's
own compiled function, untouched; at a recorded one ours stands in its place for that one call.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradscope.instrument.observation import Observation
from gradscope.instrument.tensorflow.building import build_ahead, unbuilt_parts
from gradscope.instrument.tensorflow.feed import Feed, can_feed
from gradscope.instrument.tensorflow.framework import tf
from gradscope.instrument.tensorflow.replay import CannotReplayError, Replay
from gradscope.instrument.tensorflow.variables import Updates
from gradscope.network import Network
from gradscope.sites import LayerFilter


@dataclass(frozen=True, slots=True)
class Recorded:
    """What one recorded step gave.

    Attributes:
        observation: The replayed batch.
        network: What the numbers are of.
        weight_norms: Norms of the trained variables before the step.
        update_norms: Norms of what the step added to them; NaN where several steps ran in one call.
        batch: The batch itself.
    """

    observation: Observation
    network: Network
    weight_norms: NDArray[np.float32]
    update_norms: NDArray[np.float32]
    batch: Any


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of one swapped step.

    Attributes:
        step_seconds: The training's own step.
        extra_seconds: Everything else.
        is_setup: Whether something was built and traced meanwhile.
    """

    step_seconds: float
    extra_seconds: float
    is_setup: bool


class Recorder:
    """Records steps of one model's training.

    Args:
        model: A compiled Keras model.
        layers: Which layers are recorded; None for all.
        on_failure: Called with whatever went wrong while recording; the training goes on.
    """

    def __init__(self, model: Any, layers: LayerFilter | None, on_failure: Callable[[Exception], None]) -> None:
        self._model = model
        self._layers = layers
        self._on_failure = on_failure
        self._feed = Feed()
        self._replay: Replay | None = None
        self._updates: Updates | None = None
        self._built_for: tuple[Any, Any] = (None, None)
        self._own: Any = None
        self._seen: Any = None
        self._number = 0
        self._armed = False
        self._observes = False
        self._histograms = False
        self.recorded: Recorded | None = None
        self.batch: Any = None
        self.timing: Timing | None = None

    def arm(self, *, observe: bool, histograms: bool = False) -> None:
        """Take the batch of the step that is about to begin, and record it if ``observe``.

        Afterwards `batch` holds it, `recorded` its numbers and `timing` what that took; each is None where the batch
        could not be taken.
        """
        self.recorded = self.batch = self.timing = None
        self._observes, self._histograms = observe, histograms
        own = self._model.train_function  # read now: another callback may have made it anew
        if own != self._step:
            self._own = own
        self._model.train_function = self._step
        self._armed = True

    def disarm(self) -> None:
        """Leave the model as it was found, whatever has happened since `arm`."""
        self._armed = False
        if self._model.train_function == self._step:
            self._model.train_function = self._own
        self._feed.release()

    def close(self) -> None:
        """Leave the model as it was found, and let go of what the training was fed with."""
        self.disarm()
        self._feed.close()

    def note_plain_step(self) -> None:
        """Remember that the training's own function has run on its own iterator, and so is traced as it would be."""
        if self._armed:  # and no step came, as in a training loop of the user's own
            self.disarm()
        self._seen = self._model.train_function

    def again(self, batch: Any) -> Observation:
        """Return the numbers of a batch under the present weights.

        Raises:
            CannotReplayError: If no step was recorded yet.
        """
        if self._replay is None:
            raise CannotReplayError("no step was recorded before")
        self._number += 1
        return self._replay(batch, self._number, histograms=False)

    def _step(self, iterator: Any) -> Any:
        own = self._own
        self._model.train_function = own  # first of all, so that nothing stays swapped, whatever is raised
        self._armed = False
        started = time.perf_counter()
        if not hasattr(iterator, "element_spec"):
            return own(iterator)  # `train_on_batch`, after another callback has raised before the step armed for
        executions = int(self._model.steps_per_execution)
        generated = can_feed(iterator, executions)
        if not generated and own is not self._seen:
            return own(iterator)  # given a list as its very first input, it would be traced for other shapes
        batches = _taken(iterator, executions)
        if not batches:
            return own(iterator)  # at the end of the data the training's own step still draws its random numbers
        if own is not self._seen:
            self._observes = self._observes and _is_built(self._model, batches[0])
        traced = self._traced()
        observed = self._observe(batches[0], iterator.element_spec, own) if self._observes else None
        feed = self._feed.same_batch(batches[0], iterator.element_spec) if generated else iter(batches)
        is_setup = self._traced() != traced
        step_started = time.perf_counter()
        logs = own(feed)
        step_seconds = time.perf_counter() - step_started
        self._seen = own
        self._feed.release()
        self.batch = batches[0]
        if observed is not None:
            self.recorded = self._with_updates(*observed, batches[0], executions)
        self.timing = Timing(step_seconds, time.perf_counter() - started - step_seconds, is_setup)
        return logs

    def _traced(self) -> tuple[Replay | None, int]:
        """Return what changes whenever something is traced."""
        return self._replay, 0 if self._replay is None else self._replay.trace_count

    def _observe(self, batch: Any, spec: Any, own: Any) -> tuple[Observation, Any] | None:
        """Return the numbers of the batch and a copy of the weights; None where that failed."""
        try:
            if self._replay is None or self._built_for != (own, spec):
                self._replay = Replay(self._model, spec, self._layers)
                self._updates = Updates(self._replay.trained)
                self._built_for = own, spec
            assert self._updates is not None
            self._number += 1
            return self._replay(batch, self._number, histograms=self._histograms), self._updates.before()
        except Exception as error:
            self._on_failure(error)
            return None

    def _with_updates(self, observation: Observation, before: Any, batch: Any, executions: int) -> Recorded | None:
        assert self._replay is not None
        assert self._updates is not None
        try:
            norms = self._updates.norms(before)
        except Exception as error:
            self._on_failure(error)
            return None
        updates = norms[:, 1] if executions == 1 else np.full_like(norms[:, 1], np.nan)
        return Recorded(observation, self._replay.network, norms[:, 0], updates, batch)


def _taken(iterator: Any, executions: int) -> list[Any]:
    """Return the batches of one execution: fewer, or none, at the end of the data."""
    return list(itertools.islice(iterator, executions))


def _is_built(model: Any, batch: Any) -> bool:
    """Return whether all layers and optimizers have their variables, building them before the first step as Keras can.

    What Keras cannot build ahead is left to the training's own first step.
    """
    with contextlib.suppress(Exception):
        build_ahead(model, _without_optionals(batch))
    return not unbuilt_parts(model)


def _without_optionals(batch: Any) -> Any:
    def absent_to_none(leaf: Any) -> Any:
        return None if isinstance(leaf, tf.experimental.Optional) else leaf

    return tf.nest.map_structure(absent_to_none, batch)
