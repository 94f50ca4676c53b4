"""What does a bad start do to my convolutional network? Run: python examples/convolutional_network.py.

The weights of one network are drawn twice: with a spread of 1, as if the number of inputs did not matter, and as Glorot
and Bengio advise. With the first, tanh sits in its flat ends nearly everywhere.
"""

import keras
from sklearn.datasets import load_digits

import gradscope

x, y = load_digits(return_X_y=True)
images = x.reshape(-1, 8, 8, 1) / 16

for name, initializer in (
    ("weights drawn with a spread of 1", keras.initializers.RandomNormal(stddev=1.0, seed=0)),
    ("weights drawn as Glorot and Bengio advise", keras.initializers.GlorotUniform(seed=0)),
):
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(16, 3, padding="same", activation="tanh", kernel_initializer=initializer),
            keras.layers.Conv2D(32, 3, activation="tanh", kernel_initializer=initializer),
            keras.layers.Conv2D(32, 3, activation="tanh", kernel_initializer=initializer),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    scope = gradscope.GradScope(on_finding=None, quiet=True)
    history = model.fit(images, y, epochs=5, batch_size=64, verbose=0, callbacks=[scope]).history

    print(f"{name}: accuracy {history['accuracy'][-1]:.2f}")
    print(scope.run.diagnose())
    shown = scope.run.activations.groupby("layer", observed=True)["saturated_fraction"].last()
    print("\nShare of entries in the flat ends of the function, at the last record:")
    print(shown.drop(index="dense").map("{:.0%}".format).to_string(), end="\n\n")
