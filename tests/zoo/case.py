"""Case: one small training of the zoo, sick or healthy, with what is known of it and where it comes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any  # Keras ships no types: models and data are Any here


@dataclass
class Training:
    """A compiled model and what `fit` is called with.

    Attributes:
        model: The compiled Keras model.
        fit: Keywords of `fit`: ``x``, ``y``, ``epochs``, ``batch_size`` and whatever else; no callbacks of gradscope.
    """

    model: Any
    fit: dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One training.

    Attributes:
        name: What it is called.
        family: Source family: cases that come from one source or are variations of one another share it, so that a
            family lies wholly in the half on which thresholds were fixed or wholly in the half held back.
        source: Where it comes from: the report, the collection and its number, or why it is hard for a healthy one.
        build: Makes the training; called after Keras' seed is set, it draws nothing else.
        symptoms: What is wrong: rule ids with the keys of the layers concerned, in the order of the model; an empty
            tuple where the symptom has no layer. Empty for a healthy case.
        consequences: Rule ids that follow from the symptoms, whose findings are no false alarms here.
        learns: For a healthy case, the training loss that it must reach for the label to stand.
    """

    name: str
    family: str
    source: str
    build: Callable[[], Training]
    symptoms: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    consequences: frozenset[str] = frozenset()
    learns: float | None = None

    @property
    def healthy(self) -> bool:
        return not self.symptoms
