"""The command in a real pseudo-terminal, as a person sees it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])[;m]")
"""An escape code that sets a colour of the text or of its background."""

OF_ANOTHER_TERMINAL = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES")
"""Variables that would be obeyed instead of the terminal; readline sets the last two in a process that imports it."""

ENTER, LEAVE, SHOW_CURSOR = "\x1b[?1049h", "\x1b[?1049l", "\x1b[?25h"


class Terminal:
    """A command that runs in a terminal, and all that it has written there."""

    def __init__(self, process: subprocess.Popen[bytes], ours: int, theirs: int) -> None:
        self.process = process
        self.written = ""
        self._ours, self._theirs = ours, theirs

    @property
    def mode(self) -> list[Any]:
        """How the terminal treats what is typed: whether it is echoed, and so on."""
        return termios.tcgetattr(self._theirs)

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def read_until(self, text: str, *, seconds: float = 30.0) -> str:
        """Return what is written until ``text`` comes, beginning now."""
        start, until = len(self.written), time.monotonic() + seconds
        while text not in self.written[start:]:
            assert time.monotonic() < until, f"{text!r} did not come in:\n{self.written[start:]}"
            self._read(0.1)
        return self.written[start:]

    def finish(self, *, seconds: float = 30.0) -> int:
        """Return the exit code, with all read that was written until the end."""
        until = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < until, "the command did not end"
            self._read(0.1)
        while self._read(0.0):
            pass
        return self.process.returncode

    def _read(self, seconds: float) -> bool:
        if not select.select([self._ours], [], [], seconds)[0]:
            return False
        self.written += os.read(self._ours, 65536).decode("utf-8", "replace")
        return True


@contextmanager
def terminal(
    *arguments: object, columns: int = 80, lines: int = 24, environment: Mapping[str, str] | None = None
) -> Generator[Terminal]:
    """Run ``gradscope`` with these arguments in a terminal of its own; what still runs at the end is ended."""
    ours, theirs = pty.openpty()
    plain = {name: value for name, value in os.environ.items() if name not in OF_ANOTHER_TERMINAL}
    process = subprocess.Popen(
        [sys.executable, "-m", "gradscope", *map(str, arguments)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**plain, "TERM": "xterm-256color", "PYTHONUTF8": "1", **(environment or {})},
    )
    shown = Terminal(process, ours, theirs)
    shown.resize(columns, lines)
    try:
        yield shown
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)
