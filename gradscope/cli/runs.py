"""The runs that a command's PATH names: one, or all below a directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gradscope.cli.mistakes import nearest, question

if TYPE_CHECKING:
    from gradscope.run import Run


def all_runs(path: Path) -> tuple[dict[str, Run], int]:
    """Return the run at ``path``, or all below it, by name, and how many of those could not be read.

    Raises:
        RunNotFoundError: If there is none.
    """
    from gradscope.errors import RunNotFoundError
    from gradscope.run import load
    from gradscope.runs import load_runs

    try:
        run = load(path)
    except RunNotFoundError as error:
        below = _below(path)
        if not below:
            raise RunNotFoundError(f"{error}{nearest_run(path)}") from None
        runs = load_runs(path)
        return dict(runs), len(below) - len(runs)
    return {run.name: run}, 0


def nearest_run(path: Path) -> str:
    """Return a question that names the directory that ``path`` may be a misspelling of; ``""`` where none is like it.

    Example:
        >>> nearest_run(Path("no/such/run"))
        ''
    """
    missing = next((part for part in (*reversed(path.parents), path) if not part.exists()), None)
    if missing is None or not missing.parent.is_dir():
        return ""
    names = [entry.name for entry in missing.parent.iterdir() if entry.is_dir()]
    near = nearest(missing.name, names)
    if not near:
        return ""
    mended = missing.with_name(near[0])
    whole = mended / path.relative_to(missing)
    return question([str(whole if whole.exists() else mended)])


def _below(path: Path) -> list[Path]:
    from gradscope.store.read import run_directories

    return run_directories(path) if path.is_dir() else []
