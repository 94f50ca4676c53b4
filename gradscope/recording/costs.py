"""What a training takes and what recording it takes, in seconds of wall time, kept apart."""

from __future__ import annotations

import math
import time

from gradscope.records import Costs

_SMOOTHING = 0.2  # of a new record's cost in the expected cost of the next
_PARTS = {"early": "early", "each_epoch": "each_epoch", "setup": "setup"}  # all other reasons are running


class RunningCosts:
    """The costs of one training, begun when they are made."""

    def __init__(self) -> None:
        self._begun = time.perf_counter()  # moved on by whatever is not the training's own
        self._paused_at: float | None = None
        self.seconds = {"setup": 0.0, "early": 0.0, "each_epoch": 0.0, "running": 0.0}
        self.record_count = 0
        self.record_seconds = math.nan
        """Expected cost of one record; NaN before the first that was not set-up too."""

    @property
    def training_seconds(self) -> float:
        """The training's own seconds so far: recording, set-up and validation left out."""
        return (time.perf_counter() if self._paused_at is None else self._paused_at) - self._begun

    @property
    def costs(self) -> Costs:
        """What recording has cost so far."""
        return Costs(
            training_seconds=self.training_seconds,
            setup_seconds=self.seconds["setup"],
            early_seconds=self.seconds["early"],
            epoch_seconds=self.seconds["each_epoch"],
            running_seconds=self.seconds["running"],
            record_count=self.record_count,
        )

    def charge(self, reason: str, seconds: float, *, is_record: bool) -> None:
        """Charge ``seconds`` to ``reason``: ``setup``, or why the schedule recorded the step."""
        self.seconds[_PARTS.get(reason, "running")] += seconds
        self._begun += seconds
        if is_record:
            self.record_count += 1
        if is_record and reason != "setup":
            expected = seconds if math.isnan(self.record_seconds) else self.record_seconds
            self.record_seconds = expected + _SMOOTHING * (seconds - expected)

    def pause(self) -> None:
        """Stop the training's clock, for a validation."""
        self._paused_at = time.perf_counter()

    def resume(self) -> None:
        """Let the training's clock go on."""
        if self._paused_at is not None:
            self._begun += time.perf_counter() - self._paused_at
            self._paused_at = None
