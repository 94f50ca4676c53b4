"""preflight: what is wrong with a compiled model before it trains."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import pandas as pd

from gradscope.diagnose.cause import linked
from gradscope.diagnose.diagnosis import diagnose
from gradscope.diagnose.discover import known_checks, known_rules
from gradscope.diagnose.finding import Finding, at_least, findings_frame
from gradscope.diagnose.rule import facts_of
from gradscope.errors import ArgumentError, ModelError
from gradscope.inspection import rehearsal as rehearsals
from gradscope.inspection.batches import batch_size as checked_size
from gradscope.inspection.batches import first_batches
from gradscope.inspection.description import described
from gradscope.inspection.symmetry import alike_kernels
from gradscope.instrument.keras_border import keras
from gradscope.report.values.findings import Findings, counted
from gradscope.report.values.shown import rendered


@dataclass(frozen=True)
class Preflight:
    """What was found before the training; it prints itself, and is true where training may begin.

    Attributes:
        findings: Causes before consequences, and the severest first.
        model: Name of the model.
    """

    findings: tuple[Finding, ...]
    model: str

    @property
    def ok(self) -> bool:
        """Whether nothing was found that is more than information."""
        return not at_least(self.findings, "medium")

    @property
    def frame(self) -> pd.DataFrame:
        """One row a finding; evidence, advice and code as text, one item a line."""
        return findings_frame(self.findings)

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        return rendered(Findings.TEXT, self.findings).plain

    def __repr__(self) -> str:
        return f"<gradscope preflight of {self.model}: {counted(self.findings)}>"

    def _repr_html_(self) -> str:
        return rendered(Findings.HTML, self.findings)


def preflight(
    model: Any,  # Any: a keras.Model, and what it may be given; Keras ships no types
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    batch_size: int = 256,
) -> Preflight:
    """Return what is wrong with a compiled model and its data, before any training.

    One training step is traced and run with taps on, no weight is updated, and everything that it wrote is put back:
    weights, optimizer, metrics and random numbers are the same bit for bit, and a training that follows gives what it
    would have given. Of arrays and datasets up to four further batches are run, by which dead units are told.

    A model that is not built yet is built here, as `fit` would build it at its first step and with the same random
    numbers. A `tf.data.Dataset` is read through a copy, so that its shuffling does not move on; functions of yours that
    it calls are called. From a generator the first batch is taken, and is gone.

    Args:
        model: A compiled Keras model.
        x: Inputs as for `fit`: an array, a list or dict of arrays, a `tf.data.Dataset`, a `keras.utils.PyDataset` or a
            generator of batches.
        y: Targets, where ``x`` holds only inputs.
        sample_weight: Weights of the samples, as for `fit`.
        batch_size: Samples of one batch, where ``x`` holds arrays; the first ones are taken.

    Raises:
        ArgumentError: If the data cannot be trained on.
        ModelError: If the model is not compiled, cannot be built ahead of a step, or cannot run one on these data.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> layers = [keras.Input((4,)), keras.layers.Dense(3, activation="relu"), keras.layers.Dense(2)]
        >>> model = keras.Sequential(layers)
        >>> model.compile("adam", "sparse_categorical_crossentropy")
        >>> x = np.random.default_rng(0).normal(size=(64, 4))
        >>> [finding.rule for finding in preflight(model, x, np.arange(64) % 2).findings]
        ['output_loss_mismatch']
    """
    rehearsals.check_model(model)
    batches = first_batches(x, y, sample_weight, checked_size(batch_size))
    first = batches.elements[0]
    try:
        rehearsals.build(model, first)
    except ModelError as error:
        if keras.utils.unpack_x_y_sample_weight(first)[1] is not None:
            raise
        raise ArgumentError("y is missing: the loss needs targets. Pass them: preflight(model, x, y).") from error
    with rehearsals.unnoticed():
        rehearsal = rehearsals.rehearse(model, batches)
        subject = described(model, first, rehearsal.network, rehearsal.frames)
        if subject.ran:
            subject = dataclasses.replace(subject, alike=alike_kernels(model, rehearsal.look, first))
    checks = known_checks()
    own = [finding for check in checks.values() for finding in check(subject)]
    if rehearsal.frames is None:
        if not at_least(own, "high"):
            raise ModelError(f"The model's step cannot run on this batch: {rehearsal.failure}")
        return Preflight(tuple(linked(own, rehearsal.network, checks)), model.name)
    rules = {name: rule for name, rule in known_rules().items() if facts_of(rule).before_training}
    found = [*own, *diagnose(rehearsal.frames, list(rules))]
    return Preflight(tuple(linked(found, rehearsal.network, {**checks, **rules})), model.name)
