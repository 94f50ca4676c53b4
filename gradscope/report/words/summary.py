"""How a run's summary reads: the same words in the terminal, in a notebook and on a page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Final

from gradscope.nearest import few
from gradscope.network import NotMeasured
from gradscope.records import Costs
from gradscope.report.values.overhead import cost_parts
from gradscope.report.values.summary import SiteRow, Summary
from gradscope.report.words.names import printable, quoted, shortened
from gradscope.report.words.numbers import UNKNOWN, magnitude, metric, number, percentage, plural, seconds, share

_NAMES_SHOWN: Final = 3
_STEPS_SHOWN: Final = 8
_NAME_CELLS: Final = 32


def saturation(row: SiteRow) -> str:
    """Return a site's saturated share; in brackets where only one side is flat, so that half is usual."""
    if row.profile is not None and row.profile.blocked:
        return "flat"
    text = UNKNOWN if row.profile is not None and row.profile.linear else percentage(row.saturated_fraction)
    return text if text == UNKNOWN or (row.profile is not None and row.profile.bounded) else f"({text})"


def can_die(row: SiteRow) -> bool:
    """Return whether the site's function is exactly flat and zero somewhere, so that a unit of it can be dead."""
    return row.profile is not None and (row.profile.zero_low > -math.inf or row.profile.zero_high < math.inf)


def dead(row: SiteRow) -> str:
    """Return a site's share of dead units; unknown before a window is complete, none for functions without any."""
    return percentage(row.dead_unit_fraction) if row.profile is None or can_die(row) else UNKNOWN


def gradient(row: SiteRow, value: float) -> str:
    """Return a number of the row's gradient; ``cut`` where the loss does not depend on the weights at all."""
    if not row.variable:
        return UNKNOWN
    if not row.connected:
        return "cut"
    return "NaN" if math.isnan(value) else magnitude(value)


def signal(row: SiteRow) -> str:
    """Return the root mean square of the row's backward signal."""
    return "NaN" if math.isnan(row.backward_rms) and row.nonfinite_count else magnitude(row.backward_rms)


def heading(summary: Summary) -> list[str]:
    """Return what was trained and how it went, a sentence a line."""
    progress = summary.progress
    trained = f"{plural(progress.step_count, 'step')} in {plural(progress.epoch_count, 'epoch')}"
    lines = [f"{printable(summary.name)}: {trained}, {progress.recorded_count:,} recorded"]
    if progress.recorded_count:
        baseline = progress.baseline_loss
        constant = "" if math.isnan(baseline) else f"   (best constant answer: {number(baseline)})"
        if said := losses(summary):
            lines.append(f"batch loss: {said}{constant}")
    if progress.metrics:
        lines.append("last epoch: " + ", ".join(f"{printable(k)} {metric(k, v)}" for k, v in progress.metrics.items()))
    return lines


def more_findings(summary: Summary) -> str:
    """Return what to type to see all findings of the run with their evidence."""
    if summary.path is None:
        return "print(run.diagnose())"
    return f"gradscope check {quoted(summary.path)}"


def losses(summary: Summary) -> str:
    """Return the loss of the first and of the last recorded batch; nothing where no loss is known."""
    if not summary.progress.loss_known:
        return ""
    return f"{number(summary.progress.first_loss)} → {number(summary.progress.last_loss)}"


def legend(rows: Iterable[SiteRow]) -> list[str]:
    """Return what the marks in these rows mean; nothing about marks that do not occur."""
    rows = list(rows)
    lines: list[str] = []
    if any(saturation(row).startswith("(") for row in rows):
        lines.append("(50%): the function is flat on one side only, as ReLU below zero; half is usual.")
    if any(saturation(row) == "flat" for row in rows):
        lines.append("flat: the function has slope zero everywhere; no gradient passes it.")
    if any(row.variable and not row.connected for row in rows):
        lines.append("cut: the loss does not depend on these weights; they have no gradient.")
    if any(row.nonfinite_count for row in rows):
        lines.append("NaN: the last record holds entries that are not finite.")
    if any(can_die(row) and math.isnan(row.dead_unit_fraction) for row in rows):
        lines.append("Dead units not known yet: that takes 5 batches, 256 samples and 1,000 positions.")
    return lines


def footing(summary: Summary) -> list[str]:
    """Return what recording cost, what is not measured, and what else a reader of the table should know."""
    lines = [] if summary.progress.recorded_count else ["Nothing was recorded: no step of this training was measured."]
    if summary.costs.record_count and summary.costs.training_seconds > 0:
        lines.append(_cost(summary.costs))
    lines.extend(_unmeasured(summary.not_measured))
    lines.extend(f"Lost: {printable(text)}" for text in summary.lost)
    if summary.training_count > 1:
        lines.append(f"This directory holds {summary.training_count} trainings; the last is shown.")
    if summary.resumed_steps:
        lines.append(f"Resumed at step {few([f'{step:,}' for step in summary.resumed_steps], _STEPS_SHOWN)}.")
    return lines


def _cost(costs: Costs) -> str:
    shares = ", ".join(f"{part.title} {share(spent / costs.training_seconds)}" for part, spent in cost_parts(costs))
    return f"Recording cost, as a share of {seconds(costs.training_seconds)} of training: {shares}."


def _unmeasured(things: Iterable[NotMeasured]) -> Iterator[str]:
    """Yield one line a reason, with the first few of the names that share it."""
    names: dict[str, list[str]] = {}
    for thing in things:
        names.setdefault(thing.reason, []).append(shortened(thing.name, _NAME_CELLS))
    for reason, those in names.items():
        yield f"Not measured ({printable(reason)}): {few(those, _NAMES_SHOWN)}"
