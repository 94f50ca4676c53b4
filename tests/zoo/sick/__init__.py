"""The sick half of the zoo: trainings with a known fault, by the kind of fault.

A symptom of activations names the layer that applies the function; a symptom of gradients, weights or updates names the
layer that owns the kernel. A rule that speaks of the whole model has no layers.
"""

from zoo.case import Case
from zoo.sick import design, exploding, fitting, growing, pace, steps, still, undefined, units, vanishing

_KINDS = (vanishing, exploding, units, steps, design, still, growing, undefined, pace, fitting)
CASES: tuple[Case, ...] = tuple(case for kind in _KINDS for case in kind.CASES)
