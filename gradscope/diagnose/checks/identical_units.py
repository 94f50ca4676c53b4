"""Layers of which all units compute the same."""

from __future__ import annotations

from collections.abc import Iterator

from gradscope.diagnose.advice import initialiser_of, layer_of
from gradscope.diagnose.finding import Advice, Evidence, Finding
from gradscope.diagnose.keras_code import layer_code
from gradscope.diagnose.remedy import Remedy
from gradscope.diagnose.rule import rule
from gradscope.diagnose.subject import Subject


@rule(explains=("poor_initialisation", "not_converging"))
def identical_units(subject: Subject, *, spread: float = 1e-4) -> Iterator[Finding]:
    """Yield a finding for each hidden layer whose units are equal and get equal gradients.

    Such units stay equal for ever: the layer counts as a single unit. Equal weights alone are no fault: a residual
    branch that ends in zeros gets a different gradient at each unit, and so does any layer with dropout behind it.
    Where the gradient of the layer is zero, it is judged only if no other kernel has one either: else it may arrive at
    the next step.

    Severity: high where no kernel of the model has a gradient; else medium.

    Args:
        subject: The model and its batch.
        spread: Largest difference between the gradients of two units over the largest gradient, pure number; rounding
            leaves some 1e-6.

    Source:
        Goodfellow, Bengio and Courville, "Deep Learning", 2016, section 8.4.
    """
    for alike in subject.alike:
        is_stuck = alike.gradient == 0 and alike.elsewhere == 0
        if not is_stuck and not (alike.gradient > 0 and alike.spread <= spread):
            continue
        layer = layer_of(subject.network, alike.layer)
        gradient = "no kernel gets a gradient" if is_stuck else "each gets the same gradient"
        change = Remedy("initialiser", (alike.layer,), {"kernel_initializer": "glorot_uniform"})
        advice = Advice("Draw the weights at random.", "", change)
        if layer is not None:
            said = f"Draw the weights of {alike.layer!r} at random, not by {initialiser_of(layer) or 'a constant'}."
            advice = Advice(said, layer_code(layer, kernel_initializer="glorot_uniform"), change)
        yield Finding(
            rule="identical_units",
            severity="high" if is_stuck else "medium",
            layer=alike.layer,
            first_step=0,
            last_step=0,
            message=f"All {alike.units} units of {alike.layer!r} have the same weights, and {gradient}: they stay one.",
            evidence=(
                Evidence("largest difference between the gradients of two units", alike.spread, spread, above=False),
                Evidence("largest gradient", alike.gradient),
                Evidence("weight that all share, at most", alike.weight),
            ),
            advice=(advice,),
        )
