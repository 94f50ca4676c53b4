import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gradscope.activations import probe
from gradscope.network import Profile

Array = NDArray[np.float64]
Function = Callable[[Array], tuple[Array, Array]]

INF = math.inf
TANH_EDGE = math.atanh(math.sqrt(0.95))


def tanh(z: Array) -> tuple[Array, Array]:
    return np.tanh(z), 1 - np.tanh(z) ** 2


def relu(z: Array) -> tuple[Array, Array]:
    return np.maximum(z, 0.0), np.where(z > 0, 1.0, 0.0)


def softmax(z: Array, axis: int | None) -> tuple[Array, Array]:
    powers = np.exp(z - z.max())
    return powers / powers.sum(axis=axis, keepdims=True), np.zeros_like(z)


def noise() -> Function:
    random = np.random.default_rng(1)
    return lambda z: (z + random.normal(size=z.shape), np.ones_like(z))


def handwritten_sigmoid(z: Array) -> tuple[Array, Array]:
    with np.errstate(all="ignore"):
        powers = np.exp(-z)  # overflows at -709; the slope there is inf · 0, as automatic differentiation has it
        return 1 / (1 + powers), powers / (1 + powers) ** 2


def float32_softplus(z: Array) -> tuple[Array, Array]:
    narrow = z.astype(np.float32)
    with np.errstate(all="ignore"):
        powers = np.exp(narrow)
        return np.log(1 + powers).astype(np.float64), (powers / (1 + powers)).astype(np.float64)


def tanh_gelu(z: Array) -> tuple[Array, Array]:
    inner, growth = np.sqrt(2 / np.pi) * (z + 0.044715 * z**3), np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * z**2)
    t = np.tanh(inner)
    return 0.5 * z * (1 + t), 0.5 * (1 + t) + 0.5 * z * (1 - t**2) * growth


def square(z: Array) -> tuple[Array, Array]:
    return z**2, 2 * z


@pytest.mark.parametrize(
    "function",
    [
        lambda z: softmax(z, -1),
        lambda z: softmax(z, 0),
        lambda z: softmax(z, None),
        lambda z: (z / np.linalg.norm(z, axis=-1, keepdims=True), np.ones_like(z)),
        lambda z: (np.cumsum(z, axis=0), np.ones_like(z)),
        lambda z: (np.where(z >= np.sort(z, axis=-1)[:, -2:-1], z, 0.0), np.ones_like(z)),
        lambda z: (np.roll(z, 2, axis=1), np.ones_like(z)),
        lambda z: (z * np.arange(1, z.shape[1] + 1), np.broadcast_to(np.arange(1.0, z.shape[1] + 1), z.shape)),
        noise(),
        lambda z: (z[:, ::2], np.ones_like(z)),
        lambda z: (z, np.float64(1.0)),
    ],
    ids=[
        "softmax",
        "over_batch",
        "over_all",
        "norm",
        "cumsum",
        "top_2",
        "roll",
        "per_column",
        "noise",
        "halves",
        "scalar",
    ],
)
def test_function_that_mixes_entries_is_not_elementwise(function: Function) -> None:
    assert probe(function) == Profile(elementwise=False)


def test_relu_below_and_at_zero_is_its_low_tail_exactly() -> None:
    assert probe(relu) == Profile(z_low=0.0, zero_low=0.0, minimum=0.0)
    assert math.copysign(1, probe(relu).z_low) == 1


def test_relu_with_slope_one_at_zero_has_the_same_edge() -> None:
    assert probe(lambda z: (np.maximum(z, 0.0), np.where(z >= 0, 1.0, 0.0))) == probe(relu)


def test_mirrored_relu_is_inactive_above_zero() -> None:
    profile = probe(lambda z: (np.maximum(-z, 0.0), np.where(z < 0, -1.0, 0.0)))
    assert profile == Profile(z_high=0.0, zero_high=0.0, minimum=0.0)


def test_slope_decides_not_value() -> None:
    assert probe(lambda z: (relu(z)[0] + 5.0, relu(z)[1])) == Profile(z_low=0.0, minimum=5.0)


@pytest.mark.parametrize("slope", [0.2, 0.01, 1e-4])
def test_constant_slope_is_no_tail(slope: float) -> None:
    assert probe(lambda z: (np.where(z > 0, z, slope * z), np.where(z > 0, 1.0, slope))) == Profile()


def test_zero_slope_everywhere_is_blocked_without_tails() -> None:
    step = probe(lambda z: (np.where(z > 0, 1.0, 0.0), np.zeros_like(z)))
    assert step == Profile(blocked=True, minimum=0.0, maximum=1.0)


def test_straight_through_estimator_is_neither_blocked_nor_linear() -> None:
    assert probe(lambda z: (np.sign(z), np.ones_like(z))) == Profile(minimum=-1.0, maximum=1.0)


def test_clipped_straight_through_estimator_saturates_outside_its_clip() -> None:
    profile = probe(lambda z: (np.sign(z), np.where(np.abs(z) <= 1, 1.0, 0.0)))
    assert (profile.z_low, profile.z_high, profile.blocked) == (-1.0, 1.0, False)


def test_affine_function_is_linear() -> None:
    assert probe(lambda z: (3 * z - 1, np.full_like(z, 3.0))) == Profile(linear=True)


@pytest.mark.parametrize("function", [lambda z: (np.sin(z), np.cos(z)), lambda z: (np.abs(z) * z, 2 * np.abs(z))])
def test_zeros_of_the_slope_inside_are_no_tails(function: Function) -> None:
    profile = probe(function)
    assert (profile.z_low, profile.z_high) == (-INF, INF)


def test_unbounded_slope_is_judged_by_its_maximum_on_the_unit_interval() -> None:
    profile = probe(lambda z: (relu(z)[0] ** 2, 2 * relu(z)[0]))  # squared ReLU: at most 2 there
    assert profile.z_low == pytest.approx(0.05, abs=1e-6)
    assert (profile.zero_low, profile.minimum, profile.maximum) == (0.0, 0.0, INF)
    assert probe(square).maximum == INF


def test_polynomial_tails_that_die_away_slowly_are_tails() -> None:
    profile = probe(lambda z: (np.arcsinh(z), 1 / np.sqrt(1 + z**2)))
    assert profile.z_high == pytest.approx(math.sqrt(399), abs=1e-6)
    assert profile.z_low == pytest.approx(-math.sqrt(399), abs=1e-6)
    assert (profile.minimum, profile.maximum) == (-INF, INF)


def test_pole_of_the_slope_leaves_nothing_to_compare_with() -> None:
    root = probe(lambda z: (np.sign(z) * np.sqrt(np.abs(z)), 0.5 / np.sqrt(np.abs(z))))
    assert root == Profile()


def test_range_is_that_of_the_function_and_not_of_the_grid() -> None:
    absolute = probe(lambda z: (np.abs(z), np.sign(z)))
    assert absolute.minimum == pytest.approx(0.0, abs=1e-6)
    assert absolute.maximum == INF
    reciprocal = probe(lambda z: (1 / z, -1 / z**2))
    assert (reciprocal.minimum, reciprocal.maximum) == (-INF, INF)
    bump = probe(lambda z: (np.exp(-np.minimum(z**2, 700.0)), -2 * z * np.exp(-np.minimum(z**2, 700.0))))
    assert bump.maximum == pytest.approx(1.0)


def test_underflow_and_overflow_are_not_the_function_s_own() -> None:
    sigmoid, softplus, gelu = probe(handwritten_sigmoid), probe(float32_softplus), probe(tanh_gelu)
    assert sigmoid.z_low == pytest.approx(-2 * TANH_EDGE, abs=1e-6)
    assert sigmoid.z_high == pytest.approx(2 * TANH_EDGE, abs=1e-6)
    assert softplus.z_low == pytest.approx(math.log(0.05 / 0.95), abs=1e-5)
    assert softplus.z_high == INF
    assert gelu.z_low == pytest.approx(-2.2857, abs=1e-4)
    assert {sigmoid.zero_low, softplus.zero_low, gelu.zero_low} == {-INF}


def test_function_that_is_undefined_below_zero_has_no_low_tail() -> None:
    def logarithm(z: Array) -> tuple[Array, Array]:
        with np.errstate(invalid="ignore"):
            return np.log(z), 1 / z

    assert probe(logarithm).z_low == -INF


def test_function_that_is_nowhere_finite_has_a_profile_without_tails() -> None:
    assert probe(lambda z: (np.full_like(z, np.nan), np.full_like(z, np.nan))) == Profile()


def test_error_of_the_function_reaches_the_caller() -> None:
    def broken(z: Array) -> tuple[Array, Array]:
        raise RuntimeError("needs 3 columns")

    with pytest.raises(RuntimeError, match="3 columns"):
        probe(broken)


SCALES = st.floats(0.05, 50.0)
SHIFTS = st.floats(-8.0, 8.0)


@settings(max_examples=40)
@given(scale=SCALES, shift=SHIFTS, factor=st.floats(1e-3, 1e3), negate=st.booleans())
def test_edges_move_with_the_argument_and_not_with_the_factor(
    scale: float, shift: float, factor: float, negate: bool
) -> None:
    sign = -1.0 if negate else 1.0

    def moved(z: Array) -> tuple[Array, Array]:
        value, slope = tanh(sign * scale * (z - shift))
        return factor * value, sign * factor * scale * slope

    profile = probe(moved)
    tolerance = 1e-6 * max(1.0, 1 / scale)
    assert profile.z_low == pytest.approx(shift - TANH_EDGE / scale, abs=tolerance)
    assert profile.z_high == pytest.approx(shift + TANH_EDGE / scale, abs=tolerance)
    assert profile.minimum == pytest.approx(-factor)
    assert profile.maximum == pytest.approx(factor)


@settings(max_examples=40)
@given(start=st.integers(-800, 800), length=st.integers(1, 800))
def test_kinks_are_met_exactly(start: int, length: int) -> None:
    low, high = start / 100, (start + length) / 100
    clipped = probe(lambda z: (np.clip(z, low, high) - low, np.where((z > low) & (z < high), 1.0, 0.0)))
    assert (clipped.z_low, clipped.zero_low, clipped.z_high) == (low, low, high)
