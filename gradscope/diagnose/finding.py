"""Finding: one thing that is wrong with a training, with the numbers that show it and what to try.

Severity has one meaning everywhere, how bad the thing is, not how the loss does. *high*: the training is failing, or
what is left of the network cannot learn. *medium*: a part of the network is lost, or will be. *low*: information.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

import pandas as pd

from gradscope.diagnose.remedy import Remedy
from gradscope.lossless_json import to_json

Severity: TypeAlias = Literal["low", "medium", "high"]
SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)
"""From the least to the most severe."""

COLUMNS: Final = (
    "rule", "severity", "layer", "first_step", "last_step", "message", "evidence", "advice", "code", "cause",
)  # fmt: skip
"""Columns of the `findings` frame."""


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """One number that made a rule fire, with the threshold beside it.

    Attributes:
        name: What was measured, in words or as the column that holds it.
        value: What it was.
        threshold: What it was held against; NaN where it is shown for information.
        above: True where the rule fires above the threshold, False where below.
        unit: Unit of both: ``""``, ``fraction``, ``steps`` and so on.
    """

    name: str
    value: float
    threshold: float = math.nan
    above: bool = True
    unit: str = ""

    def __eq__(self, other: object) -> bool:
        """Whether all is the same: no threshold is the same as no threshold, which NaN is not to itself."""
        return isinstance(other, Evidence) and self._compared() == other._compared()

    def __hash__(self) -> int:
        return hash(self._compared())

    def _compared(self) -> tuple[object, ...]:
        numbers = (None if math.isnan(number) else number for number in (self.value, self.threshold))
        return (self.name, *numbers, self.above, self.unit)

    def __str__(self) -> str:
        value, threshold = (_number(number, self.unit) for number in (self.value, self.threshold))
        if math.isnan(self.threshold):
            return f"{self.name} {value}"
        return f"{self.name} {value} (limit: {'≥' if self.above else '≤'} {threshold})"


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing to try.

    Attributes:
        text: What to try and why, in one sentence.
        code: The change as Keras code for the model at hand; ``""`` where there is none to write.
        remedy: The change as a value; None where it is only to be looked into.
    """

    text: str
    code: str = ""
    remedy: Remedy | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        rule: Id of the rule that found it.
        severity: How bad it is.
        layer: Key of the layer to look at first; None where it concerns the whole model.
        first_step: First step at which it is seen.
        last_step: Last step at which it is seen.
        message: What it means, in one sentence.
        evidence: The numbers that made the rule fire; never empty.
        advice: What to try, most likely first.
        layers: Keys of all layers concerned, in the order of the model, ``layer`` among them.
        units: Indices of the units concerned, of ``layer``; empty where it is not about units.
        cause: `key` of the finding that this one follows from; None where it stands for itself.
        statistic: The recorded column that shows it, such as ``activations.backward_rms``; ``""`` where none does.
            Whoever draws the finding begins there.
        irreversible: Whether no later step can repair it, so that going on is waste.
    """

    rule: str
    severity: Severity
    layer: str | None
    first_step: int
    last_step: int
    message: str
    evidence: tuple[Evidence, ...]
    advice: tuple[Advice, ...] = ()
    layers: tuple[str, ...] = ()
    units: tuple[int, ...] = ()
    cause: str | None = None
    statistic: str = ""
    irreversible: bool = False

    @property
    def key(self) -> str:
        """What tells this finding from others of the run: the rule and the layer.

        Example:
            >>> Finding("dying_relu", "high", "dense", 0, 90, "Dead.", (Evidence("dead units", 0.9),)).key
            'dying_relu@dense'
        """
        return self.rule if self.layer is None else f"{self.rule}@{self.layer}"

    def to_json(self) -> dict[str, Any]:  # Any: JSON values
        """Return the finding as values of JSON, and floats of any kind."""
        return dataclasses.asdict(self) | {"key": self.key}


def finding_of(values: Mapping[str, Any]) -> Finding:
    """Return the finding that `Finding.to_json` made ``values`` of; what a newer version added is left out."""
    names = [each.name for each in dataclasses.fields(Finding)]
    known: dict[str, Any] = {name: values[name] for name in names if name in values}
    known |= {name: tuple(values.get(name, ())) for name in ("layers", "units")}
    known["evidence"] = tuple(Evidence(**item) for item in values["evidence"])
    known["advice"] = tuple(map(_advice_of, values["advice"]))
    return Finding(**known)


def _advice_of(values: Mapping[str, Any]) -> Advice:
    remedy = values.get("remedy")
    changes = remedy and Remedy(remedy["kind"], tuple(remedy["layers"]), remedy["settings"])
    return Advice(values["text"], values["code"], changes)


def rank(severity: Severity) -> int:
    """Return 0 for low, 1 for medium, 2 for high."""
    return SEVERITIES.index(severity)


def at_least(findings: Iterable[Finding], floor: Severity) -> list[Finding]:
    """Return those of ``findings`` that are as severe as ``floor`` or more."""
    return [finding for finding in findings if rank(finding.severity) >= rank(floor)]


def findings_frame(findings: Iterable[Finding]) -> pd.DataFrame:
    """Return one row a finding, with `COLUMNS`; evidence, advice and code as text, one item a line."""
    rows = [
        {
            **{name: getattr(finding, name) for name in COLUMNS[:6]},
            "cause": finding.cause,
            "evidence": "\n".join(map(str, finding.evidence)),
            "advice": "\n".join(advice.text for advice in finding.advice),
            "code": "\n".join(advice.code for advice in finding.advice if advice.code),
        }
        for finding in findings
    ]
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype({"first_step": "int64", "last_step": "int64"})
    frame["severity"] = pd.Categorical(frame["severity"], list(SEVERITIES), ordered=True)
    return frame


def findings_json(findings: Iterable[Finding]) -> str:
    """Return ``findings`` as a JSON list."""
    return to_json([finding.to_json() for finding in findings], indent=2)


def _number(value: float, unit: str) -> str:
    if unit == "fraction" and math.isfinite(value):
        return f"{100 * value:.3g}%"
    text = f"{value:.3g}"
    return f"{text} {unit}" if unit and unit != "fraction" else text
