"""Recording steps of a running training: at the very call of the function that is the step.

The training calls its own function on its own data. Where a step is to be recorded, that call is answered by the same
function with further outputs, or the step is observed and then called as it would have been: see `plan`. What was not
traced while a training was recorded is traced once more, under observation, to learn which tensors are which.

Eager steps run as they are, with observers on.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradscope import reasons
from gradscope.errors import ModelError
from gradscope.instrument.backend import Recorded, Timing, UnobservableError
from gradscope.instrument.keras_border import step_functions
from gradscope.instrument.measured_step import measured_step
from gradscope.instrument.measurement import Measurement, Settings
from gradscope.instrument.network_of import LayerFilter, places
from gradscope.instrument.notes import NotedTrace, Notes
from gradscope.instrument.observation import Observation
from gradscope.instrument.optimizers import optimizers
from gradscope.instrument.python_state import unchanged
from gradscope.instrument.tensorflow import watching
from gradscope.instrument.tensorflow.copies import perturbed
from gradscope.instrument.tensorflow.definitions import original_names
from gradscope.instrument.tensorflow.feed import Feed, can_feed
from gradscope.instrument.tensorflow.framework import packed_outputs, reworded, tell_where, tf, traces, values_of
from gradscope.instrument.tensorflow.norms import Updates
from gradscope.instrument.tensorflow.plan import Plan, is_training_step, own_iterators
from gradscope.instrument.tensorflow.tensors import TENSORS
from gradscope.records import MovingStatistics, NonFiniteOrigin

_TRIED_AGAIN = (2, 10, 100, 1_000)
"""Records at which the inline function is tried again: what holds at one step may fail at another."""
SKIPS_ASKED = 10
"""Bad steps in a row after which a loss scale is no explanation: it halves at each, and begins at 2**15."""
_PLANS = "_gradscope_plans"
_TRIED = "_gradscope_noted_anew"


@dataclass(slots=True)
class _Seen:
    """What a step showed, until it has ended."""

    measurement: Measurement
    updates: Updates
    values: Sequence[Any] | None
    settings: Settings
    before: Sequence[Any]
    norms: NDArray[np.float32] | None = None
    observation: Observation | None = None
    labels: tuple[Any, Any] | None = None


class Recorder:
    """Records steps of one model's training.

    Args:
        model: A compiled Keras model.
        layers: Which layers are recorded; None for all.
        on_failure: Called with whatever went wrong while recording; the training goes on.

    Attributes:
        recorded: The numbers of the latest step that was armed for; None where there are none.
        batch: Its batch; None where it is not known.
        timing: What it took; None where no step was seen.
        unseen: Why a step that was armed for was not seen; ``""`` where each was.
    """

    def __init__(self, model: Any, layers: LayerFilter | None, on_failure: Callable[[Exception], None]) -> None:
        self._model = model
        self.layer_classes = watching.layer_classes(model)
        self._layers = layers
        self._on_failure = on_failure
        self._feed = Feed()
        self._number = 0
        self._is_armed = self._observes = self._histograms = self._is_busy = False
        self._seen: list[_Seen] = []
        self._held: dict[int, Any] = {}
        self._eager: tuple[contextlib.ExitStack, Notes] | None = None
        self._eager_measurements: dict[Any, tuple[Measurement, Updates]] = {}
        self._latest: tuple[Plan, Any] | None = None
        self._offered: Iterator[Any] = iter(())
        self._began = self._own_seconds = self._our_seconds = 0.0
        self._made = False
        self._keeps = False
        self._before: tuple[Plan, Any] | None = None
        self._bad_in_a_row, self._has_asked = 0, False
        self.recorded: Recorded | None = None
        self.batch: Any = None
        self.timing: Timing | None = None
        self.unseen = ""
        watching.begin(self)

    def arm(self, *, observe: bool, histograms: bool = False, keep: bool = False) -> None:
        """Take the batch of the step that is about to begin, and record it if ``observe``.

        After `finish`, `batch` holds it, `recorded` its numbers and `timing` what that took; each is None where no
        step was seen. With ``keep``, `data` and `weights` hold what it was made of.
        """
        self.disarm()
        self._keeps, self._before = keep, None
        self._is_armed = True
        self._observes, self._histograms = observe, histograms
        self._own_seconds = self._our_seconds = 0.0
        self._made = False
        if self._runs_eagerly() and observe:
            self._held = {id(v): v.read_value() for each in self._model.variables for v in values_of(each)}
            stack = contextlib.ExitStack()
            self._eager = stack, stack.enter_context(watching.noting_eagerly())
        watching.tell(self)
        self._began = time.perf_counter()

    def finish(self) -> None:
        """Make what the step has shown into numbers; there are none of a step that nobody armed for."""
        self.recorded = self.timing = None
        if not self._is_armed:
            self.batch = None
            return
        self._is_armed = False
        watching.stop_telling(self)
        ended = time.perf_counter()
        eager, self._eager = self._eager, None
        if eager is not None:
            eager[0].close()
            self._own_seconds = ended - self._began - self._our_seconds
            self._guarded(lambda: self._take_eager(eager[1]))
        if self._seen:
            self.recorded = self._guarded(self._numbers)
        elif self._observes:
            self.unseen = self.unseen or reasons.NOT_SEEN
        self._seen.clear()
        self._held.clear()
        if self._own_seconds:
            seconds = self._our_seconds + time.perf_counter() - ended
            self.timing = Timing(self._own_seconds, seconds, self._made)

    def disarm(self) -> None:
        """Let go of the step that was armed for, whatever has become of it."""
        self._is_armed = False
        self.batch = None
        watching.stop_telling(self)
        if self._eager is not None:
            self._eager[0].close()
            self._eager = None
        self._seen.clear()

    def close(self) -> None:
        """Leave TensorFlow as it was found, and let go of what the training was fed with."""
        self.disarm()
        self._feed.close()
        watching.end(self)

    def again(self, batch: Any) -> Observation:
        """Return the numbers of a batch under the present weights.

        Raises:
            UnobservableError: If no step was recorded yet, or the step has no function of a batch.
        """
        if self._latest is None:
            raise UnobservableError("no step of a single batch was recorded before")
        plan, function = self._latest
        self._number += 1
        with watching.unwatched():
            settings = plan.measurement.settings()
            values = plan.observe(function, batch, function.captured_inputs)
            return plan.measurement.observation(values, settings, self._number, histograms=False)

    @property
    def data(self) -> Any:
        """The batch of the latest step as the step takes it, nested; None where it is not known."""
        if self._before is None or self.batch is None:
            return None
        return self._before[0].nested(self.batch)

    @property
    def weights(self) -> dict[str, Any]:
        """The trained variables before that step, by path."""
        if self._before is None or self._before[1] is None:
            return {}
        plan, values = self._before
        paths = [variable.path for variable in plan.measurement.network.variables]
        return dict(zip(paths, values, strict=True))

    def moving_statistics(self, batch: Any) -> tuple[MovingStatistics, ...]:
        """Return how far the statistics that BatchNormalization keeps are from those of a batch; none where unknown."""
        if self._latest is None:
            return ()
        plan, function = self._latest
        with watching.unwatched():
            return plan.moving_statistics(function, batch, function.captured_inputs)

    def _runs_eagerly(self) -> bool:
        return bool(self._model.run_eagerly) or bool(tf.config.functions_run_eagerly())

    # The call of the step.

    def called(
        self, function: Any, inputs: list[Any], captured: list[Any], run: Callable[..., Any], *, is_last: bool
    ) -> Any:
        """Return what ``function`` returns: the step itself, recorded on the way."""
        if self._is_busy:
            return run(inputs, captured)
        self._is_busy = True
        started, before = time.perf_counter(), self._own_seconds
        try:
            return self._step(function, inputs, captured, run, may_replace=is_last)
        finally:
            for seen in self._seen[-1:]:  # before other callbacks come to write to the weights
                seen.norms = self._guarded(functools.partial(seen.updates.norms, seen.before))
            self._is_busy = False
            self._feed.release()
            self._our_seconds += time.perf_counter() - started - (self._own_seconds - before)

    def _step(
        self, function: Any, inputs: list[Any], captured: list[Any], run: Callable[..., Any], *, may_replace: bool
    ) -> Any:
        plan = self._guarded(lambda: self._plan(function))
        if plan is None:
            return self._timed(lambda: run(inputs, captured))
        if self._keeps:
            self._before = plan, self._guarded(plan.updates.values)
        only_observes = plan.mode == "observe" or not may_replace
        if plan.mode == "inline" and may_replace and not (self._observes and plan.records in _TRIED_AGAIN):
            return self._inline(plan, function, inputs, captured)
        iterator = _iterator(function, inputs)
        if iterator is None:
            return self._fed(plan, function, inputs, inputs, captured, run, only_observes=only_observes)
        return self._from_iterator(plan, function, iterator, inputs, captured, run, only_observes=only_observes)

    def _inline(self, plan: Plan, function: Any, inputs: list[Any], captured: list[Any]) -> Any:
        known = self._guarded(lambda: (plan.measurement.settings(), plan.updates.values()))
        try:
            outputs, values = self._timed(lambda: plan.inline([*inputs, *captured]))
        except tf.errors.OpError as error:
            reworded(error, original_names(str(error.message)))
            tell_where(error, function)
            raise
        if known is not None:
            self._guarded(lambda: self._take(plan, function, values, *known))
        return packed_outputs(function, outputs)

    def _from_iterator(
        self,
        plan: Plan,
        function: Any,
        iterator: Any,
        inputs: list[Any],
        captured: list[Any],
        run: Callable[..., Any],
        *,
        only_observes: bool,
    ) -> Any:
        """Take a batch from the training's iterator, look at it, and give it back."""
        if isinstance(iterator, tf.distribute.DistributedIterator):
            return self._as_list(function, iterator, inputs, captured, run)
        if not can_feed(iterator.element_spec):
            self._on_failure(ModelError("its batches are of a kind that cannot be given back to the training"))
            return self._timed(lambda: run(inputs, captured))
        executions = int(self._model.steps_per_execution)
        try:
            first = next(iterator)
        except (StopIteration, tf.errors.OutOfRangeError):  # the training's own step is to find that the data end
            return self._timed(lambda: run(inputs, captured))
        except Exception as error:
            self._run_without_data(error, iterator.element_spec, captured, run)
            raise
        self._offered = itertools.chain([first], itertools.islice(iterator, executions - 1))
        feed = self._feed.of(lambda: next(self._offered), iterator.element_spec)
        fed = tf.nest.flatten(feed, expand_composites=True)
        try:
            return self._fed(plan, function, first, fed, captured, run, only_observes=only_observes)
        finally:
            self._offered = iter(())

    def _run_without_data(
        self, error: Exception, element_spec: Any, captured: list[Any], run: Callable[..., Any]
    ) -> None:
        """Do what the own step does where its data raise: all that does not depend on them, such as counting steps."""

        def failing() -> Any:
            raise error

        feed = self._feed.of(failing, element_spec)
        with contextlib.suppress(tf.errors.OpError):
            self._timed(lambda: run(tf.nest.flatten(feed, expand_composites=True), captured))

    def _fed(
        self,
        plan: Plan,
        function: Any,
        element: Any,
        inputs: list[Any],
        captured: list[Any],
        run: Callable[..., Any],
        *,
        only_observes: bool,
    ) -> Any:
        """Run a step whose batch is at hand: tried, or observed before.

        Args:
            plan: How the function is recorded.
            function: The training's own.
            element: The batch, as the training's iterator gave it, or the inputs that are it.
            inputs: What the function is to be called with.
            captured: What it has captured.
            run: Calls it.
            only_observes: Whether it is not to be tried.
        """
        if plan.mode == "untried" and not only_observes:
            self._made = True
            if not self._holds_elsewhere(plan, function, element, inputs, captured, run):
                self._guarded(lambda: plan.fall_back(function))
                only_observes = True
        if only_observes:
            batch = inputs if plan.on_batches is None else _leaves(element)
            if self._observes:
                with self._offering(element):
                    self._guarded(lambda: self._observe(plan, function, batch, captured))
            elif plan.on_batches is not None:
                self.batch = batch
            return self._timed(lambda: run(inputs, captured))
        known = self._guarded(lambda: (plan.measurement.settings(), plan.updates.values()))
        with self._offering(element):
            tried = self._guarded(lambda: plan.try_inline([*inputs, *captured]))
        outputs = self._timed(lambda: run(inputs, captured))
        if tried is None or known is None:
            return outputs
        found, values, copies = tried

        def judged() -> None:
            plan.judge(function, packed_outputs(function, found), outputs, copies)
            self._take(plan, function, values, *known)

        self._guarded(judged)
        return outputs

    def _holds_elsewhere(
        self, plan: Plan, function: Any, element: Any, inputs: list[Any], captured: list[Any], run: Callable[..., Any]
    ) -> bool:
        """Return whether the plan holds from other weights and data too; an error there says that it does not."""
        other = tf.nest.map_structure(perturbed, element, expand_composites=True)
        try:
            with watching.unwatched(), self._offering(other):
                return plan.holds_elsewhere(function, run, inputs, captured)
        except Exception:
            return False

    @contextlib.contextmanager
    def _offering(self, element: Any) -> Generator[None]:
        """Have the iterator that stands in for the training's yield ``element`` meanwhile, and take nothing from it."""
        before, self._offered = self._offered, itertools.repeat(element)
        try:
            yield
        finally:
            self._offered = before

    def _as_list(
        self, function: Any, iterator: Any, inputs: list[Any], captured: list[Any], run: Callable[..., Any]
    ) -> Any:
        """Hand the batches of several replicas to the training's own function one by one."""
        own = self._model.train_function
        if step_functions(own) is None:
            self._on_failure(ModelError("the step of its own takes the batches of several replicas by itself"))
            return self._timed(lambda: run(inputs, captured))
        batches: list[Any] = [*itertools.islice(iterator, int(self._model.steps_per_execution))]
        if not batches:
            return self._timed(lambda: run(inputs, captured))
        self._is_busy = False  # the step itself is still to be called
        return tf.experimental.Optional.from_value(own(iter(batches)))

    def _observe(self, plan: Plan, function: Any, batch: Sequence[Any], captured: Sequence[Any]) -> None:
        settings = plan.measurement.settings()
        values = plan.observe(function, batch, captured)
        self._take(plan, function, values, settings, plan.updates.values())
        seen = self._seen[-1]
        if self._observes:
            seen.observation = self._counted(seen)
            seen.values = None  # so that they are gone when the step itself runs

    def _take(
        self, plan: Plan, function: Any, values: Sequence[Any], settings: Settings, before: Sequence[Any]
    ) -> None:
        """Keep what a step has shown."""
        measurement = plan.measurement
        self.batch = measurement.batch_of(values)
        if self.batch is not None:
            self._latest = plan, function
        if self._observes:
            plan.records += 1
            self._seen.append(
                _Seen(measurement, plan.updates, values, settings, before, labels=measurement.labels(values))
            )

    def _plan(self, function: Any) -> Plan | None:
        """Return how steps of the function are recorded; None where it is no training step."""
        plans: dict[Any, Plan] = function.__dict__.setdefault(_PLANS, {})
        key = (id(self._model), None if self._layers is None else repr(self._layers))
        if key not in plans:
            iterators = own_iterators(function)
            if not is_training_step(function) and not self._noted_anew(function):
                return None
            self._made = True
            plans[key] = Plan(self._model, function, self._layers, iterators)
        return plans[key]

    def _noted_anew(self, function: Any) -> bool:
        """Note a step that was traced before anyone looked, by tracing it once more; return whether that succeeded."""
        found = step_functions(self._model.train_function)
        steps = found or (self._model.train_function,)
        if not any(function is trace for step in steps for trace in traces(step)):
            return False
        self.unseen = reasons.TRACED_BEFORE if watching.notes_of(function.graph) is None else reasons.LOOPED
        if found is None or getattr(function, _TRIED, False):
            return False
        setattr(function, _TRIED, True)  # once is enough: it runs the user's Python
        one, _ = found
        owners = [self._model, *(place.layer for place in places(self._model)), *optimizers(self._model)]
        with unchanged(owners):
            return _note_anew(one, traces(one)[-1], function)

    # After the step.

    def _take_eager(self, notes: Notes) -> None:
        if notes.failures:
            raise notes.failures[0]
        if not notes.trains:
            return
        self.batch = None  # what a function was called with on the way, if it called one
        traces = [NotedTrace(notes, notes.applications)]
        measurement = Measurement(measured_step(self._model, traces, None, self._layers, TENSORS), TENSORS)
        key = measurement.kind
        if key in self._eager_measurements:
            known, updates = self._eager_measurements[key]
            measurement.adopt(known)
        else:
            self._made = True
            updates = Updates(measurement.trained)
            self._eager_measurements[key] = measurement, updates
        before = updates.values(self._held)
        self._seen.append(_Seen(measurement, updates, measurement.tensors, measurement.settings(), before))

    def _counted(self, seen: _Seen) -> Observation:
        assert seen.values is not None
        traced = seen.measurement.trace_count
        self._number += 1
        counted = seen.measurement.observation(seen.values, seen.settings, self._number, histograms=self._histograms)
        self._made = self._made or seen.measurement.trace_count != traced
        return counted

    def _numbers(self) -> Recorded:
        (seen,) = self._seen[-1:]
        observation = seen.observation or self._counted(seen)
        norms = seen.norms
        if norms is None or not norms[:, 1].any():  # what the function has not moved may be moved outside of it
            norms = seen.updates.norms(seen.before)
        updates = norms[:, 1] if int(self._model.steps_per_execution) == 1 else np.full_like(norms[:, 1], np.nan)
        others = (other.measurement for other in self._seen if other.measurement is not seen.measurement)
        if any(other.is_applied for other in others):
            seen.measurement.miss(str(self._model.name), reasons.SEVERAL)
        origin = self._guarded(lambda: self._origin(seen, observation))
        return Recorded(observation, seen.measurement.network, norms[:, 0], updates, seen.labels, origin)

    def _origin(self, seen: _Seen, observation: Observation) -> NonFiniteOrigin | None:
        """Return where the numbers of a step stop being finite, of the first such step: then the weights are lost.

        A loss scale that is still too large makes gradients infinite by right: only where it goes on is it asked.
        """
        gradients = [gradient for gradient in observation.gradients if gradient is not None]
        if all(gradient.nonfinite_count == 0 for gradient in gradients) and not seen.measurement.has_lost(observation):
            self._bad_in_a_row = 0
            return None
        self._bad_in_a_row += 1
        if self._bad_in_a_row != (SKIPS_ASKED if observation.skips else 1) or self._has_asked:
            return None
        if self._latest is None or self.batch is None:
            return None
        self._has_asked = True
        plan, function = self._latest
        weights = seen.updates.by_handle(seen.before)
        with contextlib.suppress(Exception):  # it is asked out of curiosity: the recording goes on without
            return plan.origin(function, self.batch, function.captured_inputs, weights)
        return None

    def _timed(self, run: Callable[[], Any]) -> Any:
        """Return what the training's own step returns, and keep how long it took."""
        started = time.perf_counter()
        try:
            return run()
        finally:
            self._own_seconds += time.perf_counter() - started

    def _guarded(self, work: Callable[[], Any]) -> Any:
        """Return what ``work`` returns; None where it failed, which the training must not notice."""
        try:
            with watching.unwatched():
                return work()
        except Exception as error:
            self._on_failure(error)
            return None


def _iterator(function: Any, inputs: Sequence[Any]) -> Any:
    """Return the iterator that a function is called with; None where it is called with a batch."""
    if not own_iterators(function):
        return None
    arguments = tf.nest.pack_sequence_as(function.structured_input_signature, list(inputs), expand_composites=True)
    for leaf in tf.nest.flatten(arguments):
        if isinstance(leaf, (tf.data.Iterator, tf.distribute.DistributedIterator)):
            return leaf
    return None


def _leaves(element: Any) -> list[Any]:
    """Return the tensors of a batch; what is absent, such as sample weights that were not given, has none."""
    present = [leaf for leaf in tf.nest.flatten(element) if not isinstance(leaf, tf.experimental.Optional)]
    return [leaf for leaf in tf.nest.flatten(present, expand_composites=True) if leaf is not None]


def _note_anew(one: Any, trace: Any, function: Any) -> bool:
    """Trace the step of one batch again and carry its notes over to the trace that trains, if both are the same."""
    arguments, keywords = trace.structured_input_signature
    with watching.watched_again():
        again = tf.function(one.python_function, autograph=False).get_concrete_function(*arguments, **keywords)
    return watching.carry_notes(again, trace, function)
