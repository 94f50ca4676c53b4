"""StepRecords: turns what recorded steps delivered into records, remembering what spans several of them.

That is, for each site, the window in which its units are judged; the labels seen, for the baseline loss; and how many
histograms were written.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradscope.instrument.observation import Clipping, Observation, SiteObservation
from gradscope.network import Network
from gradscope.recording import baseline_loss, unit_windows
from gradscope.recording.histogram import histogram
from gradscope.recording.table_rows import activation_row, global_norm, gradient_norm, gradient_row
from gradscope.records import FinalPass, StepRecord
from gradscope.schema import ACTIVATIONS, GRADIENTS, STEPS, Table
from gradscope.statistics.sums import GradientSums, Host

MOST_LABELS = 2**20
HISTOGRAMS_AN_INTERVAL = 20  # then the interval doubles: 200 histograms reach over 20,000 records


class StepRecords:
    """Makes the records of one training of one network.

    Args:
        network: What is recorded.
        baseline_state: What the labels of this loss are gathered in; None where no baseline is known.
    """

    def __init__(self, network: Network, baseline_state: baseline_loss.BaselineState | None) -> None:
        self.network = network
        self._windows = [unit_windows.init() for _ in network.sites]
        self._baseline = baseline_state
        self._histogram_count = 0
        self._next_histogram = 0
        self._record_count = 0
        self._units_epoch = -1

    def goes_on_with(self, network: Network) -> bool:
        """Take ``network`` as what is recorded from now on, if its sites and loss are those known; else return False.

        What was seen of units and labels then counts on: the training goes on, perhaps with other weights trained.
        """
        before = self.network
        if before.sites != network.sites or before.compiled.loss != network.compiled.loss:
            return False
        self.network = network
        return True

    @property
    def windows_complete(self) -> bool:
        """Whether every site whose units can be judged has seen enough to judge them."""
        return all(
            unit_windows.is_complete(state) for state in self._windows if state.window or self._record_count == 0
        )

    def windows_are_of(self, step: int) -> bool:
        """Whether the windows show the units as they are at ``step``: none reaches much further back than it must.

        Where few steps are recorded, a window holds batches of hundreds of steps ago, and a unit that has died since
        counts as alive.
        """
        return all(step - state.window[0].step <= 2 * len(state.window) for state in self._windows if state.window)

    @property
    def histogram_due(self) -> bool:
        """Whether the next record is to hold activations for histograms."""
        return self._record_count >= self._next_histogram

    def see_labels(self, y: ArrayLike, sample_weight: ArrayLike | None) -> None:
        """Take a batch's labels into the baseline, unless they are too many to be looked at."""
        if self._baseline is not None and np.size(y) <= MOST_LABELS:
            self._baseline = baseline_loss.update(self._baseline, y, sample_weight)

    def step_record(
        self,
        observation: Observation,
        *,
        step: int,
        epoch: int,
        wall_time: float,
        loss: float,
        weight_norms: NDArray[np.float32],
        update_norms: NDArray[np.float32],
        step_seconds: float,
        recording_seconds: float,
    ) -> StepRecord:
        """Return the record of one step.

        Args:
            observation: What it delivered.
            step: The step.
            epoch: Its epoch.
            wall_time: Seconds since 1970.
            loss: What to put where the step showed no loss.
            weight_norms: Of the variables, before the step.
            update_norms: Of what the step added to them.
            step_seconds: What the training's own step took.
            recording_seconds: What recording took; NaN where set-up was part of it.
        """
        if observation.activations:
            interval = 2 ** (self._histogram_count // HISTOGRAMS_AN_INTERVAL)
            self._histogram_count += 1
            self._next_histogram = self._record_count + interval
        self._record_count += 1
        self._observe_units(observation.sites, step, observation.samples)
        gradients = [gradient for gradient in observation.gradients if gradient is not None]
        finite = all(gradient.nonfinite_count == 0 for gradient in gradients)
        values = {
            "loss": loss if math.isnan(observation.loss) else observation.loss,
            "baseline_loss": math.nan if self._baseline is None else baseline_loss.baseline_loss(self._baseline),
            "lowest_loss": math.nan if self._baseline is None else baseline_loss.lowest_loss(self._baseline),
            "learning_rate": observation.learning_rate,
            "global_norm": global_norm(gradients),
            "loss_scale": observation.loss_scale,
            "clipped": self._clipped(observation),
            "skipped": float(observation.skips and not finite),
            "samples": observation.samples,
            "step_seconds": step_seconds,
            "recording_seconds": recording_seconds,
        }
        units_due = epoch != self._units_epoch
        self._units_epoch = epoch
        return StepRecord(
            step=step,
            epoch=epoch,
            wall_time=wall_time,
            steps=np.array([values[name] for name in STEPS.statistic_names], np.float32),
            activations=self._activation_table(observation.sites),
            gradients=_array(
                GRADIENTS,
                (
                    gradient_row(sums, weight_norm=float(weight), update_norm=float(update))
                    for sums, weight, update in zip(observation.gradients, weight_norms, update_norms, strict=True)
                ),
            ),
            units=self._unit_table() if units_due else None,
            histograms=_histograms(observation.activations),
        )

    def final_pass(self, seen: Sequence[Observation], *, step: int, epoch: int, wall_time: float) -> FinalPass:
        """Return what a training has left, with the units that have changed since the last record.

        Args:
            seen: What batches show under the final weights; empty where the windows are complete.
            step: The last step.
            epoch: The last epoch.
            wall_time: Seconds since 1970.
        """
        merged: Sequence[SiteObservation] = ()
        for observation in seen:
            self._observe_units(observation.sites, step, observation.samples)
            merged = [*map(SiteObservation.merged, merged, observation.sites)] if merged else observation.sites
        return FinalPass(
            step=step,
            epoch=epoch,
            wall_time=wall_time,
            activations=self._activation_table(merged) if merged else None,
            units=self._unit_table(),
        )

    def _observe_units(self, sites: Sequence[SiteObservation], step: int, samples: int) -> None:
        for index, site in enumerate(sites):
            if site.units is not None:
                seen = unit_windows.UnitsSeen(step, samples, site.units)
                self._windows[index] = unit_windows.update(self._windows[index], seen)

    def _activation_table(self, sites: Sequence[SiteObservation]) -> NDArray[np.float32]:
        return _array(
            ACTIVATIONS,
            (
                activation_row(
                    site.activation,
                    units=site.units,
                    backward=site.backward,
                    softmax=site.softmax,
                    dead_unit_fraction=unit_windows.dead_unit_fraction(window),
                    stuck_unit_fraction=unit_windows.stuck_unit_fraction(window),
                )
                for site, window in zip(sites, self._windows, strict=True)
            ),
        )

    def _unit_table(self) -> NDArray[np.float64] | None:
        parts: list[NDArray[np.float64]] = []
        for index, window in enumerate(self._windows):
            self._windows[index], rows = unit_windows.take_changes(window)
            parts.append(np.column_stack([np.full(len(rows), float(index)), rows]))
        changed = np.concatenate(parts) if parts else np.empty((0, 0))
        return changed if len(changed) else None

    @staticmethod
    def _clipped(observation: Observation) -> float:
        """Return 1 where clipping shortens a gradient; NaN where it acts on sums over several batches."""
        if any(clipping.accumulates for clipping in observation.clipping):
            return math.nan
        return float(any(_clips(clipping, observation.gradients) for clipping in observation.clipping))


def _clips(clipping: Clipping, gradients: Sequence[GradientSums[Host] | None]) -> bool:
    given = [gradient for place in clipping.gradients for gradient in [gradients[place]] if gradient is not None]
    largest = {
        "clipnorm": max((float(gradient_norm(gradient)) for gradient in given), default=0.0),
        "global_clipnorm": global_norm(given),
        "clipvalue": max((float(gradient.abs_max) for gradient in given), default=0.0),
    }
    return any(largest[name] > limit for name, limit in clipping.limits.items())


def _histograms(activations: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float64]]:
    bins = {site: histogram(values) for site, values in activations.items()}
    return {site: table for site, table in bins.items() if table is not None}


def _array(table: Table, rows: Iterator[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the rows of ``table`` as one array, with all its columns also where a network has no row for it."""
    collected = list(rows)
    return np.stack(collected) if collected else np.empty((0, len(table.statistics)), np.float32)
