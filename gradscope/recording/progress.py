"""How far a fit has come: at which step of which epoch it is, and what the loss of the batch before was.

Keras counts batches within an epoch, epochs within a fit, and tells the loss as a running mean. A step counts over the
whole run.
"""

from __future__ import annotations

import math


class Progress:
    """Where a fit is.

    Args:
        steps_an_epoch: Batches of an epoch; None where that is not known.

    Attributes:
        step: The step that comes next, or runs.
        start_step: The step at which the training began.
        epoch: Its epoch, counted over the whole run too.
        batch: Number of the batch in its epoch, the first of several that are trained at once.
        is_epoch_begin: Whether no batch of the epoch was trained yet.
        loss: The last batch's own; NaN where it is not known.

    Example:
        >>> progress = Progress(steps_an_epoch=2)
        >>> progress.begin_epoch(0)
        >>> for batch, mean in enumerate([1.0, 2.0]):
        ...     progress.begin_batch(batch)
        ...     progress.see(batch, mean)
        ...     progress.advance()
        >>> progress.step, progress.loss
        (2, 3.0)
    """

    def __init__(self, steps_an_epoch: int | None) -> None:
        self._steps_an_epoch = steps_an_epoch
        self._epoch_shift = 0
        self.batch = self._last_batch = -1
        self._loss_sum = math.nan
        self.step = self.start_step = self.epoch = 0
        self.is_epoch_begin = False
        self.loss = math.nan

    @property
    def last_step(self) -> int:
        """The last step that was trained; 0 where none was."""
        return max(self.step - 1, 0)

    def begin_at(self, step: int, epoch_shift: int = 0) -> None:
        """Count from ``step`` on, and epochs from ``epoch_shift`` on: known at the first batch, and surer later."""
        self.step += step - self.start_step
        self.epoch += epoch_shift - self._epoch_shift
        self.start_step, self._epoch_shift = step, epoch_shift

    def begin_epoch(self, epoch: int) -> None:
        self.epoch = epoch + self._epoch_shift
        self.is_epoch_begin = True
        self._loss_sum = 0.0

    def begin_batch(self, batch: int) -> None:
        self.batch = batch

    def see(self, batch: int, mean: float | None) -> None:
        """Take in what an execution ended with, of one batch or of several.

        Args:
            batch: Number of its last batch; Keras counts a short last execution in full.
            mean: Mean loss of the epoch so far, from which the execution's own is recovered; None if there is none.
        """
        if batch != self.batch and self._steps_an_epoch is not None:
            batch = min(batch, self._steps_an_epoch - 1)
        self._last_batch = batch
        if mean is not None:
            total = mean * (batch + 1)
            self.loss = (total - self._loss_sum) / self._batch_count
            self._loss_sum = total

    def advance(self) -> None:
        """Go on to the next batch."""
        self.step += self._batch_count
        self.is_epoch_begin = False

    @property
    def _batch_count(self) -> int:
        return self._last_batch - self.batch + 1
