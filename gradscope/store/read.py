"""From a path to the frames of the run that lies there."""

from __future__ import annotations

from pathlib import Path

from gradscope.store.event_files import read_previous, read_records, run_directories
from gradscope.store.frames import Frames, frames_of

__all__ = ["Frames", "frames_of", "read_frames", "read_previous", "run_directories"]


def read_frames(path: str | Path) -> Frames:
    """Return the frames of the run at ``path``.

    Args:
        path: A run's log directory, its ``gradscope`` folder, or one event file.

    Raises:
        RunNotFoundError: If there is nothing at ``path``, or nothing that gradscope wrote; it says what is there.
        RunFormatError: If the files are empty, damaged beyond reading, or of a newer major version.
    """
    content = read_records(path)
    return frames_of(content.records, lost=content.lost)
