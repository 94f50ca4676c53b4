"""The run that a callback writes: where it lies, and what goes on over the fits that are recorded in it."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gradscope.recording.copies import Copies
from gradscope.store.bad_batch import BadBatch
from gradscope.store.sink import MemorySink, Previous, Sink

if TYPE_CHECKING:
    from gradscope.run import Run
    from gradscope.watching.live import Looks


class WrittenRun:
    """Where the fits of one callback are recorded.

    Args:
        log_dir: What was asked for; None keeps the records in memory.
        scalars: What TensorBoard's Time Series tab gets.
        copies: Which copies of the callback write where.

    Attributes:
        where: Stands for the place.
        sink: Takes the records.
        looks: What was seen of the run while it was trained; None before its first session.
    """

    def __init__(
        self, log_dir: Path | None, scalars: Literal["auto", "all", "none"], copies: Copies | None = None
    ) -> None:
        self._log_dir = log_dir
        self._scalars: Literal["auto", "all", "none"] = scalars
        self._copies = copies or Copies()
        self._directory: Path | None = None
        self.where: Hashable = object()
        self.sink: Sink = self._new_sink()
        self.looks: Looks | None = None
        self._bad_batch: BadBatch | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy is of a run of its own, with nothing in it."""
        return WrittenRun, (self._log_dir, self._scalars, self._copies)

    def open(self) -> Previous | None:
        """Make ready to write, and return what is there already; the first time, the directory is chosen.

        Raises:
            WriterError: If it cannot be written, or another training is writing to it.
        """
        if self._log_dir is not None and self._directory is None:
            self._directory = self._copies.directory(self._log_dir, self.where, claim=True)
            self.where = self._directory.resolve()
            self.sink = self._new_sink()
        return self.sink.open()

    def read(self, name: str) -> Run:
        """Return the run as recorded so far.

        Args:
            name: What to call one that has no directory.

        Raises:
            RunNotFoundError: If nothing was written to its directory yet.
        """
        from gradscope.run import Run, load
        from gradscope.store.read import frames_of

        if self._log_dir is not None:
            return load(self._directory or self._copies.directory(self._log_dir, self.where))
        assert isinstance(self.sink, MemorySink)
        return Run(frames_of(list(self.sink.records)), name=name, bad_batch=self._bad_batch)

    def keep(self, batch: BadBatch) -> None:
        """Keep a bad batch with the run."""
        self._bad_batch = batch
        if self._directory is not None:
            batch.save(self._directory)

    def _new_sink(self) -> Sink:
        if self._log_dir is None:
            return MemorySink()
        from gradscope.store.event_sink import EventFileSink

        return EventFileSink(self._directory or self._log_dir, scalars=self._scalars)
