"""NaN or infinity in the data."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradscope.diagnose.finding import Advice, Evidence, Finding
from gradscope.diagnose.remedy import Remedy
from gradscope.diagnose.rule import rule
from gradscope.diagnose.subject import Subject


@rule(explains=("nan_or_inf", "not_converging"), at_once=True)
def nonfinite_data(subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each input and target that holds NaN or infinity.

    One such number makes the loss NaN, and from then on every weight. Severity: high where the batch's loss or
    gradients are not finite; low where the model deals with it, as by a mask.
    """
    if not subject.ran:
        return
    fails = not (math.isfinite(subject.loss) and math.isfinite(subject.global_norm))
    for part in subject.inputs:
        yield from _finding(f"Input {part.name!r}", "x", part.values, fails)
    for output, targets in subject.targets():
        yield from _finding(f"The target{output.said}", "y", targets, fails)


def _finding(name: str, variable: str, values: NDArray[Any], fails: bool) -> Iterator[Finding]:
    if values.dtype.kind != "f":
        return
    bad = ~np.isfinite(values)
    count = int(bad.sum())
    if not count:
        return
    rows = int(bad.reshape(len(bad), -1).any(axis=1).sum())
    result = "the loss or its gradients are not finite, so that training destroys every weight" if fails else (
        "the loss stays finite all the same"
    )  # fmt: skip
    yield Finding(
        rule="nonfinite_data",
        severity="high" if fails else "low",
        layer=None,
        first_step=0,
        last_step=0,
        message=f"{name} holds NaN or infinity in {rows} of {len(values)} samples: {result}.",
        evidence=(Evidence("values that are not finite", float(count), 1.0),),
        advice=(
            Advice(
                "Remove these samples, or fill the gaps before training.",
                f"import numpy as np\n{variable} = np.nan_to_num({variable}, nan=0.0)  # or drop the rows",
                Remedy("data"),
            ),
        ),
    )
