"""A sweep in a terminal: one line a run, as many of the parameters that tell them apart as there is room for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Final

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from gradscope.nearest import few
from gradscope.report.terminal.printing import WIDTH, print_text, wrapped
from gradscope.report.terminal.table import GAP, Column, table_lines
from gradscope.report.values.runs_table import COLUMNS, RunRow, Sweep
from gradscope.report.words.names import printable, shortened
from gradscope.report.words.numbers import UNKNOWN, metric, overhead_text, seconds

_LEAST_RUN: Final = 10
_LEAST_FINDING: Final = 20
_PARAM_CELLS: Final = 12
_NAMES_SHOWN: Final = 3
_METRICS: Final = ("val_loss", "loss")
_ALWAYS: Final = ("run", "severity", "finding", "findings", "overhead", "ended")


def print_sweep(
    sweep: Sweep, *, show: Sequence[str] = (), now: float = math.nan, console: Console | None = None
) -> None:
    """Print `sweep_text` to ``console``, standard output where None."""
    console = console or Console()
    width = console.width if console.is_terminal else WIDTH
    print_text(sweep_text(sweep, width=width, show=show, now=now), console)


def sweep_text(sweep: Sweep, *, width: int = WIDTH, show: Sequence[str] = (), now: float = math.nan) -> Text:
    """Return one line a run, then what could not be read and what has not ended.

    Args:
        sweep: What to show, in its order.
        width: Columns of the terminal.
        show: Columns of the sweep to show besides the usual ones.
        now: Seconds since 1970, to tell how long ago a run that has not ended was last heard of; NaN to leave it out.
    """
    lines: list[Text] = []
    if sweep.rows:
        table, notes = run_lines(sweep, width=width, show=show)
        lines += [*table, *wrapped([*notes, *_unfinished(sweep.rows, now)], width, "dim")]
    else:
        lines.append(Text("No run meets the conditions." if not sweep.left_out else "No run could be read."))
    if sweep.left_out:
        left_out = (f"{shortened(run, width // 2)}: {printable(reason)}" for run, reason in sweep.left_out.items())
        lines += [Text(), Text(f"Left out: {_runs(len(sweep.left_out))}", "bold"), *wrapped(left_out, width)]
    return Text("\n").join(lines)


def run_lines(
    sweep: Sweep, *, width: int, show: Sequence[str] = (), params: bool = True
) -> tuple[list[Text], list[str]]:
    """Return the table of a sweep that has rows, and what a reader of it should know.

    Args:
        sweep: What to show.
        width: Columns of the terminal.
        show: Columns to show besides the usual ones.
        params: Whether to show the parameters that tell the runs apart.
    """
    rows = sweep.rows
    more = Column(("more",), [_more(row) for row in rows])
    before = [more] if any(more.cells) else []
    names = [name for name in _METRICS if name in sweep.metric_names][:1] or _batch_loss(rows)
    names = list(dict.fromkeys([*names, *(name for name in show if name not in _ALWAYS)]))
    asked = [_column(sweep, name) for name in names]
    after = [Column(("over-", "head"), [overhead_text(row.overhead) for row in rows])]
    if any(row.ended is False for row in rows):
        after.append(Column(("ended",), [_ended(row) for row in rows], "left"))
    room = width - sum(column.width + GAP for column in (*before, *asked, *after))
    varying = [_column(sweep, name) for name in sweep.varying if name not in names] if params else []
    fitting = _fitting(varying, room - _LEAST_RUN - GAP - _LEAST_FINDING)
    room -= sum(column.width + GAP for column in fitting)
    header, body = table_lines([*_names(rows, room), *before, *asked, *fitting, *after])
    notes = ["+2: two findings more; gradscope check RUN shows all."] if before else []
    notes.append("overhead: recording as a share of training, set-up left out.")
    if hidden := len(varying) - len(fitting):
        notes.append(f"No room for {_params(hidden)}: --show NAME shows one, a wider terminal or --json all.")
    return [*header, *body], notes


def _batch_loss(rows: Iterable[RunRow]) -> list[str]:
    return ["batch_loss"] if any(row.batch_loss is not None for row in rows) else []


def _fitting(columns: Iterable[Column], room: int) -> list[Column]:
    """Return the ``columns`` that fit one after another, a wide one left out for a narrow one behind it."""
    fitting: list[Column] = []
    for column in columns:
        if column.width + GAP <= room:
            fitting.append(column)
            room -= column.width + GAP
    return fitting


def _names(rows: Sequence[RunRow], room: int) -> list[Column]:
    """Return the columns of the run and of its worst finding, which share ``room``: the finding gives way first."""
    runs, findings = [printable(row.run) for row in rows], [_worst(row) for row in rows]
    widest = max(map(cell_len, ["worst finding", *findings]))
    longest = max(map(cell_len, ["run", *runs]))
    cells = min(widest, max(_LEAST_FINDING, room - GAP - longest))
    run_cells = max(_LEAST_RUN, room - GAP - cells)
    return [
        Column(("run",), [shortened(run, run_cells) for run in runs], "left"),
        Column(("worst finding",), [shortened(finding, cells) for finding in findings], "left"),
    ]


def _column(sweep: Sweep, name: str) -> Column:
    cells = [_cell(sweep, name, record[name]) for record in sweep.records]
    numeric = all(isinstance(record[name], (int, float, type(None))) for record in sweep.records)
    return Column((shortened(name, _PARAM_CELLS),), cells, "right" if numeric else "left")


def _cell(sweep: Sweep, name: str, value: Any) -> str:
    if value is None:
        return UNKNOWN
    if name in sweep.metric_names or name == "batch_loss":
        return metric(name, value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return seconds(value) if name == "setup_seconds" else f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}" if name in COLUMNS else str(value)
    return shortened(str(value), _PARAM_CELLS)


def _worst(row: RunRow) -> str:
    if not row.recorded_count:
        return "nothing recorded"
    return f"{row.worst.severity}: {printable(row.worst.key)}" if row.worst else "none"


def _more(row: RunRow) -> str:
    return f"+{row.finding_count - 1:,}" if row.finding_count > 1 else ""


def _ended(row: RunRow) -> str:
    return UNKNOWN if row.ended is None else "yes" if row.ended else "no"


def _unfinished(rows: Iterable[RunRow], now: float) -> list[str]:
    """Return the sentence that names the runs without an end; none where all have ended."""
    open_rows = sorted((row for row in rows if row.ended is False), key=lambda row: -row.last_wall_time)
    if not open_rows:
        return []
    names = [f"{shortened(row.run, 32)}{_ago(now - row.last_wall_time)}" for row in open_rows]
    return [f"Not ended, so running or broken off: {few(names, _NAMES_SHOWN)}."]


def _ago(age: float) -> str:
    if math.isnan(age):
        return ""
    for unit, size in (("days", 172_800), ("hours", 7_200), ("minutes", 120)):
        if age >= size:
            return f" (last record {age / (size / 2):.0f} {unit} ago)"
    return f" (last record {max(age, 0):.0f} seconds ago)"


def _runs(count: int) -> str:
    return f"{count:,} run" if count == 1 else f"{count:,} runs"


def _params(count: int) -> str:
    return f"{count:,} more parameter" if count == 1 else f"{count:,} more parameters"
