import math
from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from gradscope.activations import NOT_ELEMENTWISE, SLOPE_FLOOR, Evaluate, known_profile, probe
from gradscope.network import Profile

Array = NDArray[np.float64]

NOT_ACTIVATIONS = {"deserialize", "get", "serialize"}
NAMES = sorted(name for name in dir(keras.activations) if not name.startswith("_") and name not in NOT_ACTIVATIONS)

DEFAULTS: dict[str, dict[str, float]] = {"threshold": {"threshold": 1.5, "default_value": 0.0}}
CASES: list[tuple[str, dict[str, float]]] = [(name, DEFAULTS.get(name, {})) for name in NAMES]
VARIANTS: list[tuple[str, dict[str, float]]] = [
    ("celu", {"alpha": 0.5}),
    ("celu", {"alpha": 3.0}),
    ("elu", {"alpha": 0.3}),
    ("elu", {"alpha": 0.02}),
    ("elu", {"alpha": 2.5}),
    ("gelu", {"approximate": True}),
    ("hard_shrink", {"threshold": 1.25}),
    ("leaky_relu", {"negative_slope": 0.01}),
    ("leaky_relu", {"negative_slope": 0.0}),
    ("leaky_relu", {"negative_slope": 1.0}),
    ("leaky_relu", {"negative_slope": -1.0}),
    ("relu", {"max_value": 6.0}),
    ("relu", {"max_value": 3.5, "threshold": 1.25}),
    ("relu", {"threshold": 0.75}),
    ("relu", {"negative_slope": 0.1}),
    ("soft_shrink", {"threshold": 2.0}),
    ("squareplus", {"b": 0.25}),
    ("threshold", {"threshold": -2.0, "default_value": 1.0}),
]


def sigmoid(z: Array) -> Array:
    return np.exp(-np.logaddexp(0.0, -z))


def softplus(z: Array) -> Array:
    return np.logaddexp(0.0, z)


erf = np.vectorize(math.erf, otypes=[float])

# Written from the papers' formulas; the slope is taken by differences.
REFERENCES: dict[str, Callable[..., Array]] = {
    "celu": lambda z, alpha=1.0: np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0) / alpha)),
    "elu": lambda z, alpha=1.0: np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0))),
    "exponential": np.exp,
    "gelu": lambda z, approximate=False: (
        0.5 * z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)))
        if approximate
        else 0.5 * z * (1 + erf(z / np.sqrt(2)))
    ),
    "hard_shrink": lambda z, threshold=0.5: np.where(np.abs(z) > threshold, z, 0),
    "hard_sigmoid": lambda z: np.clip(z / 6 + 0.5, 0, 1),
    "hard_silu": lambda z: z * np.clip(z / 6 + 0.5, 0, 1),
    "hard_tanh": lambda z: np.clip(z, -1, 1),
    "leaky_relu": lambda z, negative_slope=0.2: np.where(z > 0, z, negative_slope * z),
    "linear": lambda z: z,
    "log_sigmoid": lambda z: -softplus(-z),
    "mish": lambda z: z * np.tanh(softplus(z)),
    "relu": lambda z, negative_slope=0.0, max_value=np.inf, threshold=0.0: np.minimum(
        np.where(z > threshold, z, negative_slope * (z - threshold)), max_value
    ),
    "relu6": lambda z: np.clip(z, 0, 6),
    "selu": lambda z: 1.05070098 * np.where(z > 0, z, 1.67326324 * np.expm1(np.minimum(z, 0))),
    "sigmoid": sigmoid,
    "silu": lambda z: z * sigmoid(z),
    "soft_shrink": lambda z, threshold=0.5: np.sign(z) * np.maximum(np.abs(z) - threshold, 0),
    "softplus": softplus,
    "softsign": lambda z: z / (1 + np.abs(z)),
    "sparse_plus": lambda z: np.where(z <= -1, 0, np.where(z < 1, (z + 1) ** 2 / 4, z)),
    "sparse_sigmoid": lambda z: np.clip((z + 1) / 2, 0, 1),
    "squareplus": lambda z, b=4.0: (z + np.sqrt(z**2 + b)) / 2,
    "tanh": np.tanh,
    "tanh_shrink": lambda z: z - np.tanh(z),
    "threshold": lambda z, threshold, default_value: np.where(z > threshold, z, default_value),
}
REFERENCES["swish"], REFERENCES["hard_swish"] = REFERENCES["silu"], REFERENCES["hard_silu"]


def on_tensorflow(name: str, parameters: dict[str, float]) -> Evaluate:
    function = getattr(keras.activations, name)

    def evaluate(z: Array) -> tuple[ArrayLike, ArrayLike]:
        tensor = tf.constant(z)
        with tf.GradientTape() as tape:
            tape.watch(tensor)
            value = function(tensor, **parameters)
            total = tf.reduce_sum(value)
        slope = tape.gradient(total, tensor, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return np.asarray(value), np.asarray(slope)

    return evaluate


def scanned_edges(name: str, parameters: dict[str, float]) -> tuple[float, float]:
    """The tails' edges by walking inwards from ±200 in steps of 1/1000, slopes by differences."""
    function, step = REFERENCES[name], 1e-3
    z = np.arange(-200_000, 200_000) * step + step / 2  # kinks fall between two points
    slope = np.abs(function(z + 1e-5, **parameters) - function(z - 1e-5, **parameters)) / 2e-5
    reference = slope[np.abs(z) <= 1].max() if slope.max() > 1e6 else slope.max()
    steep = [at for at in range(len(z)) if slope[at] > SLOPE_FLOOR * reference]
    low = z[steep[0] - 1] if steep[0] > 0 and slope[0] < 1e-4 else -math.inf
    high = z[steep[-1] + 1] if steep[-1] < len(z) - 1 and slope[-1] < 1e-4 else math.inf
    return float(low), float(high)


def test_every_activation_of_keras_is_profiled_or_listed_as_not_elementwise() -> None:
    unknown = [name for name in NAMES if known_profile(name, **DEFAULTS.get(name, {})) is None]
    assert unknown == []
    assert NOT_ELEMENTWISE.issubset(NAMES)
    assert set(REFERENCES) == set(NAMES) - NOT_ELEMENTWISE


@pytest.mark.parametrize(("name", "parameters"), CASES + VARIANTS)
def test_known_profile_equals_the_probed_one(name: str, parameters: dict[str, float]) -> None:
    known, probed = known_profile(name, **parameters), probe(on_tensorflow(name, parameters))
    assert known is not None
    flags = [(p.elementwise, p.blocked, p.linear) for p in (known, probed)]
    assert flags[0] == flags[1]
    assert (probed.z_low, probed.z_high) == pytest.approx((known.z_low, known.z_high), abs=1e-6)
    assert (probed.zero_low, probed.zero_high) == (known.zero_low, known.zero_high)  # at kinks: exact
    assert (probed.minimum, probed.maximum) == pytest.approx((known.minimum, known.maximum), abs=2e-6)


@pytest.mark.parametrize(("name", "parameters"), [case for case in CASES + VARIANTS if case[0] not in NOT_ELEMENTWISE])
def test_known_tails_equal_a_slow_scan(name: str, parameters: dict[str, float]) -> None:
    known = known_profile(name, **parameters)
    assert known is not None
    # The scan's points miss the steepest one by up to half a step: 1/1000 of softsign's reference slope.
    assert (known.z_low, known.z_high) == pytest.approx(scanned_edges(name, parameters), abs=3e-3)


@pytest.mark.parametrize(
    ("name", "lower", "upper"), [("tanh", -0.974679, 0.974679), ("sigmoid", 0.012660, 0.987340), ("relu6", 0.0, 6.0)]
)
def test_tails_of_bounded_functions_begin_at_the_published_values(name: str, lower: float, upper: float) -> None:
    profile = known_profile(name)
    assert profile is not None
    assert profile.bounded
    edges = REFERENCES[name](np.array([profile.z_low, profile.z_high]))
    assert edges == pytest.approx([lower, upper], abs=1e-6)


def test_only_functions_with_exact_zeros_have_inactive_entries() -> None:
    with_zeros = {name for name in NAMES if (p := known_profile(name)) is not None and p.zero_low > -math.inf}
    piecewise = {"hard_sigmoid", "hard_silu", "hard_swish", "relu", "relu6", "sparse_plus", "sparse_sigmoid"}
    assert with_zeros == piecewise


def test_one_sided_functions_are_not_bounded() -> None:
    one_sided = ["celu", "elu", "exponential", "gelu", "log_sigmoid", "mish", "relu", "selu", "silu", "softplus"]
    assert [known_profile(name).bounded for name in one_sided] == [False] * len(one_sided)  # pyright: ignore[reportOptionalMemberAccess]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("my_function", {}),
        ("tanh", {"alpha": 1.0}),
        ("elu", {"alpha": -1.0}),
        ("elu", {"alpha": np.ones(3)}),
        ("elu", {"beta": 1.0}),
        ("threshold", {}),
        ("relu", {"max_value": 1.0, "threshold": 2.0}),
        ("relu", {"negative_slope": 0.1, "max_value": 1.0}),
        ("relu", {"threshold": -1.0}),
    ],
)
def test_what_has_no_exact_profile_is_left_to_the_probe(name: str, parameters: dict[str, object]) -> None:
    assert known_profile(name, **parameters) is None


def test_softmax_over_any_axis_is_not_elementwise() -> None:
    assert known_profile("softmax", axis=1) == Profile(elementwise=False)
