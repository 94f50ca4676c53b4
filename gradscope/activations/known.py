"""What are the profiles of Keras' own activation functions?

Exact, so that no probe runs for them and a plain ReLU counts z = 0 as inactive on every backend. An edge solves
|f'(z)| = `SLOPE_FLOOR` × the reference slope, in the comments as 0.05; a test compares all of them with the probe.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Final

from gradscope.activations.probe import SLOPE_FLOOR
from gradscope.network import Profile

NOT_ELEMENTWISE: Final = frozenset({"glu", "log_softmax", "softmax", "sparsemax"})
"""Names of Keras' activations that mix entries or change the shape."""

_HALF_LOGISTIC: Final = math.atanh(math.sqrt(1 - SLOPE_FLOOR))  # 1 - tanh² = 0.05 at tanh = ±0.9747
_LOGIT: Final = math.log(SLOPE_FLOOR / (1 - SLOPE_FLOOR))  # sigmoid = 0.05

_SILU: Final = Profile(
    # s + z·s·(1 - s) = -0.05 × 1.0998393; it dips to -0.0998 at -2.40 and returns to zero from below.
    z_low=-3.9298973161,
    minimum=-0.2784645428,
)
_HARD_SILU: Final = Profile(
    z_low=-3.0, zero_low=-3.0, minimum=-0.375
)  # the slope jumps from 0 to -1/2; minimum at -1.5

_PLAIN: Final[Mapping[str, Profile]] = {
    # The slope is e^z, unbounded: on [-1, 1] it is at most e.
    "exponential": Profile(z_low=1 + math.log(SLOPE_FLOOR), minimum=0.0),
    "hard_sigmoid": Profile(z_low=-3.0, z_high=3.0, zero_low=-3.0, minimum=0.0, maximum=1.0),
    "hard_silu": _HARD_SILU,
    "hard_swish": _HARD_SILU,
    "hard_tanh": Profile(z_low=-1.0, z_high=1.0, minimum=-1.0, maximum=1.0),
    "linear": Profile(linear=True),
    # The slope is sigmoid(-z).
    "log_sigmoid": Profile(z_high=-_LOGIT, maximum=0.0),
    # d(z·tanh(softplus(z)))/dz = -0.05 × 1.0884982, outside the dip to -0.1125 at -2.26.
    "mish": Profile(z_low=-3.9812514949, minimum=-0.3088434130),
    "relu6": Profile(z_low=0.0, z_high=6.0, zero_low=0.0, minimum=0.0, maximum=6.0),
    # λα·e^z below 0 is steepest at 0, where it is λα > λ, the slope above 0.
    "selu": Profile(z_low=math.log(SLOPE_FLOOR), minimum=-1.0507009873554805 * 1.6732632423543772),
    # s·(1 - s) = 0.05 × 1/4: 2·atanh(√0.95), where s = 0.0127 or 0.9873.
    "sigmoid": Profile(z_low=-2 * _HALF_LOGISTIC, z_high=2 * _HALF_LOGISTIC, minimum=0.0, maximum=1.0),
    "silu": _SILU,
    "softplus": Profile(z_low=_LOGIT, minimum=0.0),  # the slope is sigmoid(z)
    # 1 / (1 + |z|)² = 0.05: |z| = √20 - 1.
    "softsign": Profile(z_low=1 - SLOPE_FLOOR**-0.5, z_high=SLOPE_FLOOR**-0.5 - 1, minimum=-1.0, maximum=1.0),
    # (z + 1)/2 = 0.05, on the parabola that begins at -1.
    "sparse_plus": Profile(z_low=2 * SLOPE_FLOOR - 1, zero_low=-1.0, minimum=0.0),
    "sparse_sigmoid": Profile(z_low=-1.0, z_high=1.0, zero_low=-1.0, minimum=0.0, maximum=1.0),
    "swish": _SILU,
    "tanh": Profile(z_low=-_HALF_LOGISTIC, z_high=_HALF_LOGISTIC, minimum=-1.0, maximum=1.0),
    "tanh_shrink": Profile(),  # the slope is tanh²: zero at 0 only
}


def known_profile(name: str, **parameters: object) -> Profile | None:
    """Return the exact profile of a Keras activation, or None where the probe has to find it.

    Args:
        name: A name in ``keras.activations``; ``swish`` and ``hard_swish`` too.
        **parameters: The function's own keyword arguments, where they are not Keras' defaults.

    Returns:
        None for another name, for parameters that the function does not have or that are no numbers (an alpha for each
        unit), and for unusual ones, such as a negative alpha.

    Example:
        >>> known_profile("relu", max_value=6.0) == known_profile("relu6")
        True
        >>> known_profile("softmax").elementwise
        False
        >>> known_profile("my_function") is None
        True
    """
    if name in NOT_ELEMENTWISE:
        return Profile(elementwise=False)
    if name in _PLAIN:
        return None if parameters else _PLAIN[name]
    family = _FAMILIES.get(name)
    if family is None or not all(value is None or isinstance(value, Real) for value in parameters.values()):
        return None
    try:
        arguments = inspect.signature(family).bind(**parameters)
    except TypeError:
        return None
    return family(*arguments.args, **arguments.kwargs)


def _celu(alpha: float = 1.0) -> Profile | None:
    # The slope is e^(z/α) below 0.
    return Profile(z_low=alpha * math.log(SLOPE_FLOOR), minimum=-alpha) if alpha > 0 else None


def _elu(alpha: float = 1.0) -> Profile | None:
    if alpha <= 0:
        return None
    # The slope is α·e^z below 0 and 1 above; a very small α lies in the tail from 0 on.
    return Profile(z_low=min(0.0, math.log(SLOPE_FLOOR * max(1.0, alpha) / alpha)), minimum=-alpha)


def _gelu(approximate: bool = False) -> Profile | None:
    if approximate:  # by tanh: likewise, with 1.1289931
        return Profile(z_low=-2.2857000663, minimum=-0.1700407506)
    # Φ(z) + z·φ(z) = -0.05 × 1.1289041, its maximum, at √2; it dips to -0.1289 at -√2.
    return Profile(z_low=-2.2785606938, minimum=-0.1699712075)


def _leaky_relu(negative_slope: float = 0.2) -> Profile | None:
    if negative_slope == 0:
        return _relu()
    # A constant slope, however small, is no tail: the gradient still passes.
    return Profile(linear=negative_slope == 1, minimum=0.0 if negative_slope < 0 else -math.inf)


def _relu(negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Profile | None:
    if negative_slope != 0:
        return _leaky_relu(negative_slope) if max_value is None and threshold == 0 else None
    if threshold < 0 or (max_value is not None and max_value <= threshold):
        return None
    limit = math.inf if max_value is None else max_value
    return Profile(z_low=threshold, z_high=limit, zero_low=threshold, minimum=0.0, maximum=limit)


def _shrink(threshold: float = 0.5) -> Profile | None:
    # Flat on [-threshold, threshold] only, which is no half-line.
    return Profile() if threshold > 0 else None


def _squareplus(b: float = 4.0) -> Profile | None:
    # (1 + z/√(z² + b))/2 = 0.05: z/√(z² + b) = -0.9.
    sine = 1 - 2 * SLOPE_FLOOR
    return Profile(z_low=-sine * math.sqrt(b / (1 - sine**2)), minimum=0.0) if b > 0 else None


def _threshold(threshold: float, default_value: float) -> Profile | None:
    zero_low = threshold if default_value == 0 else -math.inf
    return Profile(z_low=threshold, zero_low=zero_low, minimum=min(threshold, default_value))


_FAMILIES: Final[Mapping[str, Callable[..., Profile | None]]] = {
    "celu": _celu,
    "elu": _elu,
    "gelu": _gelu,
    "hard_shrink": _shrink,
    "leaky_relu": _leaky_relu,
    "relu": _relu,
    "soft_shrink": _shrink,
    "squareplus": _squareplus,
    "threshold": _threshold,
}
