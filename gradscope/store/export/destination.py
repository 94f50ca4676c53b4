"""Where an export goes: made if need be, refused if it cannot take one, and never seen half written."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gradscope.errors import GradscopeError, WriterError
from gradscope.store.export.tables import VERSION, schema_document

# Spark, pandas and DuckDB take a name that begins with an underscore for no part of the data.
SCHEMA_FILE: Final = "_schema.json"


@dataclass(frozen=True, slots=True)
class Written:
    """One file of an export.

    Attributes:
        path: Where it lies.
        run: The run that it holds; None where it holds all that were exported.
        rows: Rows of each table in it.
    """

    path: Path
    run: str | None
    rows: dict[str, int]


@contextmanager
def export_directory(directory: Path, form: str, *, adds: bool) -> Generator[Path]:
    """Make ``directory`` ready for an export in the format ``form``, and yield an empty folder within it.

    What is complete in that folder is moved from there; whatever is left in it at the end is deleted.

    Args:
        directory: Where to.
        form: The format.
        adds: Whether what is there stays beside what is written. The description of a newer minor version then stays
            too: it tells all columns of both.

    Raises:
        WriterError: If ``directory`` is a file, cannot be written, or holds an export of another kind.
    """
    with _failures_named(directory):
        if directory.exists() and not directory.is_dir():
            raise WriterError(f"Cannot export to {str(directory)!r}: it is a file. Pass a directory.")
        directory.mkdir(parents=True, exist_ok=True)
        present = _version_present(directory, form)
        with tempfile.TemporaryDirectory(prefix=".gradscope-", dir=directory) as stage:
            yield Path(stage)
            if not adds or present is None or present <= VERSION:
                described = Path(stage) / SCHEMA_FILE
                described.write_text(json.dumps(schema_document(form), indent=2) + "\n", encoding="utf-8")
                described.replace(directory / SCHEMA_FILE)


@contextmanager
def export_file(path: Path, beginning: str) -> Generator[Path]:
    """Yield a path to write to; when all is written, that file replaces ``path``.

    Args:
        path: Where to.
        beginning: How every export of this format begins: a file that begins otherwise is not replaced.

    Raises:
        WriterError: If ``path`` is a directory, is a file that is no export, or cannot be written.
    """
    with _failures_named(path):
        if path.is_dir():
            raise WriterError(f"Cannot export to {str(path)!r}: it is a directory. Pass a file, such as run.json.")
        if path.exists() and not _begins(path, beginning):
            raise WriterError(f"{str(path)!r} is no export of gradscope, so it is not replaced. Pass another file.")
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".gradscope-", dir=path.parent) as stage:
            yield Path(stage) / "export"
            (Path(stage) / "export").replace(path)


def _begins(path: Path, beginning: str) -> bool:
    expected = beginning.encode()
    with path.open("rb") as file:
        return file.read(len(expected)) == expected


@contextmanager
def _failures_named(path: Path) -> Generator[None]:
    try:
        yield
    except GradscopeError:
        raise  # some of them are OSErrors too
    except OSError as error:
        raise WriterError(f"Cannot export to {str(path)!r}: {error.strerror or error}.") from error


def _version_present(directory: Path, form: str) -> tuple[int, ...] | None:
    """Return the version of the export that is there, if there is one.

    Raises:
        WriterError: If it is of another format or of a newer major version, or if the description is not ours.
    """
    file = directory / SCHEMA_FILE
    if not file.exists():
        return None
    try:
        document: Any = json.loads(file.read_text(encoding="utf-8"))
        found, version = document["format"], tuple(map(int, document["version"].split(".")))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise WriterError(f"Cannot export to {str(directory)!r}: its {SCHEMA_FILE} is none of ours.") from None
    if found != form:
        raise WriterError(f"{str(directory)!r} holds an export to {found}. Pass another directory for one to {form}.")
    if version[0] != VERSION[0]:
        ours, theirs = (".".join(map(str, each)) for each in (VERSION, version))
        raise WriterError(
            f"{str(directory)!r} holds an export of schema {theirs}, and this gradscope writes {ours}: no reader could "
            "take both for one. Pass another directory."
        )
    return version
