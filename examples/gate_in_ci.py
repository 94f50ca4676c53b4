"""How do I keep a sick training from being merged? Run: python examples/gate_in_ci.py, which exits with 1.

A few epochs on a part of the data are enough to see most mistakes. `Run.check` raises where there are findings as
severe as asked for, so that this works as a script, whose exit code a build server sees, and as a test for pytest:

    def test_the_training_is_healthy():
        train().check(fail_on="high")

Where the logs are kept, `gradscope check logs/gate --format junit` writes what build servers show.
"""

import sys

import keras
from sklearn.datasets import load_digits

import gradscope


def train() -> gradscope.Run:
    x, y = load_digits(return_X_y=True)
    keras.utils.set_random_seed(0)
    hidden = [keras.layers.Dense(64, activation="sigmoid", kernel_initializer="random_normal") for _ in range(6)]
    model = keras.Sequential([keras.Input((64,)), *hidden, keras.layers.Dense(10, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    scope = gradscope.GradScope("logs/gate", on_finding=None, quiet=True)
    model.fit(x[:1024] / 16, y[:1024], epochs=3, verbose=0, callbacks=[scope])
    return scope.run


if __name__ == "__main__":
    try:
        train().check(fail_on="high")
    except gradscope.CheckFailedError as error:
        sys.exit(f"{error}")
