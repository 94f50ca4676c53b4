"""What a person holds after a training: its run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from gradscope.diagnose.diagnosis import diagnose
from gradscope.diagnose.finding import Severity
from gradscope.diagnose.rule import Rule
from gradscope.diagnose.verdict import Verdict, ignored_names, severity_named, verdict
from gradscope.errors import CheckFailedError, MissingTableError
from gradscope.network import Network, NotMeasured
from gradscope.records import Costs, Session
from gradscope.report.notebook import summary_html
from gradscope.report.values.findings import Findings
from gradscope.report.values.summary import Summary, summarise
from gradscope.report.words.findings import number_of, or_higher, sentence, title
from gradscope.store.bad_batch import BadBatch, load_bad_batch
from gradscope.store.event_files import run_name
from gradscope.store.export.csv import write_csv
from gradscope.store.export.json import write_json
from gradscope.store.export.parquet import write_parquet
from gradscope.store.export.tidy import TidyTables, tidy_tables
from gradscope.store.read import Frames, read_frames

if TYPE_CHECKING:
    from os import PathLike


class Run:
    """One recorded training: its tables, what was trained, and what recording it cost.

    Args:
        frames: The run's frames, or a function that makes them when they are first asked for.
        path: Where the run lies; None for one that was kept in memory.
        name: What to call it; by default the last part of ``path``.

    Example:
        >>> from gradscope.store.read import frames_of
        >>> run = Run(frames_of([]), name="empty")
        >>> run
        <gradscope run 'empty': nothing recorded>
    """

    def __init__(
        self,
        frames: Frames | Callable[[], Frames],
        *,
        path: Path | None = None,
        name: str | None = None,
        bad_batch: BadBatch | None = None,
    ) -> None:
        self._source = frames
        self._bad_batch = bad_batch
        self.path = path
        self.name = name or (run_name(path) if path is not None else "run")

    @cached_property
    def frames(self) -> Frames:
        """All tables at once, as rules take them."""
        return self._source if isinstance(self._source, Frames) else self._source()

    @property
    def steps(self) -> pd.DataFrame:
        """One row a recorded step: loss, learning rate, global gradient norm, seconds."""
        return self.frames.steps

    @property
    def activations(self) -> pd.DataFrame:
        """One row a recorded step and site: saturation, dead units, moments, backward signal."""
        return self.frames.activations

    @property
    def final_activations(self) -> pd.DataFrame:
        """One row a site, under the weights that the training ended with; none where its steps say enough of units."""
        return self.frames.final_activations

    @property
    def gradients(self) -> pd.DataFrame:
        """One row a recorded step and trainable variable: gradient, weight and update."""
        return self.frames.gradients

    @property
    def units(self) -> pd.DataFrame:
        """One row a window, site and unit whose state changed: which units are dead, and since when."""
        return self.frames.units

    @property
    def epochs(self) -> pd.DataFrame:
        """One row an epoch: its logs, validation included."""
        return self.frames.epochs

    @property
    def histograms(self) -> pd.DataFrame:
        """One row a bin of a site's activations, for the steps of which a histogram was kept."""
        return self.frames.histograms

    @property
    def network(self) -> Network:
        """What was trained."""
        return self.frames.network

    @property
    def sessions(self) -> tuple[Session, ...]:
        """Every beginning and continuation of a training that the directory holds; the tables show the last."""
        return self.frames.sessions

    @property
    def costs(self) -> Costs:
        """What recording cost, in seconds."""
        return self.frames.costs

    @property
    def not_measured(self) -> tuple[NotMeasured, ...]:
        """What of the model is not recorded, each with the reason."""
        return self.frames.network.not_measured

    @property
    def lost(self) -> tuple[str, ...]:
        """What could not be read of damaged files, in words; empty as a rule."""
        return self.frames.lost

    @property
    def ended(self) -> bool | None:
        """Whether the training said that it ended; False while it runs or where it was broken off, None in memory."""
        return None if self.path is None else self.frames.ended

    @property
    def findings(self) -> pd.DataFrame:
        """One row a finding, by the installed rules: what is wrong, where, since when, and what to try."""
        return self._findings.frame

    @cached_property
    def _findings(self) -> Findings:
        return Findings(diagnose(self.frames))

    def bad_batch(self) -> BadBatch | None:
        """Return the first batch whose step was not finite; None where none was, or none was to be kept.

        It is kept where the callback was made with ``keep_bad_batch=True``; `gradscope.reproduce` runs it once more.
        """
        return self._bad_batch if self.path is None else load_bad_batch(self.path)

    def diagnose(self, rules: Sequence[str | Rule] | None = None, **thresholds: Mapping[str, float]) -> Findings:
        """Return what is wrong with the run, causes before consequences and the severest first.

        Args:
            rules: Ids of rules, or functions of frames; None for all that are installed.
            thresholds: By the id of a rule, the thresholds to use instead of its defaults, such as
                ``dying_relu={"floor": 0.4}``.

        Raises:
            ArgumentError: If a rule or a threshold is not known.
        """
        if rules is None and not thresholds:
            return self._findings
        return Findings(diagnose(self.frames, rules, **thresholds))

    def check(self, fail_on: Severity = "high", ignore: str | Iterable[str] = ()) -> None:
        """Raise if the run has findings of severity ``fail_on`` or higher; for scripts and tests.

        Args:
            fail_on: Least severity that fails: ``"low"``, ``"medium"`` or ``"high"``.
            ignore: Ids of rules whose findings do not count, or keys of single findings such as
                ``"dying_relu@dense"``.

        Raises:
            CheckFailedError: If there are such findings; the message names them.
            MissingTableError: If no step was recorded, so that there is nothing to check.
            ArgumentError: If an argument is none of these.
        """
        raise_for([self.verdict(fail_on, ignore)])

    def verdict(self, fail_on: Severity = "high", ignore: str | Iterable[str] = ()) -> Verdict:
        """Return what `check` decides by, without raising for findings; its arguments are the same."""
        floor, ignored = severity_named(fail_on, "fail_on"), ignored_names(ignore)
        if not len(self.steps):
            raise MissingTableError(f"Run {self.name!r} has no recorded step, so there is nothing to check.")
        return verdict(self.name, self._findings, floor, ignored)

    def summary(self) -> Summary:
        """Return the findings, and one row a site: saturation, dead units, gradient, backward signal, update."""
        return summarise(self.frames, self._findings, name=self.name, path=self.path)

    def to_parquet(self, directory: str | PathLike[str]) -> None:
        """Add the run to the Parquet dataset in ``directory``; one of its name that is there is replaced.

        Each table lies in ``table=<table>/run=<name>/part-0.parquet``, beside those of other runs, so that DuckDB,
        Spark, Polars and pandas read many runs in place. ``_schema.json`` says what each column means.

        Raises:
            GradscopeError: If pyarrow is not installed.
            WriterError: If the directory cannot take the export.
        """
        write_parquet(Path(directory), [exported(self.name, self)])

    def to_csv(self, directory: str | PathLike[str]) -> None:
        """Write one CSV file a table to ``directory``, in place of an export that is there; numbers are exact.

        Raises:
            WriterError: If the directory cannot take the export.
        """
        write_csv(Path(directory), [exported(self.name, self)])

    def to_json(self, path: str | PathLike[str]) -> None:
        """Write all tables to one JSON file, in place of an export that is there; NaN and infinity are strings.

        Raises:
            WriterError: If the file cannot be written, or is there and no export.
        """
        write_json(Path(path), [exported(self.name, self)])

    def _repr_html_(self) -> str:
        return summary_html(self.summary())

    def report(self, path: str | PathLike[str], *, force: bool = False) -> Path:
        """Write the run as one page that needs nothing else, and return where it is.

        It says in words what is wrong, where, since when and what to try, with the figures that show it. A browser
        opens it without any network, so it can be kept and sent. An older report of that name is replaced.

        Args:
            path: The file, such as ``"mlp.html"``.
            force: True to replace a file that is no report.

        Raises:
            ArgumentError: If the file is there and is no report, or its directory is not there.
        """
        from gradscope.report.page.run import report_html  # plotly and the templates, for those who want them
        from gradscope.report.page.writing import write_page

        page = report_html(self.frames, self._findings, name=self.name, now=datetime.now().astimezone())
        write_page(page, Path(path), force=force)
        return Path(path)

    def __repr__(self) -> str:
        steps = len(self.steps)
        if not steps:
            return f"<gradscope run {self.name!r}: nothing recorded>"
        where = f", from {str(self.path)!r}" if self.path is not None else ""
        recorded = f"{steps:,} recorded {'step' if steps == 1 else 'steps'}"
        return f"<gradscope run {self.name!r}: {recorded} of {len(self.network.sites):,} sites{where}>"


def exported(name: str, run: Run) -> tuple[str, TidyTables]:
    """Return ``run`` as what writes tables takes it."""
    return name, tidy_tables(run.frames, run.findings)


def raise_for(verdicts: Iterable[Verdict]) -> None:
    """Raise if any of ``verdicts`` fails.

    Raises:
        CheckFailedError: If so; the message names the findings and their runs.
    """
    failed = [verdict for verdict in verdicts if verdict.failing]
    if not failed:
        return
    lines: list[str] = []
    for each in failed:
        lines.append(f"Run {each.run!r} has {number_of(len(each.failing))} of {or_higher(each.fail_on)}:")
        lines += [f"  {title(finding)}: {sentence(finding.message)}" for finding in each.failing]
    raise CheckFailedError("\n".join([*lines, "print(run.diagnose()) shows the evidence and what to try."]))


def load(path: str | PathLike[str]) -> Run:
    """Return the run that was recorded in ``path``.

    Args:
        path: The directory that was given to `GradScope`, its ``gradscope`` folder, or one event file in there.

    Raises:
        RunNotFoundError: If there is no recorded run; the message says what was found instead.
        RunFormatError: If it is damaged beyond reading, or was written by a newer version.
    """
    path = Path(path)
    return Run(read_frames(path), path=path)
