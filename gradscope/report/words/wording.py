"""How the numbers and names of a summary read: the same words in the terminal and in a notebook."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from rich.cells import cell_len

from gradscope.nearest import few
from gradscope.network import NotMeasured
from gradscope.records import Costs
from gradscope.report.values.summary import SiteRow, Summary

UNKNOWN: Final = "–"
_NAMES_SHOWN: Final = 3
_STEPS_SHOWN: Final = 8
_NAME_CELLS: Final = 32


def percentage(fraction: float) -> str:
    """Return a share as whole percents; what is not quite none or all never reads as 0% or 100%.

    Example:
        >>> [percentage(x) for x in (0.0, 0.002, 0.25, 0.998, 1.0, float("nan"))]
        ['0%', '<1%', '25%', '>99%', '100%', '–']
    """
    if math.isnan(fraction):
        return UNKNOWN
    if 0 < fraction <= 0.005:
        return "<1%"
    if 0.995 <= fraction < 1:
        return ">99%"
    return f"{100 * fraction:.0f}%"


def overhead_text(fraction: float) -> str:
    """Return what recording cost as a share of the training, with tenths of a percent where it is small.

    A training of no length makes any number; what is more than ten times the training reads as no more than that.

    Example:
        >>> [overhead_text(x) for x in (0.0, 0.0123, 0.099, 0.25, 12.0, float("nan"))]
        ['0.0%', '1.2%', '9.9%', '25%', '>999%', '–']
    """
    if math.isnan(fraction):
        return UNKNOWN
    if fraction >= 9.995:
        return ">999%"
    return f"{100 * fraction:.1f}%" if fraction < 0.0995 else f"{100 * fraction:.0f}%"


def magnitude(value: float) -> str:
    """Return ``value`` with its power of ten, so that a column of them is read by the exponents.

    Example:
        >>> [magnitude(x) for x in (0.0, 1.0, 0.00123, 4.5e-12, float("inf"), float("nan"))]
        ['0', '1.0e0', '1.2e-3', '4.5e-12', 'inf', '–']
    """
    if math.isnan(value):
        return UNKNOWN
    if value == 0 or math.isinf(value):
        return f"{value:.0f}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def number(value: float) -> str:
    """Return a loss or a metric with four digits.

    Example:
        >>> number(2.3), number(0.12345), number(123456.0), number(float("nan"))
        ('2.300', '0.1235', '1.235e+05', 'NaN')
    """
    return "NaN" if math.isnan(value) else f"{value:#.4g}".rstrip(".")


def metric(name: str, value: float) -> str:
    """Return an epoch's log; an epoch without validation has none of the validation's."""
    return UNKNOWN if math.isnan(value) and name.startswith("val_") else number(value)


def seconds(value: float) -> str:
    """Return a duration with two or three digits.

    Example:
        >>> seconds(0.0123), seconds(4.56), seconds(3723.0)
        ('0.012 s', '4.6 s', '3,723 s')
    """
    return f"{value:,.0f} s" if value >= 99.5 else f"{value:.2g} s"


def printable(text: str) -> str:
    r"""Return ``text`` on one line, with line breaks and control characters visible: names are data.

    Example:
        >>> print(printable("two\nlines \x1b[31mred"))
        two\nlines \x1b[31mred
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shortened(text: str, cells: int) -> str:
    """Return ``text`` with its middle left out where it is wider than ``cells`` columns of a terminal.

    The end is kept longer than the beginning: names of layers differ there.

    Example:
        >>> shortened("encoder/block_12/attention/dense", 16)
        'encod…tion/dense'
    """
    text = printable(text)
    if cell_len(text) <= cells:
        return text
    tail = 2 * (cells - 1) // 3
    return _cut(text, cells - 1 - tail) + "…" + _cut(text[::-1], tail)[::-1]


def _cut(text: str, cells: int) -> str:
    while cell_len(text) > cells:
        text = text[:-1]
    return text


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
    trained = f"{_counted(progress.step_count, 'step')} in {_counted(progress.epoch_count, 'epoch')}"
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


def quoted(path: Path) -> str:
    """Return ``path`` as one types it in a shell.

    Example:
        >>> quoted(Path("logs/mlp")), quoted(Path("my logs/mlp"))
        ('logs/mlp', '"my logs/mlp"')
    """
    return f'"{path}"' if " " in str(path) else str(path)


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
    parts = {
        "set-up": costs.setup_seconds,
        "early records": costs.early_seconds,
        "one an epoch": costs.epoch_seconds,
        "all others": costs.running_seconds,
    }
    shares = ", ".join(f"{name} {_share(part / costs.training_seconds)}" for name, part in parts.items())
    return f"Recording cost, as a share of {seconds(costs.training_seconds)} of training: {shares}."


def _share(fraction: float) -> str:
    return f"{100 * fraction:.0f}%" if fraction >= 0.0995 else f"{100 * fraction:.2g}%"


def _unmeasured(things: Iterable[NotMeasured]) -> Iterator[str]:
    """Yield one line a reason, with the first few of the names that share it."""
    names: dict[str, list[str]] = {}
    for thing in things:
        names.setdefault(thing.reason, []).append(shortened(thing.name, _NAME_CELLS))
    for reason, those in names.items():
        yield f"Not measured ({printable(reason)}): {few(those, _NAMES_SHOWN)}"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
