"""The two trainings of ``gradscope demo``: a network that cannot learn beside one that can.

Both read the same scanned digits and have the same depth and width; they differ in activation and initialiser alone.
The slope of the sigmoid is at most 1/4 and small weights shrink it further, so that of the gradient nearly nothing
reaches the first layers; ReLU with He's initialiser is made to pass it on.
"""

from __future__ import annotations

import importlib
import os
import shutil
import sysconfig
import textwrap
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from gradscope.errors import GradscopeError
from gradscope.report.terminal.findings import overview_lines
from gradscope.report.terminal.pair import print_pair
from gradscope.report.terminal.printing import WIDTH as TEXT_WIDTH
from gradscope.report.terminal.printing import print_text
from gradscope.report.values.summary import Summary
from gradscope.report.words.names import quoted

DEPTH: Final = 8
WIDTH: Final = 128
EPOCHS: Final = 20
LEARNING_RATE: Final = 3e-4
TEST_COUNT: Final = 360
SEED: Final = 2


@dataclass(frozen=True, slots=True)
class Recipe:
    """What one of the two networks does not share with the other.

    Attributes:
        name: What to call it, and its directory.
        activation: Activation function of the hidden layers.
        initializer: Keras' name of what draws their weights.
        description: Both in words.
    """

    name: str
    activation: str
    initializer: str
    description: str


SICK: Final = Recipe("sick", "sigmoid", "random_normal", "sigmoid, small random weights (spread 0.05)")
HEALTHY: Final = Recipe("healthy", "relu", "he_normal", "ReLU, weights drawn as He et al. advise")


class Digits(NamedTuple):
    """Scans of handwritten digits, ``(samples, 64)`` in [0, 1], and the digits, ``(samples,)``."""

    train_x: NDArray[np.float64]
    train_y: NDArray[np.int64]
    test_x: NDArray[np.float64]
    test_y: NDArray[np.int64]


def demo(directory: Path | None) -> None:
    """Train both networks and print how they compare.

    Args:
        directory: Where to keep a run of each; None keeps nothing.

    Raises:
        ModuleNotFoundError: If scikit-learn, Keras or TensorFlow is not installed.
        WriterError: If ``directory`` cannot be written.
        GradscopeError: If nothing could be recorded.
    """
    console = Console()
    with _stage(console, "Loading TensorFlow"):
        data = digits()  # first, for it fails sooner where something is not installed
        load_framework()
    _say(
        console,
        f"Two networks learn to read {len(data.train_x):,} scanned digits. Both have {DEPTH} hidden layers of {WIDTH} "
        "units; they differ in activation and initialiser alone.",
    )
    sick, healthy = (_recorded(recipe, data, directory, console) for recipe in (SICK, HEALTHY))
    console.print()
    print_pair(sick, healthy, (SICK.name, HEALTHY.name), console=console)
    console.print()
    for recipe, summary in ((SICK, sick), (HEALTHY, healthy)):
        for line in diagnosis(recipe, summary, directory):
            print_text(line, console)
    console.print()
    _say(console, outcome(sick, healthy, len(data.test_x)))
    console.print()
    for line in next_commands(directory):
        print_text(Text(line), console)


def load_framework() -> None:
    """Import Keras on TensorFlow without the lines that TensorFlow prints on the way.

    The demo runs on the processor, without oneDNN: it is too small for more, and its numbers are to be the same
    everywhere. These settings only work before the import, and for the whole process.
    """
    os.environ |= {
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "CUDA_VISIBLE_DEVICES": "-1",
    }
    with _muted_stderr():  # the first lines come from C++ before the log level is read
        for name in ("keras", "tensorflow"):
            importlib.import_module(name)


def digits() -> Digits:
    """Return scikit-learn's bundled digits, some of them set apart for the test."""
    from sklearn.datasets import load_digits

    scans: Any = load_digits()  # Any: scikit-learn's types do not say what it holds
    train, test = np.split(np.random.default_rng(SEED).permutation(len(scans.data)), [-TEST_COUNT])
    x, y = scans.data / 16, scans.target
    return Digits(x[train], y[train], x[test], y[test])


def network(recipe: Recipe) -> Any:  # Any: a Keras model
    """Return the compiled network of ``recipe``, the same one each time."""
    from gradscope.instrument.keras_border import keras

    keras.utils.set_random_seed(SEED)
    hidden = [
        keras.layers.Dense(WIDTH, activation=recipe.activation, kernel_initializer=recipe.initializer)
        for _ in range(DEPTH)
    ]
    model = keras.Sequential([keras.Input((64,)), *hidden, keras.layers.Dense(10, activation="softmax")])
    optimizer = keras.optimizers.Adam(LEARNING_RATE)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def fit(recipe: Recipe, data: Digits, callbacks: Sequence[Any]) -> dict[str, list[float]]:
    """Train the network of ``recipe`` and return Keras' history of it."""
    trained = network(recipe).fit(
        data.train_x,
        data.train_y,
        validation_data=(data.test_x, data.test_y),
        epochs=EPOCHS,
        verbose=0,
        callbacks=list(callbacks),
    )
    return trained.history


def outcome(sick: Summary, healthy: Summary, test_count: int) -> str:
    """Return what there is to see in the numbers of both."""
    read = [round(summary.progress.metrics["val_accuracy"] * test_count) for summary in (sick, healthy)]
    return (
        f"Of {test_count:,} scans that neither has seen, sick reads {read[0]:,} correctly and healthy {read[1]:,}. "
        f"Follow the gradient from the last hidden layer up to the first: in sick it becomes {_change(fading(sick))}, "
        f"in healthy {_change(fading(healthy))}."
    )


def diagnosis(recipe: Recipe, summary: Summary, directory: Path | None) -> list[Text]:
    """Return what is wrong with one of the two, in few lines."""
    more = "" if directory is None else f"{_typed('gradscope')} check {quoted(directory / recipe.name)}"
    first, *others = overview_lines(summary.findings, more=more, width=TEXT_WIDTH)
    return [Text(f"What is wrong with {recipe.name}? ", "bold").append_text(first), *others]


def fading(summary: Summary) -> float:
    """Return how many times smaller the gradient of the first hidden layer is than that of the last hidden one."""
    first, *_, last, _output = summary.rows
    return last.gradient_rms / first.gradient_rms


def next_commands(directory: Path | None) -> list[str]:
    """Return what to type next."""
    command = _typed("gradscope")
    if directory is None:
        return ["Next, keep the logs, to look at them in TensorBoard or in a report:", f"  {command} demo --dir logs"]
    return [
        "Next:",
        f"  {command} report {quoted(directory / SICK.name)}",
        f"  {command} compare {quoted(directory / HEALTHY.name)} {quoted(directory / SICK.name)}",
        f"  {_typed('tensorboard')} --logdir {quoted(directory)}",
    ]


def _recorded(recipe: Recipe, data: Digits, directory: Path | None, console: Console) -> Summary:
    from gradscope.callback import GradScope
    from gradscope.instrument.keras_border import keras

    scope = GradScope(None if directory is None else directory / recipe.name, quiet=True)
    with _stage(console, f"Training {recipe.name}: {recipe.description}", EPOCHS) as advance:

        def count(_epoch: int, _logs: object) -> None:
            advance()

        fit(recipe, data, [scope, keras.callbacks.LambdaCallback(on_epoch_end=count)])
    summary = scope.run.summary()
    if not summary.progress.recorded_count:
        raise GradscopeError(f"Nothing of the training of {recipe.name} was recorded; the warning above says why.")
    return summary


@contextmanager
def _stage(console: Console, text: str, total: int | None = None) -> Generator[Callable[[], None]]:
    """Say what is being done: in a terminal with a bar that the yielded function advances, elsewhere in one line."""
    if not console.is_terminal:
        print_text(Text(text), console)
        console.file.flush()  # a pipe would hold it back until the end
        yield lambda: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(None), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*(columns if total else (columns[0], columns[3])), console=console) as progress:
        task = progress.add_task(text, total=total)
        yield lambda: progress.advance(task)


@contextmanager
def _muted_stderr() -> Generator[None]:
    """Send to nowhere what this process writes to standard error, from below Python too."""
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _say(console: Console, sentence: str) -> None:
    print_text(Text(textwrap.fill(sentence, TEXT_WIDTH)), console)


def _change(ratio: float) -> str:
    """Return how a gradient changed, with the digits that one says: "800,000 times smaller"."""
    times = ratio if ratio >= 1 else 1 / ratio
    return f"{float(f'{times:.2g}'):,g} times {'smaller' if ratio >= 1 else 'larger'}"


def _typed(command: str) -> str:
    """Return how to type a command of this installation: with its folder where the shell would not find it."""
    folder = Path(sysconfig.get_path("scripts"))
    found = shutil.which(command)
    if found is not None and Path(found).parent == folder:
        return command
    program = shutil.which(command, path=str(folder))
    if program is None:
        return command
    shown = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    return quoted(shown / command)
