"""GradScope: the callback that records a training.

It ties the parts together: at each batch the schedule decides, the instrument records, records are made of it, and a
sink keeps them. Whatever fails here warns once and lets the training go on; only wrong arguments raise, and they do so
before the first step.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import logging
import math
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Hashable, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, Final, Literal, ParamSpec, cast

import numpy as np
from keras.callbacks import Callback

from gradscope import reasons
from gradscope.errors import ArgumentError, GradscopeError, ModelError
from gradscope.instrument.backend import Recorder, Timing, backend_name, recorder_for
from gradscope.instrument.keras_border import loss_arguments
from gradscope.instrument.network_of import LayerFilter, describe, fingerprint, places, selected
from gradscope.instrument.optimizers import batches_given, optimizers
from gradscope.network import Network, NotMeasured
from gradscope.recording import arguments, baseline_loss
from gradscope.recording.continuation import Beginning, Trail, beginning, is_same_model, leave_trail, trail_of
from gradscope.recording.copies import Copies
from gradscope.recording.costs import RunningCosts
from gradscope.recording.kept_batches import KeptBatches
from gradscope.recording.schedule import Schedule, from_argument
from gradscope.recording.step_records import StepRecords
from gradscope.recording.triggers import NO_REST, Moment
from gradscope.records import EpochRecord, NetworkChange, Record, Session, SessionEnd
from gradscope.store.sink import MemorySink, Previous, Sink

if TYPE_CHECKING:
    from gradscope.diagnose.finding import Severity
    from gradscope.run import Run
    from gradscope.watching.live import Live, OnFinding

FINAL_PASS_SECONDS: Final = 1.0
FINAL_PASS_SHARE: Final = 0.02
"""What the final pass may take where windows are complete but old: seconds, or a share of the training, if more."""

_logger = logging.getLogger(__name__)

P = ParamSpec("P")


def _harmless(hook: Callable[Concatenate[GradScope, P], None]) -> Callable[Concatenate[GradScope, P], None]:
    """Let a failure inside a hook warn once, and the training go on."""

    @functools.wraps(hook)
    def guarded(self: GradScope, *positional: P.args, **keywords: P.kwargs) -> None:
        try:
            hook(self, *positional, **keywords)
        except Exception as error:
            self._stop_recording(error)  # pyright: ignore[reportPrivateUsage] - a hook of the class itself

    return guarded


class GradScope(Callback):
    """Records activations, dead units and gradients of every layer while ``model.fit`` runs.

    Training is not changed by it: weights and history are the same, bit for bit, with and without.

    Args:
        log_dir: Directory of the run, beside which TensorBoard may be started; None keeps the records in memory.
        schedule: When to record: every so many steps, or a `gradscope.recording.schedule.Schedule`. By default the
            beginning is recorded densely, then each epoch that is long enough to pay for it, and otherwise as often as
            ``max_overhead`` allows.
        max_overhead: Share of the training's own time that recording may take, in (0, 1]; by default 0.02, and no
            limit where a ``schedule`` is given.
        layers: Glob patterns of layer keys, or a function of a key, to record only some layers.
        params: What tells this training from others, such as ``{"learning_rate": 1e-3}``; kept with the run.
        scalars: What TensorBoard's Time Series tab gets: ``"auto"``, ``"all"`` or ``"none"``.
        on_finding: What happens to a finding while the training runs: ``"warn"`` prints it, ``"stop"`` prints it and
            ends the training, a function gets the `Finding`; None looks for none before the end. Each is told once,
            and again only if it becomes more severe.
        finding_floor: Least severity that is acted on: ``"low"``, ``"medium"`` or ``"high"``; by default high where a
            finding stops the training, else medium.
        quiet: True to print no findings and no summary; only why a training was stopped.

    Raises:
        ArgumentError: If an argument cannot work.

    Example:
        >>> layers = [keras.Input((4,)), keras.layers.Dense(3, activation="relu"), keras.layers.Dense(1)]
        >>> model = keras.Sequential(layers)
        >>> model.compile("adam", "mse")
        >>> scope = GradScope(schedule=1, quiet=True)
        >>> history = model.fit(np.ones((8, 4)), np.ones((8, 1)), verbose=0, callbacks=[scope])
        >>> first = scope.run.activations.query("step == 0")
        >>> first[["layer", "activation"]].astype(str).values.tolist()
        [['dense', 'relu'], ['dense_1', 'linear']]
    """

    def __init__(
        self,
        log_dir: str | PathLike[str] | None = None,
        *,
        schedule: int | Schedule | None = None,
        max_overhead: float | None = None,
        layers: LayerFilter | str | None = None,
        params: Mapping[str, Any] | None = None,
        scalars: Literal["auto", "all", "none"] = "auto",
        on_finding: OnFinding = "warn",
        finding_floor: Severity | None = None,
        quiet: bool = False,
    ) -> None:
        super().__init__()
        self._schedule = from_argument(schedule, max_overhead)
        self._max_overhead = max_overhead
        self._has_budget = max_overhead is not None or schedule is None
        self._layers = arguments.layers(layers)
        self._params = arguments.params(params)
        self._on_finding: OnFinding = arguments.on_finding(on_finding)
        self._finding_floor: Severity = arguments.finding_floor(finding_floor, on_finding)
        self._quiet = arguments.quiet(quiet)
        self._base = arguments.log_dir(log_dir)
        self._scalars: Literal["auto", "all", "none"] = scalars
        self._copies = Copies()
        self._make_ready()

    def _make_ready(self) -> None:
        """Set what a training changes to what it is before the first one."""
        settings = set(vars(self))
        self._log_dir: Path | None = None
        self._where: Hashable = object()
        self._sink: Sink = _sink(self._base, self._scalars)
        self._thread: threading.Thread | None = None
        self._recorder: Recorder | None = None
        self._step_records: StepRecords | None = None
        self._previous: Previous | None = None
        self._beginning: Beginning | None = None
        self._trail: Trail | None = None
        self._kept: Mapping[str, Any] = {}
        self._session_written = False
        self._broken = ""
        self._step = self._start_step = self._epoch = 0
        self._first_in_epoch = False
        self._batch_begun = -1
        self._loss = self._loss_sum = math.nan
        self._accounts = RunningCosts()
        self._state = self._schedule.init()
        self._rest = NO_REST
        self._passed: list[float] = []
        self._kept_batches = KeptBatches()
        self._live: Live | None = None
        self._of_a_training = frozenset(vars(self).keys() - settings)

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy needs: how to record, not what was recorded, nor open files and what is inside a graph."""
        left_out = {*self._of_a_training, "_of_a_training", "params", "_model"}
        return {name: value for name, value in vars(self).items() if name not in left_out}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__init__()
        vars(self).update(state)
        self._make_ready()

    @property
    def _trained(self) -> Any:
        """The model, which Keras leaves untyped."""
        return self.model  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]

    @property
    def run(self) -> Run:
        """The run as recorded so far.

        Raises:
            RunNotFoundError: If nothing was written to ``log_dir`` yet.
        """
        from gradscope.run import Run, load

        if self._base is not None:
            return load(self._log_dir or self._copies.directory(self._base, self._where))
        if not isinstance(self._sink, MemorySink):
            raise GradscopeError("This run has no directory and is not kept in memory.")
        from gradscope.store.read import frames_of

        return Run(frames_of(list(self._sink.records)), name=getattr(self._trained, "name", "run"))

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        self._check_model()
        self._check_thread()
        self._choose_directory()
        self._previous = self._sink.open()
        self._thread = threading.current_thread()
        self._begin()

    def _check_thread(self) -> None:
        """Raise if another training is being recorded by this callback: neither would be told from the other."""
        other = self._thread
        if other is not None and other is not threading.current_thread() and other.is_alive():
            raise ArgumentError(
                f"This GradScope records a training in thread {other.name!r} already. "
                "Give each training one of its own, with a directory of its own."
            )

    def _choose_directory(self) -> None:
        """Choose where to record to: of a callback and its copies, each has a directory of its own."""
        if self._base is None or self._log_dir is not None:
            return
        self._log_dir = self._copies.directory(self._base, self._where, claim=True)
        self._where = self._log_dir.resolve()
        self._sink = _sink(self._log_dir, self._scalars)

    @_harmless
    def _begin(self) -> None:
        model = self._trained
        self._broken = ""
        self._recorder = self._step_records = self._beginning = self._trail = None
        self._kept = {}
        self._session_written = False
        self._loss = math.nan
        self._state, self._rest, self._passed = self._schedule.init(), NO_REST, []
        self._accounts = RunningCosts()
        self._kept_batches = KeptBatches()
        self._recorder = recorder_for(model, self._layers, self._stop_recording)
        self._begin_live()

    def _find_beginning(self) -> None:
        """Find the step of the first batch, as it begins: a backup may be restored after our own `on_train_begin`."""
        model = self._trained
        counts, known = batches_given(model), optimizers(model)
        trail = trail_of(model, self._where)
        is_same = trail is not None and trail.is_of(known)
        begun = beginning(counts, self._epoch, self._previous, trail=trail, is_same_optimizer=is_same)
        self._beginning = begun
        self._step = self._start_step = begun.step
        self._epoch += begun.epoch_shift
        if trail is not None and begun.is_seamless and trail.kept.get("schedule") == self._schedule:
            self._go_on(trail.kept)
        elif trail is not None and begun.is_same_model and begun.step == trail.step:
            self._kept = {"step_records": trail.kept.get("step_records")}
        self._trail = Trail(begun.step, counts, begun.step, tuple(map(weakref.ref, known)))
        leave_trail(model, self._where, self._trail)

    def _go_on(self, kept: Mapping[str, Any]) -> None:
        """Take over what was seen until now, so that many short fits are recorded as one long one is."""
        self._kept = kept
        setup = self._accounts.seconds["setup"]
        self._accounts = kept["costs"]
        self._accounts.resume()
        self._accounts.seconds["setup"] += setup
        self._state, self._start_step = kept["state"], kept["start_step"]

    @_harmless
    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._epoch = epoch + (self._beginning.epoch_shift if self._beginning is not None else 0)
        self._first_in_epoch = True
        self._loss_sum = 0.0

    @_harmless
    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._batch_begun = batch
        if self._beginning is None:
            self._find_beginning()
        resting = self._rest.lasts(self._step, self._accounts.training_seconds, self._loss)
        if resting and not self._first_in_epoch:  # no more than this at most batches: some take no millisecond
            self._passed.append(self._loss)
        elif self._recorder is not None and not self._broken:
            begun = time.perf_counter()
            self._ask(self._recorder)
            self._accounts.charge("asking", time.perf_counter() - begun, is_record=False)

    @_harmless
    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        if batch != self._batch_begun:
            batch = self._last_trained(batch)
        self._see_loss(batch, logs)
        recorder = self._recorder
        if recorder is not None and not self._broken:
            recorder.finish()
            if recorder.timing is not None:
                self._keep(recorder, recorder.timing)
                self._watch(after_bar=not self._first_in_epoch)
        self._step += batch - self._batch_begun + 1
        self._first_in_epoch = False
        if self._trail is not None:
            self._trail.step = self._step

    @_harmless
    def on_test_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        self._accounts.pause()

    @_harmless
    def on_test_end(self, logs: Mapping[str, Any] | None = None) -> None:
        self._accounts.resume()

    @_harmless
    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        if self._beginning is None:
            return  # no batch came, so nothing was trained
        known = {name: _single_number(value) for name, value in (logs or {}).items()}
        values = {name: value for name, value in known.items() if value is not None}
        costs = self._accounts.costs
        self._write(EpochRecord(max(self._step - 1, 0), self._epoch, time.time(), values, costs))
        if epoch + 1 != cast("Any", self).params.get("epochs"):  # else all is looked at in a moment
            self._watch(after_bar=True)

    @_harmless
    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        try:
            self._finish()
        finally:
            if self._recorder is not None:
                self._recorder.close()
            self._recorder = None
            self._kept_batches.close()
            self._sink.close()
            self._thread = None
        if self._live is not None:
            self._live.print_stop(max(self._step - 1, 0))
        if not self._quiet:
            from gradscope.report.terminal.summary import print_summary

            print_summary(self.run.summary())

    @_harmless
    def _finish(self) -> None:
        if self._beginning is None and self._previous is not None:
            return  # nothing was trained, as when a script that is done is run again: the run stays as it is
        if self._trail is not None:
            self._trail.counts = batches_given(self._trained)
        self._take_final_pass()
        self._look_back()
        self._write(SessionEnd(max(self._step - 1, 0), time.time(), self._accounts.costs))
        self._accounts.pause()
        if self._trail is not None and not self._broken:
            self._trail.kept = {
                "schedule": self._schedule,
                "state": self._state,
                "start_step": self._start_step,
                "costs": self._accounts,
                "step_records": self._step_records or self._kept.get("step_records"),
            }

    def _ask(self, recorder: Recorder) -> None:
        """Ask the schedule about the step that begins, and arm the recorder where it is due."""
        costs = self._accounts
        moment = Moment(
            step=self._step,
            start_step=self._start_step,
            epoch=self._epoch,
            first_in_epoch=self._first_in_epoch,
            loss=self._loss,
            training_seconds=costs.training_seconds,
            early_seconds=costs.seconds["early"],
            epoch_seconds=costs.seconds["each_epoch"],
            running_seconds=costs.seconds["running"],
            record_seconds=costs.record_seconds,
            record_count=costs.record_count,
            passed=tuple(self._passed),
        )
        self._passed.clear()
        self._state = self._schedule.update(self._state, moment)
        self._rest = NO_REST
        if self._state.due:
            histograms = self._step_records is None or self._step_records.histogram_due
            recorder.arm(observe=True, histograms=histograms)
        elif self._step_records is not None and self._kept_batches.wants_more:
            recorder.arm(observe=False)
        else:
            self._rest = self._schedule.rest(self._state, moment)

    def _check_model(self) -> None:
        """Raise what is wrong with the model, before the first step."""
        model = self._trained
        backend_name()
        if not getattr(model, "compiled", False):
            raise ModelError("The model is not compiled. Call model.compile(...) before fit.")
        if self._layers is not None:
            chosen = selected([place.key for place in places(model)], self._layers)
            if not chosen:
                raise ArgumentError("layers is a function that chooses no layer of the model, so nothing is recorded.")

    def _last_trained(self, batch: int) -> int:
        """Return the last batch of several in one execution: Keras counts a short last execution in full."""
        parameters: Any = cast("Any", self).params
        steps: int | None = parameters["steps"] if parameters else None
        return batch if steps is None else min(batch, steps - 1)

    def _see_loss(self, batch: int, logs: Mapping[str, Any] | None) -> None:
        """Recover the batch's own loss from the epoch's running mean, which is on the host already."""
        mean = _single_number(logs.get("loss") if logs else None)
        if mean is None:
            return
        total = mean * (batch + 1)
        self._loss = (total - self._loss_sum) / (batch - self._batch_begun + 1)
        self._loss_sum = total

    def _keep(self, recorder: Recorder, timing: Timing) -> None:
        """Write what the step that has just ended delivered, and charge what it cost."""
        begun = time.perf_counter()
        recorded = recorder.recorded
        if recorded is not None:
            if self._step_records is None or self._step_records.network is not recorded.network:
                self._begin_network(recorded.network)
            assert self._step_records is not None
            labels = _small_arrays(recorded.labels)
            if labels is not None:
                self._step_records.see_labels(*labels)
            record = self._step_records.step_record(
                recorded.observation,
                step=self._step,
                epoch=self._epoch,
                wall_time=time.time(),
                loss=self._loss,
                weight_norms=recorded.weight_norms,
                update_norms=recorded.update_norms,
                step_seconds=timing.step_seconds,
                recording_seconds=math.nan if timing.is_setup else timing.extra_seconds,
            )
            self._write(record)
        if recorder.batch is not None:
            self._kept_batches.add(recorder.batch)
        seconds = timing.extra_seconds + time.perf_counter() - begun
        is_setup = timing.is_setup or recorded is None
        self._accounts.charge("setup" if is_setup else self._state.reason, seconds, is_record=recorded is not None)

    def _begin_network(self, network: Network) -> None:
        """Begin the records of a network, and the session if it is the first."""
        step_records: StepRecords | None = self._step_records or self._kept.get("step_records")
        known = step_records is not None and step_records.goes_on_with(network)
        self._step_records = step_records if known else StepRecords(network, _baseline_state(self._trained, network))
        now = time.time()
        if not self._session_written:
            self._begin_session(network, now)
        self._put(NetworkChange(self._step, now, network))

    def _begin_session(self, network: Network, now: float) -> None:
        """Write that a training begins, or goes on; the step was found before it was known what is trained."""
        begun, previous = self._beginning or Beginning(0), self._previous
        digest = fingerprint(network)
        resumed = begun.continues and previous is not None
        if resumed and not begun.is_same_model and previous is not None and previous.session.fingerprint != digest:
            resumed = previous.network is not None and is_same_model(previous.network, network)
        if begun.continues and not resumed:
            self._step -= begun.step - begun.own_step
            self._start_step = begun.own_step
            self._epoch -= begun.epoch_shift
            self._beginning = begun = Beginning(begun.own_step, own_step=begun.own_step)
        settings = {"schedule": str(self._schedule), "max_overhead": self._max_overhead}
        counts = self._trail.start_counts if self._trail is not None else ()
        step = begun.step if resumed else 0
        self._put(Session(step, now, resumed, digest, settings, self._params, counts))
        self._session_written = True

    def _write(self, record: Record) -> None:
        if not self._session_written:
            self._begin_network(self._network_of_nothing())
        self._put(record)

    def _network_of_nothing(self) -> Network:
        """Return what was trained where no step of it was recorded: what was known of it before, or its layers."""
        model = self._trained
        unseen = "" if self._recorder is None else self._recorder.unseen
        missed = NotMeasured(model.name, self._broken or unseen or reasons.NO_STEP)
        nothing = describe(model, places(model), sites=(), variables=(), not_measured=[missed])
        before = self._previous.network if self._previous is not None else None
        begun = self._beginning
        if before is None or begun is None or not begun.continues or not is_same_model(before, nothing):
            return nothing
        if not self._broken:
            return before
        missed = NotMeasured(model.name, reasons.from_step(self._step, self._broken))
        return dataclasses.replace(before, not_measured=(*before.not_measured, missed))

    def _put(self, record: Record) -> None:
        self._sink.write(record)
        if self._live is not None:
            self._live.take(record)

    def _begin_live(self) -> None:
        """Make ready to look for findings, and charge what loading the rules costs."""
        begun = time.perf_counter()
        from gradscope.watching.live import USUAL_BUDGET, Live

        if self._live is None:
            budget = self._max_overhead or USUAL_BUDGET if self._has_budget else None
            self._live = Live(self._on_finding, floor=self._finding_floor, budget=budget, quiet=self._quiet)
        self._live.begin()
        self._accounts.charge("setup", time.perf_counter() - begun, is_record=False)

    def _watch(self, *, after_bar: bool) -> None:
        """Look for findings if it is time to, note what is new, charge it, and end the training if that is asked."""
        if self._live is None:
            return
        after_bar = after_bar and cast("Any", self).params.get("verbose") in (1, "auto")
        seconds = self._live.watch(self._accounts.training_seconds, after_bar=after_bar)
        begun = time.perf_counter()
        news = self._live.news(max(self._step - 1, 0), time.time())
        if news is not None:
            self._sink.write(news)
        self._accounts.charge(self._live.account, seconds + time.perf_counter() - begun, is_record=False)
        if self._live.stopped_by is not None:
            self._trained.stop_training = True

    def _look_back(self) -> None:
        """Look for findings in all that was recorded, and note them."""
        if self._live is None or self._step_records is None:
            return
        self._accounts.charge("setup", self._live.finish(self._accounts.training_seconds), is_record=False)
        note = self._live.note(max(self._step - 1, 0), time.time())
        if note is not None:
            self._put(note)

    def _take_final_pass(self) -> None:
        """Look at the first batches once more, where the records say too little of the units, or say it of long ago."""
        if self._step_records is None or self._recorder is None or self._broken:
            return
        begun = time.perf_counter()
        batches, seconds = self._kept_batches.batches, math.inf
        if self._step_records.windows_complete:
            seconds = max(FINAL_PASS_SECONDS, FINAL_PASS_SHARE * self._accounts.training_seconds)
            batches = [] if self._step_records.windows_are_of(self._step) else batches
        in_time = itertools.takewhile(lambda _: time.perf_counter() - begun < seconds, batches)
        seen = [self._recorder.again(batch) for batch in in_time]
        last = max(self._step - 1, 0)
        self._write(self._step_records.final_pass(seen, step=last, epoch=self._epoch, wall_time=time.time()))
        self._accounts.charge("setup", time.perf_counter() - begun, is_record=False)

    def _stop_recording(self, error: Exception) -> None:
        """Warn once, leave the model as it was found, and record no more."""
        if self._broken:
            return
        self._broken = reasons.of_error(error)
        if self._recorder is not None:
            self._recorder.disarm()
        self._kept_batches.close()
        self._note_end_of_recording()
        _logger.debug("recording ends", exc_info=error)
        message = f"GradScope records no more of this training, which goes on unchanged: {self._broken}."
        try:
            warnings.warn(message, stacklevel=3)
        except Warning:  # the user has made warnings errors; they would end the training
            print(message, file=sys.stderr)

    def _note_end_of_recording(self) -> None:
        """Say in the run itself why it has no more records, where it has some."""
        if self._step_records is None:
            return
        network = self._step_records.network
        missed = NotMeasured(network.name, reasons.from_step(self._step, self._broken))
        with contextlib.suppress(Exception):  # it may be the sink that has failed
            noted = dataclasses.replace(network, not_measured=(*network.not_measured, missed))
            self._sink.write(NetworkChange(self._step, time.time(), noted))


def _single_number(value: Any) -> float | None:
    """Return a log as a number; None of one that is none, such as a text or a loss of each task."""
    if isinstance(value, str) or np.ndim(value):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _small_arrays(labels: tuple[Any, Any] | None) -> tuple[Any, Any] | None:
    """Return labels and weights as arrays; None where there are none, or too many to be looked at."""
    if labels is None or np.size(labels[0]) > 2**20:
        return None
    return np.asarray(labels[0]), None if labels[1] is None else np.asarray(labels[1])


def _sink(log_dir: Path | None, scalars: Literal["auto", "all", "none"]) -> Sink:
    if log_dir is None:
        return MemorySink()
    from gradscope.store.event_sink import EventFileSink

    return EventFileSink(log_dir, scalars=scalars)


def _baseline_state(model: Any, network: Network) -> baseline_loss.BaselineState | None:
    """Return an empty baseline for the model's loss; None where no best constant prediction is known for it."""
    kind = baseline_loss.kind_of(network.compiled.loss)
    if kind is None or getattr(model.loss, "reduction", "mean") == "sum":  # which grows with the batch
        return None
    keywords = loss_arguments(model.loss)
    smoothing = keywords.get("label_smoothing", 0.0) or 0.0
    return baseline_loss.init(kind, float(smoothing), keywords.get("ignore_class"))
