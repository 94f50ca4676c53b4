"""A claim that people repeat, and the verdict that a measurement gives it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pandas as pd
import plotly.graph_objects as go

Verdict = Literal["confirmed", "depends", "not confirmed"]


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim, judged.

    Attributes:
        key: Name of the claim's section in the page.
        title: The claim in a line.
        saying: The claim as people say it, with where it comes from.
        design: What was trained or drawn, and what of it was measured.
        criterion: When the verdict is which; fixed before the full run, after pilot trainings.
        verdict: What the criterion says of the numbers.
        number: The number that it rests on, with its spread.
        depends: Where the claim holds and where it does not, and why.
        table: The numbers of each setting, as shown.
        figure: The numbers of each setting, drawn.
        caption: What the figure shows.
        second_opinion: What GradScope's own rules find in the same networks; ``""`` where they were not asked.
    """

    key: str
    title: str
    saying: str
    design: str
    criterion: str
    verdict: Verdict
    number: str
    depends: str
    table: pd.DataFrame
    figure: go.Figure
    caption: str
    second_opinion: str


def verdict_over(held: Mapping[str, bool]) -> Verdict:
    """Return the verdict on a claim that is meant in general, from the settings that it was tried in.

    Example:
        >>> verdict_over({"Glorot uniform": True, "He normal": False})
        'depends'
    """
    if all(held.values()):
        return "confirmed"
    return "depends" if any(held.values()) else "not confirmed"
