"""The runs that a command's PATH names: one, or all below a directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gradscope.run import Run


def only_run(path: Path) -> Run:
    """Return the run at ``path``, or the only one below it.

    Raises:
        RunNotFoundError: If there is none, or there are several.
    """
    from gradscope.errors import RunNotFoundError
    from gradscope.run import load

    try:
        return load(path)
    except RunNotFoundError:
        below = _below(path)
        if not below:
            raise
        if len(below) > 1:
            names = ", ".join(str(directory) for directory in below[:5]) + (", ..." if len(below) > 5 else "")
            raise RunNotFoundError(f"{str(path)!r} holds {len(below)} runs; name one of them: {names}") from None
        return load(below[0])


def all_runs(path: Path) -> tuple[dict[str, Run], int]:
    """Return the run at ``path``, or all below it, by name, and how many of those could not be read.

    Raises:
        RunNotFoundError: If there is none.
    """
    from gradscope.errors import RunNotFoundError
    from gradscope.run import load, load_runs

    try:
        run = load(path)
    except RunNotFoundError:
        below = _below(path)
        if not below:
            raise
        runs = load_runs(path)
        return dict(runs), len(below) - len(runs)
    return {run.name: run}, 0


def _below(path: Path) -> list[Path]:
    from gradscope.store.read import run_directories

    return run_directories(path) if path.is_dir() else []
