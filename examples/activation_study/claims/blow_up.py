"""ReLU activations can blow up."""

from collections.abc import Mapping
from typing import Final

import pandas as pd

from activation_study import charts
from activation_study.claim import Claim, Verdict
from activation_study.wording import listed, number, spread

LIMIT: Final = 1e3


def claims(measured: Mapping[str, pd.DataFrame]) -> list[Claim]:
    """Return the verdict: that something *can* happen takes one setting in which it always does."""
    signal, trainings = measured["signal_at_start"], measured["high_rates"]
    relu = signal[signal["function"] == "relu"]
    depth = relu["depth"].max()
    deep = signal[signal["depth"] == depth]
    at_start = {str(name): group for name, group in deep.groupby("initialiser", sort=False)}
    settings = {
        f"{name}, {depth} layers, at the start": group.loc[group["function"] == "relu", "largest"]
        for name, group in at_start.items()
    }
    settings |= {
        f"He normal, 4 layers, {optimizer} at {rate:g}": group["largest"]
        for (optimizer, rate), group in trainings[trainings["function"] == "relu"].groupby(
            ["optimizer", "rate"], sort=False
        )
    }
    always = [name for name, largest in settings.items() if (largest > LIMIT).all()]
    ever = [name for name, largest in settings.items() if (largest > LIMIT).any()]
    verdict: Verdict = "confirmed" if always else "depends" if ever else "not confirmed"
    worst = max(settings, key=lambda name: settings[name].median())
    tanh = deep.loc[deep["function"] == "tanh", "largest"].max()
    quiet = [name for name in settings if name not in ever]
    table = {
        name: {
            "largest activation": spread(largest),
            "above the limit": f"{(largest > LIMIT).sum()} of {len(largest)} seeds",
        }
        for name, largest in settings.items()
    }
    figure = charts.lines(
        relu,
        x="depth",
        y="largest",
        by="initialiser",
        x_title="hidden layers",
        y_title="largest activation",
        y_scale="log",
    )
    return [
        Claim(
            key="blow-up",
            title="ReLU activations can blow up",
            saying="ReLU has no upper bound, so that activations can grow without limit.",
            design=f"GradScope's abs_max, the largest activation of any hidden layer: in the freshly drawn networks of "
            f"{depth} hidden layers, by initialiser, and throughout the trainings at high learning rates. A scan's "
            "largest pixel is 1.",
            criterion=f"It exceeds {number(LIMIT)}: confirmed if in every seed of at least one setting, depends if "
            "only in some seeds, not confirmed if in none. The claim says that it can happen, not that it does.",
            verdict=verdict,
            number=f"Largest activation {spread(settings[worst])}: {worst}",
            depends=f"{_said(always, ever, quiet)} The spread is multiplied layer by layer: He's initialiser is the "
            f"one that keeps it, wider weights make it grow by a power of depth. Tanh's largest was {number(tanh)}.",
            table=pd.DataFrame(table).T.rename_axis("setting"),
            figure=charts.with_limit(figure, LIMIT, "criterion"),
            caption="Largest ReLU activation before any training: median over seeds, smallest and largest.",
            second_opinion=_second_opinion(relu[relu["depth"] == depth]),
        )
    ]


def _said(always: list[str], ever: list[str], quiet: list[str]) -> str:
    if not ever:
        return "It happened in none of the settings."
    sure = f"It happened in every seed with {listed(always)}. " if always else ""
    return f"{sure}It happened in no seed in {len(quiet)} of {len(quiet) + len(ever)} settings."


def _second_opinion(deep: pd.DataFrame) -> str:
    told = deep.groupby("initialiser", sort=False)["preflight"].first().fillna("")
    named = [f"{name}: {listed(rules.split()) if rules else 'nothing'}" for name, rules in told.items()]
    return f"gradscope.preflight finds in the deepest ReLU networks, before any training: {'; '.join(named)}."
