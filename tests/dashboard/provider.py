"""A data provider in memory, and the tab's routes above it: what a TensorBoard would answer, without one."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import numpy as np
from numpy.typing import NDArray
from tensorboard.compat.proto import event_pb2
from tensorboard.util import tensor_util
from werkzeug.test import Client

from gradscope.records import Record
from gradscope.store.events import Writing, encode

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of the html5lib that TensorBoard brings along
    from gradscope_dashboard.plugin import GradscopePlugin

_events: Any = event_pb2


class MemoryProvider:
    """Gives the records that were written to it, as one run ``name``.

    Attributes:
        seconds: How long each reading takes.
    """

    def __init__(self, name: str = "mlp/gradscope") -> None:
        self.name = name
        self.seconds = 0.0
        self._writing = Writing()
        self._contents: dict[str, bytes] = {}
        self._points: dict[str, list[Any]] = {}

    def write(self, records: Iterable[Record]) -> None:
        for record in records:
            payloads, self._writing = encode(record, self._writing)
            for event in map(_events.Event.FromString, payloads):
                for value in event.summary.value:
                    self._contents.setdefault(value.tag, value.metadata.plugin_data.content)
                    array = tensor_util.make_ndarray(value.tensor)
                    point = SimpleNamespace(step=event.step, wall_time=event.wall_time, numpy=array)
                    self._points.setdefault(value.tag, []).append(point)

    def list_tensors(self, _context: object, **_asked: Any) -> Any:
        return {
            self.name: {
                tag: SimpleNamespace(
                    max_step=points[-1].step, max_wall_time=points[-1].wall_time, plugin_content=self._contents[tag]
                )
                for tag, points in self._points.items()
                if tag.startswith("gradscope/")
            }
        }

    def read_tensors(self, _context: object, *, run_tag_filter: Any, **_asked: Any) -> Any:
        found = {tag: list(self._points[tag]) for tag in run_tag_filter.tags if tag in self._points}
        time.sleep(self.seconds)
        return {self.name: found}


class Tab:
    """The tab's routes above a provider."""

    def __init__(self, provider: Any) -> None:
        apps = GradscopePlugin(SimpleNamespace(data_provider=provider)).get_plugin_apps()
        self._clients = {path.strip("/"): Client(app) for path, app in apps.items()}

    def body(self, route: str, **arguments: object) -> bytes:
        answer = self._clients[route].get(f"/{route}?{urlencode(arguments)}")
        assert answer.status_code == 200, answer.data
        return answer.data

    def json(self, route: str, **arguments: object) -> Any:
        return json.loads(self.body(route, **arguments))

    def binary(self, route: str, **arguments: object) -> tuple[dict[str, Any], NDArray[np.float32]]:
        """Return the header of a binary answer, and its values as rows."""
        body = self.body(route, **arguments)
        end = 4 + int.from_bytes(body[:4], "little")
        header = json.loads(body[4:end])
        rows = header.get("rows", header.get("series", header["steps"]))
        return header, np.frombuffer(body[end:], "<f4").reshape(len(rows), -1)
