"""A stack of linear layers is one linear layer."""

from collections.abc import Mapping
from typing import Final

import pandas as pd

from activation_study import charts
from activation_study.bootstrap import Interval, interval_of_mean
from activation_study.claim import Claim, verdict_over
from activation_study.measurements.linear_depth import ONE_LAYER_RATE, STACK_RATE
from activation_study.wording import counted, fired, number, percent, spread

TOLERANCE: Final = 1e-5
"""A hundred times the resolution of float32: eight layers of 64 products each round on the way."""
GAIN: Final = 0.01


def claims(measured: Mapping[str, pd.DataFrame]) -> list[Claim]:
    """Return the verdict on linear layers; ReLU stands beside them."""
    trainings = measured["linear_depth"]
    linear, relu = (trainings[trainings["function"] == function] for function in ("linear", "relu"))
    one = linear[linear["depth"] == 0].set_index("seed")["accuracy"]
    gains = {_layers(depth): _gain(group, one) for depth, group in linear.groupby("depth") if depth > 0}
    is_product = bool((linear["distance_from_one_layer"] <= TOLERANCE).all())
    no_gain = all(gain.low <= GAIN for gain in gains.values())
    most = max(gains, key=lambda name: gains[name].estimate)
    stacks = linear[linear["depth"] > 0]
    figure = charts.lines(
        trainings.assign(layers=trainings["depth"] + 1),
        x="layers",
        y="accuracy",
        by="function",
        x_title="layers with weights",
        y_title="test accuracy",
    )
    figure.update_yaxes(tickformat=".0%")
    return [
        Claim(
            key="linear-stack",
            title="A stack of linear layers is one linear layer",
            saying="Without activation functions a network is linear however deep, and depth adds nothing.",
            design=f"Networks without activation functions, {counted(linear['seed'].nunique(), 'seed')}, trained with "
            "Adam. After the training the weight matrices are multiplied into one kernel and one bias, in float64, and "
            "its outputs on the test set are compared with the network's; the difference is "
            "relative to the largest output. "
            f"One layer is trained at rate {ONE_LAYER_RATE:g}, all others at {STACK_RATE:g}. This matters for (b): in "
            "a short pilot at one rate for all, one layer had not got as far as a stack when the training ended.",
            criterion=f"(a) No difference exceeds {number(TOLERANCE)}. (b) At no depth does the test accuracy surely "
            f"exceed that of one layer by more than a point: the 95% bootstrap interval of the mean gain, paired by "
            f"seed, reaches {percent(GAIN)} or less. Confirmed if both hold, depends if one does, else not confirmed.",
            verdict=verdict_over({"the product": is_product, "the accuracy": no_gain}),
            number=f"Outputs differ by at most {number(linear['distance_from_one_layer'].max())}; most gain "
            f"{_points(gains[most])}, with {most}",
            depends="What a stack can compute does not depend on anything. How fast it gets there does: depth changes "
            f"the path of the optimizer even where it changes nothing else. With ReLU the accuracy is "
            f"{spread(relu['accuracy'], percent)} and no one layer gives the same outputs: they differ by "
            f"{spread(relu['distance_from_one_layer'])}.",
            table=_table(trainings, gains),
            figure=figure,
            caption="Accuracy on scans not trained on: median over seeds, smallest and largest.",
            second_opinion=f"The rule linear_stack fired in {fired(stacks, 'linear_stack')} trainings of linear stacks "
            f"and in {fired(relu, 'linear_stack')} of ReLU networks.",
        )
    ]


def _gain(group: pd.DataFrame, one: pd.Series) -> Interval:
    return interval_of_mean((group.set_index("seed")["accuracy"] - one).tolist())


def _points(gain: Interval) -> str:
    return f"{100 * gain.estimate:+.1f} points ({100 * gain.low:+.1f} to {100 * gain.high:+.1f})"


def _layers(depth: int) -> str:
    return f"{depth + 1} layers"


def _table(trainings: pd.DataFrame, gains: Mapping[str, Interval]) -> pd.DataFrame:
    rows: dict[str, dict[str, str]] = {}
    for (function, depth), group in trainings.groupby(["function", "depth"], sort=False):
        is_stack = function == "linear" and depth > 0
        rows[f"{'ReLU' if function == 'relu' else function}, {'one layer' if depth == 0 else _layers(depth)}"] = {
            "test accuracy": spread(group["accuracy"], percent),
            "gain over one layer": _points(gains[_layers(depth)]) if is_stack else "",
            "difference from one layer": spread(group["distance_from_one_layer"]),
        }
    return pd.DataFrame(rows).T.rename_axis("network")
