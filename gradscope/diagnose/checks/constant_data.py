"""Columns and targets that are the same for every sample."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gradscope.diagnose.finding import Advice, Evidence, Finding
from gradscope.diagnose.remedy import Remedy
from gradscope.diagnose.rule import rule
from gradscope.diagnose.subject import Subject, varies


@rule(explains=("not_converging", "slow_convergence"))
def constant_data(subject: Subject, *, samples: int = 32) -> Iterator[Finding]:
    """Yield a finding for each input that holds constant columns, and for each target that never varies.

    What is the same for every sample tells nothing about any. Only one batch was looked at, so severity is low, and
    medium only where a whole input is constant.

    Args:
        subject: The model and its batch.
        samples: Samples below which nothing is said.
    """
    for part in subject.inputs:
        values = part.values
        if len(values) < samples or values.dtype.kind not in "fiub":
            continue
        whole = not varies(values)
        if not whole and values.ndim != 2:
            continue
        columns = values.reshape(len(values), -1)
        # A column of zeros is what a rare feature looks like in one batch, and the edge of a picture.
        is_constant = np.all(columns == columns[:1], axis=0) & (whole | (columns[0] != 0))
        constant = int(is_constant.sum())
        if not constant:
            continue
        said = "is the same for every sample" if whole else f"has {constant} of {columns.shape[1]} columns that do not"
        yield Finding(
            rule="constant_data",
            severity="medium" if whole else "low",
            layer=None,
            first_step=0,
            last_step=0,
            message=f"Input {part.name!r} {said}{'' if whole else ' vary'} within {len(values)} samples.",
            evidence=(Evidence("constant columns", constant / columns.shape[1], unit="fraction"),),
            advice=(Advice("Check how the data are read; leave columns out that never vary.", "", Remedy("data")),),
        )
    for output, targets in subject.targets():
        if len(targets) < samples or not output.loss or varies(targets):
            continue
        yield Finding(
            rule="constant_data",
            severity="low",
            layer=None,
            first_step=0,
            last_step=0,
            message=f"The target{output.said} is the same for all {len(targets)} samples looked at.",
            evidence=(Evidence("different targets", 1.0, 1.0, above=False),),
            advice=(
                Advice(
                    "Check the labels; if they are sorted, shuffle the data.",
                    "model.fit(x, y, shuffle=True)  # a tf.data.Dataset: dataset.shuffle(10_000)",
                    Remedy("data"),
                ),
            ),
        )
