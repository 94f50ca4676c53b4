"""Train a small network on scikit-learn's digits and look at what happened inside. Run: python examples/quickstart.py."""

import keras
from sklearn.datasets import load_digits

import gradscope

x, y = load_digits(return_X_y=True)

model = keras.Sequential(
    [
        keras.Input((64,)),
        keras.layers.Dense(64, activation="relu"),
        keras.layers.Dense(64, activation="tanh"),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])

scope = gradscope.GradScope("logs/quickstart")
model.fit(x / 16, y, epochs=5, verbose=0, callbacks=[scope])

print(scope.run.activations.groupby("layer", observed=True)["saturated_fraction"].last())
