"""Which of my ReLU units are dead, since when, and what brings them back? Run: python examples/dying_relu.py.

The same network learns to read scanned digits three times: at a learning rate that kills units, at a lower one, and at
the high one with leaky ReLU, whose slope never is zero.
"""

import keras
from sklearn.datasets import load_digits

import gradscope

x, y = load_digits(return_X_y=True)
x = x / 16


def trained(activation: str, learning_rate: float) -> tuple[gradscope.Run, float]:
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(64, activation=activation, kernel_initializer="he_normal"),
            keras.layers.Dense(64, activation=activation, kernel_initializer="he_normal"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(learning_rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    scope = gradscope.GradScope(schedule=5, on_finding=None, quiet=True)
    history = model.fit(x, y, epochs=8, batch_size=32, verbose=0, callbacks=[scope]).history
    return scope.run, history["accuracy"][-1]


sick, accuracy = trained("relu", learning_rate=0.1)
print(f"ReLU at a learning rate of 0.1: accuracy {accuracy:.2f}\n")
print(sick.diagnose(["dying_relu"]))

# The table `units` has a row each time that a unit's state is seen to have changed.
last = sick.units.groupby(["site", "unit"], observed=True).tail(1)
dead = last[last["dead"]]
print("\nDead units by layer and by the step since which they are dead:")
print(dead.groupby("layer", observed=True)["dead_since_step"].agg(units="size", first="min", last="max").to_string())

print("\nWhat the advice does:")
for name, activation, learning_rate in (
    ("a lower learning rate", "relu", 0.001),
    ("leaky ReLU at the same rate", "leaky_relu", 0.1),
):
    run, accuracy = trained(activation, learning_rate)
    share = run.activations.groupby("layer", observed=True)["dead_unit_fraction"].last().max()
    dying = len(run.diagnose(["dying_relu"]))
    print(f"  {name}: accuracy {accuracy:.2f}, at most {share:.0%} of a layer's units dead, findings: {dying}")
