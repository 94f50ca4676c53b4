"""The border to TensorBoard's data provider: which runs are ours, what they hold, and its points as plain values.

Data come from the provider alone: it knows every kind of log directory, follows what grows, and works where this
process may not read the files. It may fail at any call, for a run may be deleted meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar, cast

from numpy.typing import NDArray
from tensorboard import errors
from tensorboard.data import provider as tensorboard_data

from gradscope import schema
from gradscope.store.events import PLUGIN
from gradscope.store.layout import Layout
from gradscope_dashboard.refusals import not_here

T = TypeVar("T")

ALL: Final = 10**9
"""More points than any series has."""

_FOLDER = f"/{PLUGIN}"
_FEWER = 4  # an answer that is too large for the wire is asked for once more with this many times fewer points
_ATTEMPTS = 5

# TensorBoard has no stubs: what it gives is Any until it is checked here.
_errors: Any = errors
_data: Any = tensorboard_data


class Point(NamedTuple):
    """One point of a series.

    Attributes:
        step: Step, counted from 0 over the whole run.
        wall_time: Seconds since 1970.
        array: The numbers; for a text, an array of shape ``[]`` that holds it.
    """

    step: int
    wall_time: float
    array: NDArray[Any]


@dataclass(frozen=True, slots=True)
class Series:
    """What the provider tells about a series without reading it: its newest point, and what its metadata say."""

    max_step: int
    max_wall_time: float
    content: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """A run that gradscope recorded.

    Attributes:
        shown: Its name in the tab.
        name: Its name in TensorBoard.
        series: What there is of ours, by tag.
    """

    shown: str
    name: str
    series: Mapping[str, Series]

    @property
    def last_step(self) -> int | None:
        """The newest recorded step; None before the first."""
        return max((self.series[tag].max_step for tag in self.layouts("steps")), default=None)

    @property
    def last_wall_time(self) -> float:
        """When anything was last recorded."""
        return max(series.max_wall_time for series in self.series.values())

    @property
    def stamp(self) -> str:
        """Changes when the data grow."""
        return f"{self.last_step}-{self.last_wall_time}"

    @property
    def is_readable(self) -> bool:
        """False for a run of a newer major version."""
        return not any(_is_newer(series.content) for series in self.series.values())

    def layouts(self, table: str) -> dict[str, Layout]:
        """Return the layout of each tag that holds rows of ``table``."""
        return {
            tag: Layout.from_content(series.content)
            for tag, series in self.series.items()
            if series.content.get("table") == table
        }


@dataclass(frozen=True, slots=True)
class Source:
    """A data provider as one request may use it.

    Attributes:
        provider: TensorBoard's data provider.
        context: The request's context, which carries its rights.
        experiment: Id of the experiment; empty for a local log directory.
    """

    provider: Any
    context: Any
    experiment: str

    def runs(self) -> list[RecordedRun]:
        """Return every run of ours, by name."""
        listed = self._listed(None)
        runs = (RecordedRun(shown_name(name, listed), name, series) for name, series in listed.items())
        return sorted(runs, key=lambda run: run.shown)

    def run(self, shown: str) -> RecordedRun:
        """Return the run that the tab calls ``shown``.

        Raises:
            RequestError: If there is none, or a newer major version recorded it.
        """
        names = [shown, PLUGIN if shown == "." else shown + _FOLDER]
        listed = self._listed(names)
        for name in names:
            if name in listed:
                run = RecordedRun(shown, name, listed[name])
                if run.is_readable:
                    return run
                raise not_here(
                    f"Run {shown!r} was recorded by a newer gradscope, in a format that this one cannot read. "
                    "To see it: pip install --upgrade keras-gradscope"
                )
        raise not_here(f"There is no run {shown!r}: it was never recorded, or has been deleted.")

    def read(
        self, run: RecordedRun, tags: Iterable[str], *, most: int = ALL, plugin: str = PLUGIN
    ) -> dict[str, list[Point]]:
        """Return the points of each of ``tags`` that has any, at most ``most`` a tag, the last among them.

        Raises:
            RequestError: If the provider has nothing more of the run, or fails.
        """
        only = _data.RunTagFilter(runs=[run.name], tags=list(tags))
        answer: object = None
        for _ in range(_ATTEMPTS):
            try:
                answer = self.provider.read_tensors(
                    self.context,
                    experiment_id=self.experiment,
                    plugin_name=plugin,
                    downsample=most,
                    run_tag_filter=only,
                )
                break
            except Exception as error:
                if not _is_too_large(error):
                    raise _refused(error, run.shown) from error
                most = min(most, 1_000_000) // _FEWER
        else:
            raise not_here(f"The data of run {run.shown!r} are too large for an answer of TensorBoard's data server.")
        points = cast("dict[str, dict[str, list[Any]]]", answer or {}).get(run.name, {})
        return {
            tag: [Point(int(datum.step), float(datum.wall_time), datum.numpy) for datum in series]
            for tag, series in points.items()
            if series
        }

    def _listed(self, names: list[str] | None) -> dict[str, dict[str, Series]]:
        only = None if names is None else _data.RunTagFilter(runs=names)
        try:
            answer: Any = self.provider.list_tensors(
                self.context, experiment_id=self.experiment, plugin_name=PLUGIN, run_tag_filter=only
            )
        except Exception as error:
            raise _refused(error, names[0] if names else None) from error
        runs = {name: _series(tags) for name, tags in cast("dict[str, Any]", answer or {}).items()}
        return {name: series for name, series in runs.items() if series}


def shown_name(name: str, others: Iterable[str]) -> str:
    """Return what the tab calls the run that TensorBoard calls ``name``: without our folder, if that is unambiguous.

    Example:
        >>> [shown_name(name, ()) for name in ("a/b/gradscope", "gradscope", ".", "a")]
        ['a/b', '.', '.', 'a']
        >>> shown_name("a/gradscope", ("a", "a/gradscope"))
        'a/gradscope'
    """
    short = "." if name == PLUGIN else name.removesuffix(_FOLDER)
    return name if short in others else short


def text_of(point: Point) -> str:
    """Return the text that a point holds."""
    held = point.array.item()
    return held.decode("utf-8", "replace") if isinstance(held, bytes) else str(held)


def _series(tags: Mapping[str, Any]) -> dict[str, Series]:
    """Return what is told about each tag that has points: a loader may know a tag whose points are all void."""
    return {
        tag: Series(int(found.max_step), float(found.max_wall_time), _content(found.plugin_content))
        for tag, found in tags.items()
        if found.max_step is not None
    }


def _content(content: bytes) -> Mapping[str, Any]:
    try:
        found: Any = json.loads(content)
    except ValueError:
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _is_newer(content: Mapping[str, Any]) -> bool:
    major, _, minor = str(content.get("version", "")).partition(".")
    if not major.isdecimal():
        return False
    version = int(major), int(minor) if minor.isdecimal() else 0
    return schema.compatibility(version) is schema.Compatibility.NEWER_MAJOR


def _is_too_large(error: Exception) -> bool:
    """Whether the answer passed the 256 MiB that the data server may send."""
    code: Callable[[], Any] | None = getattr(error, "code", None)
    return callable(code) and getattr(code(), "name", "") == "RESOURCE_EXHAUSTED"


def _refused(error: Exception, run: str | None) -> Exception:
    """Return what to raise for a failure of the provider: its own words where they are meant for the public."""
    if isinstance(error, _errors.PublicError):
        return error
    what = "The runs" if run is None else f"The data of run {run!r}"
    return not_here(f"{what} cannot be read: TensorBoard's data provider failed with {type(error).__name__}.")
