"""How the steps of one traced function are recorded: inline, by observing, or not at all.

**Inline** the function runs with further outputs: it is the step. Whether the training stays the same, bit for bit, is
found by trial: on a real batch the function with further outputs runs on copies of all variables that the step writes,
then the training's own function runs, and both must have come to the same bits. TensorFlow's graph optimiser may join
two operations only where nobody reads what lies between, so that some functions do not pass.

**Observing** runs, before the training's own step, only what the wanted tensors depend on. It passes over a batch
once more, and changes nothing: what it must write on the way, it writes to copies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from gradscope import reasons
from gradscope.instrument.backend import UnobservableError
from gradscope.instrument.measured_step import measured_step
from gradscope.instrument.measurement import Measurement
from gradscope.instrument.network_of import LayerFilter
from gradscope.instrument.notes import Notes
from gradscope.instrument.tensorflow.copies import Copies, equal_bits, perturbed
from gradscope.instrument.tensorflow.definitions import Extended, UnreachableError, reachable
from gradscope.instrument.tensorflow.effects import Effects, called, effects_of
from gradscope.instrument.tensorflow.framework import definition, definition_named, is_variable, packed_outputs, tf
from gradscope.instrument.tensorflow.graph_functions import noted_trace
from gradscope.instrument.tensorflow.moving_statistics import compared, of_batches
from gradscope.instrument.tensorflow.nonfinite import Run, nonfinite_origin
from gradscope.instrument.tensorflow.norms import Updates
from gradscope.instrument.tensorflow.step_reading import StepReading
from gradscope.instrument.tensorflow.tensors import TENSORS
from gradscope.instrument.tensorflow.watching import notes_of
from gradscope.network import NotMeasured
from gradscope.records import MovingStatistics, NonFiniteOrigin

Mode = Literal["untried", "inline", "observe"]


class Plan:
    """How steps of one traced function are recorded.

    Args:
        model: The model that trains.
        function: The traced function that is called for a step.
        layers: Which layers are recorded; None for all.
        own_iterators: Arguments of the function that are iterators over the training's data.
        inline: Whether the step may run with further outputs.

    Raises:
        UnobservableError: If there is no way.
    """

    def __init__(
        self,
        model: Any,
        function: Any,
        layers: LayerFilter | None,
        own_iterators: frozenset[int],
        *,
        inline: bool = True,
    ) -> None:
        self.mode: Mode = "untried"
        self.trials = 0
        self.records = 0
        self._own = effects_of(definition(function), own_iterators)
        self.on_batches = _function_of_batches(function) if own_iterators else function
        start = function if self.on_batches is None else self.on_batches
        traces = [noted_trace(graph, notes_of(graph) or Notes()) for graph in reachable(start.graph)]
        said = [NotMeasured(f"{model.name} (noise)", reasons.OTHER_NOISE)] if self._own.random else []
        batch = None if self.on_batches is None else _batch(self.on_batches)
        step = measured_step(model, traces, batch, layers, TENSORS, said)
        self._structure = None if batch is None else batch[1]
        self._reading = StepReading(start, model, step, traces)
        network = self._reading.network(is_whole=layers is None)
        self.measurement = Measurement(replace(step, network=network), TENSORS)
        self.updates = Updates(self.measurement.trained)
        self._inline: Extended | None = None
        self._observing: Extended | None = None
        self._observed_effects = Effects(frozenset(), frozenset(), random=False)
        # A compiler may make other bits of a function with more outputs, though a trial came to the same ones.
        if not inline or self._own.outside or self._own.random or is_compiled(definition(function)):
            self.mode = "observe"  # with effects no trial is possible: what it did would be done twice
        else:
            try:
                self._inline = Extended(function, self.measurement.tensors, keeps=True)
            except UnreachableError:
                self.mode = "observe"
        if self.mode == "observe":
            self._observe(function)

    def inline(self, inputs: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Run the step, and return its own outputs and the wanted tensors."""
        assert self._inline is not None
        return self._inline(inputs)

    def holds_elsewhere(
        self, function: Any, run: Callable[..., Any], inputs: Sequence[Any], captured: Sequence[Any]
    ) -> bool:
        """Return whether both functions come to the same bits from other weights, and from other data.

        Biases begin at zero, and weights of samples are often 1: where such numbers come together, a function that
        adds in another order comes to the same bits, until they have moved.

        Args:
            function: The training's own.
            run: Calls it with inputs and what it captured.
            inputs: What both are to be called with; an iterator yields the same at each call.
            captured: What the training's own has captured.
        """
        given = [perturbed(tensor, number) for number, tensor in enumerate(inputs)]
        arguments = [*given, *captured]
        variables = [tensor for tensor in arguments if is_variable(tensor)]
        ours, theirs = (Copies(variables, are_perturbed=True) for _ in range(2))
        outputs, _ = self.inline(ours.in_place_of_originals(arguments))
        replaced = theirs.in_place_of_originals(arguments)
        own = run(replaced[: len(given)], replaced[len(given) :])
        found = packed_outputs(function, outputs)
        return ours.equal(theirs) and all(map(equal_bits, _leaves(found), _leaves(own)))

    def try_inline(self, inputs: Sequence[Any]) -> tuple[list[Any], list[Any], Copies]:
        """Run the step on copies of all that it writes; return its outputs, the wanted tensors and the copies."""
        inputs = list(inputs)
        copies = Copies([inputs[place] for place in sorted(self._own.written) if is_variable(inputs[place])])
        outputs, values = self.inline(copies.in_place_of_originals(inputs))
        return outputs, values, copies

    def judge(self, function: Any, tried: Any, outputs: Any, copies: Copies) -> None:
        """Decide by what a trial and the training's own step returned, as their caller sees it, and wrote."""
        self.trials += 1
        if copies.equal_originals() and all(map(equal_bits, _leaves(tried), _leaves(outputs))):
            self.mode = "inline"
        else:
            self.fall_back(function)

    def fall_back(self, function: Any) -> None:
        """Observe from now on."""
        self.mode, self._inline = "observe", None
        self._observe(function)

    def observe(self, function: Any, batch: Sequence[Any], captured: Sequence[Any]) -> list[Any]:
        """Return the wanted tensors of a batch under the present weights.

        Args:
            function: The training's own.
            batch: Inputs of `on_batches`; of the function itself where that is None.
            captured: What the function has captured.
        """
        if self._observing is None:
            self._observe(function)
        assert self._observing is not None
        looked = function if self.on_batches is None else self.on_batches
        inputs = [*batch, *(captured if looked is function else looked.captured_inputs)]
        written = [inputs[place] for place in sorted(self._observed_effects.written) if is_variable(inputs[place])]
        return self._observing(Copies(written).in_place_of_originals(inputs))[1]

    def origin(
        self, function: Any, batch: Sequence[Any], captured: Sequence[Any], weights: Mapping[int, Any]
    ) -> NonFiniteOrigin | None:
        """Return where the numbers of a batch stop being finite; None where they do not, or that cannot be told.

        Args:
            function: The training's own.
            batch: Inputs of `on_batches`.
            captured: What the function has captured.
            weights: Values of variables, by the identity of their handle, in place of the present ones.
        """
        reading, run = self._reading, self._run(function, batch, captured, weights)
        try:
            return nonfinite_origin(reading.graph, reading.losses, reading.gradients, reading.labels, run)
        except UnreachableError:
            return None

    def nested(self, batch: Sequence[Any]) -> Any:
        """Return the tensors of a batch as the step takes them; None where that is not known."""
        if self._structure is None or not self._structure[0]:
            return None
        remaining = iter(batch)
        specs = tf.nest.flatten(self._structure, expand_composites=True)
        flat = [None if spec is None else next(remaining) for spec in specs]
        return tf.nest.pack_sequence_as(self._structure, flat, expand_composites=True)[0][0]

    def moving_statistics(
        self, function: Any, batch: Sequence[Any], captured: Sequence[Any]
    ) -> tuple[MovingStatistics, ...]:
        """Return how far the moving statistics of normalisations are from those of a batch; none where unknown."""
        try:
            return compared(of_batches(self._reading.graph), self._run(function, batch, captured, {}))
        except UnreachableError:
            return ()

    def _run(self, function: Any, batch: Sequence[Any], captured: Sequence[Any], weights: Mapping[int, Any]) -> Run:
        """Return what runs the step on a batch for the values of some of its tensors, and changes nothing."""
        looked = function if self.on_batches is None else self.on_batches
        inputs = [*batch, *(captured if looked is function else looked.captured_inputs)]

        def run(tensors: Sequence[Any], *, as_finite: bool = False) -> list[Any]:
            extended = Extended(looked, tensors, keeps=False, as_finite=as_finite)
            effects = extended.effects()
            if effects.outside:
                raise UnreachableError(str(effects.outside))
            written = {id(inputs[place]) for place in effects.written}
            copies = Copies([each for each in inputs if is_variable(each) and id(each) in written | weights.keys()])
            copies.assign(weights)
            return extended(copies.in_place_of_originals(inputs))[1]

        return run

    def _observe(self, function: Any) -> None:
        looked = function if self.on_batches is None else self.on_batches
        iterators = frozenset[int]() if self.on_batches is not None else own_iterators(function)
        try:
            self._observing = Extended(looked, self.measurement.tensors, keeps=False)
        except UnreachableError as error:
            raise UnobservableError(reasons.ELSEWHERE) from error
        self._observed_effects = self._observing.effects(iterators)
        if self._observed_effects.outside:
            raise UnobservableError(reasons.twice(sorted(self._observed_effects.outside)))


def is_compiled(function_definition: Any) -> bool:
    """Return whether XLA compiles a function, or one that it calls."""
    if "_XlaMustCompile" in function_definition.attr and function_definition.attr["_XlaMustCompile"].b:
        return True
    calls = [node for node in function_definition.node_def if node.op in ("PartitionedCall", "StatefulPartitionedCall")]
    return any(is_compiled(definition_named(name)) for node in calls for name in called(node))


def own_iterators(function: Any) -> frozenset[int]:
    """Return which inputs of a traced function are iterators that it is called with."""
    place = 0
    found: set[int] = set()
    for spec in tf.nest.flatten(function.structured_input_signature, expand_composites=False):
        count = len(tf.nest.flatten(spec, expand_composites=True)) if isinstance(spec, tf.TypeSpec) else 0
        if "Iterator" in type(spec).__name__:
            found |= set(range(place, place + count))
        place += count
    return frozenset(found)


def _function_of_batches(function: Any) -> Any:
    """Return the function of a single batch that a function of an iterator calls; None where it calls none, or two."""
    notes = notes_of(function.graph)
    found = {id(inner): inner for inner in ([] if notes is None else notes.functions) if _is_of_batches(inner)}
    inside = {id(inner) for each in found.values() for inner in (notes_of(each.graph) or Notes()).functions}
    outermost = [inner for identity, inner in found.items() if identity not in inside]
    return outermost[0] if len(outermost) == 1 else None


def _is_of_batches(function: Any) -> bool:
    notes = notes_of(function.graph)
    inputs = function.inputs[: len(function.inputs) - len(function.captured_inputs)]
    takes_tensors = inputs and not any(i.dtype in (tf.resource, tf.variant) for i in inputs)
    return bool(takes_tensors) and notes is not None and _trains(notes)


def _trains(notes: Notes) -> bool:
    return notes.trains or any(
        _trains(inner) for call in notes.living_calls for inner in [notes_of(call.function.graph)] if inner
    )


def is_training_step(function: Any) -> bool:
    """Return whether a traced function was noted to train."""
    notes = notes_of(function.graph)
    if notes is None:
        return False
    return notes.trains or any(_trains(inner) for each in notes.functions for inner in [notes_of(each.graph)] if inner)


def _batch(function: Any) -> tuple[list[Any], Any]:
    """Return the tensors that a function is called with, and their structure: None where an argument is no tensor."""
    signature = function.structured_input_signature
    specs = [spec if isinstance(spec, tf.TypeSpec) else None for spec in tf.nest.flatten(signature)]
    structure = tf.nest.pack_sequence_as(signature, specs)
    return list(function.inputs[: len(function.inputs) - len(function.captured_inputs)]), structure


def _leaves(outputs: Any) -> list[Any]:
    """Return the tensors that a function returned, those in an optional too."""
    found: list[Any] = []
    for leaf in tf.nest.flatten(outputs):
        found += _leaves(leaf.get_value()) if isinstance(leaf, tf.experimental.Optional) else [leaf]
    return [leaf for leaf in tf.nest.flatten(found, expand_composites=True) if isinstance(leaf, tf.Tensor)]
