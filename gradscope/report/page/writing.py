"""A page on its way to a file: an older report is replaced, any other file is not."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from gradscope.errors import ArgumentError

_MARK: Final = b'<meta name="generator" content="GradScope '
_HEAD_BYTES: Final = 2_000


def write_page(page: str, path: Path, *, force: bool = False) -> None:
    """Write ``page`` to ``path``; an older report is replaced, any other file is not.

    Args:
        page: What to write.
        path: Where to.
        force: True to replace whatever is there.

    Raises:
        ArgumentError: If the file is there and is no report, its directory is not there, or its name is that of
            another kind of file.
    """
    if path.is_dir():
        raise ArgumentError(f"{str(path)!r} is a directory. Name a file, such as {str(path / 'report.html')!r}.")
    if not path.exists() and path.suffix.lower() not in ("", ".html", ".htm"):
        page_name = path.with_suffix(".html").name
        raise ArgumentError(f"A page is HTML, and {path.name!r} is no name for one. Write {page_name!r}.")
    if path.exists() and not force and not _is_report(path):
        raise ArgumentError(
            f"{str(path)!r} is no report, so it is not replaced. Name another file, or "
            "replace it all the same: force=True, or --force."
        )
    if not path.parent.is_dir():
        raise ArgumentError(f"There is no directory {str(path.parent)!r} to write {path.name!r} to. Make it first.")
    path.write_text(page, encoding="utf-8")


def _is_report(path: Path) -> bool:
    with path.open("rb") as file:
        return _MARK in file.read(_HEAD_BYTES)
