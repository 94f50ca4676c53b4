"""The files of the front end, compressed once."""

from __future__ import annotations

import gzip
import importlib.metadata
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
    content_type = _TYPES.get(PurePosixPath(path).suffix)
    if content_type is None or leads_out(path):
        raise _no_file(path)
    content = _plotly() if path == PLOTLY else _own(path.split("/"))
    if content is None:
        raise _no_file(path)
    return Asset(gzip.compress(content, 6, mtime=0), content_type)


def leads_out(path: str) -> bool:
    r"""Return whether ``path`` could name something outside the folder that it is joined to, on any system.

    On Windows a part with a colon begins anew at a drive, and a backslash separates as well as a slash.

    Example:
        >>> [leads_out(path) for path in ("../plugin.py", "views/..\\x.js", "C:/Users/x/secret.json", "/etc/x.json")]
        [True, True, True, True]
        >>> leads_out("views/network.js")
        False
    """
    parts = path.split("/")
    return any(part in ("", ".", "..") for part in parts) or not {":", "\\", "\0"}.isdisjoint(path)


def plotly_version() -> str:
    """Return the version of `PLOTLY`; empty where plotly is not installed."""
    try:
        return importlib.metadata.version("plotly")
    except importlib.metadata.PackageNotFoundError:
        return ""


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
