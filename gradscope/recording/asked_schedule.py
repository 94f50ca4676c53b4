"""A schedule with what it has seen of one training, asked no more often than it must be."""

from __future__ import annotations

from gradscope.recording.costs import RunningCosts
from gradscope.recording.progress import Progress
from gradscope.recording.schedule import Schedule
from gradscope.recording.triggers import NO_REST, Moment


class AskedSchedule:
    """Decides, batch by batch, which steps of a training are recorded.

    Args:
        schedule: By what.

    Attributes:
        state: What the schedule has seen, and why the latest step is recorded.
    """

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._rest = NO_REST
        self._passed: list[float] = []
        self.state = schedule.init()

    def rests(self, progress: Progress, costs: RunningCosts) -> bool:
        """Return whether nothing is due at the batch that begins, whatever has happened.

        No more than this is done at most batches: some take less than a millisecond.
        """
        resting = self._rest.lasts(progress.step, costs.training_seconds, progress.loss) and not progress.is_epoch_begin
        if resting:
            self._passed.append(progress.loss)
        return resting

    def ask(self, progress: Progress, costs: RunningCosts, *, may_rest: bool) -> bool:
        """Return whether the step that begins is to be recorded.

        Args:
            progress: How far the training has come.
            costs: What recording has cost so far.
            may_rest: Whether the next batches need not be asked about where nothing will be due.
        """
        moment = Moment(
            step=progress.step,
            start_step=progress.start_step,
            epoch=progress.epoch,
            first_in_epoch=progress.is_epoch_begin,
            loss=progress.loss,
            training_seconds=costs.training_seconds,
            early_seconds=costs.seconds["early"],
            epoch_seconds=costs.seconds["each_epoch"],
            running_seconds=costs.seconds["running"],
            record_seconds=costs.record_seconds,
            record_count=costs.record_count,
            passed=tuple(self._passed),
        )
        self._passed.clear()
        self.state = self._schedule.update(self.state, moment)
        self._rest = self._schedule.rest(self.state, moment) if may_rest and not self.state.due else NO_REST
        return self.state.due
