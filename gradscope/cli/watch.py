"""``gradscope watch``: a live view of a training that runs elsewhere."""

from __future__ import annotations

import enum
import os
import signal
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gradscope.lossless_json import from_json, to_json
from gradscope.nearest import few

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

    from gradscope.report.terminal.heat_strip import Glyphs
    from gradscope.report.terminal.live_view import Watched


class Show(enum.StrEnum):
    """What the strips show."""

    SATURATION = "saturation"
    DEAD = "dead"
    GRADIENT = "gradient"
    BACKWARD = "backward"
    UPDATE = "update"


_SEARCH_SECONDS: Final = 5.0
"""Seconds between two searches for a newer run below a directory: it may be a large one."""
_SLICE_SECONDS: Final = 0.2
"""Seconds after which a terminal of a new size is drawn anew."""
_OTHERS_SHOWN: Final = 5
_ENDING: Final = "Ctrl-C leaves; the training does not notice."


def watch(
    path: Annotated[
        Path,
        typer.Argument(metavar="PATH", help="A run's directory, which need not exist yet, or one of several runs."),
    ],
    show: Annotated[Show, typer.Option(help="What the strip of each layer shows.")] = Show.GRADIENT,
    interval: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.1, help="Seconds between two looks at the files.")
    ] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Print the view once and exit, as where it is piped.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what is known once, as JSON.")] = False,
) -> None:
    """Watch a training while it runs, also over ssh.

    The view has findings, and one line a layer: its numbers of now, and a strip
    over the steps. Of several runs below PATH the one begun last is shown.
    It reads the run's files only and stays when the training has ended, so that
    a continued one is followed too; Ctrl-C leaves, with exit code 0.

    \b
    What --show may be:
      saturation  share of entries where the function has lost its slope
      dead        share of units that are 0 on every sample of a window
      gradient    RMS of the gradient of the layer's kernel
      backward    RMS of the gradient of the loss at the pre-activation
      update      size of an update over size of the weights

    \b
    Examples:
      gradscope watch logs/mlp
      gradscope watch logs --show dead
      gradscope watch logs/mlp --interval 10
      gradscope watch logs/mlp --once
      gradscope watch logs/mlp --json | jq .phase
    """
    from rich.console import Console

    console = Console()
    if not (once or as_json) and sys.stdout.isatty() and console.is_interactive:
        _watch(path, show, interval, console)
    else:
        _print_once(path, show, console, as_json=as_json)


def _print_once(path: Path, show: Show, console: Console, *, as_json: bool) -> None:
    from gradscope.cli.many_runs import nearest_run
    from gradscope.errors import RunNotFoundError
    from gradscope.report.terminal.live_view import live_view
    from gradscope.report.terminal.printing import WIDTH, print_text
    from gradscope.store.read import read_frames
    from gradscope.watching.following import Watching, latest_run

    run, others = latest_run(path)
    watching = Watching(run)
    watching.read()
    if not watching.look(0.0):
        try:
            read_frames(run)  # says why there is nothing
        except RunNotFoundError as error:
            raise RunNotFoundError(f"{error}{nearest_run(path)}") from None
    watched = watching.watched(now=time.time(), remarks=_others(others))
    if as_json:
        print(watched_json(watched))
        return
    width = console.width if console.is_terminal else WIDTH
    print_text(live_view(watched, show.value, width=width, glyphs=_glyphs(console)), console)


def watched_json(watched: Watched) -> str:
    """Return what is known as strict JSON: what ``gradscope summary --json`` has, and whether the training runs."""
    from gradscope.cli.summary import summary_json

    document: dict[str, object] = {
        "phase": watched.phase,
        "silent_seconds": watched.silent_seconds,
        "remarks": list(watched.remarks),
    }
    if watched.summary is not None:
        document |= from_json(summary_json(watched.summary))
    return to_json(document, indent=2)


def _watch(path: Path, show: Show, interval: float, console: Console) -> None:
    """Show the view until it is interrupted; what was last known is then printed below the user's own lines."""
    from rich.live import Live

    from gradscope.report.terminal.live_view import parting
    from gradscope.report.terminal.printing import print_text

    watched = None
    try:
        with (
            _ended_in_order(),
            Live(
                console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
            ) as live,
        ):
            for watched in _states(path):
                _show_for(interval, watched, show, live)
    except KeyboardInterrupt:
        pass
    if watched is not None:
        print_text(parting(watched, width=console.width), console)


def _states(path: Path) -> Iterator[Watched]:
    """Yield what is known of the run that was begun last, anew each time when it is asked for."""
    from gradscope.watching.following import SHARE, Watching, latest_run

    watching, others, search_at = Watching(path), list[Path](), 0.0
    while True:
        now, remarks = time.monotonic(), list[str]()
        try:
            if now >= search_at:
                run, others = latest_run(path)
                watching = watching if run == watching.path else Watching(run)
                search_at = now + max(_SEARCH_SECONDS, (time.monotonic() - now) / SHARE)
            watching.read()
        except OSError as error:  # a network's file system comes back
            remarks = [f"Not readable at the moment: {error}"]
        watching.look(time.monotonic())
        watched = watching.watched(now=time.time(), remarks=[*remarks, *_others(others)])
        yield watched if watched.summary is not None else _waiting(watched, path)


def _waiting(watched: Watched, path: Path) -> Watched:
    """Return ``watched`` with what is waited for: nobody should wait for a misspelt path."""
    from gradscope.cli.many_runs import nearest_run

    there = "no record is there yet" if path.exists() else "there is nothing yet"
    remark = f"Waiting for a training that records in {str(path)!r}; {there}.{nearest_run(path)}"
    return replace(watched, remarks=(remark, *watched.remarks))


def _show_for(interval: float, watched: Watched, show: Show, live: Live) -> None:
    """Show ``watched`` for ``interval`` seconds, drawn anew whenever the terminal has another size."""
    from rich.text import Text

    from gradscope.report.terminal.live_view import live_view
    from gradscope.report.terminal.printing import encodable

    console, drawn = live.console, None
    until = time.monotonic() + interval
    while (left := until - time.monotonic()) > 0:
        size = console.size
        if size != drawn:
            text = live_view(
                watched,
                show.value,
                width=size.width,
                height=size.height,
                glyphs=_glyphs(console),
                ending=_ENDING,
            )
            known = encodable(text.plain, console.encoding)
            live.update(text if known == text.plain else Text(known), refresh=True)
            drawn = size
        time.sleep(min(left, _SLICE_SECONDS))


def _glyphs(console: Console) -> Glyphs:
    from gradscope.report.terminal.heat_strip import glyphs_for

    return glyphs_for(console.encoding, os.environ.get("TERM", ""))


def _others(runs: Sequence[Path]) -> list[str]:
    names = [*map(str, runs)]
    return [f"Other runs, begun earlier: {few(names, _OTHERS_SHOWN)}"] if runs else []


@contextmanager
def _ended_in_order() -> Generator[None]:
    """Let the signals of a closed connection or a scheduler end the view as Ctrl-C does: the terminal restored."""

    def end(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    signals = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    before = {number: signal.signal(number, end) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
