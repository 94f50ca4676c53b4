"""The routes of the tab: each reads its arguments, calls one pure function and sends what it returns.

`http_api.md` describes them. What fails is answered with a sentence, never with a traceback.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

from tensorboard import errors, plugin_util
from tensorboard.backend import http_util
from tensorboard.plugins import base_plugin
from werkzeug import Request, Response

from gradscope.schema import STATISTICS
from gradscope.store.events import HISTOGRAM_PREFIX, PLUGIN, TEXT_TAGS
from gradscope_dashboard import answers, matrices
from gradscope_dashboard.assets import asset
from gradscope_dashboard.cache import Cache
from gradscope_dashboard.memory import give_back
from gradscope_dashboard.notes import Notes, notes_of
from gradscope_dashboard.refusals import RequestError, wrong
from gradscope_dashboard.source import Point, RecordedRun, Source
from gradscope_dashboard.tables import Block, ThinnedTable, read_table
from gradscope_dashboard.thinning import MOST_COLUMNS

TABLE_BYTES: Final = 200_000_000
"""Bytes of thinned tables that are kept: those of four deep, long runs."""

NOTE_BYTES: Final = 40_000_000
"""Bytes of all else that is kept."""

_COLUMNS = 600
_LONG = 30 * 24 * 3600  # seconds for which a browser may keep a file that is asked for by its version
_logger = logging.getLogger(__name__)

# TensorBoard has no stubs: what it offers is Any.
_http: Any = http_util
_util: Any = plugin_util
_errors: Any = errors


class GradscopePlugin(base_plugin.TBPlugin):  # pyright: ignore[reportUntypedBaseClass] - no stubs
    """TensorBoard's tab "GradScope"."""

    plugin_name = PLUGIN

    def __init__(self, context: Any) -> None:
        self._provider = context.data_provider
        self._tables = Cache(TABLE_BYTES)
        self._notes = Cache(NOTE_BYTES)
        self._reading = threading.Lock()  # one large answer of the provider is in memory at a time

    def is_active(self) -> bool:
        """Return False: TensorBoard itself finds that there are data of ours, and shows the tab then.

        Without any, the tab stands in the menu of inactive ones, opens from there, and says how to record.
        """
        return False

    def frontend_metadata(self) -> Any:
        return base_plugin.FrontendMetadata(es_module_path="/static/index.js", tab_name="GradScope")

    def get_plugin_apps(self) -> dict[str, Any]:
        data = {
            "/statistics": self._statistics,
            "/runs": self._runs,
            "/network": self._network,
            "/findings": self._findings,
            "/epochs": self._epochs,
            "/units": self._units,
        }
        binary = {
            "/matrix": self._matrix,
            "/curves": self._curves,
            "/steps": self._steps,
            "/histograms": self._histograms,
        }
        return {
            "/static/*": _application(_static),
            **{
                path: _application(_sender(self._provider, answer, "application/json")) for path, answer in data.items()
            },
            **{
                path: _application(_sender(self._provider, answer, "application/octet-stream"))
                for path, answer in binary.items()
            },
        }

    # --- routes ---

    def _statistics(self, source: Source, arguments: Arguments) -> bytes:
        return answers.statistics()

    def _runs(self, source: Source, arguments: Arguments) -> bytes:
        return answers.runs((run, self._notes_of(source, run)) for run in source.runs())

    def _network(self, source: Source, arguments: Arguments) -> bytes:
        run = source.run(_required(arguments, "run"))
        return answers.network(run.stamp, self._notes_of(source, run))

    def _findings(self, source: Source, arguments: Arguments) -> bytes:
        run = source.run(_required(arguments, "run"))
        return answers.findings(run.stamp, self._notes_of(source, run))

    def _epochs(self, source: Source, arguments: Arguments) -> bytes:
        run = source.run(_required(arguments, "run"))
        return answers.epochs(run.stamp, self._notes_of(source, run))

    def _units(self, source: Source, arguments: Arguments) -> bytes:
        site = _required(arguments, "site")
        run = source.run(_required(arguments, "run"))
        return answers.units(run, self._notes_of(source, run), self._unit_blocks(source, run), site)

    def _matrix(self, source: Source, arguments: Arguments) -> bytes:
        identity, most = _required(arguments, "statistic"), _column_count(arguments)
        found = STATISTICS.get(identity)
        if found is None:
            raise wrong(f"statistic={identity!r} is not known. The route 'statistics' lists those that are.")
        run = source.run(_required(arguments, "run"))
        notes = self._notes_of(source, run)
        answer = matrices.matrix(notes, self._table(source, run, notes, found.table.name), found.column, most)
        for other in ("activations", "gradients"):  # the next statistic that is chosen may be of either
            self._tables.prepare(*self._making(source, run, notes, other), size=_table_size)
        return answer

    def _curves(self, source: Source, arguments: Arguments) -> bytes:
        layer, most = _required(arguments, "layer"), _column_count(arguments)
        run = source.run(_required(arguments, "run"))
        notes = self._notes_of(source, run)
        tables = (self._table(source, run, notes, table) for table in ("activations", "gradients"))
        return matrices.curves(run, notes, *tables, layer=layer, most=most)

    def _steps(self, source: Source, arguments: Arguments) -> bytes:
        most = _column_count(arguments)
        run = source.run(_required(arguments, "run"))
        notes = self._notes_of(source, run)
        return matrices.steps(notes, self._table(source, run, notes, "steps"), most)

    def _histograms(self, source: Source, arguments: Arguments) -> bytes:
        site = _required(arguments, "site")
        run = source.run(_required(arguments, "run"))
        notes = self._notes_of(source, run)
        if not any(site == known.key for change in notes.networks for known in change.network.sites):
            raise answers.no_site(run, site)
        points = self._histogram_points(source, run, site)
        return matrices.histograms(run.stamp, notes, site, points)

    # --- what was read, kept ---

    def _table(self, source: Source, run: RecordedRun, notes: Notes, table: str) -> ThinnedTable:
        making = self._making(source, run, notes, table)
        return self._tables.get(*making, size=_table_size, may_be_old=not notes.ended)

    def _making(
        self, source: Source, run: RecordedRun, notes: Notes, table: str
    ) -> tuple[tuple[str, ...], str, Callable[[], ThinnedTable]]:
        """Return under which key and stamp a table is kept, and what makes it."""

        def make() -> ThinnedTable:
            with self._reading:
                try:
                    return read_table(source, run, table, notes.sessions)
                finally:
                    give_back()

        return (source.experiment, run.name, table), run.stamp, make

    def _notes_of(self, source: Source, run: RecordedRun) -> Notes:
        if not run.is_readable:
            return Notes()
        texts = {tag: run.series[tag] for tag in TEXT_TAGS if tag in run.series}
        stamp = tuple((tag, found.max_step, found.max_wall_time) for tag, found in texts.items())

        def make() -> tuple[Notes, int]:
            points = source.read(run, TEXT_TAGS)
            return notes_of(points), 5 * _text_size(points)  # objects take several times the room of their JSON

        return self._notes.get((source.experiment, run.name), stamp, make, size=_second)[0]

    def _unit_blocks(self, source: Source, run: RecordedRun) -> list[Block]:
        def make() -> list[Block]:
            layouts = run.layouts("units") | run.layouts("final_units")
            points = source.read(run, layouts) if layouts else {}
            return [Block(layout, points.get(tag, [])) for tag, layout in layouts.items()]

        return self._notes.get((source.experiment, run.name, "units"), run.stamp, make, size=_blocks_size)

    def _histogram_points(self, source: Source, run: RecordedRun, site: str) -> list[Point]:
        tag = HISTOGRAM_PREFIX + site

        def make() -> list[Point]:
            return source.read(run, [tag], plugin="histograms").get(tag, [])

        return self._notes.get((source.experiment, run.name, tag), run.stamp, make, size=_points_size)


# --- arguments ---

Arguments: TypeAlias = Mapping[str, str]


def _required(arguments: Arguments, name: str) -> str:
    value = arguments.get(name, "")
    if not value:
        raise wrong(f"The argument {name!r} is missing.")
    return value


def _column_count(arguments: Arguments) -> int:
    text = arguments.get("columns", str(_COLUMNS))
    if not (text.isascii() and text.isdecimal() and len(text) <= 4 and 1 <= int(text) <= MOST_COLUMNS):
        raise wrong(f"columns={text[:20]!r} is no whole number from 1 to {MOST_COLUMNS}.")
    return int(text)


# --- sending ---

Answer: TypeAlias = Callable[[Source, Arguments], bytes]


def _sender(provider: Any, answer: Answer, content_type: str) -> Callable[[Request], Response]:
    def send(request: Request) -> Response:
        source = Source(provider, _util.context(request.environ), _util.experiment_id(request.environ))
        return _http.Respond(request, answer(source, request.args), content_type)

    return send


def _static(request: Request) -> Response:
    found = asset(request.path.partition(f"/{PLUGIN}/static/")[2])
    expires = _LONG if request.args.get("v") else 0
    return _http.Respond(request, found.gzipped, found.content_type, content_encoding="gzip", expires=expires)


def _application(send: Callable[[Request], Response]) -> Any:
    """Return a WSGI application that answers with what ``send`` returns, or a sentence that says why there is none."""

    @Request.application
    def application(request: Request) -> Response:
        try:
            if request.method not in ("GET", "HEAD"):
                raise RequestError(405, "Only GET is answered here.")
            return send(request)
        except RequestError as refusal:
            return _http.Respond(request, refusal.sentence, "text/plain", code=refusal.code)
        except _errors.PublicError:
            raise  # TensorBoard answers with its code and words
        except Exception as error:
            _logger.exception("GradScope's tab failed at %s", request.path)
            sentence = f"GradScope's tab failed with {type(error).__name__}; TensorBoard's log says where."
            return _http.Respond(request, sentence, "text/plain", code=500)

    return application


# --- sizes ---


def _table_size(table: ThinnedTable) -> int:
    return table.byte_count


def _second(pair: tuple[Notes, int]) -> int:
    return pair[1]


def _text_size(points: Mapping[str, list[Point]]) -> int:
    return sum(len(point.array.item()) for series in points.values() for point in series)


def _points_size(points: Iterable[Point]) -> int:
    return sum(point.array.nbytes + 200 for point in points)  # and the objects around each


def _blocks_size(blocks: list[Block]) -> int:
    return sum(_points_size(block.points) for block in blocks)
