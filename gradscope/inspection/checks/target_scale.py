"""Targets of a regression that are far from what an untrained network answers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gradscope.diagnose.finding import Advice, Evidence, Finding
from gradscope.inspection.subject import Subject


def target_scale(subject: Subject, *, large: float = 100.0) -> Iterator[Finding]:
    """Yield a finding for each regression target of huge scale.

    An untrained network answers near 0. The loss of a target in the thousands, and its gradients, are then huge, and
    the last layer's bias has a long way to go. Severity: low.

    Args:
        subject: The model and its batch.
        large: Root mean square from which a target is large.
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
                Advice(
                    "Train on standardised targets, and scale predictions back.",
                    "mean, spread = y.mean(), y.std()\nmodel.fit(x, (y - mean) / spread)  # prediction * spread + mean",
                ),
            ),
        )
