"""Sigmoid and tanh lose the gradient with depth."""

from collections.abc import Mapping
from typing import Final

import pandas as pd

from activation_study import charts
from activation_study.claim import Claim, verdict_over
from activation_study.wording import counted, listed, number, spread, where

DEPTH: Final = 8
LIMIT: Final = 1e-2

WHY: Final = {
    "sigmoid": "Each layer multiplies the signal by its weights and by the slope of the function. Sigmoid's slope is "
    "at most 0.25, so that only weights four times as wide as tanh's could make up for it; those would saturate it.",
    "tanh": "Each layer multiplies the signal by its weights and by the slope of the function. Tanh's slope is 1 "
    "around zero, so that the initialiser decides: one that keeps the signal's spread keeps the gradient too.",
}


def claims(measured: Mapping[str, pd.DataFrame]) -> list[Claim]:
    """Return the verdict on either function."""
    return [_claim(measured["signal_at_start"], function) for function in ("sigmoid", "tanh")]


def _claim(signal: pd.DataFrame, function: str) -> Claim:
    own = signal[signal["function"] == function]
    judged = own[own["depth"] == DEPTH]
    medians = judged.groupby("initialiser", sort=False)["backward_ratio"].median()
    held = {str(name): bool(ratio < LIMIT) for name, ratio in medians.items()}
    figure = charts.lines(
        own,
        x="depth",
        y="backward_ratio",
        by="initialiser",
        x_title="hidden layers",
        y_title="signal at the first over the last layer",
        y_scale="log",
    )
    return Claim(
        key=f"{function}-gradient",
        title=f"{function.capitalize()} loses the gradient with depth",
        saying=f"Gradients vanish in deep {function} networks, so that their first layers do not learn "
        "(Hochreiter, 1991).",
        design=f"Dense networks of 64 units a layer, freshly drawn: {_counted(own, 'depth')} hidden layers, "
        f"{counted(own['initialiser'].nunique(), 'initialiser')}, {counted(own['seed'].nunique(), 'seed')} each. On "
        "one batch of 512 scans GradScope's backward_rms, the size of the gradient of the loss at the pre-activation, "
        "is taken at the first hidden layer and divided by that at the last. The kernels' own gradients tell less: "
        "they are this signal times what comes in, and where the activations shrink on the way forward, both "
        "effects cancel out.",
        criterion=f"At {DEPTH} hidden layers, the median over seeds of this ratio is below {number(LIMIT)}: confirmed "
        "if so with all initialisers, depends if with some, not confirmed if with none.",
        verdict=verdict_over(held),
        number=_extremes(medians),
        depends=f"{where(held)} {WHY[function]}",
        table=_table(judged, signal[(signal["function"] == "relu") & (signal["depth"] == DEPTH)], held, function),
        figure=charts.with_limit(figure, LIMIT, "criterion"),
        caption="Median over seeds; bars reach from the smallest to the largest. A flat line loses nothing.",
        second_opinion=_second_opinion(judged, function),
    )


def _extremes(medians: pd.Series) -> str:
    least, most = medians.idxmin(), medians.idxmax()
    if least == most:
        return f"Over {DEPTH} layers the signal falls to {number(medians[least])} of itself ({least})"
    remains = f"{number(medians[least])} ({least}) to {number(medians[most])} ({most})"
    return f"Over {DEPTH} layers {remains} of the signal remains"


def _table(judged: pd.DataFrame, relu: pd.DataFrame, held: Mapping[str, bool], function: str) -> pd.DataFrame:
    rows = {
        name: {
            "signal, first over last": spread(group["backward_ratio"]),
            "kernel gradient, first over last": spread(group["kernel_ratio"]),
            "activations, last over first": spread(group["forward_ratio"]),
            "signal with ReLU instead": spread(relu.loc[relu["initialiser"] == name, "backward_ratio"]),
            "criterion": "holds" if held[str(name)] else "does not hold",
        }
        for name, group in judged.groupby("initialiser", sort=False)
    }
    return pd.DataFrame(rows).T.rename_axis("initialiser")


def _second_opinion(judged: pd.DataFrame, function: str) -> str:
    told = judged.groupby("initialiser", sort=False)["preflight"].first().fillna("")
    named = [f"{name}: {listed(rules.split()) if rules else 'nothing'}" for name, rules in told.items()]
    return (
        f"gradscope.preflight, before any training, finds in these {DEPTH}-layer {function} networks: "
        f"{'; '.join(named)}."
    )


def _counted(frame: pd.DataFrame, column: str) -> str:
    return listed(str(value) for value in sorted(frame[column].unique()))
