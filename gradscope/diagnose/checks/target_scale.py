"""Targets of a regression that are far from what an untrained network answers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gradscope.diagnose.advice import advice
from gradscope.diagnose.consequences import OF_BAD_DATA
from gradscope.diagnose.finding import Evidence, Finding
from gradscope.diagnose.rule import rule
from gradscope.diagnose.subject import Subject


@rule(explains=OF_BAD_DATA)
def target_scale(subject: Subject, *, large: float = 10.0) -> Iterator[Finding]:
    """Yield a finding for each regression target far from unit scale.

    An untrained network answers near 0. The loss of a target in the tens or thousands, and its gradients, are then
    huge, and the last layer's bias has a long way to go.

    Severity: low, as many networks cope; in a training medium where nothing is learnt.

    Args:
        subject: The model and its batch.
        large: Root mean square from which a target is large, pure number; an optimizer that moves a weight by 1e-3 a
            step needs ten thousand steps to get a bias there.

    Source:
        Ours.
    """
    for output, targets in subject.targets():
        if not output.is_regression or not np.isfinite(targets).all():
            continue
        values = targets.astype(np.float64)
        rms = float(np.sqrt(np.mean(np.square(values))))
        if rms < large:
            continue
        yield Finding(
            rule="target_scale",
            severity="low",
            layer=None if output.site is None else output.site.layer,
            first_step=0,
            last_step=0,
            message=f"The target{output.said} has values in the order of {rms:.2g}, far from what a network begins at.",
            evidence=(
                Evidence("root mean square of the target", rms, large),
                Evidence("its mean", float(values.mean())),
                Evidence("its spread", float(values.std())),
            ),
            advice=(
                advice(subject.network, "target_scaling", "Train on standardised targets, and scale the answers back."),
            ),
        )
