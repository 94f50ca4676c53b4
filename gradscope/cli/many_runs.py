"""The runs that several paths name, read one after another, so that of many only one is in memory."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from gradscope.errors import RunFormatError, RunNotFoundError
from gradscope.nearest import nearest, question

if TYPE_CHECKING:
    from gradscope.run import Run


@dataclass
class ManyRuns:
    """Iterates over runs; what cannot be read is in ``left_out`` when the iteration has ended.

    Attributes:
        places: The name of each run, and where it lies.
        left_out: By name, why it is left out.
    """

    places: Sequence[tuple[str, Path]]
    left_out: dict[str, str] = field(default_factory=dict[str, str])

    def __iter__(self) -> Iterator[Run]:
        from gradscope.run import load

        for name, place in self.places:
            try:
                run = load(place)
            except (RunFormatError, RunNotFoundError) as error:
                self.left_out[name] = str(error)
            else:
                run.name = name
                yield run

    def readable(self) -> Iterator[Run]:
        """Yield the runs, and warn of each that cannot be read.

        Raises:
            RunFormatError: At the end, if none can be read.
        """
        yield from self
        if len(self.left_out) == len(self.places):
            raise RunFormatError(" ".join(self.left_out.values()))
        for reason in self.left_out.values():
            warnings.warn(f"A run is left out: {reason}", stacklevel=2)

    def name_of(self, text: str) -> str:
        """Return the name of the run that a user means by its name or by its path."""
        by_path = {place.resolve(): name for name, place in self.places}
        return by_path.get(Path(text).resolve(), text)


def runs_at(paths: Sequence[Path]) -> ManyRuns:
    """Return the runs at ``paths``, and all below a path that is none, named by their paths from where these part.

    Raises:
        RunNotFoundError: If there is nothing at one of the paths; it names the nearest.
    """
    places = [place for path in paths for place in _places(path)]
    return ManyRuns(list(zip(names_of([place.resolve() for place in places]), places, strict=True)))


def names_of(places: Sequence[PurePath]) -> list[str]:
    """Return each of ``places``, which are absolute, from where they part; whole on two drives, which share nothing.

    Example:
        >>> from pathlib import PurePosixPath, PureWindowsPath
        >>> names_of([PurePosixPath("/logs/a/mlp"), PurePosixPath("/logs/b/mlp")])
        ['a/mlp', 'b/mlp']
        >>> names_of([PureWindowsPath("C:/logs/mlp"), PureWindowsPath("D:/logs/mlp")])
        ['C:/logs/mlp', 'D:/logs/mlp']
    """
    above = places[0].parents if places else ()
    common = next((parent for parent in above if all(parent in place.parents for place in places)), None)
    return [(place if common is None else place.relative_to(common)).as_posix() for place in places]


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


def _places(path: Path) -> list[Path]:
    """Return ``path`` if it is a run, else the runs below it; itself where there are none: `load` says why."""
    from gradscope.run import load
    from gradscope.store.read import run_directories

    if not path.exists():
        try:
            load(path)
        except RunNotFoundError as error:  # which says what there is on the way
            raise RunNotFoundError(f"{error}{nearest_run(path)}") from None
    below = run_directories(path) if path.is_dir() else []
    return [path] if path in below or not below else below
