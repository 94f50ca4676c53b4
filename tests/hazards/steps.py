"""Train steps: Keras' own, and those that people write, each a small model around the network of the bench."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from hazards.bench import CLASSES, FEATURES, Bench, L, mlp

O = keras.optimizers  # noqa: E741 - as short as L


@dataclass(frozen=True)
class Step:
    """A kind of train step.

    Attributes:
        build: Makes the model of a network and the bench.
        labelled: Whether it is compiled with a loss and trained with labels.
        measured: Whether its step updates the metrics that ``compile`` was given.
        modes: In which it can run.
        data: The data that it needs, if not just any.
        by_hand: Whether the user trains by a loop around ``train_on_batch``.
    """

    build: Callable[[Any, Bench], Any]
    labelled: bool = True
    measured: bool = True
    modes: tuple[str, ...] = ("graph", "XLA", "eager")
    data: str = "arrays"
    by_hand: bool = False


class Around(keras.Model):
    """A model around a network, with what the steps of one's own have in common."""

    def __init__(self, net: Any, bench: Bench) -> None:
        super().__init__()
        self.net, self.bench = net, bench

    def call(self, x: Any, training: bool = False) -> Any:
        return self.net(x, training=training)

    def descend(self, value: Any, tape: Any, weights: list[Any], optimizer: Any = None) -> Any:
        gradients = tape.gradient(value, weights)
        (optimizer or self.optimizer).apply_gradients(zip(gradients, weights, strict=True))


class ComputeLoss(Around):
    def train_step(self, data: Any) -> Any:
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            predicted = self(x, training=True)
            value = self.bench.value(self.compute_loss(x, y, predicted, sample_weight))
            scaled = value if self.optimizer is None else self.optimizer.scale_loss(value)
        self.descend(scaled, tape, self.trainable_variables)
        for metric in self.metrics:
            metric.update_state(*((value,) if metric.name == "loss" else (y, predicted)))
        return {metric.name: metric.result() for metric in self.metrics}


class LeastSquares(Around):
    """A critic's step towards a constant: while biases are zero, other orders of adding come to the same bits."""

    def train_step(self, data: Any) -> Any:
        x = rows_of(data)
        with tf.GradientTape() as tape:
            value = self.bench.value(tf.reduce_mean((1.0 - self(x, training=True)) ** 2))
        self.descend(value, tape, self.trainable_variables)
        return {"value": value}


class TwoFunctions(Around):
    """A train function of one's own that calls two compiled ones on the same batch."""

    def __init__(self, net: Any, bench: Bench) -> None:
        super().__init__(net, bench)
        self.critic, self.second = mlp(Bench(bench.folder), outputs=1), bench.owned(O.Adam(0.01))

    @tf.function
    def one(self, x: Any) -> Any:
        with tf.GradientTape() as tape:
            value = tf.reduce_mean(self.net(x) ** 2)
        self.descend(value, tape, self.net.trainable_variables)
        return value

    @tf.function
    def other(self, x: Any) -> Any:
        with tf.GradientTape() as tape:
            value = tf.reduce_mean(self.critic(x))
        self.descend(value, tape, self.critic.trainable_variables, self.second)
        return value

    def make_train_function(self, force: bool = False) -> Any:
        if self.train_function is None or force:
            self.optimizer.build(self.net.trainable_variables)
            self.second.build(self.critic.trainable_variables)

            @tf.function
            def both(iterator: Any) -> Any:
                x = rows_of(next(iterator))
                return {"one": self.one(x), "other": self.other(x)}

            self.train_function = both
        return self.train_function


class ZeroesAskedFor(ComputeLoss):
    """Asks its tape for zeros where nothing is connected."""

    def descend(self, value: Any, tape: Any, weights: list[Any], optimizer: Any = None) -> None:
        gradients = tape.gradient(value, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        self.optimizer.apply_gradients(zip(gradients, weights, strict=True))


class Decorated(ComputeLoss):
    @tf.function
    def train_step(self, data: Any) -> Any:
        return super().train_step(data)


class Tape(Around):
    """Knows nothing of ``compute_loss`` or of metrics."""

    def train_step(self, data: Any) -> Any:
        x, y = data[:2]
        with tf.GradientTape() as tape:
            value = self.bench.value(self.bench.loss()(y, self(x, training=True)))
        self.descend(value, tape, self.trainable_variables)
        return {"value": value}


class Jacobian(Tape):
    """Asks for a Jacobian beside its gradients."""

    def train_step(self, data: Any) -> Any:
        x, y = data[:2]
        with tf.GradientTape(persistent=True) as tape:
            predicted = self(x, training=True)
            value = self.bench.value(self.bench.loss()(y, predicted))
        size = tf.norm(tape.jacobian(predicted, self.trainable_variables[-1]))
        self.descend(value, tape, self.trainable_variables)
        return {"value": value, "size": size}


class AssignSub(Tape):
    def descend(self, value: Any, tape: Any, weights: list[Any], optimizer: Any = None) -> None:
        for variable, gradient in zip(weights, tape.gradient(value, weights), strict=True):
            variable.assign_sub(0.1 * gradient)


class NestedOptimizers(Tape):
    def __init__(self, net: Any, bench: Bench) -> None:
        super().__init__(net, bench)
        self.by_part = {"net": {"first": bench.owned(O.Adam(0.01)), "rest": [bench.owned(O.SGD(0.1))]}}

    def descend(self, value: Any, tape: Any, weights: list[Any], optimizer: Any = None) -> None:
        gradients = tape.gradient(value, weights)
        first, rest = self.by_part["net"].values()
        first.apply_gradients(zip(gradients[:2], weights[:2], strict=True))
        rest[0].apply_gradients(zip(gradients[2:], weights[2:], strict=True))


class GradientPenalty(Tape):
    def train_step(self, data: Any) -> Any:
        x, y = data[:2]
        with tf.GradientTape() as tape:
            value = self.bench.loss()(y, self(x, training=True)) + 0.1 * slope_of(self.net, x)
            value = self.bench.value(value)
        self.descend(value, tape, self.trainable_variables)
        return {"value": value}


class TwoSteps(Tape):
    """Sharpness-aware: climbs, takes the gradient there, and puts the weights back before it descends."""

    def train_step(self, data: Any) -> Any:
        x, y = data[:2]
        weights = self.trainable_variables
        with tf.GradientTape() as tape:
            value = self.bench.value(self.bench.loss()(y, self(x, training=True)))
        climbed = [0.05 * gradient for gradient in tape.gradient(value, weights)]
        for variable, by in zip(weights, climbed, strict=True):
            variable.assign_add(by)
        with tf.GradientTape() as tape:
            above = self.bench.loss()(y, self(x, training=True))
        gradients = tape.gradient(above, weights)
        for variable, by in zip(weights, climbed, strict=True):
            variable.assign_sub(by)
        self.optimizer.apply_gradients(zip(gradients, weights, strict=True))
        return {"value": value, "above": above}


class MeanTeacher(Tape):
    """Follows a teacher whose weights are a moving average of its own."""

    def __init__(self, net: Any, bench: Bench) -> None:
        super().__init__(net, bench)
        self.teacher = keras.models.clone_model(net) if not bench.layers else mlp(Bench(bench.folder))
        self.teacher.trainable = False

    def train_step(self, data: Any) -> Any:
        x, y = data[:2]
        with tf.GradientTape() as tape:
            predicted = self(x, training=True)
            apart = keras.ops.mean((predicted - self.teacher(x, training=False)) ** 2)
            value = self.bench.value(self.bench.loss()(y, predicted) + 0.5 * apart)
        self.descend(value, tape, self.trainable_variables)
        for slow, weight in zip(self.teacher.weights[-6:], self.net.weights[-6:], strict=True):
            slow.assign(0.9 * slow + 0.1 * weight)
        return {"value": value}


class AccumulationByHand(Tape):
    """Adds gradients up in variables of its own and applies them at every second step."""

    def __init__(self, net: Any, bench: Bench) -> None:
        super().__init__(net, bench)
        self.sums = [tf.Variable(tf.zeros(v.shape), trainable=False) for v in net.trainable_variables]
        self.count = tf.Variable(0, trainable=False)
        bench.keep("sums", lambda: [*self.sums, self.count])

    def descend(self, value: Any, tape: Any, weights: list[Any], optimizer: Any = None) -> None:
        for total, gradient in zip(self.sums, tape.gradient(value, weights), strict=True):
            total.assign_add(gradient)
        if not self.optimizer.built:
            self.optimizer.build(weights)

        def apply() -> Any:
            self.optimizer.apply_gradients(zip([total.read_value() for total in self.sums], weights, strict=True))
            for total in self.sums:
                total.assign(tf.zeros_like(total))
            return 0

        tf.cond(self.count.assign_add(1) % 2 == 0, apply, lambda: 0)


class TwoNetworks(Around):
    """A generator of rows beside a critic, each with an optimizer of its own."""

    rounds, penalty = 1, 0.0

    def __init__(self, net: Any, bench: Bench) -> None:
        super().__init__(net, bench)
        self.critic = mlp(bench, outputs=1, activation="leaky_relu")
        self.generator = mlp(Bench(bench.folder), outputs=FEATURES)
        self.critic_optimizer = bench.owned(O.Adam(0.02, beta_1=0.5))
        self.generator_optimizer = bench.owned(O.Adam(0.01))

    def train_step(self, data: Any) -> Any:
        real = rows_of(data)
        for _ in range(self.rounds):
            noise = self.bench.noise_like(real)
            with tf.GradientTape() as tape:
                fake = self.generator(noise)
                gap = tf.reduce_mean(self.critic(fake, training=True)) - tf.reduce_mean(self.critic(real))
                gap += self.penalty * slope_of(self.critic, fake)
            self.descend(gap, tape, self.critic.trainable_variables, self.critic_optimizer)
        noise = self.bench.noise_like(real)
        with tf.GradientTape() as tape:
            made = self.bench.value(-tf.reduce_mean(self.critic(self.generator(noise, training=True))))
        self.descend(made, tape, self.generator.trainable_variables, self.generator_optimizer)
        return {"gap": gap, "made": made}


class Wasserstein(TwoNetworks):
    rounds, penalty = 3, 10.0


class Variational(Around):
    def __init__(self, net: Any, bench: Bench) -> None:
        super().__init__(net, bench)
        self.encoder, self.decoder = mlp(bench, outputs=4), mlp(Bench(bench.folder), features=2, outputs=FEATURES)
        self.total = keras.metrics.Mean(name="loss")

    @property
    def metrics(self) -> list[Any]:
        return [self.total]

    def train_step(self, data: Any) -> Any:
        x = rows_of(data)
        with tf.GradientTape() as tape:
            mean, log_variance = tf.split(self.encoder(x, training=True), 2, axis=-1)
            z = mean + tf.exp(0.5 * log_variance) * self.bench.noise_like(mean)
            value = tf.reduce_mean((self.decoder(z) - x) ** 2) - 0.5 * tf.reduce_mean(1 + log_variance - mean**2)
            value = self.bench.value(value)
        self.descend(value, tape, self.encoder.trainable_weights + self.decoder.trainable_weights)
        self.total.update_state(value)
        return {"loss": self.total.result()}


class Diffusion(Around):
    """Learns which noise was added to a row, and keeps a moving average of its network, as Keras' example does."""

    def __init__(self, net: Any, bench: Bench) -> None:
        super().__init__(net, bench)
        self.denoiser, self.average = mlp(bench, outputs=FEATURES), mlp(Bench(bench.folder), outputs=FEATURES)
        self.normalizer = L.Normalization()
        self.normalizer.build((None, FEATURES))

    def train_step(self, data: Any) -> Any:
        x = self.normalizer(rows_of(data))
        noise = self.bench.noise_like(x)
        time = tf.sigmoid(self.bench.noise_like(x))[..., :1]
        with tf.GradientTape() as tape:
            found = self.denoiser(tf.cos(time) * x + tf.sin(time) * noise, training=True)
            value = self.bench.value(tf.reduce_mean(tf.abs(found - noise)))
        self.descend(value, tape, self.denoiser.trainable_weights)
        for slow, weight in zip(self.average.weights[-6:], self.denoiser.weights[-6:], strict=True):
            slow.assign(0.99 * slow + 0.01 * weight)
        return {"n_loss": value}


class Siamese(Around):
    """One tower for two views of a row; the second view is the row turned over."""

    def train_step(self, data: Any) -> Any:
        x = rows_of(data)
        with tf.GradientTape() as tape:
            one = tf.math.l2_normalize(self(x, training=True), axis=-1)
            other = tf.math.l2_normalize(self(tf.reverse(x, [-1]), training=True), axis=-1)
            likeness = tf.matmul(one, other, transpose_b=True)
            value = tf.reduce_mean(tf.reduce_logsumexp(likeness, axis=-1) - tf.linalg.diag_part(likeness))
            value = self.bench.value(value)
        self.descend(value, tape, self.trainable_variables)
        return {"value": value}


class Reinforce(Around):
    """Draws an action for each row from what the network says, and rewards the right one."""

    def train_step(self, data: Any) -> Any:
        x, y = data[:2]
        with tf.GradientTape() as tape:
            scores = self(x, training=True)
            drawn = tf.argmax(scores + self.bench.noise_like(scores), axis=-1)
            reward = tf.cast(tf.equal(drawn, tf.cast(y, tf.int64)), scores.dtype) - 0.3
            chosen = tf.gather(tf.nn.log_softmax(scores), drawn, axis=-1, batch_dims=1)
            value = self.bench.value(-tf.reduce_mean(reward * chosen))
        self.descend(value, tape, self.trainable_variables)
        return {"reward": tf.reduce_mean(reward)}


class FunctionInStep(Tape):
    """Calls a function that is compiled by itself, also where the step runs eagerly."""

    def train_step(self, data: Any) -> Any:
        return self.compiled_step(*data[:2])

    @tf.function
    def compiled_step(self, x: Any, y: Any) -> Any:
        return Tape.train_step(self, (x, y))


class OwnFunction(Tape):
    """Overrides ``make_train_function`` by a function over the iterator."""

    def make_train_function(self, force: bool = False) -> Any:
        if self.train_function is None or force:

            @tf.function
            def one_step(iterator: Any) -> Any:
                return self.train_step(next(iterator))

            self.train_function = one_step
        return self.train_function


class OwnLoop(Tape):
    """Overrides ``make_train_function`` by a loop in Python: two steps of a batch each, compiled by themselves."""

    def make_train_function(self, force: bool = False) -> Any:
        if self.train_function is None or force:
            step = tf.function(self.train_step)

            def two_steps(iterator: Any) -> Any:
                batch = next(iterator)
                for _ in range(2):
                    logs = step(batch)
                return {name: float(value) for name, value in logs.items()}

            self.train_function = two_steps
        return self.train_function


class LossInLayers(Around):
    """Gets a part of its loss from ``add_loss`` and from a regulariser."""

    def call(self, x: Any, training: bool = False) -> Any:
        scores = self.net(x, training=training)
        self.add_loss(0.1 * tf.reduce_mean(scores**2))
        return scores


class Unbuilt(keras.Model):
    """Makes its layers with its first batch."""

    def __init__(self, net: Any, bench: Bench) -> None:
        super().__init__()
        self.parts = [*bench.layers, L.Dense(8, activation="relu", activity_regularizer="l2"), L.Dense(CLASSES)]

    def call(self, x: Any, training: bool = False) -> Any:
        for part in self.parts:
            x = part(x, training=training) if part in self.parts[:-2] else part(x)
        return x


def convolution(net: Any, bench: Bench) -> Any:
    return keras.Sequential(
        [
            keras.Input((FEATURES,)),
            *bench.layers,
            L.Reshape((3, 2, 1)),
            L.Conv2D(4, 2, padding="same"),
            L.BatchNormalization(),
            L.ReLU(),
            L.SpatialDropout2D(0.3),
            L.Flatten(),
            L.Dense(CLASSES),
        ]
    )


def recurrent(net: Any, bench: Bench) -> Any:
    """Return a network that carries its state from batch to batch."""
    series = L.LSTM(4, stateful=True, recurrent_dropout=0.2)
    layers = [*bench.layers, L.Reshape((3, 2)), series, L.Dense(CLASSES)]
    return keras.Sequential([keras.Input(batch_shape=(8, FEATURES)), *layers])


def transformer(net: Any, bench: Bench) -> Any:
    tokens = keras.Input((5,), dtype="int32")
    x = L.Embedding(12, FEATURES)(tokens)
    for layer in bench.layers:
        x = layer(x)
    x = L.LayerNormalization()(x + L.MultiHeadAttention(2, 3, dropout=0.2)(x, x))
    x = L.LayerNormalization()(x + L.Dense(FEATURES)(L.Dense(8, activation="gelu")(x)))
    return keras.Model(tokens, L.Dense(CLASSES)(L.Dropout(0.2)(L.GlobalAveragePooling1D()(x))))


def rows_of(data: Any) -> Any:
    return data[0] if isinstance(data, (tuple, list)) else data


def slope_of(net: Any, x: Any) -> Any:
    """Return how far the slope of a network's output along its input is from one."""
    with tf.GradientTape() as inner:
        inner.watch(x)
        score = tf.reduce_sum(net(x))
    slope = tf.sqrt(tf.reduce_sum(inner.gradient(score, x) ** 2, -1) + 1e-12)
    return tf.reduce_mean((slope - 1) ** 2)


STEPS: dict[str, Step] = {
    "Keras' own": Step(lambda net, bench: net),
    "Keras' own, unbuilt": Step(Unbuilt),
    "Keras' own, losses of layers": Step(LossInLayers),
    "Keras' own, convolution": Step(convolution),
    "Keras' own, stateful LSTM": Step(recurrent, modes=("graph", "eager")),
    "text transformer": Step(transformer, data="tokens"),
    "compute_loss": Step(ComputeLoss),
    "tape by hand": Step(Tape, measured=False),
    "@tf.function": Step(Decorated),
    "least squares": Step(LeastSquares, labelled=False),
    "two functions": Step(TwoFunctions, labelled=False, modes=("graph",)),
    "zeros for what is unconnected": Step(ZeroesAskedFor),
    "Jacobian": Step(Jacobian, measured=False, modes=("graph", "eager")),
    "assign_sub": Step(AssignSub, measured=False),
    "nested optimizers": Step(NestedOptimizers, measured=False),
    "GAN": Step(TwoNetworks, labelled=False),
    "WGAN-GP": Step(Wasserstein, labelled=False),
    "VAE": Step(Variational, labelled=False),
    "gradient penalty": Step(GradientPenalty, measured=False),
    "siamese": Step(Siamese, labelled=False),
    "diffusion": Step(Diffusion, labelled=False),
    "REINFORCE": Step(Reinforce, measured=False),
    "sharpness-aware": Step(TwoSteps, measured=False),
    "mean teacher": Step(MeanTeacher, measured=False),
    "accumulation by hand": Step(AccumulationByHand, measured=False),
    "own train function": Step(OwnFunction, measured=False, modes=("graph",)),
    "own train function, Python loop": Step(OwnLoop, measured=False, modes=("graph",)),
    "train_on_batch": Step(ComputeLoss, by_hand=True),
    "tf.function in a step": Step(FunctionInStep, measured=False),
}
