"""Does the gradient reach the first block of my transformer? Run: python examples/transformer_block.py.

The rows of a scanned digit are eight tokens. Six blocks are stacked in the two usual ways: normalising what enters a
branch (pre-norm) or what leaves the sum (post-norm). Xiong et al. (ICML 2020) derive that at the start the gradient of
post-norm is largest at the top, which is why it needs a warm-up of the learning rate.
"""

import keras
import pandas as pd
from sklearn.datasets import load_digits

import gradscope

BLOCKS = 6
WIDTH = 32

x, y = load_digits(return_X_y=True)
tokens = x.reshape(-1, 8, 8) / 16


def block(h: keras.KerasTensor, number: int, *, pre_norm: bool) -> keras.KerasTensor:
    attention = keras.layers.MultiHeadAttention(4, WIDTH // 4, name=f"attention_{number}")
    wide = keras.layers.Dense(4 * WIDTH, activation="gelu", name=f"wide_{number}")
    narrow = keras.layers.Dense(WIDTH, name=f"narrow_{number}")
    first, second = keras.layers.LayerNormalization(), keras.layers.LayerNormalization()
    if pre_norm:
        z = first(h)
        h = h + attention(z, z)
        return h + narrow(wide(second(h)))
    h = first(h + attention(h, h))
    return second(h + narrow(wide(h)))


def trained(*, pre_norm: bool) -> tuple[gradscope.Run, float]:
    keras.utils.set_random_seed(4)
    inputs = keras.Input((8, 8))
    h = keras.layers.Dense(WIDTH, name="embed")(inputs)
    for number in range(BLOCKS):
        h = block(h, number, pre_norm=pre_norm)
    h = keras.layers.GlobalAveragePooling1D()(h)
    outputs = keras.layers.Dense(10, activation="softmax", name="digit")(h)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    scope = gradscope.GradScope(layers=["wide_*"], on_finding=None, quiet=True)
    history = model.fit(tokens, y, epochs=2, batch_size=64, verbose=0, callbacks=[scope]).history
    return scope.run, history["accuracy"][-1]


runs = {}
for name in ("pre-norm", "post-norm"):
    runs[name], accuracy = trained(pre_norm=name == "pre-norm")
    print(f"{name}: accuracy {accuracy:.2f} after 2 epochs; findings: {len(runs[name].findings)}")

first_steps = {
    name: run.gradients.query("step < 5 and role == 'kernel'").groupby("layer", observed=True)["rms"].median()
    for name, run in runs.items()
}
print("\nGradient RMS of each block's kernel in the first five steps:")
print(pd.DataFrame(first_steps).map("{:.1e}".format).to_string())
