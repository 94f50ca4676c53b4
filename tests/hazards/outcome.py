"""The outcome of one training: everything that two trainings of one program are compared by.

A training is run in a process of its own, as random numbers, and what is traced first, belong to the whole process.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import re
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

import gradscope
from gradscope.errors import GradscopeError
from hazards.bench import plain, random_state
from hazards.effects import MARK
from hazards.program import Batches, Program, state_of, trained

FILE = "outcome"


@dataclass
class Outcome:
    """What one training gave.

    Attributes:
        died: Why there is no more than this; empty where the training came to its end.
        state: Weights, metrics and histories, each as a text that is the same if each bit is.
        numbers: The same as arrays, to say how far apart they are.
        kept: What of the user's own was kept, optimizers among it.
        random: The random generators of the process afterwards.
        raised: What came out of `fit`.
        files: The files of the program, with their contents.
        printed: The lines that the program printed.
        graphs: Every graph of the model's own functions: how many nodes of which type, and a digest of their names.
        batches: Batches trained with the callback.
        records: Steps recorded.
        said: What GradScope says that it did not record, with the reason.
    """

    died: str = ""
    state: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, Any] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)
    random: dict[str, str] = field(default_factory=dict)
    raised: str = ""
    files: dict[str, str] = field(default_factory=dict)
    printed: list[str] = field(default_factory=list)
    graphs: list[tuple[str, dict[str, int], str]] = field(default_factory=list)
    batches: int = 0
    records: int = 0
    said: list[str] = field(default_factory=list)


def run(program: Program, *, recorded: bool, folder: Path) -> None:
    """Train in this process and write the outcome into the folder; what is printed goes there too."""
    with (folder / "printed").open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    outcome = Outcome()
    own = folder / "own"
    own.mkdir()
    logs = folder / "logs"
    batches = Batches()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        scope = [gradscope.GradScope(logs, schedule=1, quiet=True)] if recorded else []
        try:
            done = trained(program, scope, own, batches)
            outcome.numbers = state_of(done)
            outcome.state = {name: plain(array) for name, array in outcome.numbers.items()}
            outcome.kept = {name: plain(value) for name, value in done.kept.items()}
            outcome.raised = done.raised
            if program.fits != "two threads":  # they count the names of their nodes together, as it comes
                outcome.graphs = list(graphs_of(done.model))
        except BaseException as error:
            traceback.print_exc()
            outcome.died = f"{type(error).__name__}: {' '.join(str(error).split())[:250]}"
    outcome.random = random_state()
    outcome.batches = batches.count
    outcome.files = {path.name: digest(path) for path in sorted(own.iterdir()) if path.is_file()}
    if recorded:
        warned = [" ".join(str(w.message).split()) for w in caught if "GradScope" in str(w.message)]
        missing: tuple[Any, ...] = ()
        try:
            written = gradscope.load(logs)
            outcome.records, missing = len(written.steps), written.not_measured
        except GradscopeError:  # there is no run, as of a training that ended before its first record
            pass
        except Exception as error:
            warned.append(f"what was recorded cannot be read: {type(error).__name__}: {error}")
        outcome.said = [f"{part.name}: {part.reason}" for part in missing]
        outcome.said += [message for message in warned if not any(part.reason in message for part in missing)]
    sys.stdout.flush()
    sys.stderr.flush()
    lines = (folder / "printed").read_text(encoding="utf-8", errors="replace").splitlines()
    outcome.printed = sorted(line for line in lines if MARK in line)
    with (folder / FILE).open("wb") as file:
        pickle.dump(outcome, file)


def read(folder: Path) -> Outcome:
    """Return the outcome that a process has written; one that says why, where it has written none."""
    with contextlib.suppress(FileNotFoundError, EOFError), (folder / FILE).open("rb") as file:
        return pickle.load(file)
    with contextlib.suppress(FileNotFoundError):
        last = (folder / "printed").read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        return Outcome(died=f"the process ended: {' '.join(last)[:250]}")
    return Outcome(died="the process never began")


def digest(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


# ---- The graphs of a model's own functions


def graphs_of(model: Any) -> Iterator[tuple[str, dict[str, int], str]]:
    """Yield name, counts of node types and digest of every graph traced for the model's own training."""
    for function in _functions(model):
        for concrete in function._list_all_concrete_functions():
            definition = concrete.graph.as_graph_def()
            # What stands for a captured tensor bears the number that the process gave that tensor.
            captured = {"Placeholder", "Const"}
            nodes = [(n.op, _unnumbered(n.name, "/") if n.op in captured else n.name) for n in definition.node]
            for inner in definition.library.function:
                nodes += [(node.op, f"{_unnumbered(inner.signature.name)}/{node.name}") for node in inner.node_def]
            kinds = dict(sorted(Counter(kind for kind, _ in nodes).items()))
            yield (
                _unnumbered(tf.compat.as_str(concrete.name)),
                kinds,
                hashlib.md5(repr(sorted(nodes)).encode()).hexdigest(),
            )


def _unnumbered(name: str, before: str = "_") -> str:
    """Return a name without the numbers that count all functions, or all tensors, of the process."""
    return re.sub(rf"(^|{before})\d+", "", name)


def _functions(model: Any) -> list[Any]:
    """Return the compiled functions that the model's train function and step reach through closures and methods."""
    found: list[Any] = []
    seen: set[int] = set()
    waiting = [model.train_function, getattr(model, "train_step", None), getattr(model, "compiled_step", None)]
    while waiting:
        value = waiting.pop()
        if value is None or id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, tf.types.experimental.PolymorphicFunction):
            found.append(value)
            waiting.append(value.python_function)
        elif callable(value):
            cells = getattr(getattr(value, "__func__", value), "__closure__", None) or ()
            for cell in cells:
                with contextlib.suppress(ValueError):
                    waiting.append(cell.cell_contents)
            waiting.append(getattr(value, "__wrapped__", None))
    return found


def apart(one: Outcome, other: Outcome) -> float:
    """Return the largest difference between two outcomes' numbers, over those that both have."""
    differences = [0.0]
    for name in one.numbers.keys() & other.numbers.keys():
        a, b = one.numbers[name], other.numbers[name]
        if a.shape == b.shape and a.dtype.kind == "f" and a.size:
            differences.append(float(np.nanmax(np.abs(a.astype("float64") - b.astype("float64")), initial=0.0)))
    return max(differences)
