"""Watching: what is known of a training that runs elsewhere, from the files that it writes.

The rules look at the same bounded window of records as in the training itself, and no more often than a twentieth of
the time allows: the training may run on the same machine.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

from gradscope.diagnose.diagnosis import diagnose
from gradscope.records import EpochRecord, Record, Session, SessionEnd, StepRecord
from gradscope.report.terminal.history import History
from gradscope.report.terminal.live_view import Phase, Watched
from gradscope.report.values.summary import Summary, summarise
from gradscope.store.event_files import FOLDER, begun_at, event_files, run_directories, run_name
from gradscope.store.follow import Following, read_on
from gradscope.store.read import frames_of
from gradscope.watching.window import Window

SHARE: Final = 0.05
"""Share of the time that looking for findings may take."""

_LATEST = 6  # records that tell how far apart they usually are


class Watching:
    """Follows one run and says what is known of it.

    Args:
        path: A run's log directory, its ``gradscope`` folder, or one event file; it need not exist yet.

    Example:
        >>> watching = Watching(Path("no/such/run"))
        >>> watching.read()
        False
        >>> watching.watched(now=0.0).phase
        'waiting'
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._following = Following(path)
        self._warned: tuple[str, ...] = ()
        self._look_at = -math.inf
        self._begin()

    def _begin(self) -> None:
        self._window, self._history = Window(), History()
        self._steps: list[int] = []
        self._epochs: list[int] = []
        self._times: list[float] = []
        self._phase: Phase = "waiting"
        self._summary: Summary | None = None
        self._is_new = False

    def read(self) -> bool:
        """Read what has come since, and return whether there was anything.

        Raises:
            RunFormatError: If the run is of a newer major version.
        """
        found = False
        while True:
            records, self._following = read_on(self._following)
            for record in records:
                self._take(record)
            found |= bool(records)
            if not self._following.is_behind:
                return found

    def _take(self, record: Record) -> None:
        if isinstance(record, Session):
            if not record.resumed:
                self._begin()
            for steps in (self._steps, self._epochs):
                steps[:] = [step for step in steps if step < record.step]
        self._window.take(record)
        self._history.take(record)
        if isinstance(record, StepRecord) and record.steps is not None:
            self._steps.append(record.step)
        elif isinstance(record, EpochRecord):
            self._epochs.append(record.step)
        self._times = [*self._times[1 - _LATEST :], record.wall_time]
        self._phase = "ended" if isinstance(record, SessionEnd) else "running"
        self._is_new = True

    def look(self, now: float) -> bool:
        """Sum up what is recorded if anything is new and it is time; return whether it was.

        Args:
            now: Seconds of a clock that only runs forward.
        """
        if not self._is_new or now < self._look_at:
            return False
        begun = time.perf_counter()
        with warnings.catch_warnings(record=True) as caught:  # a screen has no place where they could be printed
            warnings.simplefilter("always")
            frames = frames_of(self._window.records, lost=self._following.lost)
            findings = diagnose(frames)
        self._warned = tuple(dict.fromkeys(str(warning.message) for warning in caught))
        summary = summarise(frames, findings, name=run_name(self.path), path=self.path)
        counts = {"recorded_count": len(self._steps), "epoch_count": len(self._epochs)}  # the window forgets some
        self._summary = replace(summary, progress=replace(summary.progress, **counts))
        self._is_new = False
        self._look_at = now + (time.perf_counter() - begun) / SHARE
        return True

    @property
    def summary(self) -> Summary | None:
        """What the last look saw; None before there was a record."""
        return self._summary

    def watched(self, *, now: float, remarks: Iterable[str] = ()) -> Watched:
        """Return what is known.

        Args:
            now: Seconds since 1970.
            remarks: What else should be known.
        """
        gaps = [after - before for before, after in zip(self._times, self._times[1:], strict=False)]
        return Watched(
            name=run_name(self.path),
            phase=self._phase,
            silent_seconds=max(0.0, now - self._times[-1]) if self._times else math.nan,
            usual_seconds=max(gaps, default=math.nan),
            summary=self._summary,
            history=self._history,
            remarks=(*remarks, *self._warned, *(f"Lost: {text}" for text in self._following.lost)),
        )


def latest_run(path: Path) -> tuple[Path, list[Path]]:
    """Return the run to watch at ``path``, and which others there are.

    That is the run at ``path`` itself; of several below it, the one that was begun last, also if an earlier one still
    runs: which of two writes at the moment changes all the time.
    """
    if not path.is_dir() or event_files(path / FOLDER) or event_files(path):
        return path, []
    runs = sorted(run_directories(path), key=_begun)
    return (runs[-1], sorted(runs[:-1])) if runs else (path, [])


def _begun(run: Path) -> tuple[int, float]:
    """Return when the run's last training began; the time in a name has whole seconds."""
    file = event_files(run / FOLDER)[-1]
    return begun_at(file), file.stat().st_mtime
