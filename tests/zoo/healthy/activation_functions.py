"""Every activation function of Keras that can be a hidden one, given as argument, as layer and as function."""

from __future__ import annotations

from functools import partial
from typing import Any

import keras

from zoo.case import Case, Training
from zoo.data import circles
from zoo.healthy.tasks import classify, decide, digits_mlp

L: Any = keras.layers
A: Any = keras.activations


def _argument(activation: Any, *, rate: float = 3e-3, epochs: int = 6, **dense: Any) -> Training:
    return classify(digits_mlp(activation=activation, **dense), optimizer=keras.optimizers.Adam(rate), epochs=epochs)


def _layer(make: Any, *, rate: float = 3e-3, epochs: int = 6) -> Training:
    model = digits_mlp(make, activation=None)
    return classify(model, optimizer=keras.optimizers.Adam(rate), epochs=epochs)


def _ten_tanh_layers() -> Training:
    """Deep and narrow, held open by orthogonal weights."""
    model = digits_mlp(widths=(32,) * 10, activation="tanh", kernel_initializer="orthogonal")
    return classify(model, epochs=8)


def _sigmoid_with_wide_weights() -> Training:
    """Weights four times as wide make up for sigmoid's slope of at most a quarter."""
    glorot = keras.initializers.VarianceScaling(16.0, "fan_avg", "uniform")
    return classify(
        digits_mlp(activation="sigmoid", widths=(32, 32, 32), kernel_initializer=glorot),
        optimizer=keras.optimizers.Adam(1e-2),
        epochs=8,
    )


def _sines() -> Training:
    """Sines as in SIREN: the slope is zero inside, and nowhere in a tail."""
    model = keras.Sequential([keras.Input((2,))])
    for _ in range(2):
        model.add(L.Dense(32, lambda z: keras.ops.sin(3 * z)))
    model.add(L.Dense(1, "sigmoid"))
    return decide(model, circles(), epochs=10)


def _radial() -> Training:
    """Bells: far from its centre a unit is flat on both sides."""
    model = keras.Sequential([keras.Input((2,)), L.Dense(48, lambda z: keras.ops.exp(-keras.ops.square(2 * z)))])
    model.add(L.Dense(1, "sigmoid"))
    return decide(model, circles(), optimizer=keras.optimizers.Adam(1e-2), epochs=12)


def _gated() -> Training:
    """A transformer's feed-forward block: one branch opens and closes the other."""
    inputs = keras.Input((64,))
    x = inputs
    for _ in range(2):
        gate = keras.ops.silu(L.Dense(32, use_bias=False)(x))
        x = L.Dense(32)(gate * L.Dense(32, use_bias=False)(x))
    return classify(keras.Model(inputs, L.Dense(10, "softmax")(x)), epochs=7)


def _glu() -> Training:
    inputs = keras.Input((64,))
    x = keras.ops.glu(L.Dense(96)(inputs))
    x = keras.ops.glu(L.Dense(64)(x))
    return classify(keras.Model(inputs, L.Dense(10, "softmax")(x)), epochs=7)


def _maxout() -> Training:
    inputs = keras.Input((64,))
    x = inputs
    for _ in range(2):
        x = keras.ops.max(L.Reshape((24, 3))(L.Dense(72)(x)), axis=-1)
    return classify(keras.Model(inputs, L.Dense(10, "softmax")(x)), epochs=5)


_RECTIFIERS = (
    "half of the entries are zero or nearly so from the start; torchmortem judges any activation by |a| > 0.95"
)
_SMOOTH = "outputs near zero and negative ones: zeros that underflow are no dead units"
_BOUNDED = "entries in flat tails from the start, in a network that learns"
_SHRINKING = "zero output in an interval around zero, with slope on both sides of it"
_PRODUCTS = "not elementwise, or slopes that vanish inside: no tails to saturate in"


def _case(name: str, family: str, source: str, build: Any, learns: float = 0.3) -> Case:
    return Case(f"activation_{name}", f"activation: {family}", source, build, learns=learns)


_lecun = {"kernel_initializer": "lecun_normal"}
CASES: tuple[Case, ...] = (
    _case("relu_layer", "rectifiers", _RECTIFIERS, partial(_layer, L.ReLU)),
    _case("relu_capped_and_leaking", "rectifiers", _RECTIFIERS, partial(_layer, lambda: L.ReLU(4.0, 0.1))),
    _case("relu6", "rectifiers", _RECTIFIERS, partial(_argument, A.relu6)),
    _case("leaky_relu_layer", "leaking", _RECTIFIERS, partial(_layer, lambda: L.LeakyReLU(negative_slope=0.01))),
    _case("prelu", "leaking", _RECTIFIERS, partial(_layer, L.PReLU)),
    _case("threshold", "rectifiers", _RECTIFIERS, partial(_argument, lambda z: A.threshold(z, 0.1, 0.0))),
    _case("elu_layer", "exponential units", _SMOOTH, partial(_layer, L.ELU)),
    _case("celu", "exponential units", _SMOOTH, partial(_argument, "celu")),
    _case("selu", "exponential units", _SMOOTH, partial(_argument, "selu", widths=(32,) * 6, **_lecun)),
    _case("gelu_layer", "smooth", _SMOOTH, partial(_layer, lambda: L.Activation("gelu"))),
    _case("silu", "smooth", _SMOOTH, partial(_argument, keras.ops.silu)),
    _case("mish", "smooth", _SMOOTH, partial(_argument, "mish")),
    _case("hard_silu", "smooth", _SMOOTH, partial(_argument, "hard_silu", rate=6e-3)),
    _case(
        "softplus",
        "softplus",
        "every output is positive, a bias the next layer must undo",
        partial(_argument, "softplus"),
    ),
    _case("squareplus", "softplus", _SMOOTH, partial(_argument, "squareplus"), 0.4),
    _case("sparse_plus", "softplus", _SMOOTH, partial(_argument, "sparse_plus", rate=6e-3)),
    _case("log_sigmoid", "softplus", "every output is negative", partial(_argument, "log_sigmoid"), 0.4),
    _case("exponential", "softplus", "unbounded slope", partial(_argument, "exponential", widths=(32,))),
    _case("tanh_ten_layers", "bounded", "deep, and gradients differ by layer", _ten_tanh_layers),
    _case("sigmoid_wide_weights", "sigmoids", _BOUNDED, _sigmoid_with_wide_weights, 0.5),
    _case("hard_sigmoid", "sigmoids", _BOUNDED, partial(_argument, "hard_sigmoid", rate=1e-2)),
    _case("sparse_sigmoid", "sigmoids", _BOUNDED, partial(_argument, "sparse_sigmoid", rate=1e-2)),
    _case("hard_tanh", "bounded", _BOUNDED, partial(_argument, "hard_tanh", kernel_initializer="he_normal")),
    _case("softsign", "bounded", _BOUNDED, partial(_argument, "softsign")),
    _case(
        "soft_shrink", "shrinking", _SHRINKING, partial(_argument, "soft_shrink", kernel_initializer="he_normal"), 0.5
    ),
    _case(
        "hard_shrink", "shrinking", _SHRINKING, partial(_argument, "hard_shrink", kernel_initializer="he_normal"), 0.5
    ),
    _case("tanh_shrink", "shrinking", _SHRINKING, partial(_argument, "tanh_shrink", rate=1e-2, epochs=8), 0.5),
    _case("sine", "waves and bells", _PRODUCTS, _sines, 0.25),
    _case("bell", "waves and bells", _PRODUCTS, _radial, 0.25),
    _case("silu_gate", "products", _PRODUCTS, _gated, 0.4),
    _case("glu", "products", _PRODUCTS, _glu, 0.5),
    _case("maxout", "products", _PRODUCTS, _maxout, 0.6),
)
