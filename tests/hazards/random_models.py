"""Random models and train steps, bare and recorded. Run: python tests/hazards/random_models.py --count 2000 [--steps].

Each seed is a program: a functional model of random layers, or with ``--steps`` a train step of random moves around a
small network. A batch of them is trained in one process, each from its own seed without the callback and then with it;
every difference is printed with its seed, so that ``--seed N --count 1`` shows it again.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
sys.path.insert(0, str(Path(__file__).parents[1]))

import keras
import numpy as np
import tensorflow as tf

import gradscope
from hazards.bench import CLASSES, FEATURES, Bench, L, X, Y, cross_entropy, mlp, plain
from hazards.effects import EFFECTS
from hazards.optimizers import OPTIMIZERS, PLAIN
from hazards.program import MODES
from hazards.python_state import EAGER_ONLY, OF_THE_STEP, PYTHON_STATES
from hazards.sources import SOURCES
from hazards.steps import Around, rows_of, slope_of

ACTIVATIONS = ("relu", "tanh", "sigmoid", "gelu", "selu", "silu", "leaky_relu", "softplus", "mish", "hard_sigmoid")
OPTIMIZERS_TRIED = (*PLAIN, "SGD with momentum", "clipnorm", "EMA", "accumulation", "weight decay", "Lookahead")
EFFECTS_TRIED = (
    "counter that is read", "counter only written", "lookup table", "rows scattered", "batch statistics",
    "custom gradient", "numpy_function", "loop with a counter", "get_next", "enqueue_many",
)  # fmt: skip
STATES_TRIED = [name for name in PYTHON_STATES if name not in EAGER_ONLY | OF_THE_STEP | {"none", "automatic names"}]


@dataclass(frozen=True)
class Trial:
    """A random program: its seed decides everything."""

    seed: int
    is_step: bool

    def trained(self, callbacks: list[Any], folder: Path) -> dict[str, str]:
        """Train it from its seed and return what the training decides, each as a text."""
        keras.utils.clear_session()
        keras.utils.set_random_seed(self.seed)
        rng = np.random.default_rng(self.seed)
        bench = Bench(folder)
        for part in parts(rng):
            part(bench)
        build = random_step if self.is_step else random_model
        model = build(rng, bench)
        mode = MODES[str(rng.choice(["graph", "graph", "graph", "auto", "eager"]))]
        optimizer = OPTIMIZERS[str(rng.choice(OPTIMIZERS_TRIED))]()
        model.compile(optimizer, None if self.is_step else bench.loss(), **mode)
        y = Y if self.is_step or len(model.outputs) == 1 else [Y, Y]
        together = [*callbacks, *bench.callbacks]
        history = model.fit(X, y, batch_size=int(rng.choice([5, 8, 12])), epochs=2, verbose=0, callbacks=together)
        variables = [*model.variables, *model.metrics_variables, *model.optimizer.variables]
        found = {f"{number} {variable.path}": plain(variable) for number, variable in enumerate(variables)}
        found |= {name: plain(np.array(values)) for name, values in history.history.items()}
        return found | {name: plain(keep()) for name, keep in bench.kept.items()}


def parts(rng: np.random.Generator) -> Iterator[Callable[[Bench], None]]:
    """Yield some random source, side effect and state of Python's, each in one program of three."""
    sources = [name for name, source in SOURCES.items() if source is not None and not name.startswith("global")]
    source, effect = str(rng.choice(sources)), str(rng.choice(EFFECTS_TRIED))
    state, chosen = str(rng.choice(STATES_TRIED)), rng.random(3) < 1 / 3

    def with_noise(bench: Bench) -> None:
        bench.noise = SOURCES[source](bench)  # type: ignore[misc]

    yield from [part for part, is_in in zip((PYTHON_STATES[state], EFFECTS[effect]), chosen, strict=False) if is_in]
    if chosen[2]:
        yield with_noise


# ---- Functional models


def random_model(rng: np.random.Generator, bench: Bench) -> Any:
    """Return a model in which each layer takes one or two of those before it, some of them several times."""
    inputs = keras.Input((FEATURES,))
    first = inputs
    for layer in bench.layers:
        first = layer(first)
    made, shared = [L.Dense(FEATURES)(first)], L.Dense(FEATURES, activation=_one(rng, ACTIVATIONS))
    for _ in range(rng.integers(1, 7)):
        made.append(_grown(rng, made, shared))
    outputs = [L.Dense(CLASSES)(made[-1])]
    if rng.random() < 0.2:
        outputs.append(L.Dense(CLASSES)(_one(rng, made)))
    return keras.Model(inputs, outputs if len(outputs) > 1 else outputs[0])


def _grown(rng: np.random.Generator, made: list[Any], shared: Any) -> Any:
    """Return a row of features made of those before it."""
    x, other = made[-1], _one(rng, made)
    grow: list[Callable[[], Any]] = [
        lambda: L.Dense(FEATURES, activation=_one(rng, ACTIVATIONS), kernel_regularizer=_one(rng, (None, "l2")))(x),
        lambda: L.Activation(_one(rng, ACTIVATIONS))(x),
        lambda: L.PReLU()(x),
        lambda: L.LeakyReLU(0.2)(x),
        lambda: L.BatchNormalization(momentum=0.8)(x),
        lambda: L.LayerNormalization()(x),
        lambda: L.Dropout(0.3)(x),
        lambda: L.GaussianNoise(0.1)(x),
        lambda: L.Add()([x, other]),
        lambda: L.Dense(FEATURES)(L.Concatenate()([x, other])),
        lambda: x * keras.ops.sigmoid(other),
        lambda: keras.ops.tanh(x) + keras.ops.relu(other),
        lambda: shared(x),
        lambda: L.ActivityRegularization(l2=0.01)(x),
        lambda: L.Dense(FEATURES)(L.Flatten()(L.Conv1D(3, 2, activation="relu")(L.Reshape((3, 2))(x)))),
        lambda: L.GRU(FEATURES)(L.Reshape((3, 2))(x)),
        lambda: L.Bidirectional(L.LSTM(FEATURES // 2, dropout=0.2))(L.Reshape((2, 3))(x)),
        lambda: L.Flatten()(L.MultiHeadAttention(2, 2)(*[L.Reshape((3, 2))(each) for each in (x, other)])),
        lambda: L.Flatten()(L.TimeDistributed(L.Dense(2, activation="relu"))(L.Reshape((3, 2))(x))),
        lambda: keras.Sequential([L.Dense(4, activation="relu"), L.Dense(FEATURES)])(x),
    ]
    return _one(rng, grow)()


def _one(rng: np.random.Generator, choices: Any) -> Any:
    return choices[int(rng.integers(len(choices)))]


# ---- Train steps


class Moves(Around):
    """A train step made of moves, one after the other."""

    def __init__(self, net: Any, bench: Bench, moves: list[Callable[[Any, Any, Any], Any]]) -> None:
        super().__init__(net, bench)
        self.moves = [moves]  # inside a list of one, of which Keras makes none of its own
        self.critic, self.teacher = mlp(Bench(bench.folder), outputs=1), mlp(Bench(bench.folder))
        self.second = bench.owned(keras.optimizers.Adam(0.01))
        self.count = tf.Variable(0.0, trainable=False)
        self.mean = keras.metrics.Mean(name="value")
        bench.keep("count", lambda: self.count)

    @property
    def metrics(self) -> list[Any]:
        return [self.mean]

    def train_step(self, data: Any) -> Any:
        x, y = rows_of(data), data[1]
        logs = {}
        for number, move in enumerate(self.moves[0]):
            value = move(self, x, y)
            if value is not None:
                self.mean.update_state(value)
                logs[f"move {number}"] = value
        return logs | {"mean": self.mean.result()}


def random_step(rng: np.random.Generator, bench: Bench) -> Any:
    """Return a model whose train step is made of two to five moves, descending at least once."""
    moves = [_one(rng, MOVES) for _ in range(rng.integers(1, 5))]
    return Moves(mlp(bench), bench, [*moves, _one(rng, DESCENTS)])


def descends(model: Any, x: Any, y: Any) -> Any:
    with tf.GradientTape() as tape:
        value = cross_entropy()(y, model(x, training=True))
    model.descend(value, tape, model.net.trainable_variables)
    return value


def descends_on_noise(model: Any, x: Any, y: Any) -> Any:
    return descends(model, x + 0.1 * model.bench.noise_like(x), y)


def descends_on_a_mixture(model: Any, x: Any, y: Any) -> Any:
    share = tf.sigmoid(model.bench.noise_like(x))[:, :1]
    return descends(model, share * x + (1 - share) * tf.reverse(x, [0]), y)


def descends_with_clipped_gradients(model: Any, x: Any, y: Any) -> Any:
    weights = model.net.trainable_variables
    with tf.GradientTape() as tape:
        value = cross_entropy()(y, model(x, training=True))
    clipped, norm = tf.clip_by_global_norm(tape.gradient(value, weights), 0.1)
    model.optimizer.apply_gradients(zip(clipped, weights, strict=True))
    return norm


def descends_with_penalty(model: Any, x: Any, y: Any) -> Any:
    with tf.GradientTape() as tape:
        value = cross_entropy()(y, model(x, training=True)) + 0.1 * slope_of(model.net, x)
    model.descend(value, tape, model.net.trainable_variables)
    return value


def descends_like_the_teacher(model: Any, x: Any, y: Any) -> Any:
    with tf.GradientTape() as tape:
        apart = tf.reduce_mean((model(x, training=True) - model.teacher(x)) ** 2)
        value = apart + cross_entropy()(y, model(x))
    model.descend(value, tape, model.net.trainable_variables)
    return value


def trains_the_critic(model: Any, x: Any, y: Any) -> Any:
    for _ in range(2):
        fake = x + model.bench.noise_like(x)
        with tf.GradientTape() as tape:
            gap = tf.reduce_mean(model.critic(fake)) - tf.reduce_mean(model.critic(x))
        model.descend(gap, tape, model.critic.trainable_variables, model.second)
    return gap


def moves_the_teacher(model: Any, x: Any, y: Any) -> None:
    for slow, weight in zip(model.teacher.weights[-6:], model.net.weights[-6:], strict=True):
        slow.assign(0.9 * slow + 0.1 * weight)


def decays_by_hand(model: Any, x: Any, y: Any) -> None:
    for weight in model.net.trainable_variables:
        weight.assign(0.999 * weight)


def counts(model: Any, x: Any, y: Any) -> Any:
    return model.count.assign_add(1.0)


def counts_sometimes(model: Any, x: Any, y: Any) -> Any:
    return tf.cond(tf.reduce_sum(x) > 0, lambda: model.count.assign_add(1.0), lambda: model.count.read_value())


def looks(model: Any, x: Any, y: Any) -> Any:
    return tf.reduce_mean(tf.nn.softmax(model(x, training=False)))


def climbs_and_returns(model: Any, x: Any, y: Any) -> None:
    noise = [0.01 * tf.ones_like(weight) for weight in model.net.trainable_variables]
    for weight, by in zip(model.net.trainable_variables, noise, strict=True):
        weight.assign_add(by)
    model(x, training=True)
    for weight, by in zip(model.net.trainable_variables, noise, strict=True):
        weight.assign_sub(by)


DESCENTS = (
    descends, descends_on_noise, descends_on_a_mixture, descends_with_clipped_gradients, descends_with_penalty,
    descends_like_the_teacher,
)  # fmt: skip
MOVES = (
    *DESCENTS, trains_the_critic, moves_the_teacher, decays_by_hand, counts, counts_sometimes, looks,
    climbs_and_returns,
)  # fmt: skip


# ---- Comparing


def fault(trial: Trial) -> str:
    """Return in words what recording changed in one program, empty where nothing; it is trained two or three times."""
    try:
        bare = _state(trial, recorded=False)[0]
    except Exception as error:
        return f"no premise: without the callback it dies: {_told(error)}"
    try:
        recorded, steps, said = _state(trial, recorded=True)
    except Exception as error:
        return f"KILLED: {_told(error)}"
    unlike = [name for name in {**bare, **recorded} if bare.get(name) != recorded.get(name)]
    if unlike:
        again = _state(trial, recorded=False)[0]
        what = "CHANGED" if again == bare else "no premise: without the callback it is not the same twice"
        return f"{what}: {len(unlike)} of {len(bare)}, such as {', '.join(unlike[:3])}"
    return "" if steps or said else "SILENT: nothing recorded, nothing said"


def _state(trial: Trial, *, recorded: bool) -> tuple[dict[str, str], int, bool]:
    with warnings.catch_warnings(record=True), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("always")
        scope = gradscope.GradScope(schedule=1, quiet=True)
        found = trial.trained([scope] if recorded else [], Path(folder))
        if not recorded:
            return found, 0, False
        return found, len(scope.run.steps), bool(scope.run.not_measured)


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def faults(seeds: range, *, is_step: bool) -> Iterator[tuple[int, str]]:
    """Yield the seed and the fault of each program that has one, all trained in this process."""
    for seed in seeds:
        found = fault(Trial(seed, is_step))
        if found:
            yield seed, found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="programs")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first; the others follow it")
    parser.add_argument("--steps", action="store_true", help="random train steps instead of random models")
    parser.add_argument("--batch", type=int, default=50, help="programs in one process")
    arguments = parser.parse_args()
    kind = ["--steps"] if arguments.steps else []
    if arguments.count > arguments.batch:
        failed = False
        for begin in range(0, arguments.count, arguments.batch):
            count = min(arguments.batch, arguments.count - begin)
            batch = ["--seed", str(arguments.seed + begin), "--count", str(count), "--batch", str(count)]
            done = subprocess.run([sys.executable, __file__, *batch, *kind], check=False)
            failed |= done.returncode != 0
        return int(failed)
    found = dict[int, str]()
    for seed, told in faults(range(arguments.seed, arguments.seed + arguments.count), is_step=arguments.steps):
        print(f"seed {seed}: {told}", flush=True)
        found[seed] = told
    last = arguments.seed + arguments.count - 1
    print(f"seeds {arguments.seed} to {last}: {len(found)} of {arguments.count} with a fault", flush=True)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
