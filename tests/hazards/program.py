"""A program: one value of every kind of hazard, put together to a training that runs with any callbacks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hazards.bench import Bench, L, X, Y, array_of, mlp
from hazards.devices import DEVICES
from hazards.effects import EFFECTS
from hazards.errors import ERRORS
from hazards.feeds import FEEDS, Feed
from hazards.fits import FITS, History, Training
from hazards.optimizers import OPTIMIZERS, Descent
from hazards.precisions import PRECISIONS, SKIPPING_SCALE
from hazards.python_state import PYTHON_STATES
from hazards.sources import SOURCES
from hazards.steps import STEPS

CLASSES = 3
MODES: dict[str, dict[str, Any]] = {
    "graph": {"jit_compile": False},
    "auto": {},
    "XLA": {"jit_compile": True},
    "eager": {"run_eagerly": True},
}
KINDS: dict[str, Iterable[str]] = {
    "step": STEPS,
    "random": SOURCES,
    "optimizer": OPTIMIZERS,
    "data": FEEDS,
    "device": DEVICES,
    "python": PYTHON_STATES,
    "effect": EFFECTS,
    "fits": FITS,
    "error": ERRORS,
    "precision": PRECISIONS,
    "mode": MODES,
}
"""Every value of every kind, by the name of the kind."""


@dataclass(frozen=True)
class Program:
    """One value of each kind; what is not given is harmless."""

    step: str = "Keras' own"
    random: str = "none"
    optimizer: str = "Adam"
    data: str = "arrays"
    device: str = "default"
    python: str = "none"
    effect: str = "none"
    fits: str = "one"
    error: str = "none"
    precision: str = "float32"
    mode: str = "graph"

    def __post_init__(self) -> None:
        for kind, value in self.parts.items():
            if value not in KINDS[kind]:
                raise ValueError(f"{value!r} is no {kind}; these are: {', '.join(KINDS[kind])}.")

    @property
    def parts(self) -> dict[str, str]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def hazards(self) -> dict[str, str]:
        """The parts that differ from the harmless program."""
        return {field.name: value for field in fields(self) if (value := getattr(self, field.name)) != field.default}

    @property
    def name(self) -> str:
        return ", ".join(f"{kind}: {value}" for kind, value in self.hazards.items()) or "nothing special"


@dataclass
class Trained:
    """What a training left behind.

    Attributes:
        model: The model.
        histories: What its fits returned.
        kept: What of the user's own has to be the same.
        raised: What was raised out of `fit`, without numbers that are never the same; empty where nothing was.
    """

    model: Any
    histories: list[History]
    kept: dict[str, Any]
    raised: str = ""


class Batches(keras.callbacks.Callback):
    """Counts the batches that were trained."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.count += 1


def trained(program: Program, callbacks: list[Any], folder: Path, batches: Batches) -> Trained:
    """Train the program with these callbacks, in a process in which nothing has run before.

    Args:
        program: What to train.
        callbacks: The callback that records, or none.
        folder: An empty folder for the files of the program.
        batches: Counts the batches of the fits that got ``callbacks``.
    """
    strategy = DEVICES[program.device]()
    PRECISIONS[program.precision]()
    keras.utils.set_random_seed(7)
    with strategy.scope():
        training = _built(program, callbacks, folder, batches)
    histories: list[History] = []
    raised = ""
    try:
        histories = FITS[program.fits](training)
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        if program.error == "none":
            raise
        raised = _told(error)
        try:
            more = training.model.fit(X, Y, batch_size=8, epochs=1, verbose=0, shuffle=False)
            histories.append(more.history)
        except Exception as again:
            raised += f"; afterwards {_told(again)}"
    return Trained(training.model, histories, {name: keep() for name, keep in training.bench.kept.items()}, raised)


def _built(program: Program, callbacks: list[Any], folder: Path, batches: Batches) -> Training:
    bench = Bench(folder)
    for part in (PYTHON_STATES[program.python], EFFECTS[program.effect]):
        if part is not None:
            part(bench)
    source = SOURCES[program.random]
    if source is not None:
        bench.noise = source(bench)
    step = STEPS[program.step]
    feed = FEEDS[step.data if program.data == "arrays" else program.data](bench)
    spoil = ERRORS[program.error]
    if spoil is not None:
        feed = spoil(bench, feed)
    model = step.build(_network(bench, feed), bench)

    def compile_model(**changes: Any) -> None:
        metrics = (list(bench.metrics) or ["accuracy"]) if step.measured else None
        labelled = {"loss": bench.loss(), "metrics": metrics} if step.labelled else {}
        keywords = {"optimizer": _optimizer(program), **labelled, **MODES[program.mode], **feed.compile, **changes}
        own = keywords["optimizer"] if isinstance(keywords["optimizer"], Descent) else None
        model.compile(**keywords if own is None else keywords | {"optimizer": None})
        if own is not None:
            model.optimizer = own
        elif model.optimizer is not None:
            bench.owned(model.optimizer)

    def fit(recording: list[Any], **changes: Any) -> History:
        counting = [batches] if recording else []
        together = [*counting, *recording, *bench.callbacks]
        if step.by_hand:
            return by_hand(model, together)
        keywords = {"epochs": 2, "verbose": 0, "shuffle": False, **feed.fit, **changes}
        if feed.y is not None and "steps_per_epoch" not in feed.fit:
            keywords = {"batch_size": 8} | keywords
        return model.fit(feed.x, feed.y, callbacks=together, **keywords).history

    compile_model()
    return Training(model, bench, callbacks, fit, compile_model)


def by_hand(model: Any, callbacks: list[Any]) -> History:
    """Train in a loop of one's own around ``train_on_batch``."""
    told = keras.callbacks.CallbackList(callbacks, model=model, epochs=2, verbose=0)
    losses = []
    told.on_train_begin()
    for epoch in range(2):
        told.on_epoch_begin(epoch)
        for batch in range(3):
            told.on_train_batch_begin(batch)
            logs = model.train_on_batch(X[8 * batch :][:8], Y[8 * batch :][:8], return_dict=True)
            losses.append(float(logs["loss"]))
            told.on_train_batch_end(batch, logs)
        told.on_epoch_end(epoch)
    told.on_train_end()
    return {"loss": losses}


def _network(bench: Bench, feed: Feed) -> Any:
    if feed.inputs is None:
        return mlp(bench)
    features = feed.features
    for layer in bench.layers:
        features = layer(features)
    hidden = L.Dense(8, activation="relu")(L.Dense(8, activation="tanh")(features))
    return keras.Model(feed.inputs, L.Dense(CLASSES)(hidden))


def _optimizer(program: Program) -> Any:
    optimizer = OPTIMIZERS[program.optimizer]()
    if program.precision == "mixed_float16, steps skipped":
        return keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=SKIPPING_SCALE, dynamic_growth_steps=2)
    return optimizer


def _told(error: BaseException) -> str:
    """Return what was raised, without numbers, which differ from process to process, and without TensorFlow's texts.

    TensorFlow tells the same error in other words where a batch is taken outside of a graph.
    """
    if isinstance(error, tf.errors.OpError):
        return type(error).__name__
    lines = [line for line in str(error).splitlines() if line.strip()] or [""]
    return f"{type(error).__name__}: {re.sub(r'0x[0-9a-f]+|[0-9]+', 'N', lines[0])[:150]}"


def state_of(trained: Trained) -> dict[str, Any]:
    """Return the arrays and logs that a training decides, by name."""
    model = trained.model
    variables = [*model.variables, *model.metrics_variables]
    arrays = {f"{number} {variable.path}": array_of(variable) for number, variable in enumerate(variables)}
    for number, history in enumerate(trained.histories):
        arrays |= {
            f"fit {number} {name}": np.array([float(value) for value in values]) for name, values in history.items()
        }
    return arrays
