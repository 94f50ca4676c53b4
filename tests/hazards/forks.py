"""Processes of their own for many trainings, without starting TensorFlow anew for each.

Importing TensorFlow, Keras and GradScope takes some six seconds, a training of these one. A process that has imported
them, and has run no operation yet, has neither thread pools nor devices nor any random state of TensorFlow's: a child
forked from it begins as a fresh process does. Whether that holds is seen by every row, whose bare training is run
twice if anything differs. Where there is no ``fork``, each training gets a process that starts from nothing.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tensorflow.python.eager import context

from hazards import outcome
from hazards.program import Program


@dataclass(frozen=True)
class Trial:
    """One training: of which program, with the callback or without, and the folder for what it leaves."""

    program: Program
    recorded: bool
    folder: Path


def run(
    waiting: deque[Trial], *, seconds: float = 240.0, jobs: int = 2, done: Callable[[Trial, outcome.Outcome], None]
) -> None:
    """Run each trial in a process of its own, several at a time, and hand each outcome to ``done``.

    Args:
        waiting: What to run; ``done`` may put more into it.
        seconds: After so long a training is ended, and its outcome says so.
        jobs: How many run at a time.
        done: Called with each trial and its outcome, in the order in which they end.
    """
    if context.context()._initialized:
        raise RuntimeError("TensorFlow has run in this process already, so that no child of it begins as a fresh one.")
    running: dict[Any, tuple[Trial, float]] = {}
    while waiting or running:
        while waiting and len(running) < jobs:
            trial = waiting.popleft()
            trial.folder.mkdir(parents=True)
            running[_started(trial)] = trial, time.monotonic() + seconds
        for process, (trial, limit) in list(running.items()):
            ended, late = _has_ended(process), time.monotonic() > limit
            if ended or late:
                if late and not ended:
                    _end(process)
                found = outcome.read(trial.folder)
                if late and found.died:
                    found.died = f"not done after {seconds:.0f} s"
                del running[process]
                done(trial, found)
        time.sleep(0.02)


def _started(trial: Trial) -> Any:
    if not hasattr(os, "fork"):
        program = f"import pickle; from hazards import forks; forks.finish(pickle.loads({pickle.dumps(trial)!r}))"
        return subprocess.Popen([sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": _path()})
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    finish(trial)
    return None


def finish(trial: Trial) -> None:
    """Run the trial in this process, and end it."""
    try:
        outcome.run(trial.program, recorded=trial.recorded, folder=trial.folder)
    finally:
        os._exit(0)


def _path() -> str:
    return os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])


def _has_ended(process: Any) -> bool:
    if isinstance(process, subprocess.Popen):
        return process.poll() is not None
    return os.waitpid(process, os.WNOHANG)[0] != 0


def _end(process: Any) -> None:
    if isinstance(process, subprocess.Popen):
        process.kill()
        process.wait()
    else:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
