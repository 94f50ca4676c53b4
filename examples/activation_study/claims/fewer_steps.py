"""ReLU needs fewer steps than tanh to the same loss: six times fewer, as the popular claim has it."""

from collections.abc import Mapping
from typing import Final

import pandas as pd
import plotly.graph_objects as go

from activation_study import charts
from activation_study.bootstrap import Interval, interval_of_ratio
from activation_study.claim import Claim, verdict_over
from activation_study.measurements.steps_to_loss import INITIALISER
from activation_study.wording import listed, spread, where

POPULAR: Final = 6.0


def claims(measured: Mapping[str, pd.DataFrame]) -> list[Claim]:
    """Return the verdict on "fewer" and that on "six times"."""
    trainings = measured["steps_to_loss"]
    ratios = {str(name): _ratio(group) for name, group in trainings.groupby("setting", sort=False)}
    table = _table(trainings, ratios)
    design = f"{_design(trainings)} {_best_rates(trainings)}"
    fewer = {name: ratio.low > 1 for name, ratio in ratios.items()}
    six = {name: ratio.high >= POPULAR for name, ratio in ratios.items()}
    measured_ratio = "Tanh's steps over ReLU's: " + "; ".join(
        f"{ratio.estimate:.2f} ({ratio.low:.2f} to {ratio.high:.2f}) {name}" for name, ratio in ratios.items()
    )
    why = (
        "What is compared is a whole recipe: function, initialiser and best rate. Rates that suit one function may be "
        "far off for the other, so that a comparison at one common rate can give nearly any ratio."
    )
    return [
        Claim(
            key="fewer-steps",
            title="ReLU needs fewer steps than tanh",
            saying="ReLU networks learn faster than the same networks with tanh (Krizhevsky et al., 2012).",
            design=design,
            criterion="The 95% bootstrap interval of the ratio of median steps, tanh's over ReLU's, lies above 1: "
            "confirmed if so in all settings, depends if in some, not confirmed if in none.",
            verdict=verdict_over(fewer),
            number=measured_ratio,
            depends=f"{where(fewer, 'for')} {why}",
            table=table,
            figure=_sweep(trainings),
            caption="Steps to the loss at each learning rate, on the seeds that chose the rate: median, smallest and "
            "largest. A rate at which a seed did not reach the loss has no point.",
            second_opinion="",
        ),
        Claim(
            key="six-times",
            title="ReLU needs six times fewer steps than tanh",
            saying="A four-layer convolutional network with ReLUs reaches a 25% training error rate on CIFAR-10 six "
            "times faster than one with tanh (Krizhevsky et al., 2012, figure 1, with a rate chosen for each).",
            design=design,
            criterion=f"The 95% bootstrap interval of the same ratio reaches {POPULAR:.0f}: confirmed if so in all "
            "settings, depends if in some, not confirmed if in none.",
            verdict=verdict_over(six),
            number=measured_ratio,
            depends=f"{where(six, 'for')} The claim's number comes from other data and a harder task, with rates "
            "chosen for it. Nothing is said against it there; but six is no property of the two functions.",
            table=table,
            figure=_ratios(ratios),
            caption="Ratio of median steps with its 95% bootstrap interval. At 1 both need the same.",
            second_opinion="",
        ),
    ]


def _ratio(group: pd.DataFrame) -> Interval:
    fresh = group[group["fresh"]]
    tanh, relu = (fresh.loc[fresh["function"] == function, "steps"].tolist() for function in ("tanh", "relu"))
    return interval_of_ratio(tanh, relu)


def _design(trainings: pd.DataFrame) -> str:
    fresh = trainings[trainings["fresh"]]
    sweep = trainings[~trainings["fresh"]]
    initialisers = listed(f"{initialiser} for {function}" for function, initialiser in INITIALISER.items())
    return (
        f"Settings: {listed(trainings['setting'].unique())}; four layers of weights or more, batches of 128, "
        f"initialiser {initialisers}. For each function, {sweep.groupby('setting')['rate'].nunique().max()} learning "
        f"rates are tried on {sweep['seed'].nunique()} seeds; at the one with the fewest steps, "
        f"{fresh['seed'].nunique()} fresh seeds are trained. Counted are the steps until the mean of GradScope's batch "
        f"losses over one pass is at most {trainings['target'].iloc[0]}."
    )


def _table(trainings: pd.DataFrame, ratios: Mapping[str, Interval]) -> pd.DataFrame:
    fresh = trainings[trainings["fresh"]]
    rows: dict[str, dict[str, str]] = {}
    for setting, group in fresh.groupby("setting", sort=False):
        of = dict(iter(group.groupby("function")))
        rows[str(setting)] = {
            f"{name} steps at best rate": f"{spread(of[function]['steps'])} at {of[function]['rate'].iloc[0]:g}"
            for function, name in (("relu", "ReLU"), ("tanh", "tanh"))
        }
        ratio = ratios[str(setting)]
        rows[str(setting)]["tanh over ReLU"] = f"{ratio.estimate:.2f}, 95% interval {ratio.low:.2f} to {ratio.high:.2f}"
    return pd.DataFrame(rows).T.rename_axis("setting")


def _best_rates(trainings: pd.DataFrame) -> str:
    """Say whether a best rate lies at the edge of those tried, for then a better one may lie beyond."""
    at_edge = [
        f"{function} ({setting})"
        for (setting, function), group in trainings.groupby(["setting", "function"], sort=False)
        if group.loc[group["fresh"], "rate"].iloc[0] in {group["rate"].min(), group["rate"].max()}
    ]
    if at_edge:
        return f"The best rate of {listed(at_edge)} is the smallest or largest tried; a better one may lie beyond."
    return "Each best rate lies inside the range tried, so that no better one is to be expected beyond it."


def _sweep(trainings: pd.DataFrame) -> go.Figure:
    sweep = trainings[~trainings["fresh"]]
    worst = sweep.groupby(["setting", "function", "rate"])["steps"].transform("max")
    sweep = sweep[worst < float("inf")]
    return charts.lines(
        sweep.assign(line=sweep["function"] + ", " + sweep["setting"]),
        x="rate",
        y="steps",
        by="line",
        x_title="learning rate",
        y_title="steps to the loss",
        x_scale="log",
        y_scale="log",
    )


def _ratios(ratios: Mapping[str, Interval]) -> go.Figure:
    figure = go.Figure()
    figure.add_scatter(
        x=list(ratios),
        y=[ratio.estimate for ratio in ratios.values()],
        error_y={
            "array": [ratio.high - ratio.estimate for ratio in ratios.values()],
            "arrayminus": [ratio.estimate - ratio.low for ratio in ratios.values()],
        },
        mode="markers",
        marker={"size": 10, "color": charts.COLOURS[0]},
        showlegend=False,
    )
    figure.update_yaxes(title="tanh's steps over ReLU's", range=[0, 7])
    figure.update_xaxes(type="category")
    return charts.with_limit(charts.with_limit(charts.styled(figure), 1, "equal"), POPULAR, "six times")
