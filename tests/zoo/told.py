"""What a recorded training would have been told while it ran: the same records, one by one, to the same eyes."""

from __future__ import annotations

from pathlib import Path

from gradscope.diagnose.finding import Finding
from gradscope.records import FindingsNote
from gradscope.store.event_files import RecordReader, event_files
from gradscope.watching.live import Live


def told_live(directory: Path) -> list[Finding]:
    """Return the findings of medium or high severity that were told before the training had ended.

    Args:
        directory: The run's, as it was given to the callback.
    """
    told: list[Finding] = []
    live = Live(told.append, quiet=True)
    for record in RecordReader(event_files(directory / "gradscope")):
        if not isinstance(record, FindingsNote):
            live.take(record)
            live.watch()
    return told
