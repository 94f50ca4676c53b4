"""Train a small network on scikit-learn's digits and look inside it. Run: python examples/quickstart.py."""

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
model.fit(x / 16, y, epochs=5, verbose=0, callbacks=[scope])  # prints the summary at its end

run = scope.run  # later, anywhere, without TensorFlow: gradscope.load("logs/quickstart")
kernels = run.gradients[run.gradients["role"] == "kernel"]
norms = kernels.pivot_table("norm", index="layer", columns="epoch", observed=True)
print("\nGradient norm of each kernel, mean of each epoch's records:")
print(norms.round(3).to_string())
