"""A step function blocks learning."""

from collections.abc import Mapping
from typing import Final

import pandas as pd

from activation_study import charts
from activation_study.claim import Claim, verdict_over
from activation_study.wording import counted, fired, percent, spread

GUESSING: Final = 0.2
"""Twice what guessing among ten digits gives."""


def claims(measured: Mapping[str, pd.DataFrame]) -> list[Claim]:
    """Return the verdict on the step function; sigmoid stands beside it."""
    trainings = measured["step_training"]
    stepped, smooth = (trainings[trainings["function"] == function] for function in ("step", "sigmoid"))
    held = {
        "no gradient": bool((stepped["connected_fraction"] == 0).all()),
        "no change": bool((stepped["changed_fraction"] == 0).all()),
        "no better than guessing": bool((stepped["accuracy"] <= GUESSING).all()),
    }
    figure = charts.lines(
        trainings,
        x="depth",
        y="accuracy",
        by="function",
        x_title="hidden layers",
        y_title="test accuracy",
    )
    figure.update_yaxes(tickformat=".0%", range=[0, 1.02])
    return [
        Claim(
            key="step-blocks",
            title="A step function blocks learning",
            saying="A step function's slope is zero, so that a network of step units cannot be trained by gradients.",
            design=f"Dense networks with a step function or sigmoid behind each hidden layer, "
            f"{counted(trainings['seed'].nunique(), 'seed')}, trained with Adam. GradScope says whether the loss "
            "depends on the hidden kernels at all (connected); their weights before and after are "
            "compared bit for bit.",
            criterion="(a) No hidden kernel has a gradient. (b) No hidden weight changes. (c) The network reads no "
            f"more than {percent(GUESSING)} of the test set, where guessing reads 10%. Confirmed if all hold in all "
            "trainings, depends if some do, not confirmed if none does.",
            verdict=verdict_over(held),
            number=f"Hidden weights changed: {percent(stepped['changed_fraction'].mean())}; accuracy "
            f"{spread(stepped['accuracy'], percent)}, sigmoid {spread(smooth['accuracy'], percent)}",
            depends=_depends(held, stepped),
            table=_table(trainings),
            figure=charts.with_limit(figure, 0.1, "guessing"),
            caption="Accuracy on scans not trained on: median over seeds, smallest and largest.",
            second_opinion=f"The rule blocked_gradient fired in {fired(stepped, 'blocked_gradient')} trainings with "
            f"steps and in {fired(smooth, 'blocked_gradient')} with sigmoid.",
        )
    ]


def _depends(held: Mapping[str, bool], stepped: pd.DataFrame) -> str:
    blocked = held["no gradient"] and held["no change"]
    layers = (
        "The layers before a step learn nothing: they stay as they were drawn."
        if blocked
        else "Something reached the layers before a step."
    )
    if held["no better than guessing"]:
        return f"{layers} The network as a whole does not learn either."
    medians = stepped.groupby("depth")["accuracy"].median()
    return (
        f"{layers} The output layer behind them does learn, from what random features let through: "
        f"{percent(medians.iloc[0])} behind {medians.index[0]} hidden layer"
        + (f", {percent(medians.iloc[-1])} behind {medians.index[-1]}." if len(medians) > 1 else ".")
        + " So a rising accuracy does not prove that all layers take part."
    )


def _table(trainings: pd.DataFrame) -> pd.DataFrame:
    rows = {
        f"{function}, {depth} hidden": {
            "kernels with a gradient": percent(group["connected_fraction"].mean()),
            "hidden weights changed": percent(group["changed_fraction"].mean()),
            "test accuracy": spread(group["accuracy"], percent),
        }
        for (function, depth), group in trainings.groupby(["function", "depth"], sort=False)
    }
    return pd.DataFrame(rows).T.rename_axis("network")
