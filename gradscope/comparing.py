"""Several runs at once: compared with one of them, or in one table with a row each.

Runs are taken one after another and let go: of two hundred that lie on a disk only what is shown stays in memory, if
they come from a generator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from gradscope.errors import ArgumentError
from gradscope.report.values.comparison import Comparison, Side
from gradscope.report.values.matching import compared, side_of
from gradscope.report.values.runs_table import RunRow, Sweep, run_row, worst_first
from gradscope.report.values.summary import NAN, Summary
from gradscope.store.read import Frames, read_frames

if TYPE_CHECKING:
    from gradscope.run import Run


def compare(
    runs: Mapping[str, Run] | Iterable[Run],
    *,
    reference: str | None = None,
    ratio: float = 2.0,
    difference: float = 0.1,
) -> Comparison:
    """Return how runs differ from one of them: findings gained and lost, numbers of layers, configuration.

    Findings are matched by rule and layer, layers by their key, so that it does not matter how Keras numbered them.
    Numbers are those of each run's last record, of which single ones are noisy: a difference of less than the limits
    is not called notable.

    Args:
        runs: What `load_runs` returns, or runs one after another; at least two. The tables of a run on a disk are not
            kept; `Comparison.report` reads them again.
        reference: Name of the run that all others are compared with; the first by default.
        ratio: Gradients, signals, updates and spreads are notable from this ratio on, either way.
        difference: Shares, such as that of dead units, are notable from this difference on.

    Raises:
        ArgumentError: If there are fewer than two runs, or an argument cannot work.
        MissingTableError: If the reference or every other run has no recorded step.

    Example:
        >>> from gradscope.run import Run
        >>> from gradscope.testing import run, stack
        >>> calm, wild = (run(stack(depth=2), recorded=range(20)) for _ in range(2))
        >>> compare([Run(calm, name="calm"), Run(wild, name="wild")])
        <gradscope comparison of 'wild' with 'calm': 0 findings gained, 0 lost>
    """
    sides = [_side(name, run) for name, run in named(runs)]
    return compared(sides, reference=reference, ratio=ratio, difference=difference)


def overview(runs: Mapping[str, Run] | Iterable[Run]) -> Sweep:
    """Return one row a run, those with the severest findings first.

    Args:
        runs: What `load_runs` returns, or runs one after another.
    """
    return Sweep(tuple(worst_first(_row(name, run, run.summary()) for name, run in named(runs))))


def named(runs: Mapping[str, Run] | Iterable[Run]) -> Iterator[tuple[str, Run]]:
    """Yield each run with a name of its own: a name that was given before gets a number."""
    from gradscope.run import Run

    if isinstance(runs, Run):
        raise ArgumentError("One run cannot be held against others. Pass several: compare([run, other]).")
    pairs = cast("Mapping[str, Run]", runs).items() if isinstance(runs, Mapping) else ((run.name, run) for run in runs)
    given: set[str] = set()
    for name, run in pairs:
        unique, count = name, 1
        while unique in given:
            count += 1
            unique = f"{name} ({count})"
        given.add(unique)
        yield unique, run


def _side(name: str, run: Run) -> Side:
    summary = run.summary()
    return replace(side_of(run.frames, summary, _row(name, run, summary)), load=_source(run))


def _source(run: Run) -> Callable[[], Frames]:
    """Return what reads the tables of ``run`` once more; those of a run in memory are kept: it is all there is."""
    if run.path is not None:
        return partial(read_frames, run.path)
    frames = run.frames
    return lambda: frames


def _row(name: str, run: Run, summary: Summary) -> RunRow:
    heard = [float(frame["wall_time"].max()) for frame in (run.steps, run.epochs) if len(frame)]
    params: Mapping[str, Any] = run.sessions[-1].params if run.sessions else {}
    row = run_row(summary, params, ended=run.ended, last_wall_time=max(heard, default=NAN))
    return replace(row, run=name)
