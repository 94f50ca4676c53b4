"""The files of the front end, compressed once."""

from __future__ import annotations

import gzip
import importlib.resources
import importlib.util
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from gradscope_dashboard.refusals import RequestError, not_here

PLOTLY: Final = "plotly.min.js"
"""The one file that comes from the installed plotly package, under its own name."""

_TYPES: Final = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".png": "image/png",
    ".woff2": "font/woff2",
}


class Asset(NamedTuple):
    """A file as it is sent."""

    gzipped: bytes
    content_type: str


@cache
def asset(path: str) -> Asset:
    """Return the file at ``path`` in ``static/``.

    Args:
        path: Decoded, separated by slashes. One that leads out of the folder names no file.

    Raises:
        RequestError: If there is no such file.
    """
    parts = path.split("/")
    content_type = _TYPES.get(PurePosixPath(path).suffix)
    if content_type is None or any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts):
        raise _no_file(path)
    content = _plotly() if path == PLOTLY else _own(parts)
    if content is None:
        raise _no_file(path)
    return Asset(gzip.compress(content, 6, mtime=0), content_type)


def _own(parts: list[str]) -> bytes | None:
    file = importlib.resources.files("gradscope_dashboard").joinpath("static", *parts)
    return file.read_bytes() if file.is_file() else None


def _plotly() -> bytes | None:
    found = importlib.util.find_spec("plotly")  # finds the package without importing it: that takes a second
    for folder in (found.submodule_search_locations if found else None) or ():
        file = Path(folder) / "package_data" / PLOTLY
        if file.is_file():
            return file.read_bytes()
    return None


def _no_file(path: str) -> RequestError:
    return not_here(f"There is no file {path!r}.")
