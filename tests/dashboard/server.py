"""A TensorBoard as everyone starts it, and what its tab answers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import numpy as np
import pytest
from numpy.typing import NDArray

SECONDS = 90.0


@dataclass(frozen=True)
class Answered:
    code: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Server:
    address: str

    def get(self, path: str, *, method: str = "GET", **headers: str) -> Answered:
        """Return what lies at ``path`` below the address of TensorBoard."""
        request = Request(f"{self.address}/{path}", method=method, headers=headers)
        try:
            with urlopen(request, timeout=SECONDS) as answer:
                return Answered(answer.status, dict(answer.headers), answer.read())
        except HTTPError as error:
            return Answered(error.code, dict(error.headers), error.read())

    def tab(self, route: str, **arguments: object) -> Answered:
        """Return the answer of one of our routes."""
        return self.get(f"data/plugin/gradscope/{route}?{urlencode(arguments)}")

    def json(self, route: str, **arguments: object) -> Any:
        found = self.tab(route, **arguments)
        assert found.code == 200, found.body
        return json.loads(found.body)

    def binary(self, route: str, **arguments: object) -> tuple[dict[str, Any], NDArray[np.float32]]:
        """Return the header of a binary answer, and its values as rows."""
        found = self.tab(route, **arguments)
        assert found.code == 200, found.body
        end = 4 + int.from_bytes(found.body[:4], "little")
        assert end % 4 == 0
        header = json.loads(found.body[4:end])
        values = np.frombuffer(found.body[end:], "<f4")
        rows = header.get("rows", header.get("series", header["steps"]))
        return header, values.reshape(len(rows), -1) if len(rows) else values


@contextmanager
def tensorboard(said: Path, *arguments: str) -> Iterator[Server]:
    """Start a TensorBoard with these arguments, for as long as the context lasts."""
    line = [sys.executable, "-m", "tensorboard.main", "--host", "127.0.0.1", "--port", "0", "--reload_interval", "1"]
    with said.open("wb") as log:
        process = subprocess.Popen([*line, *arguments], stdout=log, stderr=subprocess.STDOUT)
    try:
        found = until(lambda: re.search(r"http://[\w.]+:\d+[\w/]*", said.read_text("utf-8")))
        yield Server(found.group().rstrip("/"))
        assert process.poll() is None, said.read_text("utf-8")
        assert "Traceback" not in said.read_text("utf-8")
    finally:
        process.terminate()
        process.wait(timeout=30)


def until(found: Callable[[], Any]) -> Any:
    """Return what ``found`` returns once it is something."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if answer := found():
            return answer
        time.sleep(0.1)
    pytest.fail("It did not come in time.")
