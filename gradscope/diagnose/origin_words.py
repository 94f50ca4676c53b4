"""Where numbers stopped being finite, in words, and what cures just that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gradscope.diagnose.finding import Advice
from gradscope.diagnose.remedy import Remedy
from gradscope.records import NonFiniteOrigin

_OF_KIND: Final[Mapping[str, tuple[str, str]]] = {
    "root": (
        "Add a small number inside of the root: its slope is infinite at 0, though its value is finite.",
        "keras.ops.sqrt(x + 1e-12)",
    ),
    "logarithm": (
        "Keep what goes into the logarithm above 0; where it is a probability, let the loss take logits.",
        "keras.ops.log(keras.ops.maximum(x, 1e-7))",
    ),
    "division": (
        "Keep the divisor away from 0.",
        "keras.ops.divide(1.0, keras.ops.maximum(x, 1e-7))",
    ),
    "power": (
        "Keep the base of the power above 0, where its slope is finite.",
        "keras.ops.power(keras.ops.maximum(x, 1e-7), 0.5)",
    ),
    "exponential": (
        "Bound what goes into the exponential: float32 holds no more than that of 88, float16 than that of 11.",
        "keras.ops.exp(keras.ops.clip(x, -20.0, 20.0))",
    ),
    "domain": (
        "Keep its input inside of where the function and its slope are finite.",
        "keras.ops.clip(x, -1.0 + 1e-6, 1.0 - 1e-6)",
    ),
    "data": (
        "Look for values in the inputs that are not finite, and drop or fill these rows.",
        "ok = keras.ops.convert_to_numpy(keras.ops.isfinite(x)).reshape(len(x), -1).all(axis=1); x, y = x[ok], y[ok]",
    ),
    "labels": (
        "Look for labels that are not finite, and drop these rows.",
        "ok = keras.ops.convert_to_numpy(keras.ops.isfinite(y)).reshape(len(y), -1).all(axis=1); x, y = x[ok], y[ok]",
    ),
}  # fmt: skip


def cure(origin: NonFiniteOrigin) -> Advice | None:
    """Return what cures an origin; None where the numbers are only too large, whose cause lies before it."""
    if origin.guarded:
        return Advice(
            "Choose a safe input before the operation too: a `where` behind it hides its value, "
            "but the gradient of the branch that is not taken is 0 times infinity, which is NaN.",
            "safe = keras.ops.where(x > 0, x, 1.0); keras.ops.where(x > 0, keras.ops.log(safe), 0.0)",
            Remedy("code"),
        )
    if origin.dtype == "float16" and origin.kind in ("overflow", "exponential", "other", "loop"):
        where = origin.layer or "the layer"
        return Advice(
            f"Compute {where} in float32, or all in bfloat16: float16 holds no more than 65,504.",
            'keras.layers.Activation("linear", dtype="float32")  # dtype="float32" for the layer, or "mixed_bfloat16"',
            Remedy("code"),
        )
    said = _OF_KIND.get(origin.kind)
    if said is None:
        return None
    is_data = origin.kind in ("data", "labels")
    return Advice(*said, Remedy("data") if is_data else Remedy("code"))


def happened(origin: NonFiniteOrigin) -> str:
    """Return what happened at an origin, in words.

    Example:
        >>> happened(NonFiniteOrigin("Log", "logarithm", layer="head", lowest=-2.0, highest=1.0))
        'Log in head, whose input is -2, is not finite'
    """
    if origin.kind in ("data", "labels"):
        return f"{origin} are not finite"
    if origin.kind == "weights":
        return "the weights were not finite before it"
    if origin.kind == "overflow":
        return f"{origin} overflows {origin.dtype}"
    hidden = ", in a branch that a `where` does not take," if origin.guarded else ""
    return f"{origin}{hidden} is not finite".replace(",,", ",")
