"""Whether a training that was recorded has said that it ended."""

from __future__ import annotations

from pathlib import Path

from google.protobuf.message import DecodeError

from gradscope.errors import RunFormatError
from gradscope.records import SessionEnd
from gradscope.store.event_files import run_files
from gradscope.store.events import Reading, decode
from gradscope.store.tfrecord import unframed


def has_ended(path: str | Path) -> bool:
    """Return whether the last record of the run at ``path`` is the end of its training.

    False means that the training is running, or was broken off: a file cannot tell the two apart, and asking for the
    writer's lock could make a training that begins just then fail.

    Args:
        path: A run's log directory, its ``gradscope`` folder, or one event file.

    Raises:
        RunNotFoundError: If there is no event file.
    """
    payloads = unframed(run_files(path)[-1].read_bytes()).payloads
    try:
        # What is no step needs nothing that was read before it.
        return bool(payloads) and isinstance(decode(payloads[-1], Reading())[0], SessionEnd)
    except (RunFormatError, DecodeError, ValueError, KeyError, TypeError, IndexError):
        return False
