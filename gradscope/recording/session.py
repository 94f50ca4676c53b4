"""The session of one `fit`: where it begins in its run, and what is written before its first record."""

from __future__ import annotations

import time
import weakref
from collections.abc import Hashable, Iterator
from dataclasses import replace
from typing import Any  # a Keras model; Keras ships no types

from gradscope import reasons
from gradscope.instrument.keras_border import loss_arguments
from gradscope.instrument.network_of import describe, fingerprint, places
from gradscope.instrument.optimizers import batches_given, optimizers
from gradscope.network import Network, NotMeasured
from gradscope.recording import baseline_loss
from gradscope.recording.arguments import Settings
from gradscope.recording.continuation import (
    Beginning,
    HandedOn,
    Trail,
    beginning,
    is_same_model,
    leave_trail,
    trail_of,
)
from gradscope.recording.progress import Progress
from gradscope.recording.step_records import StepRecords
from gradscope.records import NetworkChange, Record, Session
from gradscope.store.sink import Previous


class FitSession:
    """Finds where a fit begins in its run, and says what is written of that.

    Args:
        settings: How is recorded.
        where: Stands for the place of the run.
        previous: What is recorded there already.
        model: What is trained.
        progress: How far it has come; it is told where it begins.

    Attributes:
        step_records: Makes the records of the network that is trained; None before the first.
    """

    def __init__(
        self,
        settings: Settings,
        where: Hashable,
        previous: Previous | None,
        model: Any,
        progress: Progress,
    ) -> None:
        self._settings = settings
        self._where = where
        self._previous = previous
        self._model = model
        self._progress = progress
        self._beginning: Beginning | None = None
        self._trail: Trail | None = None
        self._known_records: StepRecords | None = None
        self._is_written = False
        self.step_records: StepRecords | None = None

    @property
    def is_found(self) -> bool:
        """Whether it is known where the training begins; it is not where no batch came."""
        return self._beginning is not None

    @property
    def is_nothing(self) -> bool:
        """Whether nothing was trained of a run that is there already."""
        return self._beginning is None and self._previous is not None

    @property
    def known_records(self) -> StepRecords | None:
        """What was seen of units and labels, in this session or before it."""
        return self.step_records or self._known_records

    def find(self) -> HandedOn | None:
        """Find the step of the first batch, and return what is handed on where nothing has happened since the last.

        To be called as that batch begins: a backup may be restored after our own `on_train_begin`.
        """
        counts, known = batches_given(self._model), optimizers(self._model)
        trail = trail_of(self._model, self._where)
        is_same = trail is not None and trail.is_of(known)
        begun = beginning(counts, self._progress.epoch, self._previous, trail=trail, is_same_optimizer=is_same)
        self._beginning = begun
        self._progress.begin_at(begun.step, begun.epoch_shift)
        self._trail = Trail(begun.step, counts, begun.step, tuple(map(weakref.ref, known)))
        leave_trail(self._model, self._where, self._trail)
        if trail is None or trail.handed_on is None:
            return None
        is_seamless = begun.is_seamless and trail.handed_on.schedule == self._settings.schedule
        if is_seamless or (begun.is_same_model and begun.step == trail.step):
            self._known_records = trail.handed_on.step_records
        return trail.handed_on if is_seamless else None

    def leave_trail(self, handed_on: HandedOn | None = None) -> None:
        """Remember with the model how far it has come, and at the end what the next fit may go on with."""
        if self._trail is not None:
            self._trail.step, self._trail.handed_on = self._progress.step, handed_on

    def count_batches(self) -> None:
        """Remember with the model how many batches its optimizers were given until the end."""
        if self._trail is not None:
            self._trail.counts = batches_given(self._model)

    def opening(self, network: Network) -> Iterator[Record]:
        """Yield what is to be written before a record of ``network``: that a session begins, and that it is trained."""
        if self.step_records is not None and self.step_records.network is network:
            return
        records = self.known_records
        if records is None or not records.goes_on_with(network):
            records = StepRecords(network, _baseline_state(self._model, network))
        self.step_records = records
        now = time.time()
        if not self._is_written:
            yield self._session(network, now)
            self._is_written = True
        yield NetworkChange(self._progress.step, now, network)

    def opening_of_nothing(self, *, broken: str, unseen: str) -> Iterator[Record]:
        """Yield what is to be written before a record where no step was recorded.

        Args:
            broken: Why recording has ended; ``""`` where it goes on.
            unseen: Why no step was seen; ``""`` where it is not known.
        """
        if not self._is_written:
            yield from self.opening(self._network_of_nothing(broken, unseen))

    def _session(self, network: Network, now: float) -> Session:
        """Return that a training begins, or goes on; the step was found before it was known what is trained."""
        begun, previous = self._beginning or Beginning(0), self._previous
        digest = fingerprint(network)
        resumed = begun.continues and previous is not None
        if resumed and not begun.is_same_model and previous is not None and previous.session.fingerprint != digest:
            resumed = previous.network is not None and is_same_model(previous.network, network)
        if begun.continues and not resumed:
            self._beginning = begun = Beginning(begun.own_step, own_step=begun.own_step)
            self._progress.begin_at(begun.step)
        settings = {"schedule": str(self._settings.schedule), "max_overhead": self._settings.max_overhead}
        counts = self._trail.start_counts if self._trail is not None else ()
        return Session(begun.step if resumed else 0, now, resumed, digest, settings, self._settings.params, counts)

    def _network_of_nothing(self, broken: str, unseen: str) -> Network:
        """Return what was trained where no step of it was recorded: what was known of it before, or its layers."""
        missed = NotMeasured(self._model.name, broken or unseen or reasons.NO_STEP)
        nothing = describe(self._model, places(self._model), sites=(), variables=(), not_measured=[missed])
        before = self._previous.network if self._previous is not None else None
        begun = self._beginning
        if before is None or begun is None or not begun.continues or not is_same_model(before, nothing):
            return nothing
        return self._ended(before, broken) if broken else before

    def broken_off(self, reason: str) -> NetworkChange | None:
        """Return the record that says why there are no more; None where there is none yet."""
        if self.step_records is None:
            return None
        return NetworkChange(self._progress.step, time.time(), self._ended(self.step_records.network, reason))

    def _ended(self, network: Network, reason: str) -> Network:
        missed = NotMeasured(network.name, reasons.from_step(self._progress.step, reason))
        return replace(network, not_measured=(*network.not_measured, missed))


def _baseline_state(model: Any, network: Network) -> baseline_loss.BaselineState | None:
    """Return an empty baseline for the model's loss; None where no best constant prediction is known for it."""
    kind = baseline_loss.kind_of(network.compiled.loss)
    if kind is None or getattr(model.loss, "reduction", "mean") == "sum":  # which grows with the batch
        return None
    keywords = loss_arguments(model.loss)
    smoothing = keywords.get("label_smoothing", 0.0) or 0.0
    return baseline_loss.init(kind, float(smoothing), keywords.get("ignore_class"))
