"""Several runs under one roof: their tables as one, and what is asked of all of them."""

from __future__ import annotations

import html
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gradscope.comparing import compare, overview
from gradscope.diagnose.finding import Severity
from gradscope.diagnose.verdict import ignored_names
from gradscope.errors import RunFormatError, RunNotFoundError
from gradscope.run import Run, exported, load, raise_for
from gradscope.store.event_files import run_name
from gradscope.store.export.csv import write_csv
from gradscope.store.export.json import write_json
from gradscope.store.export.parquet import write_parquet
from gradscope.store.read import run_directories

if TYPE_CHECKING:
    from os import PathLike

    from gradscope.report.values.comparison import Comparison
    from gradscope.report.values.runs_table import Sweep


class Runs(Mapping[str, Run]):
    """Several runs by name, and their tables as one: each frame has a column ``run`` in front."""

    def __init__(self, runs: Mapping[str, Run]) -> None:
        self._runs = dict(runs)

    def __getitem__(self, name: str) -> Run:
        return self._runs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._runs)

    def __len__(self) -> int:
        return len(self._runs)

    @cached_property
    def steps(self) -> pd.DataFrame:
        """`Run.steps` of all runs."""
        return self._joined(lambda run: run.steps)

    @cached_property
    def activations(self) -> pd.DataFrame:
        """`Run.activations` of all runs."""
        return self._joined(lambda run: run.activations)

    @cached_property
    def gradients(self) -> pd.DataFrame:
        """`Run.gradients` of all runs."""
        return self._joined(lambda run: run.gradients)

    @cached_property
    def units(self) -> pd.DataFrame:
        """`Run.units` of all runs."""
        return self._joined(lambda run: run.units)

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """`Run.epochs` of all runs; a log that a run lacks is NaN there."""
        return self._joined(lambda run: run.epochs)

    @cached_property
    def histograms(self) -> pd.DataFrame:
        """`Run.histograms` of all runs."""
        return self._joined(lambda run: run.histograms)

    @cached_property
    def findings(self) -> pd.DataFrame:
        """`Run.findings` of all runs."""
        return self._joined(lambda run: run.findings)

    def check(self, fail_on: Severity = "high", ignore: str | Iterable[str] = ()) -> None:
        """Raise if any of the runs has findings of severity ``fail_on`` or higher, as `Run.check` does for one.

        Raises:
            CheckFailedError: If there are such findings; the message names them and their runs.
            MissingTableError: If no step of a run was recorded, so that there is nothing to check.
            ArgumentError: If an argument cannot work.
        """
        ignore = ignored_names(ignore)
        raise_for([replace(run.verdict(fail_on, ignore), run=name) for name, run in self.items()])

    def summary(self) -> Sweep:
        """Return one row a run, those with the severest findings first: worst finding, outcome, params, overhead."""
        return overview(self)

    def compare(self, reference: str | None = None, *, ratio: float = 2.0, difference: float = 0.1) -> Comparison:
        """Return how the runs differ from the one named ``reference``, as `gradscope.compare` does."""
        return compare(self, reference=reference, ratio=ratio, difference=difference)

    def to_parquet(self, directory: str | PathLike[str]) -> None:
        """Add the runs to the Parquet dataset in ``directory``, as `Run.to_parquet` does one.

        Raises:
            GradscopeError: If pyarrow is not installed.
            WriterError: If the directory cannot take the export.
        """
        write_parquet(Path(directory), (exported(name, run) for name, run in self.items()))

    def to_csv(self, directory: str | PathLike[str]) -> None:
        """Write one CSV file a table to ``directory``; its first column names the run.

        Raises:
            WriterError: If the directory cannot take the export.
        """
        write_csv(Path(directory), (exported(name, run) for name, run in self.items()))

    def to_json(self, path: str | PathLike[str]) -> None:
        """Write all tables of all runs to one JSON file.

        Raises:
            WriterError: If the file cannot be written.
        """
        write_json(Path(path), (exported(name, run) for name, run in self.items()))

    def _joined(self, table: Callable[[Run], pd.DataFrame]) -> pd.DataFrame:
        frames = {name: table(run) for name, run in self.items()}
        frames = {name: frame for name, frame in frames.items() if len(frame)} or frames
        joined = pd.concat([_without_categories(frame) for frame in frames.values()], ignore_index=True)
        joined.insert(0, "run", np.repeat(list(frames), list(map(len, frames.values()))))
        names = _names(next(iter(frames.values())))
        return joined.astype({name: _in_order_of_appearance(joined[name]) for name in ("run", *names)})

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self.summary()))}</pre>"

    def __repr__(self) -> str:
        return f"<gradscope runs: {', '.join(self)}>"


def load_runs(parent: str | PathLike[str]) -> Runs:
    """Return every run below ``parent``, named by its path from there.

    A run that cannot be read is left out with a warning, so that one damaged file does not hide forty good ones.

    Raises:
        RunNotFoundError: If there is no run that can be read.
    """
    parent, runs = Path(parent), dict[str, Run]()
    for directory in run_directories(parent):
        try:
            runs[_name_below(parent, directory)] = load(directory)
        except RunFormatError as error:
            warnings.warn(f"A run is left out: {error}", stacklevel=2)
    if not runs:
        raise RunNotFoundError(f"No recorded run below {str(parent)!r}. Pass the directory that holds the runs' own.")
    return Runs(runs)


def _name_below(parent: Path, directory: Path) -> str:
    below = directory.resolve().relative_to(parent.resolve()).as_posix()
    return run_name(directory) if below == "." else below


def _without_categories(frame: pd.DataFrame) -> pd.DataFrame:
    """Return ``frame`` with its names as plain strings: those of two runs differ."""
    return frame.astype(dict.fromkeys(_names(frame), object))


def _names(frame: pd.DataFrame) -> list[str]:
    """Return the columns of ``frame`` that hold names; ordered categories, as severity has, are the same for all."""
    categorical = frame.select_dtypes("category")
    return [str(column) for column in categorical if not categorical[column].cat.ordered]


def _in_order_of_appearance(names: pd.Series[str]) -> pd.CategoricalDtype:
    return pd.CategoricalDtype(pd.Series(names.unique(), dtype=str))
