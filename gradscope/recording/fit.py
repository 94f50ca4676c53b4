"""Recording one `fit`: at each batch the schedule decides, the backend records, records are made of it and written.

All that one `fit` changes lives here and ends with it. Whatever fails warns once and lets the training go on.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
import math
import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec

import numpy as np

from gradscope import reasons
from gradscope.instrument.backend import Recorder, Timing, recorder_for
from gradscope.network import Network
from gradscope.recording.arguments import Settings
from gradscope.recording.asked_schedule import AskedSchedule
from gradscope.recording.bad_batch_watch import BadBatchWatch
from gradscope.recording.continuation import HandedOn
from gradscope.recording.costs import RunningCosts
from gradscope.recording.kept_batches import KeptBatches
from gradscope.recording.progress import Progress
from gradscope.recording.session import FitSession
from gradscope.recording.written_run import WrittenRun
from gradscope.records import Causes, CausesNote, EpochRecord, Record, SessionEnd, StepRecord

if TYPE_CHECKING:
    from gradscope.watching.live import Live

FINAL_PASS_SECONDS: Final = 1.0
FINAL_PASS_SHARE: Final = 0.02
"""What the final pass may take where windows are complete but old: seconds, or a share of the training, if more."""

_logger = logging.getLogger(__name__)

P = ParamSpec("P")


def _harmless(hook: Callable[Concatenate[FitRecording, P], None]) -> Callable[Concatenate[FitRecording, P], None]:
    """Let a failure inside a hook warn once, and the training go on."""

    @functools.wraps(hook)
    def guarded(self: FitRecording, *positional: P.args, **keywords: P.kwargs) -> None:
        try:
            hook(self, *positional, **keywords)
        except Exception as error:
            self._stop(error)  # pyright: ignore[reportPrivateUsage] - a hook of the class itself

    return guarded


class FitRecording:
    """Records one `fit`; made as it begins.

    Args:
        settings: How.
        run: What it is recorded in.
        model: A compiled Keras model.
        parameters: What Keras tells callbacks of the training.

    Attributes:
        thread: The one that trains.

    Raises:
        WriterError: If the run cannot be written, or another training is writing to it.
    """

    def __init__(self, settings: Settings, run: WrittenRun, model: Any, parameters: Mapping[str, Any]) -> None:
        self._settings = settings
        self._run = run
        self._model = model
        self._parameters = parameters
        self._progress = Progress(parameters.get("steps"))
        previous = run.open()
        self._session = FitSession(settings, run.where, previous, model, self._progress)
        self.thread = threading.current_thread()
        self._broken = ""
        self._costs = RunningCosts()
        self._schedule = AskedSchedule(settings.schedule)
        self._kept_batches = KeptBatches()
        self._labelled: set[int] = set()
        self._is_checked = False
        self._bad_batches = BadBatchWatch() if settings.keep_bad_batch else None
        self._causes = Causes()
        self._recorder: Recorder | None = None
        self._live: Live | None = None
        self._begin()

    @_harmless
    def _begin(self) -> None:
        self._recorder = recorder_for(self._model, self._settings.layers, self._stop)
        begun = time.perf_counter()
        from gradscope.watching.live import Live

        self._live = Live(
            self._settings.on_finding,
            floor=self._settings.finding_floor,
            stop_on=self._settings.stop_on,
            planned_steps=_planned_steps(self._parameters),
            quiet=self._settings.quiet,
            looks=self._run.looks,
        )
        self._costs.charge("setup", time.perf_counter() - begun, is_record=False)

    # --- the hooks ---

    @_harmless
    def begin_epoch(self, epoch: int) -> None:
        self._progress.begin_epoch(epoch)

    @_harmless
    def begin_batch(self, batch: int) -> None:
        progress = self._progress
        progress.begin_batch(batch)
        if not self._session.is_found:
            self._go_on(self._session.find())
        resting = not self._watches_batches and self._schedule.rests(progress, self._costs)
        if not resting and self._recorder is not None and not self._broken:
            begun = time.perf_counter()
            self._ask(self._recorder)
            self._costs.charge("asking", time.perf_counter() - begun, is_record=False)

    @_harmless
    def end_batch(self, batch: int, logs: Mapping[str, Any]) -> None:
        progress, recorder = self._progress, self._recorder
        progress.see(batch, _single_number(logs.get("loss")))
        if recorder is not None and not self._broken:
            recorder.finish()
            if self._watches_batches:
                self._see_batch(recorder)
            if recorder.timing is not None:
                self._keep(recorder, recorder.timing)
                self._watch(after_bar=not progress.is_epoch_begin)
        progress.advance()
        self._session.leave_trail()

    @_harmless
    def begin_test(self) -> None:
        self._costs.pause()

    @_harmless
    def end_test(self) -> None:
        self._costs.resume()

    @_harmless
    def end_epoch(self, epoch: int, logs: Mapping[str, Any]) -> None:
        if not self._session.is_found:
            return  # no batch came, so nothing was trained
        progress = self._progress
        known = {name: _single_number(value) for name, value in logs.items()}
        values = {name: value for name, value in known.items() if value is not None}
        self._write(EpochRecord(progress.last_step, progress.epoch, time.time(), values, self._costs.costs))
        if epoch + 1 != self._parameters.get("epochs"):  # else all is looked at in a moment
            self._watch(after_bar=True)

    @_harmless
    def end(self) -> None:
        try:
            self._finish()
        finally:
            self.close()
            self._run.sink.close()
        if self._live is not None:
            self._live.print_stop(self._progress.last_step)
        if not self._settings.quiet:
            from gradscope.report.terminal.summary import print_summary

            print_summary(self._run.read(self._model.name).summary())

    @_harmless
    def close(self) -> None:
        """Leave Keras and its backend as they were found, however the training has ended."""
        recorder, self._recorder = self._recorder, None
        self._kept_batches.close()
        if recorder is not None:
            recorder.close()

    @_harmless
    def _finish(self) -> None:
        if self._session.is_nothing:
            return  # as when a script that is done is run again: the run stays as it is
        self._session.count_batches()
        self._take_final_pass()
        self._look_back()
        self._write(SessionEnd(self._progress.last_step, time.time(), self._costs.costs))
        self._costs.pause()
        if not self._broken:
            schedule, start_step = self._settings.schedule, self._progress.start_step
            known = self._session.known_records
            self._session.leave_trail(HandedOn(schedule, self._schedule.state, start_step, self._costs, known))

    def _go_on(self, handed_on: HandedOn | None) -> None:
        """Take over what was seen until now, where the training goes on as if there had been no end."""
        if handed_on is None:
            return
        setup = self._costs.seconds["setup"]
        self._costs = handed_on.costs
        self._costs.resume()
        self._costs.seconds["setup"] += setup
        self._schedule.state, self._progress.start_step = handed_on.state, handed_on.start_step

    # --- a step ---

    def _ask(self, recorder: Recorder) -> None:
        """Ask the schedule about the step that begins, and arm the recorder where it is due."""
        records = self._session.step_records
        takes_batch = records is not None and self._kept_batches.wants_more
        keep = self._watches_batches
        if self._schedule.ask(self._progress, self._costs, may_rest=not takes_batch):
            recorder.arm(observe=True, histograms=records is None or records.histogram_due, keep=keep)
        elif takes_batch or keep:
            recorder.arm(observe=False, keep=keep)

    @property
    def _watches_batches(self) -> bool:
        return self._bad_batches is not None and not self._bad_batches.is_over

    def _see_batch(self, recorder: Recorder) -> None:
        """Keep the batch of the step that has ended if it, or the one before, is the first that is bad."""
        assert self._bad_batches is not None
        loss = self._progress.loss if recorder.recorded is None else recorder.recorded.observation.loss
        found = self._bad_batches.see(self._progress.step, recorder.data, recorder.weights, loss)
        if found is not None:
            self._run.keep(found)

    def _keep(self, recorder: Recorder, timing: Timing) -> None:
        """Write what the step that has just ended delivered, and charge what it cost."""
        begun = time.perf_counter()
        recorded = recorder.recorded
        if recorded is not None:
            for opening in self._session.opening(recorded.network):
                self._put(opening)
            records = self._session.step_records
            assert records is not None
            # Each batch of an epoch once: without shuffling the same ones come again in every epoch.
            if recorded.labels is not None and self._progress.batch not in self._labelled:
                self._labelled.add(self._progress.batch)
                records.see_labels(*recorded.labels)
            record = records.step_record(
                recorded.observation,
                step=self._progress.step,
                epoch=self._progress.epoch,
                wall_time=time.time(),
                loss=self._progress.loss,
                weight_norms=recorded.weight_norms,
                update_norms=recorded.update_norms,
                step_seconds=timing.step_seconds,
                recording_seconds=math.nan if timing.is_setup else timing.extra_seconds,
            )
            self._write(record)
            if recorder.batch is not None and not self._is_checked:
                self._is_checked = True
                self._check(recorder.batch, recorded.network, record)
            if recorded.origin is not None:
                self._causes = replace(self._causes, origin=recorded.origin, origin_step=self._progress.step)
                self._write(CausesNote(self._progress.step, time.time(), self._causes))
        if recorder.batch is not None:
            self._kept_batches.add(recorder.batch)
        seconds = timing.extra_seconds + time.perf_counter() - begun
        reason = "setup" if timing.is_setup or recorded is None else self._schedule.state.reason
        self._costs.charge(reason, seconds, is_record=recorded is not None)

    def _check(self, batch: Any, network: Network, record: StepRecord) -> None:
        """Check data, loss and output by the first batch; what cannot be checked is no reason to stop recording."""
        from gradscope.inspection.first_batch import checks_of

        try:
            found = checks_of(self._model, batch, network, record)
        except Exception as error:
            _logger.debug("the first batch cannot be checked", exc_info=error)
            return
        if found is not None:
            self._put(found)

    def _take_final_pass(self) -> None:
        """Look at the first batches once more, where the records say too little of the units, or say it of long ago."""
        records = self._session.step_records
        if records is None or self._recorder is None or self._broken:
            return
        begun = time.perf_counter()
        batches, seconds = self._kept_batches.batches, math.inf
        if records.windows_complete:
            seconds = max(FINAL_PASS_SECONDS, FINAL_PASS_SHARE * self._costs.training_seconds)
            batches = [] if records.windows_are_of(self._progress.step) else batches
        in_time = itertools.takewhile(lambda _: time.perf_counter() - begun < seconds, batches)
        seen = [self._recorder.again(batch) for batch in in_time]
        last, epoch = self._progress.last_step, self._progress.epoch
        self._compare_statistics(self._recorder, last)
        self._write(records.final_pass(seen, step=last, epoch=epoch, wall_time=time.time()))
        self._costs.charge("setup", time.perf_counter() - begun, is_record=False)

    def _compare_statistics(self, recorder: Recorder, last: int) -> None:
        """Note how far what BatchNormalization keeps is from the first of the batches that were kept."""
        with contextlib.suppress(Exception):  # the recording is whole without it
            found = [recorder.moving_statistics(batch) for batch in self._kept_batches.batches[:1]]
            if any(found):
                self._causes = replace(self._causes, statistics=found[0])
                self._write(CausesNote(last, time.time(), self._causes))

    def _write(self, record: Record) -> None:
        unseen = "" if self._recorder is None else self._recorder.unseen
        opening = self._session.opening_of_nothing(broken=self._broken, unseen=unseen)
        for each in itertools.chain(opening, [record]):
            self._put(each)

    def _put(self, record: Record) -> None:
        self._run.sink.write(record)
        if self._live is not None:
            self._live.take(record)
            self._run.looks = self._live.looks

    # --- what is found ---

    def _watch(self, *, after_bar: bool) -> None:
        """Look for findings if it is time to, note what is new, charge it, and end the training if that is asked."""
        if self._live is None:
            return
        after_bar = after_bar and self._parameters.get("verbose") in (1, "auto")
        seconds = self._live.watch(after_bar=after_bar)
        begun = time.perf_counter()
        news = self._live.news(self._progress.last_step, time.time())
        if news is not None:
            self._run.sink.write(news)
        self._costs.charge(self._live.account, seconds + time.perf_counter() - begun, is_record=False)
        if self._live.stopped_by is not None:
            self._model.stop_training = True

    def _look_back(self) -> None:
        """Look for findings in all that was recorded, and note them."""
        if self._live is None or self._session.step_records is None:
            return
        self._costs.charge("setup", self._live.finish(), is_record=False)
        note = self._live.note(self._progress.last_step, time.time())
        if note is not None:
            self._put(note)

    # --- what fails ---

    def _stop(self, error: Exception) -> None:
        """Warn once, leave the model as it was found, and record no more."""
        if self._broken:
            return
        self._broken = reasons.of_error(error)
        if self._recorder is not None:
            self._recorder.disarm()
        self._kept_batches.close()
        ended = self._session.broken_off(self._broken)
        if ended is not None:
            with contextlib.suppress(Exception):  # it may be the sink that has failed
                self._run.sink.write(ended)
        _logger.debug("recording ends", exc_info=error)
        message = f"GradScope records no more of this training, which goes on unchanged: {self._broken}."
        try:
            warnings.warn(message, stacklevel=4)
        except Warning:  # the user has made warnings errors; they would end the training
            print(message, file=sys.stderr)


def _planned_steps(parameters: Mapping[str, Any]) -> int | None:
    """Return how many steps a `fit` is to take; None where Keras does not know, as of a generator."""
    steps, epochs = parameters.get("steps"), parameters.get("epochs")
    return steps * epochs if steps and epochs else None


def _single_number(value: Any) -> float | None:
    """Return a log as a number; None of one that is none, such as a text or a loss of each task."""
    if isinstance(value, str) or np.ndim(value):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
