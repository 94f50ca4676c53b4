"""Inputs far from unit scale."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradscope.diagnose.chains import is_linear
from gradscope.diagnose.consequences import OF_BAD_DATA
from gradscope.diagnose.finding import Advice, Evidence, Finding, Severity
from gradscope.diagnose.keras_code import RECURRENT
from gradscope.diagnose.remedy import Remedy
from gradscope.diagnose.rule import rule
from gradscope.diagnose.subject import NORMALISING, Input, Subject
from gradscope.network import Network

_SCALES_PIXELS = 0.1  # a factor below it is made for values of 0 to 255
_ENTRIES = 1 << 22
"""More are not looked at: a sum over some millions tells the scale."""


@rule(explains=OF_BAD_DATA)
def input_scale(
    subject: Subject,
    *,
    large: float = 10.0,
    very_large: float = 50.0,
    small: float = 1e-2,
    saturated: float = 0.5,
    disparity: float = 1e3,
) -> Iterator[Finding]:
    """Yield a finding for each input whose scale makes training slow or unstable.

    Initialisers and learning rates are made for inputs near unit scale. Of an input a hundred times as large the first
    layer's gradients are a hundred times as large too, and a bounded function behind it saturates. What counts is what
    arrives at the first layer with weights: a model that scales its inputs itself has nothing wrong with it. Numbers
    that are indices have no scale.

    Severity: medium where what arrives is very large or saturates the first function, else low.

    Args:
        subject: The model and its batch.
        large: Root mean square from which an input is large, both as it enters and as it arrives.
        very_large: Root mean square of what arrives from which it is medium; images of 0 to 255 have some 100.
        small: Largest absolute value up to which an input is small.
        saturated: Share of the first function's entries in a tail, fraction, from which it is medium.
        disparity: Spread of the widest column of a table over that of the middle one.

    Source:
        LeCun, Bottou, Orr and Müller, "Efficient BackProp", 1998, section 4.3. The thresholds are ours.
    """
    for part in subject.inputs:
        values = _looked_at(part)
        if values is None:
            continue
        rms, largest = float(np.sqrt(np.mean(np.square(values)))), float(np.max(np.abs(values)))
        arriving = rms if _is_gated(part) else part.arriving_rms
        again = _rescaled_by(subject.network)
        if 0 < largest <= 1 and again < _SCALES_PIXELS:
            yield _finding(
                part,
                "low",
                f"Input {part.name!r} is scaled twice: its values reach {largest:.3g} only, and the model multiplies "
                f"them by {again:.3g} again.",
                [Evidence("largest absolute value of the input", largest, 1.0, above=False)],
                Advice(
                    "Give the model the values as they are, or leave its Rescaling out.", "", Remedy("input_scaling")
                ),
            )
            continue
        if part.is_normalised or _loses_scale(part, subject.network):
            continue
        evidence = [
            Evidence("root mean square of the input", rms, large),
            Evidence("mean of the input", float(values.mean())),
        ]
        if rms >= large and not arriving < large:
            is_bounded = part.site is not None and part.site.profile is not None and part.site.profile.bounded
            saturates = is_bounded and part.saturated_fraction >= saturated
            if not math.isnan(arriving):
                evidence.append(Evidence("root mean square that arrives at the first function", arriving, very_large))
            if saturates:
                evidence.append(Evidence("saturated there", part.saturated_fraction, saturated, unit="fraction"))
            message = f"Input {part.name!r} is far from unit scale: its values go up to {largest:.3g}."
            if saturates and part.site is not None:
                message = f"{message[:-1]}, and saturate {part.site.activation} in {part.site.layer!r}."
            yield _finding(part, "medium" if saturates or arriving >= very_large else "low", message, evidence)
        elif 0 < largest <= small and not arriving > small:
            evidence = [Evidence("largest absolute value of the input", largest, small, above=False)]
            yield _finding(part, "low", f"Input {part.name!r} is tiny: its values reach {largest:.3g} only.", evidence)
        else:
            ratio = _disparity(part, values)
            if ratio >= disparity:
                yield _finding(
                    part,
                    "low",
                    f"The columns of input {part.name!r} have very different scales: the widest drowns the others.",
                    [Evidence("spread of the widest column over that of the middle one", ratio, disparity)],
                )


def _is_gated(part: Input) -> bool:
    """Whether a recurrent layer reads it, of which the first site shows a bounded output, and not what arrives."""
    return any(RECURRENT & {layer.class_name, str(layer.config.get("layer", ""))} for layer in part.readers or ())


def _loses_scale(part: Input, network: Network) -> bool:
    """Whether all that reads it is linear, with a normalisation right behind that takes the scale away."""
    layers = {layer.key: layer for layer in network.layers}
    behind = {
        reader.key: [layers[end] for start, end in network.edges or () if start == reader.key and end in layers]
        for reader in part.readers or ()
    }
    return bool(behind) and all(
        ends and is_linear(network, key) and all(end.class_name in NORMALISING for end in ends)
        for key, ends in behind.items()
    )


def _rescaled_by(network: Network) -> float:
    """Return the factor of the model's own `Rescaling`, wherever it stands; 1 without one."""
    scales = [layer.config.get("scale") for layer in network.layers if layer.class_name == "Rescaling"]
    return min((abs(scale) for scale in scales if isinstance(scale, int | float)), default=1.0)


def _looked_at(part: Input) -> NDArray[Any] | None:
    values = part.values
    if values.dtype.kind not in "fiu" or part.holds_indices:
        return None
    rows = max(1, min(len(values), _ENTRIES * len(values) // values.size))
    finite = values[:rows].astype(np.float64)
    return finite if np.isfinite(finite).all() else None


def _disparity(part: Input, values: NDArray[Any]) -> float:
    """Return the widest column's spread over the middle one's; NaN of what is no table."""
    if values.ndim != 2 or not part.readers:
        return math.nan
    spreads = values.std(axis=0)
    spreads = spreads[spreads > 0]
    return float(spreads.max() / np.median(spreads)) if len(spreads) else math.nan


def _finding(
    part: Input, severity: Severity, message: str, evidence: list[Evidence], advice: Advice | None = None
) -> Finding:
    return Finding(
        rule="input_scale",
        severity=severity,
        layer=None if not part.readers else part.readers[0].key,
        first_step=0,
        last_step=0,
        message=message,
        evidence=tuple(evidence),
        advice=(advice or _advice(part),),
    )


def _advice(part: Input) -> Advice:
    values, change = part.values, Remedy("input_scaling")
    if values.ndim >= 4 and values.min() >= 0 and 1 < values.max() <= 255:
        text, code = "Bring the pixels to 0…1 in the model's first layer.", "keras.layers.Rescaling(1 / 255)"
        return Advice(text, code, change)
    return Advice(
        "Bring every column to mean 0 and spread 1 in the model's first layer, with numbers taken from the data.",
        "normalisation = keras.layers.Normalization()\nnormalisation.adapt(x)  # then the model's first layer",
        change,
    )
