"""What recording costs: ratios of process CPU time, measured side by side. Run: python tests/overhead/measure.py.

All variants of a model train at once in threads of one process, taking turns of some batches each, so that whatever
else the machine does falls on all of them alike. ``bare`` stands there twice: its ratio to itself is the noise.
"""

from __future__ import annotations

import argparse
import os
import platform
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import gradscope
from gradscope.records import Costs

L = keras.layers
Built = tuple[Any, Any, Any]


def mlp() -> Built:
    model = keras.Sequential([keras.Input((64,)), *[L.Dense(256, activation="relu") for _ in range(4)], L.Dense(10)])
    return model, *_data((64,))


def cnn() -> Built:
    model = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            L.Conv2D(32, 3, padding="same", activation="relu"),
            L.Conv2D(32, 3, padding="same", use_bias=False),
            L.BatchNormalization(),
            L.ReLU(),
            L.MaxPool2D(),
            L.Conv2D(64, 3, padding="same", activation="relu"),
            L.MaxPool2D(),
            L.Flatten(),
            L.Dense(128, activation="relu"),
            L.Dropout(0.3),
            L.Dense(10),
        ]
    )
    return model, *_data((32, 32, 3))


def transformer() -> Built:
    inputs = keras.Input((32,), dtype="int32")
    x = L.Embedding(1000, 64)(inputs)
    for _ in range(2):
        x = L.LayerNormalization()(x + L.MultiHeadAttention(4, 16)(x, x))
        x = L.LayerNormalization()(x + L.Dense(64)(L.Dense(128, activation="gelu")(x)))
    model = keras.Model(inputs, L.Dense(10)(L.GlobalAveragePooling1D()(x)))
    rng = np.random.default_rng(0)
    return model, rng.integers(0, 1000, (4096, 32)), rng.integers(0, 10, 4096)


def resnet50() -> Built:
    model = keras.applications.ResNet50(weights=None, input_shape=(64, 64, 3), classes=10, classifier_activation=None)
    rng = np.random.default_rng(0)
    return model, rng.standard_normal((32, 64, 64, 3)).astype("float32"), rng.integers(0, 10, 32)


def _data(shape: tuple[int, ...]) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((4096, *shape)).astype("float32"), rng.integers(0, 10, 4096)


def compiled(build: Callable[[], Built]) -> Built:
    keras.utils.set_random_seed(0)
    model, x, y = build()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model, x, y


@dataclass
class Turns:
    """Lets one thread train at a time, and counts the CPU seconds of each one's turns."""

    rounds: dict[str, int]
    batches: int
    seconds: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def __post_init__(self) -> None:
        self._condition = threading.Condition()
        self._begun = 0.0
        self.seconds = {name: [] for name in self.rounds}
        self._order = sorted((k, i) for i, name in enumerate(self.rounds) for k in range(self.rounds[name]))

    def wait(self, name: str) -> None:
        with self._condition:
            mine = list(self.rounds).index(name)
            self._condition.wait_for(lambda: self._order[0][1] == mine)
            self._begun = time.process_time()

    def done(self, name: str) -> None:
        with self._condition:
            self.seconds[name].append(time.process_time() - self._begun)
            self._order.pop(0)
            self._condition.notify_all()


class TakesTurns(keras.callbacks.Callback):
    """Trains some batches, then lets the others; meanwhile the clock of ``scope`` stands still, as for a validation."""

    def __init__(self, turns: Turns, name: str, scope: gradscope.GradScope | None) -> None:
        super().__init__()
        self.turns, self.name, self.scope, self.count = turns, name, scope, 0

    def on_train_begin(self, logs: Any = None) -> None:
        self.turns.wait(self.name)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.count += 1
        if self.count % self.turns.batches == 0:
            self.turns.done(self.name)
            if self.count >= self.turns.batches * self.turns.rounds[self.name]:
                self.model.stop_training = True
                return
            if self.scope is not None:
                self.scope.on_test_begin()
            self.turns.wait(self.name)
            if self.scope is not None:
                self.scope.on_test_end()


def side_by_side(build: Callable[[], Built], rounds: int, batches: int) -> tuple[dict[str, list[float]], Costs]:
    """Return the CPU seconds of every turn of each variant, and what the default says that it cost."""
    scopes = {
        "bare": None,
        "default": gradscope.GradScope(quiet=True),
        "every": gradscope.GradScope(schedule=1, quiet=True),
        "bare again": None,
    }
    turns = Turns({name: max(8, rounds // 4) if name == "every" else rounds for name in scopes}, batches)

    def train(name: str) -> None:
        model, x, y = compiled(build)
        scope = scopes[name]
        callbacks = [TakesTurns(turns, name, scope), *([] if scope is None else [scope])]
        model.fit(x, y, batch_size=32, epochs=1_000_000, verbose=0, callbacks=callbacks)

    threads = [threading.Thread(target=train, args=(name,)) for name in scopes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    default = scopes["default"]
    assert default is not None
    return turns.seconds, default.run.costs


def ratio(seconds: dict[str, list[float]], name: str, skip: int) -> float:
    """Return the ratio of CPU seconds to the bare variant's over the turns after ``skip`` that both have had."""
    pairs = list(zip(seconds[name], seconds["bare"], strict=False))[skip:]
    return sum(a for a, _ in pairs) / sum(b for _, b in pairs)


@dataclass(frozen=True)
class SetUp:
    """What the first step takes: the bare model's wall and CPU seconds, what recording says of itself, and adds."""

    bare_seconds: float
    setup_seconds: float
    bare_cpu: float
    added_cpu: float


def setup(build: Callable[[], Built]) -> SetUp:
    """Return what the first step of a bare and of a recorded training takes.

    What is paid once in a process falls on neither: a bare model is trained before.
    """

    def one_step(*callbacks: Any) -> tuple[float, float]:
        model, x, y = compiled(build)
        wall, cpu = time.perf_counter(), time.process_time()
        model.fit(x[:16], y[:16], batch_size=16, verbose=0, callbacks=list(callbacks))
        return time.perf_counter() - wall, time.process_time() - cpu

    one_step()
    wall, cpu = one_step()
    scope = gradscope.GradScope(schedule=1, quiet=True)
    _, cpu_recorded = one_step(scope)
    costs = next(record.costs for record in scope._run.sink.records if hasattr(record, "logs"))  # before the census
    return SetUp(wall, costs.setup_seconds, cpu, cpu_recorded - cpu)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="training of each variant, roughly")
    parser.add_argument("--after", type=float, default=30.0, help="seconds of it that do not count for the default")
    arguments = parser.parse_args()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, keras {keras.__version__}, Python {platform.python_version()}\n"
    )
    print("| model | bare again | default | default, said by itself | every step |")
    print("|---|---|---|---|---|")
    for build in (mlp, cnn, transformer):
        model, x, y = compiled(build)
        model.fit(x, y, batch_size=32, verbose=0)
        begun = time.perf_counter()
        model.fit(x, y, batch_size=32, verbose=0)
        step_seconds = (time.perf_counter() - begun) / (len(x) / 32)
        batches = max(8, int(1.0 / step_seconds))
        rounds = max(8, int(arguments.seconds / (batches * step_seconds)))
        seconds, costs = side_by_side(build, rounds, batches)
        skip = min(rounds - 4, int(arguments.after / (batches * step_seconds)))
        recorded = costs.early_seconds + costs.epoch_seconds + costs.running_seconds
        print(
            f"| {build.__name__} | {ratio(seconds, 'bare again', skip):.3f} "
            f"| {ratio(seconds, 'default', skip):.3f} "
            f"| {recorded / costs.training_seconds:.2%} of {costs.training_seconds:.0f} s, "
            f"{costs.record_count} records "
            f"| {ratio(seconds, 'every', 3):.2f} |",
            flush=True,
        )
    print("\n| model | first step, bare | set-up of recording | ratio | in all, recording adds, CPU | ratio |")
    print("|---|---|---|---|---|---|")
    for build in (mlp, cnn, transformer, resnet50):
        first = setup(build)
        print(
            f"| {build.__name__} | {first.bare_seconds:.2f} s | {first.setup_seconds:.2f} s "
            f"| {first.setup_seconds / first.bare_seconds:.2f} "
            f"| {first.added_cpu:.2f} s | {first.added_cpu / first.bare_cpu:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
