"""A loss of one's own that holds each answer against every label."""

from __future__ import annotations

from collections.abc import Iterator

from gradscope.diagnose.finding import Advice, Evidence, Finding
from gradscope.diagnose.learning import learning
from gradscope.diagnose.remedy import Remedy
from gradscope.diagnose.rule import rule
from gradscope.diagnose.series import training_steps
from gradscope.store.frames import Frames


@rule(explains=("not_converging", "slow_convergence"), at_once=True, before_training=True, figure="loss")
def broadcast_shapes(frames: Frames, *, differences: float = 1) -> Iterator[Finding]:
    """The loss subtracts labels of shape ``(n,)`` from answers of shape ``(n, 1)``, or the other way round.

    Broadcasting makes ``(n, n)`` of them: each answer is held against every label, and the best that can be answered
    is the mean of all. It raises no error, and the loss looks like one. Read off the operations of the step.

    Severity: high; low where the training has learnt all the same.

    What to try: bring both to one shape.

    Args:
        frames: The run.
        differences: Such operations in the loss, pure number; one is enough.

    Source:
        The rules of broadcasting are NumPy's; the finding is ours.
    """
    found, steps = frames.network.broadcasts, training_steps(frames)
    if len(found) < differences or not len(steps):
        return
    yield Finding(
        rule="broadcast_shapes",
        statistic="steps.loss",
        severity="low" if learning(frames).state == "learnt" else "high",
        layer=None,
        first_step=int(steps[0]),
        last_step=int(steps[-1]),
        message=f"The loss holds each answer against every label: {found[0]}, which broadcasts to (n, n).",
        evidence=(Evidence("differences of unlike shapes in the loss", float(len(found)), differences),),
        advice=(Advice("Bring labels and answers to one shape.", "y = keras.ops.reshape(y, (-1, 1))", Remedy("code")),),
    )
