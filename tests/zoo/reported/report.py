"""Report: a training that somebody was stuck with and wrote about in public, rebuilt, and what would have helped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradscope.diagnose.finding import Severity
from gradscope.diagnose.remedy import RemedyKind
from zoo.case import Training


@dataclass(frozen=True)
class Line:
    """A finding that leads to the fix.

    Attributes:
        rule: Its rule.
        layers: Keys of the layers of which one must stand first in it; empty where any will do.
    """

    rule: str
    layers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """One public report, with the training that went wrong and the one that its cure makes of it.

    Of the training after the cure nothing may be said.

    Attributes:
        name: What it is called.
        source: Where it was reported.
        happened: What was wrong in truth, and what cures it.
        sick: Makes the training as reported; called after Keras' seed is set.
        fixed: Makes the training after the cure.
        score: How well a trained model answers its own training data: accuracy, or the share of variance explained.
        bar: What `score` is at least after the cure, and is not as reported; both reach it where nothing was wrong.
        top: The lines of which one must stand first; empty where nothing is wrong, so that nothing may be said.
        remedies: Kinds of remedy that are the cure, or a part of it.
        also: Rules that are true of it too, but lead nowhere by themselves. That the loss does not fall is always true.
        least: The least severity of the first line.
        raises: A part of the text with which TensorFlow or Keras ends the training as reported.
        explained: Whether that text leads to the fix.
    """

    name: str
    source: str
    happened: str
    sick: Callable[[], Training]
    fixed: Callable[[], Training]
    score: Callable[[Training], float]
    bar: float
    top: tuple[Line, ...] = ()
    remedies: frozenset[RemedyKind] = frozenset()
    also: frozenset[str] = frozenset()
    least: Severity = "medium"
    raises: str = ""
    explained: bool = False

    @property
    def healthy(self) -> bool:
        return not self.top and not self.raises


def answers(training: Training) -> Any:
    """Return what the model predicts for its training data, as NumPy arrays."""
    return training.model.predict(training.fit["x"], verbose=0, batch_size=256)


def share_right(training: Training) -> float:
    """Return the share of classes that are answered rightly, of one unit or several."""
    predicted, y = answers(training), np.asarray(training.fit["y"])
    if predicted.shape[-1] == 1:
        return float(np.mean((predicted.ravel() > 0.5) == (y.ravel() > 0.5)))
    return float(np.mean(predicted.argmax(-1) == y))


def overlap(training: Training) -> float:
    """Return the intersection of the masks found and given over their union."""
    found, given = answers(training) > 0.5, training.fit["y"] > 0.5
    return float((found & given).sum() / (found | given).sum())


def share_explained(training: Training) -> float:
    """Return the share of the targets' variance that is explained; NaN where an answer is no number."""
    y = np.asarray(training.fit["y"], np.float64)
    y = y.reshape(len(y), -1)
    predicted = np.asarray(answers(training), np.float64).reshape(y.shape)
    return float(1 - np.mean((predicted - y) ** 2) / np.mean((y - y.mean(0)) ** 2))
