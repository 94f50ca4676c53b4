"""ReLU units die at high learning rates, and leaky ones do not."""

from collections.abc import Mapping
from typing import Final

import pandas as pd
import plotly.graph_objects as go

from activation_study import charts
from activation_study.claim import Claim, verdict_over
from activation_study.wording import counted, fired, listed, percent, spread, where

RISE: Final = 0.25
NONE: Final = 0.01


def claims(measured: Mapping[str, pd.DataFrame]) -> list[Claim]:
    """Return the verdict on ReLU and that on leaky ReLU."""
    trainings = measured["high_rates"]
    # A rate counts only if both functions stand it, so that both are judged at the same rates.
    lasting = trainings[trainings.groupby(["optimizer", "rate"])["finite"].transform("all")]
    relu, leaky = (lasting[lasting["function"] == function] for function in ("relu", "leaky_relu"))
    return [_relu(trainings, relu), _leaky(trainings, relu, leaky)]


def _relu(trainings: pd.DataFrame, relu: pd.DataFrame) -> Claim:
    dead = {
        str(name): group.groupby("rate")["dead_fraction"].median()
        for name, group in relu.groupby("optimizer", sort=False)
    }
    held = {name: bool((medians - medians.iloc[0]).max() >= RISE) for name, medians in dead.items()}
    extremes = [
        f"{name}: {percent(medians.iloc[0])} dead at {medians.index[0]:g}, "
        f"{_at(relu, name, medians.idxmax(), 'dead_fraction')} at {medians.idxmax():g}"
        for name, medians in dead.items()
    ]
    return Claim(
        key="relu-dies",
        title="ReLU units die at high learning rates",
        saying="Set the learning rate too high and as much as 40% of a ReLU network can be dead, never to be active "
        "again on any sample (CS231n).",
        design=_design(trainings)
        + " GradScope's dead_unit_fraction is averaged over the hidden layers at the end: the "
        "share of units that were inactive on every sample of some eight batches.",
        criterion=f"At some rate the median over seeds is at least {100 * RISE:.0f} points above that at the lowest "
        "rate: confirmed if so with all optimizers, depends if with some, not confirmed if with none. Rates at which "
        "the loss of a seed became infinite or NaN do not count.",
        verdict=verdict_over(held),
        number="; ".join(extremes),
        depends=f"{where(held)} {_at_lowest(relu)} A step that is too long throws a unit's pre-activations below zero "
        "for all samples; there its slope is zero and nothing brings it back.",
        table=_table(trainings),
        figure=_figure(relu, "dead_fraction", "dead units"),
        caption="Dead ReLU units at the end of the training: median over seeds, smallest and largest.",
        second_opinion=f"The rule dying_relu fired in {fired(_extreme(relu, 'max'), 'dying_relu')} trainings at the "
        f"highest rates that last, and in {fired(_extreme(relu, 'min'), 'dying_relu')} at the lowest.",
    )


def _leaky(trainings: pd.DataFrame, relu: pd.DataFrame, leaky: pd.DataFrame) -> Claim:
    worst = leaky[["dead_fraction", "no_gradient_fraction"]].max(axis=1)
    by_setting = worst.groupby([leaky["optimizer"], leaky["rate"]], sort=False).median()
    held = {f"{optimizer} at {rate:g}": bool(share <= NONE) for (optimizer, rate), share in by_setting.items()}
    highest, highest_relu = _extreme(leaky, "max"), _extreme(relu, "max")
    return Claim(
        key="leaky-lives",
        title="Leaky ReLU units do not die",
        saying="Leaky ReLU fixes the dying ReLU: its slope is nowhere zero (Maas et al., 2013; CS231n).",
        design=_design(trainings) + " By GradScope's definition no leaky unit can be dead, so that the share of "
        "weights between hidden layers whose gradient is exactly 0 at the last record is judged too.",
        criterion=f"Neither share exceeds {percent(NONE)} in the median over seeds: confirmed if so at all rates of "
        "all optimizers at which the loss stays finite, depends if at some, not confirmed if at none.",
        verdict=verdict_over(held),
        number=f"Without gradient are {spread(leaky['no_gradient_fraction'], percent)} of the weights, against "
        f"{spread(relu['no_gradient_fraction'], percent)} with ReLU",
        depends=f"{_held_everywhere(held)} To be alive is not to learn: at the highest rates that last, leaky networks "
        f"read {spread(highest['accuracy'], percent)} of the training set and ReLU networks "
        f"{spread(highest_relu['accuracy'], percent)}.",
        table=_table(trainings),
        figure=_figure(leaky, "no_gradient_fraction", "weights without gradient", relu),
        caption="Weights without any gradient at the last record: median over seeds, smallest and largest. With ReLU "
        "some have none in any one batch, dead units or not.",
        second_opinion=f"The rule dying_relu fired in {fired(leaky, 'dying_relu')} leaky trainings; at the highest "
        f"rates that last, not_converging fired in {fired(highest, 'not_converging')} of them.",
    )


def _design(trainings: pd.DataFrame) -> str:
    rates = listed(
        f"{name} at {listed(f'{rate:g}' for rate in sorted(group['rate'].unique()))}"
        for name, group in trainings.groupby("optimizer", sort=False)
    )
    seeds = counted(trainings["seed"].nunique(), "seed")
    return f"Dense networks of four hidden layers with He's initialiser, {seeds}: {rates}."


def _extreme(frame: pd.DataFrame, which: str) -> pd.DataFrame:
    """Return the trainings at each optimizer's highest rate, or lowest."""
    return frame[frame["rate"] == frame.groupby("optimizer")["rate"].transform(which)]


def _at(frame: pd.DataFrame, optimizer: str, rate: float, column: str) -> str:
    return spread(frame.loc[(frame["optimizer"] == optimizer) & (frame["rate"] == rate), column], percent)


def _at_lowest(relu: pd.DataFrame) -> str:
    lowest = _extreme(relu, "min")
    dead, accuracy = (spread(lowest[column], percent) for column in ("dead_fraction", "accuracy"))
    return f"At the lowest rates {dead} are dead, and the training accuracy is {accuracy}."


def _held_everywhere(held: Mapping[str, bool]) -> str:
    return "It holds at every rate." if all(held.values()) else where(held, "for")


def _table(trainings: pd.DataFrame) -> pd.DataFrame:
    rows: dict[str, dict[str, str]] = {}
    for (function, optimizer, rate), group in trainings.groupby(["function", "optimizer", "rate"], sort=False):
        name = {"relu": "ReLU", "leaky_relu": "leaky ReLU"}[function]
        counts = bool(group["finite"].all())  # beyond infinity nothing is inactive, and nothing means anything
        rows[f"{name}, {optimizer} at {rate:g}"] = {
            "dead units": spread(group["dead_fraction"], percent) if counts else "not counted",
            "weights without gradient": spread(group["no_gradient_fraction"], percent) if counts else "not counted",
            "training accuracy": spread(group["accuracy"], percent),
            "loss stays finite": f"{group['finite'].sum()} of {len(group)}",
        }
    return pd.DataFrame(rows).T.rename_axis("training")


def _figure(frame: pd.DataFrame, column: str, title: str, beside: pd.DataFrame | None = None) -> go.Figure:
    shown = frame if beside is None else pd.concat([frame, beside])
    names = shown["function"].map({"relu": "ReLU", "leaky_relu": "leaky ReLU"})
    figure = charts.lines(
        shown.assign(line=names + ", " + shown["optimizer"]),
        x="rate",
        y=column,
        by="line",
        x_title="learning rate",
        y_title=title,
        x_scale="log",
    )
    figure.update_yaxes(tickformat=".0%", range=[-0.03, 1.03])
    return figure
