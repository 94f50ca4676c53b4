"""Sigmoid is not zero-centred, so that the gradients of a unit's weights share one sign."""

from collections.abc import Mapping
from typing import Final

import pandas as pd

from activation_study import charts
from activation_study.claim import Claim, verdict_over
from activation_study.measurements.signal_at_start import CHANCE
from activation_study.wording import counted, percent, spread, where

DEPTH: Final = 8
AGREED: Final = 0.85
"""What GradScope's rule not_zero_centred takes for one-signed."""
HALF_WAY: Final = (CHANCE + 1) / 2
SHOWN: Final = ("sigmoid", "tanh", "relu")


def claims(measured: Mapping[str, pd.DataFrame]) -> list[Claim]:
    """Return the verdict on sigmoid beside tanh."""
    signal = measured["signal_at_start"]
    signal = signal[signal["depth"] == DEPTH]
    groups = dict(iter(signal.groupby("initialiser", sort=False)))
    agreement = {
        name: {f: group.loc[group["function"] == f, "sign_agreement"] for f in SHOWN} for name, group in groups.items()
    }
    held = {
        str(name): bool(of["sigmoid"].median() >= AGREED and of["tanh"].median() < HALF_WAY)
        for name, of in agreement.items()
    }
    table = {
        name: {f: spread(of[f], percent) for f in SHOWN}
        | {"criterion": "holds" if held[str(name)] else "does not hold"}
        for name, of in agreement.items()
    }
    figure = charts.lines(
        signal,
        x="initialiser",
        y="sign_agreement",
        by="function",
        x_title="",
        y_title="share of one sign in a unit's gradient",
    )
    figure.update_traces(mode="markers", marker={"size": 9})
    figure.update_yaxes(tickformat=".0%", range=[0.5, 1.02])
    pooled = {f: signal.loc[signal["function"] == f, "sign_agreement"] for f in SHOWN}
    return [
        Claim(
            key="zero-centred",
            title="Sigmoid is not zero-centred: a unit's gradients share one sign",
            saying="Sigmoid's outputs are all positive, so that the gradients of a unit's weights are all positive or "
            "all negative, and the weights move in a zigzag (LeCun et al., 1998; CS231n).",
            design=f"The freshly drawn networks of {DEPTH} hidden layers, {counted(signal['seed'].nunique(), 'seed')} "
            "for each initialiser. GradScope's sign_agreement, the larger share of one sign among the gradients of a "
            f"unit's incoming weights, is averaged over all kernels between hidden layers. Chance is "
            f"{percent(CHANCE)} at 64 weights.",
            criterion=f"The median over seeds is at least {percent(AGREED)} behind sigmoid, and behind tanh nearer to "
            f"chance than to one sign (below {percent(HALF_WAY)}): confirmed if so with all initialisers, depends if "
            "with some, not confirmed if with none.",
            verdict=verdict_over(held),
            number=f"Of one sign are {spread(pooled['sigmoid'], percent)} behind sigmoid and "
            f"{spread(pooled['tanh'], percent)} behind tanh",
            depends=f"{where(held)} The share falls where the signal differs in sign from scan to scan and the "
            f"activations vary much; behind ReLU, which is of one sign too but often zero, it is "
            f"{spread(pooled['relu'], percent)}.",
            table=pd.DataFrame(table).T.rename_axis("initialiser"),
            figure=charts.with_limit(figure, CHANCE, "chance"),
            caption="Median over seeds; bars reach from the smallest to the largest.",
            second_opinion="",
        )
    ]
