"""Labels and indices that name a class or a row that is not there."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gradscope.diagnose.consequences import OF_BAD_DATA
from gradscope.diagnose.finding import Advice, Evidence, Finding
from gradscope.diagnose.remedy import Remedy
from gradscope.diagnose.rule import rule
from gradscope.diagnose.subject import Input, Subject


@rule(explains=OF_BAD_DATA, at_once=True)
def index_out_of_range(subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each label beyond the number of classes, and for each index beyond an embedding's rows.

    On a CPU TensorFlow stops at such a step; on a GPU the loss becomes NaN, or the embedding zero, without a word.
    Severity: high.
    """
    for part in subject.inputs:
        yield from _indices(part)
    for output, targets in subject.targets():
        if output.loss != "sparse_categorical_crossentropy" or output.site is None or output.site.units < 1:
            continue
        labels = targets[targets != output.ignore_class] if output.ignore_class is not None else targets
        finite = labels[np.isfinite(labels)]
        if not finite.size:
            continue
        low, high, classes = int(finite.min()), int(finite.max()), output.site.units
        if low >= 0 and high < classes:
            continue
        wrong = float(np.mean((finite < 0) | (finite >= classes)))
        label = high if high >= classes else low
        yield Finding(
            rule="index_out_of_range",
            severity="high",
            layer=output.site.layer,
            first_step=0,
            last_step=0,
            message=(
                f"The label {label} names none of the {classes} classes that {output.site.layer!r} answers with: "
                f"they are counted from 0 to {classes - 1}."
            ),
            evidence=(
                Evidence("largest label", float(high), float(classes)),
                Evidence("smallest label", float(low), 0.0, above=False) if low < 0 else Evidence("classes", classes),
                Evidence("labels out of range", wrong, unit="fraction"),
            ),
            advice=(
                Advice(
                    "Give the last layer as many units as there are classes, or count the labels from 0.",
                    f"y = y - {low}"
                    if low > 0 and high - low < classes
                    else f"units = {high + 1}  # of the last layer",
                    Remedy("data"),
                ),
            ),
        )


def _indices(part: Input) -> Iterator[Finding]:
    values = part.values
    for layer in part.readers or ():
        rows = int(layer.config.get("input_dim") or 0) if layer.class_name == "Embedding" else 0
        if not rows or values.dtype.kind not in "fiu" or not np.isfinite(values).all():
            continue
        low, high = int(values.min()), int(values.max())
        if low >= 0 and high < rows:
            continue
        is_outside: NDArray[np.bool_] = (values < 0) | (values >= rows)
        yield Finding(
            rule="index_out_of_range",
            severity="high",
            layer=layer.key,
            first_step=0,
            last_step=0,
            message=f"Input {part.name!r} holds the index {high if high >= rows else low}, but {layer.key!r} has rows "
            f"from 0 to {rows - 1} only.",
            evidence=(
                Evidence("largest index", float(high), float(rows)),
                Evidence("indices out of range", float(is_outside.mean()), unit="fraction"),
            ),
            advice=(
                Advice(
                    "Give the embedding a row for every index.",
                    f"keras.layers.Embedding({max(high + 1, rows)}, {layer.config.get('output_dim', 'width')})",
                    Remedy("data", (layer.key,), {"input_dim": max(high + 1, rows)}),
                ),
            ),
        )
