"""Which of my many trainings went wrong, and what differs in the best? Run: python examples/compare_a_sweep.py.

Twelve trainings differ in activation function, initialiser and learning rate. What varies is told to the callback as
`params`, so that the overview has a column for each. The same in a terminal:

    gradscope summary logs/sweep --sort val_loss
    gradscope compare logs/sweep/tanh-glorot_uniform-0.01 logs/sweep/sigmoid-glorot_uniform-0.01
"""

import itertools

import keras
from sklearn.datasets import load_digits

import gradscope

x, y = load_digits(return_X_y=True)
x = x / 16

for activation, initializer, rate in itertools.product(
    ("sigmoid", "tanh", "relu"), ("glorot_uniform", "random_normal"), (0.01, 1.0)
):
    keras.utils.set_random_seed(0)
    hidden = [keras.layers.Dense(32, activation=activation, kernel_initializer=initializer) for _ in range(4)]
    model = keras.Sequential([keras.Input((64,)), *hidden, keras.layers.Dense(10, activation="softmax")])
    model.compile(keras.optimizers.SGD(rate, momentum=0.9), "sparse_categorical_crossentropy")
    scope = gradscope.GradScope(
        f"logs/sweep/{activation}-{initializer}-{rate}",
        params={"activation": activation, "initializer": initializer, "rate": rate},
        on_finding=None,
        quiet=True,
    )
    model.fit(x[:1400], y[:1400], epochs=4, verbose=0, validation_data=(x[1400:], y[1400:]), callbacks=[scope])

runs = gradscope.load_runs("logs/sweep")
print(runs.summary())  # one row a run, the worst first; .frame has it for pandas

losses = {name: run.epochs["val_loss"].iloc[-1] for name, run in runs.items()}
best, worst = min(losses, key=losses.__getitem__), max(losses, key=losses.__getitem__)
print(f"\nWhat differs in {worst}, the worst, from {best}, the best:\n")
print(gradscope.compare({name: runs[name] for name in (best, worst)}))
