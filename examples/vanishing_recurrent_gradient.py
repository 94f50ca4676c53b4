"""Why does my recurrent network forget what it saw first? Run: python examples/vanishing_recurrent_gradient.py.

A network reads a scanned digit row by row, waits for twenty empty steps, and then has to say which digit it was.
Through each step of waiting the gradient is multiplied by the slope of the activation function. That of sigmoid is at
most a quarter, so that next to nothing reaches the weights that read the digit; tanh has a slope of 1 at zero.
"""

import keras
import numpy as np
from sklearn.datasets import load_digits

import gradscope

WAITING = 20

x, y = load_digits(return_X_y=True)
rows = x.reshape(-1, 8, 8) / 16
sequences = np.concatenate([rows, np.zeros((len(rows), WAITING, 8))], axis=1)

gradients = {}
for activation in ("sigmoid", "tanh"):
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((8 + WAITING, 8)),
            keras.layers.SimpleRNN(32, activation=activation, name="reader"),
            keras.layers.Dense(10, activation="softmax", name="answer"),
        ]
    )
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    scope = gradscope.GradScope(on_finding=None, quiet=True)
    history = model.fit(sequences, y, epochs=8, batch_size=64, verbose=0, callbacks=[scope]).history

    kernels = scope.run.gradients.query("role == 'kernel'")
    name = kernels["variable"].str.rsplit("/", n=2).str[-2:].str.join("/")
    gradients[activation] = kernels.groupby(name, sort=False)["rms"].median()
    print(f"{activation}: accuracy {history['accuracy'][-1]:.2f} after {len(history['loss'])} epochs")
    print(scope.run.diagnose(), end="\n\n")

print("Gradient RMS of each kernel, median over the training:")
for name in gradients["tanh"].index:
    print(f"  {name:32}" + "".join(f"{function:>10} {of[name]:.1e}" for function, of in gradients.items()))
print("What waits longest to be told fades most: that is the kernel that reads the digit.")
