"""Trains the rebuilt public reports under the callback at its defaults, and judges what it says of each.

`python tests/zoo/reports.py` trains all, as reported and cured, and prints the table; ``--only`` names a few,
``--seed`` sets Keras' seed, and ``--write`` puts the table into the README of the zoo. What `preflight` says is shown
beside, for information: who only adds the callback never sees it.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from zoo.record import WORKER_ENVIRONMENT

    os.environ.update(WORKER_ENVIRONMENT)

import keras

import gradscope
from gradscope.diagnose.finding import Finding
from zoo.case import Training
from zoo.reported import REPORTS
from zoo.reported.judging import Outcome, Row, shown, table
from zoo.reported.report import Report
from zoo.score import replace_block

README = Path(__file__).parent / "README.md"
MARKERS = ("<!-- reports: what tests/zoo/reports.py --write puts here -->", "<!-- end of reports -->")
_FAILURES = ("GradScope records no more", "GradScope looks for findings no more", "The rule ")


def row(report: Report, seed: int) -> Row:
    """Return what becomes of one report, as reported and cured."""
    try:
        sick = _outcome(report, report.sick, seed, expected=report.raises)
        return Row(report, _preflight(report, seed), sick, _outcome(report, report.fixed, seed))
    finally:
        keras.utils.clear_session()


def _outcome(report: Report, make: Callable[[], Training], seed: int, expected: str = "") -> Outcome:
    """Train once with live alarms, and once more to see whether they stop it, where there were any.

    What nothing is told of, nothing stops.
    """
    training, found = _trained(make, seed, expected)
    if not found.ended_by and not found.broken:
        found = _with(found, score=report.score(training))
    if not found.live or found.ended_by:
        return found
    stopped, _ = _trained(make, seed, expected, on_finding="stop")
    return _with(found, stopped=bool(stopped.model.stop_training))


def _trained(
    make: Callable[[], Training], seed: int, expected: str, on_finding: Any = None
) -> tuple[Training, Outcome]:
    training = _made(make, seed)
    told: list[Finding] = []
    live: list[Finding] = []
    # placed before, so that it ends before: what is told after that is no news of a running training
    end = keras.callbacks.LambdaCallback(on_train_end=lambda logs: live.extend(told))
    scope = gradscope.GradScope(on_finding=on_finding or told.append, quiet=True)
    fit = dict(training.fit)
    callbacks = [*fit.pop("callbacks", []), end, scope]
    ended_by = broken = ""
    findings: tuple[Finding, ...] = ()
    with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("always")
        try:
            training.model.fit(**fit, verbose=0, callbacks=callbacks)
        except Exception as error:
            live.extend(told)
            ended_by = f"{type(error).__name__}: {error}"
            if not expected or expected not in ended_by:
                broken = f"fit raised {ended_by.splitlines()[0][:80]}"
        try:
            findings = tuple(scope.run.diagnose())
        except Exception as error:
            if not ended_by:  # else nothing may have been recorded
                broken = f"reading raised {type(error).__name__}"
    said = [text for each in caught if (text := str(each.message)).startswith(_FAILURES)]
    if said and not ended_by:
        broken = broken or said[0][:80]
    return training, Outcome(findings, tuple(live), ended_by, broken)


def _made(make: Callable[[], Training], seed: int) -> Training:
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make()


def _with(outcome: Outcome, **changes: Any) -> Outcome:
    return Outcome(**(vars(outcome) | changes))


def _preflight(report: Report, seed: int) -> str:
    training = _made(report.sick, seed)
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            checked = gradscope.preflight(training.model, training.fit["x"], training.fit.get("y"))
        except Exception as error:
            return f"raises {type(error).__name__}"
    return next((shown(finding) for finding in checked.findings if finding.severity != "low"), "–")


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and judge; return 1 if something crashed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these reports only")
    parser.add_argument("--seed", type=int, default=0, help="Keras' seed, set before each training (default 0)")
    parser.add_argument("--write", action="store_true", help="put the table into the README of the zoo")
    given = parser.parse_args(arguments)
    unknown = set(given.only) - {report.name for report in REPORTS}
    if unknown:
        parser.error(f"--only names no report: {', '.join(sorted(unknown))}.")
    if given.only and given.write:
        parser.error("--write puts all reports into the README; leave --only out.")
    rows: list[Row] = []
    for report in REPORTS:
        if not given.only or report.name in given.only:
            rows.append(row(report, given.seed))
            print(f"{report.name:42s} {rows[-1].verdict}", file=sys.stderr, flush=True)
    text = table(rows, given.seed)
    print(text)
    if given.write:
        replace_block(README, text, MARKERS)
    return int(any(each.sick.broken or each.fixed.broken for each in rows))


if __name__ == "__main__":
    sys.exit(main())
