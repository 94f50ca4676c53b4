"""What of a model is not measured in a step, and why."""

from __future__ import annotations

from collections.abc import Sequence

from gradscope import reasons
from gradscope.instrument.keras_border import is_recomputed
from gradscope.instrument.measured_sites import MeasuredSite
from gradscope.instrument.measured_variables import MeasuredVariable
from gradscope.instrument.notes import Frame, NotedTrace
from gradscope.instrument.recognition import is_attention, is_recurrent
from gradscope.instrument.selection import Selection


def miss_the_rest(
    traces: Sequence[NotedTrace],
    selection: Selection,
    sites: Sequence[MeasuredSite],
    variables: Sequence[MeasuredVariable],
) -> None:
    """Say of all that is chosen and is neither a measured site nor a measured variable why it is not measured."""
    taken = {each.site.layer for each in sites}
    for trace in traces:
        for frame in trace.notes.frames:
            _miss_inside(frame, selection)
        for layer, name in trace.handwritten:
            place = selection.place_of(layer)
            if place is not None and selection.wants(place.key):
                selection.miss(f"{place.key} ({name})", reasons.MAYBE_MISSING)
        for layer in (*(frame.layer for frame in trace.notes.elsewhere), *trace.nested):
            place = selection.place_of(layer)
            is_seen = place is None or place.inside_loop is not None or place.key in taken
            if place is not None and not is_seen and selection.wants(place.key):
                selection.miss(place.key, reasons.ELSEWHERE)
    unseen = {each.variable.layer for each in variables if each.gradients}
    unseen -= {each.site.layer for each in sites if each.has_backward}
    for each in sites:
        if is_recomputed(each.place.layer) and not each.has_backward:
            selection.miss(f"{each.site.key} (backward)", reasons.RECOMPUTED)
        elif each.site.layer in unseen:
            selection.miss(f"{each.site.key} (backward)", reasons.NO_BACKWARD)
    for name in sorted({name for trace in traces for name in trace.notes.outside}):
        selection.miss(name, reasons.OUTSIDE)
    for place in selection.places:
        if getattr(place.layer, "quantization_mode", None) is not None and selection.wants(place.key):
            selection.miss(f"{place.key} (kernel)", reasons.QUANTISED)
    if selection.model.trainable_weights and not variables and selection.is_whole:
        selection.miss(f"{selection.model.name} (gradients)", reasons.NO_GRADIENT)


def _miss_inside(frame: Frame, selection: Selection) -> None:
    """Say what runs inside a recurrent or an attention layer, where no observer stands."""
    place = selection.place_of(frame.layer)
    if place is None or place.inside_loop is not None or not selection.wants(place.key):
        return
    if is_recurrent(frame.layer):
        has_gates = hasattr(frame.layer.cell, "recurrent_activation")
        what, reason = ("gates", reasons.GATES) if has_gates else ("cell", reasons.CELL)
        selection.miss(f"{place.key} ({what})", reason)
    elif is_attention(frame.layer):
        selection.miss(f"{place.key} (softmax)", reasons.ATTENTION)
