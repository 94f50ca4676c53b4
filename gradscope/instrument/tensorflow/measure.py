"""What is measured of a step: sites and variables from its notes, their sums from its tensors.

A measurement is made once for a step that was noted. It says which of the step's tensors are wanted, and turns their
values into an observation, in a function of its own: the step itself computes nothing for it.

Statistics of finite tensors take a third of the time. They are what is traced first; a step in which something is not
finite goes through the general ones, which are traced when they are first needed.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradscope import reasons
from gradscope.instrument.keras_border import given_rate, is_recomputed, keras, mask_of, trained_variables, value_of
from gradscope.instrument.network_of import (
    LayerFilter,
    Place,
    clipping_of,
    describe,
    own_variables,
    places,
    role,
    selected,
    unit_axes,
)
from gradscope.instrument.notes import Application, Frame, GivenGradient, Notes
from gradscope.instrument.observation import Clipping, Observation, SiteObservation
from gradscope.instrument.optimizers import inner
from gradscope.instrument.recognition import is_attention, is_recurrent
from gradscope.instrument.tensorflow.framework import tf, values_of
from gradscope.instrument.tensorflow.graph_functions import basic_functions, graph_functions, nested_functions
from gradscope.instrument.tensorflow.grappler import as_written
from gradscope.instrument.tensorflow.kernels import filled, packed, reshaping_sums, stacked, unit_matrix
from gradscope.instrument.tensorflow.profiles import Profiles
from gradscope.instrument.tensorflow.sharing import shared
from gradscope.network import NotMeasured, Site, Variable
from gradscope.statistics.activations import histogram_sample, site_sums, softmax_sums
from gradscope.statistics.finite import SiteTensors, finite_sites_sums
from gradscope.statistics.finite_gradients import finite_gradients_sums
from gradscope.statistics.gradients import gradient_sums, touched_row_sums
from gradscope.statistics.sums import (
    ActivationSums,
    BackwardSums,
    GradientSums,
    Host,
    Limits,
    SoftmaxSums,
    UnitSums,
    decoded,
    limits,
)


@dataclass(frozen=True, slots=True)
class NotedGraph:
    """A graph, None of an eager step, and what was noted of it."""

    graph: Any
    notes: Notes


@dataclass(eq=False, slots=True)
class _Part:
    """One application of a site's function on one replica: places of its tensors among the wanted ones.

    A layer that is repeated over time has several of each, along a new axis after the batch.
    """

    z: list[int]
    a: list[int]
    backward: list[list[Any]]
    mask: int | None
    application: Application


@dataclass(eq=False, slots=True)
class _MeasuredSite:
    site: Site
    place: Place
    parts: list[_Part]
    axis: int
    bounds: Limits | None
    keeps_shape: bool
    has_units: bool
    has_softmax: bool

    @property
    def has_backward(self) -> bool:
        return all(bool(part.backward) and all(part.backward) for part in self.parts)


@dataclass(eq=False, slots=True)
class _MeasuredVariable:
    variable: Variable
    value: Any
    axes: tuple[int, ...] | None
    gradients: list[Any]
    """Of each replica: a place among the wanted tensors, two of a sparse one, or None."""
    optimizer: Any


@dataclass(eq=False)
class _Wanted:
    """The tensors of a step whose values are wanted, each once."""

    tensors: list[Any] = field(default_factory=list[Any])
    places: dict[int, int] = field(default_factory=dict[int, int])

    def add(self, tensor: Any) -> int:
        if id(tensor) not in self.places:
            self.places[id(tensor)] = len(self.tensors)
            self.tensors.append(tensor)
        return self.places[id(tensor)]

    def add_gradient(self, gradient: Any) -> Any:
        """Return the place of a gradient; of a sparse one those of its rows, their indices and its shape."""
        if gradient is None:
            return None
        if isinstance(gradient, tf.IndexedSlices):
            return [self.add(part) for part in (gradient.values, gradient.indices)]
        return self.add(gradient)


class Measurement:
    """What is measured of a noted step.

    Args:
        model: The model that trains.
        noted: The step's graphs with their notes, in the order of execution.
        batch: The tensors of the step's batch, where they are known, and their structure.
        layers: Which layers are recorded; None for all.
        not_measured: What is known not to be measured before.
    """

    def __init__(
        self,
        model: Any,
        noted: Sequence[NotedGraph],
        batch: tuple[Sequence[Any], Any] | None,
        layers: LayerFilter | None,
        not_measured: Sequence[NotMeasured] = (),
    ) -> None:
        self._model = model
        self._places = places(model)
        self._by_layer = {id(place.layer): place for place in self._places}
        self._chosen = None if layers is None else selected([place.key for place in self._places], layers)
        self._wanted = _Wanted()
        self._missed: dict[str, str] = {}
        self.trace_count = 0
        self._functions: dict[bool, Any] = {}
        self._finite = True
        self.replicas = 1 + max((frame.replica for each in noted for frame in each.notes.frames), default=0)
        self._sites = self._measured_sites(noted)
        self._variables = self._measured_variables(noted)
        self._optimizers = list({id(v.optimizer): v.optimizer for v in self._variables if v.optimizer}.values())
        self._losses = self._wanted_losses(noted)
        self._rates = {name: rate for each in noted for name, rate in each.notes.rates.items()}
        self._rate = self._wanted_rate()
        self.batch = None if batch is None else ([self._wanted.add(leaf) for leaf in batch[0]], batch[1])
        self.network = describe(
            model,
            self._places,
            sites=[each.site for each in self._sites],
            variables=[each.variable for each in self._variables],
            not_measured=[*not_measured, *self._not_measured(noted)],
        )

    @property
    def tensors(self) -> list[Any]:
        """The step's tensors whose values are wanted."""
        return self._wanted.tensors

    @property
    def trained(self) -> list[Any]:
        """The variables of the `gradients` table, in its order."""
        return [each.value for each in self._variables]

    @property
    def is_applied(self) -> bool:
        """Whether an optimizer is given gradients."""
        return bool(self._optimizers)

    @property
    def kind(self) -> Any:
        """What two measurements have in common that measure the same of two eager steps."""
        shapes = tuple((str(_relaxed(tensor, tensor)), tensor.dtype) for tensor in self.tensors)
        return shapes, tuple(each.site for each in self._sites), tuple(each.variable for each in self._variables)

    def adopt(self, other: Measurement) -> None:
        """Take over what another one of the same kind has traced."""
        self.network, self._functions, self._finite = other.network, other._functions, other._finite
        self.trace_count = other.trace_count

    def miss(self, key: str, reason: str) -> None:
        """Say of one thing more that it is not measured."""
        missed = NotMeasured(key, reason)
        if missed not in self.network.not_measured:
            self.network = dataclasses.replace(self.network, not_measured=(*self.network.not_measured, missed))

    # What is measured.

    def _place(self, frame: Frame) -> tuple[Place, Frame] | None:
        """Return the place of the innermost layer of the model around a call; None outside of the model."""
        current: Frame | None = frame
        while current is not None:
            if current.layer is self._model:
                return Place(None, ""), current
            place = self._by_layer.get(id(current.layer))
            if place is not None:
                return place, current
            current = current.parent
        return None

    def _wants(self, key: str) -> bool:
        return self._chosen is None or key in self._chosen

    def _miss(self, key: str, reason: str) -> None:
        if self._wants(key.split(" (")[0]):
            self._missed.setdefault(key, reason)

    def _applications(self, noted: Sequence[NotedGraph]) -> Iterator[Application]:
        for each in noted:
            yield from each.notes.applications
            if each.graph is not None:
                yield from graph_functions(each.graph, each.notes)

    def _measured_sites(self, noted: Sequence[NotedGraph]) -> list[_MeasuredSite]:
        outputs = {id(o) for n in noted for f in n.notes.frames if f.layer is self._model for o in f.outputs}
        profiles = Profiles()
        counts: dict[tuple[str, int], int] = {}
        repeated: dict[tuple[str, int], _Part] = {}
        found: dict[str, _MeasuredSite] = {}
        for application in self._applications(noted):
            met = self._place(application.frame)
            if met is None:
                continue
            place, frame = met
            if place.inside_loop is not None or not self._wants(place.key):
                continue
            base = _site_key(place, application)
            replica = application.frame.replica
            if place.repeated and (base, replica) in repeated:
                self._extend(repeated[base, replica], application)
                continue
            count = counts.get((base, replica), 0)
            counts[base, replica] = count + 1
            key = f"{base}:{count}" if count else base
            z, a = application.z, application.a
            if not z.shape.rank:
                continue  # a function of one parameter, such as the softplus of a learnt scale
            if not a.shape.rank:
                self._missed.setdefault(key, reasons.SINGLE_NUMBER)
                continue
            part = self._part(application, frame, repeated=place.repeated)
            if place.repeated:
                repeated[base, replica] = part
            if key in found:
                found[key].parts.append(part)
            else:
                found[key] = self._measured_site(key, place, part, profiles, is_output=id(a) in outputs)
        return list(found.values())

    def _part(self, application: Application, frame: Frame, *, repeated: bool) -> _Part:
        around = frame.parent if repeated and frame.parent is not None else frame
        own = mask_of(application.a if application.via == "output" else application.z)
        mask = _position_mask(application.a, around.mask if own is None else own, repeated=repeated)
        for name, value in application.keywords.items():
            if tf.is_tensor(value):
                application.keywords[name] = _Place(self._wanted.add(value))
        part = _Part([], [], [], None if mask is None else self._wanted.add(mask), application)
        self._extend(part, application)
        return part

    def _extend(self, part: _Part, application: Application) -> None:
        part.z.append(self._wanted.add(application.z))
        part.a.append(self._wanted.add(application.a))
        part.backward.append([self._wanted.add_gradient(gradient) for gradient in application.gradients])

    def _measured_site(
        self, key: str, place: Place, part: _Part, profiles: Profiles, *, is_output: bool
    ) -> _MeasuredSite:
        application = part.application
        z, a = application.z, application.a
        rank = a.shape.rank + (1 if place.repeated else 0)
        axis = _unit_axis(place.layer, rank)
        units = a.shape[-1 if axis < 0 else axis] if rank > 1 else 1
        width = z.shape[-1 if axis < 0 else axis] if z.shape.rank > 1 else 1
        profile = profiles.of(application, z.shape.rank, width)
        if profile is None:
            self._missed.setdefault(f"{key} (saturation)", reasons.NO_PROFILE)
        site = Site(key, place.key, application.name, profile, units or 0, is_output=is_output)
        keeps_shape = z.shape.is_compatible_with(a.shape)
        bounds = None if profile is None else limits(profile)
        has_softmax = application.name == "softmax"
        return _MeasuredSite(site, place, [part], axis, bounds, keeps_shape, units is not None, has_softmax)

    def _measured_variables(self, noted: Sequence[NotedGraph]) -> list[_MeasuredVariable]:
        owner: dict[int, tuple[Place, Any]] = {}
        for place in [*self._places, Place(self._model, "")]:
            for variable in own_variables(place.layer):
                for identity in (variable, value_of(variable), *values_of(variable)):
                    owner.setdefault(id(identity), (place, variable))
        latest: dict[int, dict[int, GivenGradient]] = {}
        for given in [
            *(g for each in noted for g in each.notes.tape_gradients),
            *(g for each in noted for g in each.notes.given),
        ]:
            _, variable = owner.get(id(given.variable), (None, given.variable))
            before = latest.get(id(variable), {}).get(given.replica)
            if given.optimizer is not None or before is None or before.optimizer is None:
                latest.setdefault(id(variable), {})[given.replica] = given
        found: list[_MeasuredVariable] = []
        for by_replica in _in_given_order(noted, latest, owner):
            given = by_replica[min(by_replica)]
            place, variable = owner.get(id(given.variable), (None, given.variable))
            key = "" if place is None else place.inside_loop or place.key
            if not self._wants(key) or not hasattr(variable, "shape") or not hasattr(variable, "assign"):
                continue
            layer = None if place is None else place.layer
            kind = role(variable, layer)
            shape = tuple(int(size) for size in variable.shape)
            axes = unit_axes(variable, layer) if kind == "kernel" else None
            optimizer = None if given.optimizer is None else _of_variable(given.optimizer, variable)
            places_of = [self._wanted.add_gradient(by_replica[number].gradient) for number in sorted(by_replica)]
            described = Variable(_path(variable), key, shape, kind)
            found.append(_MeasuredVariable(described, variable, axes, places_of, optimizer))
        return _distinct(found)

    def _wanted_losses(self, noted: Sequence[NotedGraph]) -> list[tuple[int, int | None, int | None]]:
        """Return the places of each replica's first loss, with those of its labels and weights where it has one."""
        found: dict[int, tuple[int, int | None, int | None]] = {}
        for loss in [loss for each in noted for loss in each.notes.losses]:
            if loss.replica in found or not tf.is_tensor(loss.value):
                continue
            labels, weights = (
                self._wanted.add(tensor) if isinstance(tensor, tf.Tensor) else None
                for tensor in (loss.labels, loss.weights)
            )
            found[loss.replica] = self._wanted.add(loss.value), labels, weights
        return [found[replica] for replica in sorted(found)]

    def _wanted_rate(self) -> Any:
        """Return where the learning rate stands: a place among the wanted tensors, or a variable or a schedule."""
        optimizers = [inner(optimizer) for optimizer in self._optimizers]
        own = inner(self._model.optimizer)
        for each in self._variables:
            if each.optimizer is None or (own in optimizers and inner(each.optimizer) is not own):
                continue
            rate = self._rates.get(id(each.value))
            if isinstance(rate, tf.Tensor):
                return _Place(self._wanted.add(rate))
            return given_rate(inner(each.optimizer))
        return None

    def _not_measured(self, noted: Sequence[NotedGraph]) -> list[NotMeasured]:
        taken = {each.site.layer for each in self._sites}
        for each in noted:
            for frame in each.notes.frames:
                self._note_closed(frame)
            elsewhere = [frame.layer for frame in each.notes.elsewhere]
            if each.graph is not None:
                elsewhere += nested_functions(each.graph, each.notes)
                for layer, name in basic_functions(each.graph, each.notes):
                    place = self._by_layer.get(id(layer))
                    if place is not None:
                        self._miss(f"{place.key} ({name})", reasons.MAYBE_MISSING)
            for layer in elsewhere:
                place = self._by_layer.get(id(layer))
                if place is not None and place.inside_loop is None and place.key not in taken:
                    self._miss(place.key, reasons.ELSEWHERE)
        unseen = {v.variable.layer for v in self._variables if any(given is not None for given in v.gradients)}
        unseen -= {each.site.layer for each in self._sites if each.has_backward}
        for each in self._sites:
            if is_recomputed(each.place.layer) and not each.has_backward:
                self._miss(f"{each.site.key} (backward)", reasons.RECOMPUTED)
            elif each.site.layer in unseen:
                self._miss(f"{each.site.key} (backward)", reasons.NO_BACKWARD)
        for name in sorted({name for each in noted for name in each.notes.outside}):
            self._missed.setdefault(name, reasons.OUTSIDE)
        for place in self._places:
            if getattr(place.layer, "quantization_mode", None) is not None:
                self._miss(f"{place.key} (kernel)", reasons.QUANTISED)
        if self._model.trainable_weights and not self._variables and self._chosen is None:
            self._missed.setdefault(f"{self._model.name} (gradients)", reasons.NO_GRADIENT)
        return [NotMeasured(key, reason) for key, reason in self._missed.items()]

    def _note_closed(self, frame: Frame) -> None:
        """Note what runs inside a recurrent or an attention layer, where no observer stands."""
        place = self._by_layer.get(id(frame.layer))
        if place is None or place.inside_loop is not None:
            return
        if is_recurrent(frame.layer):
            has_gates = hasattr(frame.layer.cell, "recurrent_activation")
            self._miss(
                *((f"{place.key} (gates)", reasons.GATES) if has_gates else (f"{place.key} (cell)", reasons.CELL))
            )
        elif is_attention(frame.layer):
            self._miss(f"{place.key} (softmax)", reasons.ATTENTION)

    # Before and after the step, on the host.

    def settings(self) -> Settings:
        """Return what is to be known of the step before it runs: it changes with it."""
        scales = [_loss_scale(optimizer) for optimizer in self._optimizers]
        alphas = [
            tf.convert_to_tensor(each.place.layer.alpha)
            for each in self._sites
            if isinstance(each.place.layer, keras.layers.PReLU)
        ]
        rate = math.nan if isinstance(self._rate, _Place) else _number(self._rate, self._optimizers)
        return Settings(scales or [1.0], alphas, rate)

    def observation(self, values: Sequence[Any], settings: Settings, number: int, *, histograms: bool) -> Observation:
        """Return the numbers of a step.

        Args:
            values: Of `tensors`.
            settings: From before the step.
            number: Of the record; moves the sample of large tensors along.
            histograms: Whether activations for histograms are wanted.
        """
        arrays = self._run(values, settings, number, histograms)
        if self._finite and not _is_finite(arrays):
            self._finite = False
            arrays = self._run(values, settings, number, histograms)
        return self._decoded(arrays, settings, histograms)

    def labels(self, values: Sequence[Any]) -> tuple[Any, Any] | None:
        """Return labels and weights from which the step's loss was computed; None where it is not one loss of one."""
        if len(self._losses) != 1:
            return None
        _, labels, weights = self._losses[0]
        if labels is None:
            return None
        return values[labels], None if weights is None else values[weights]

    def gradients(self, values: Sequence[Any]) -> dict[int, NDArray[np.float32]]:
        """Return the gradients by identity of their variable, of one replica; without those that have none."""
        found: dict[int, NDArray[np.float32]] = {}
        for each in self._variables:
            place = each.gradients[0]
            if place is not None:
                scale = 1.0 if each.optimizer is None else _loss_scale(each.optimizer)
                dense = _dense(place, values, each.variable.shape)
                found[id(each.value)] = np.asarray(tf.cast(dense, tf.float32) / scale, np.float32)
        return found

    def batch_of(self, values: Sequence[Any]) -> list[Any] | None:
        """Return the tensors of the step's batch; None where they are not known."""
        return None if self.batch is None else [values[place] for place in self.batch[0]]

    def _run(self, values: Sequence[Any], settings: Settings, number: int, histograms: bool) -> dict[str, NDArray[Any]]:
        function = self._functions.get(self._finite)
        if function is None:
            self.trace_count += 1
            specs = [
                tf.TensorSpec(_relaxed(value, tensor), tensor.dtype)
                for value, tensor in zip(values, self.tensors, strict=True)
            ]
            traced = tf.function(self._statistics, autograph=False)
            function = traced.get_concrete_function(
                specs,
                tf.TensorSpec((len(settings.scales),), tf.float32),
                [tf.TensorSpec(alpha.shape, alpha.dtype) for alpha in settings.alphas],
                tf.TensorSpec((), tf.int32),
                tf.TensorSpec((), tf.bool),
            )
            self._functions[self._finite] = function
        with as_written():
            outputs = function(
                list(values),
                tf.constant(settings.scales, tf.float32),
                settings.alphas,
                tf.constant(number, tf.int32),
                tf.constant(histograms),
            )
        return {name: np.asarray(output) for name, output in outputs.items()}

    # Inside the trace of the statistics.

    def _statistics(
        self, values: list[Any], scales: Any, alphas: list[Any], number: Any, histograms: Any
    ) -> dict[str, Any]:
        samples = self._sample_counts(values)
        remaining = iter(alphas)
        rows: list[Any] = []
        unit_rows: list[Any] = []
        for_histograms: list[tuple[Any, dict[str, Any]]] = []
        finite: dict[int, tuple[SiteTensors, Any]] = {}
        for each in self._sites:
            bounds = each.bounds
            if isinstance(each.place.layer, keras.layers.PReLU):
                bounds = _limits_of_alpha(next(remaining), each.axis)
            for replica, part in enumerate(each.parts):
                z, a = _joined(part.z, values), _joined(part.a, values)
                backward = _joined_backward(part, values) if each.has_backward else None
                mask = None if part.mask is None else values[part.mask]
                factor = tf.cast(samples[min(replica, len(samples) - 1)], tf.float32) * len(each.parts)
                softmax = _softmax(part.application, a, mask, values) if each.has_softmax else None
                row, by_unit = None, None
                if self._finite and mask is None and each.keeps_shape and each.has_units:
                    tensors = SiteTensors(z, None if a is z else a, bounds, backward, each.axis)
                    finite[len(rows)] = tensors, factor
                else:
                    row, by_unit = _KERNELS.of_site(
                        z, a, bounds, backward, mask, each, samples=factor, loss_scale=scales[0], phase=number
                    )
                rows.append((row, filled(SoftmaxSums, softmax)))
                unit_rows.append(by_unit if each.has_units else None)
                for_histograms.append((a, {"mask": mask, "phase": number, "unit_axis": each.axis}))
        for index, (row, by_unit) in _side_by_side(finite, scales[0], number):
            rows[index], unit_rows[index] = (row, rows[index][1]), by_unit
        joined = [tf.concat([row, softmax], axis=0) for row, softmax in rows]
        units = [by_unit for by_unit in unit_rows if by_unit is not None]
        losses = [tf.cast(tf.reshape(values[loss], ()), tf.float32) for loss, _, _ in self._losses]
        rate = (
            tf.cast(tf.reshape(values[self._rate.number], ()), tf.float32)
            if isinstance(self._rate, _Place)
            else math.nan
        )
        loss = tf.add_n(losses) if losses else tf.constant(math.nan)
        return {
            "sites": tf.stack(joined) if joined else tf.zeros((0, 0)),
            "units": tf.concat(units, 0) if units else tf.zeros((0,)),
            **_histogram_outputs(_HISTOGRAM_SAMPLE, for_histograms, histograms),
            "gradients": self._gradient_sums(values, scales),
            "step": tf.stack([loss, rate, tf.cast(tf.add_n(samples), tf.float32)]),
        }

    def _sample_counts(self, values: Sequence[Any]) -> list[Any]:
        """Return how many samples each replica's batch holds."""
        if self.batch is not None and self.batch[0]:
            places_of, structure = self.batch
            remaining = iter(places_of)
            flat = [
                None if spec is None else values[next(remaining)]
                for spec in tf.nest.flatten(structure, expand_composites=True)
            ]
            leaves = tf.nest.flatten(tf.nest.pack_sequence_as(structure, flat, expand_composites=True))
            for leaf in leaves:
                of_replicas: Any = getattr(leaf, "values", None)
                parts: list[Any] = [*of_replicas] if isinstance(of_replicas, tuple) else [leaf]
                if all(part is not None and part.shape.rank != 0 for part in parts):
                    return [_sample_count(part) for part in parts]
        tensors = [values[place] for _, place, _ in self._losses if place is not None]
        tensors = tensors or [values[part.a[0]] for each in self._sites[:1] for part in each.parts]
        return [tf.shape(tensor)[0] for tensor in tensors if tensor.shape.rank] or [tf.constant(0)]

    def _gradient_sums(self, values: Sequence[Any], scales: Any) -> Any:
        order = {id(optimizer): at for at, optimizer in enumerate(self._optimizers)}
        rows: list[Any] = []
        finite: dict[int, tuple[Any, tuple[int, ...] | None]] = {}
        for each in self._variables:
            parts = [place for place in each.gradients if place is not None]
            scale = scales[order[id(each.optimizer)]] if _scales_losses(each.optimizer) else None
            shape = each.variable.shape
            if not parts:
                rows.append(tf.zeros((len(GradientSums._fields),)))
            elif all(isinstance(part, list) for part in parts):
                rows_of = tf.concat([tf.ensure_shape(values[part[0]], (None, *shape[1:])) for part in parts], 0)
                indices = tf.concat([values[part[1]] for part in parts], 0)
                rows.append(tf.stack(list(touched_row_sums(_unscaled(rows_of, scale), indices))))
            else:
                dense = [_unscaled(_dense(part, values, shape), scale) for part in parts]
                gradient = dense[0] if len(dense) == 1 else tf.add_n(dense)
                gradient = tf.ensure_shape(gradient, shape)  # behind a loop the tape does not know it
                finite[len(rows)] = gradient, each.axes
                rows.append(None if self._finite else _KERNELS.of_gradient(*unit_matrix(gradient, each.axes)))
        if self._finite and finite:
            together = finite_gradients_sums(*zip(*finite.values(), strict=True))
            for index, row in zip(finite, tf.unstack(tf.stack(list(together), axis=1), len(finite)), strict=True):
                rows[index] = row
        return tf.stack(rows) if rows else tf.zeros((0, len(GradientSums._fields)))

    # On the host again.

    def _decoded(self, arrays: dict[str, NDArray[Any]], settings: Settings, histograms: bool) -> Observation:
        loss, rate, samples = (float(value) for value in arrays["step"])
        return Observation(
            sites=tuple(self._site_observations(arrays["sites"], arrays["units"])),
            gradients=tuple(
                decoded(GradientSums[Host], row) if any(part is not None for part in each.gradients) else None
                for row, each in zip(arrays["gradients"], self._variables, strict=True)
            ),
            loss=loss,
            learning_rate=settings.learning_rate if math.isnan(rate) else rate,
            loss_scale=settings.scales[0],
            skips=any(isinstance(each, keras.optimizers.LossScaleOptimizer) for each in self._optimizers),
            samples=int(samples),
            activations=self._histogram_values(arrays["samples"], arrays["lengths"]) if histograms else {},
            clipping=tuple(self._clipping()),
        )

    def _clipping(self) -> Iterator[Clipping]:
        for optimizer in self._optimizers:
            own = inner(optimizer)
            found = clipping_of(own)
            if found:
                of = tuple(at for at, each in enumerate(self._variables) if each.optimizer is optimizer)
                accumulates = int(getattr(own, "gradient_accumulation_steps", None) or 1) > 1
                yield Clipping(found, of, accumulates)

    def _site_observations(self, rows: NDArray[np.float32], units: NDArray[np.float32]) -> Iterator[SiteObservation]:
        ends = np.cumsum([len(ActivationSums._fields), len(BackwardSums._fields)])
        start = 0
        remaining = iter(rows)
        for each in self._sites:
            merged: SiteObservation | None = None
            for _ in each.parts:
                activation, backward, softmax = np.split(next(remaining), ends)
                by_unit: UnitSums[Host] | None = None
                if each.has_units:
                    fields = len(UnitSums._fields)
                    end = start + fields * each.site.units
                    by_unit = decoded(UnitSums[Host], units[start:end].reshape(fields, each.site.units))
                    start = end
                seen = SiteObservation(
                    activation=decoded(ActivationSums[Host], activation),
                    units=by_unit,
                    backward=decoded(BackwardSums[Host], backward) if each.has_backward else None,
                    softmax=decoded(SoftmaxSums[Host], softmax) if each.has_softmax else None,
                )
                merged = seen if merged is None else merged.merged(seen)
            assert merged is not None
            yield merged

    def _histogram_values(
        self, values: NDArray[np.float32], lengths: NDArray[np.int32]
    ) -> dict[str, NDArray[np.float32]]:
        parts = iter(np.split(values, np.cumsum(lengths)[:-1]) if len(lengths) else [])
        return {each.site.key: np.concatenate([next(parts) for _ in each.parts]) for each in self._sites}


@dataclass(frozen=True, slots=True)
class Settings:
    """What is known of a step before it runs: factors on the losses, PReLU's slopes, the learning rate."""

    scales: list[float]
    alphas: list[Any]
    learning_rate: float


@dataclass(frozen=True, slots=True)
class _Place:
    """Stands where a tensor stood: its number among the wanted ones."""

    number: int


class _Kernels:
    """The general kernels, each shared among all tensors of one rank: in one process they are traced once.

    They know nothing of a model.
    """

    def __init__(self) -> None:
        self._general, self._reshaping = shared(packed(site_sums)), shared(packed(reshaping_sums))
        self.of_gradient = shared(stacked(gradient_sums))

    def of_site(
        self, z: Any, a: Any, bounds: Any, backward: Any, mask: Any, each: _MeasuredSite, **settings: Any
    ) -> tuple[Any, Any]:
        """Return the sums of a site as one tensor, and those by unit as another."""
        axis = each.axis
        if not each.keeps_shape:
            return self._reshaping(a, backward, mask=mask, unit_axis=axis, **settings)
        if bounds is not None:
            # Tensors, so that one traced function serves all limits, but for those that say that there is nothing.
            bounds = Limits(
                *(
                    tf.constant(bound, tf.float32) if isinstance(bound, float) and math.isfinite(bound) else bound
                    for bound in bounds
                )
            )
        return self._general(z, a, bounds, backward=backward, mask=mask, unit_axis=axis, **settings)


_KERNELS = _Kernels()
_HISTOGRAM_SAMPLE = shared(histogram_sample)


def _side_by_side(
    sites: dict[int, tuple[SiteTensors, Any]], loss_scale: Any, number: Any
) -> Iterator[tuple[int, tuple[Any, Any]]]:
    """Yield the sums of each site as one tensor, and those by unit as another, by its place."""
    if not sites:
        return
    tensors, factors = zip(*sites.values(), strict=True)
    sums = finite_sites_sums(tensors, samples=tf.stack(factors), loss_scale=loss_scale, phase=number)
    rows = tf.unstack(tf.stack([*sums.activation, *sums.backward], axis=1), len(sites))
    by_unit = tf.stack(list(sums.units))
    if len(sites) > 1:
        by_unit = tf.split(by_unit, [1 if z.shape.rank == 1 else z.shape[axis] for z, *_, axis in tensors], axis=1)
    else:
        by_unit = [by_unit]
    for index, row, of_units in zip(sites, rows, by_unit, strict=True):
        yield index, (row, tf.reshape(of_units, [-1]))


def _of_variable(optimizer: Any, variable: Any) -> Any:
    """Return the optimizer that updates the variable: of several in one, its own."""
    parts: Any = getattr(optimizer, "optimizers", None)
    several: list[Any] = [*parts] if isinstance(parts, list) else []
    for part in several:
        if any(variable is each for each in trained_variables(part)):
            return part
    return optimizer


def _in_given_order(
    noted: Sequence[NotedGraph], latest: dict[int, dict[int, GivenGradient]], owner: dict[int, Any]
) -> Iterator[dict[int, GivenGradient]]:
    """Yield the latest gradients of each variable: in the order of optimizers, then of tapes."""
    seen: set[int] = set()
    for given in [
        *(g for each in noted for g in each.notes.given),
        *(g for each in noted for g in each.notes.tape_gradients),
    ]:
        _, variable = owner.get(id(given.variable), (None, given.variable))
        if id(variable) not in seen:
            seen.add(id(variable))
            yield latest[id(variable)]


def _distinct(found: list[_MeasuredVariable]) -> list[_MeasuredVariable]:
    """Give variables of one path, such as those of two towers with equal names, the path of their layer's key."""
    paths = [each.variable.path for each in found]
    for each in found:
        described = each.variable
        if paths.count(described.path) > 1 and described.layer:
            path = f"{described.layer}/{described.path.rsplit('/', 1)[-1]}"
            each.variable = Variable(path, described.layer, described.shape, described.role)
    return found


def _path(variable: Any) -> str:
    """Return a Keras variable's path, or the name of a TensorFlow variable that a custom step trains."""
    return str(getattr(variable, "path", None) or variable.name)


def _site_key(place: Place, application: Application) -> str:
    """Return the key of a site before repetitions are numbered."""
    if application.via in ("layer", "output") or application.attribute == "activation":
        return place.key
    if place.layer is None:
        return application.name
    if application.via == "function" and not isinstance(place.layer, keras.layers.Layer):
        return place.key  # an operation of a functional graph is its function
    return f"{place.key}/{application.name}"


def _unit_axis(layer: Any, rank: int) -> int:
    return 1 if rank > 2 and getattr(layer, "data_format", None) == "channels_first" else -1


def _position_mask(tensor: Any, mask: Any, *, repeated: bool) -> Any:
    """Return Keras' mask where it speaks of the tensor's leading axes, else None."""
    rank = tensor.shape.rank + (1 if repeated else 0)
    if mask is None or isinstance(mask, (list, tuple)) or len(mask.shape) >= max(rank, 2):
        return None
    shape = [tensor.shape[0], None, *tensor.shape[1:]] if repeated else tensor.shape
    pairs = zip(mask.shape, shape, strict=False)
    return mask if all(m is None or t is None or m == t for m, t in pairs) else None


def _relaxed(value: Any, tensor: Any) -> Any:
    """Return a shape that fits every step: of an eager tensor the batch may change."""
    shape = tensor.shape
    return shape if not hasattr(tensor, "numpy") or not shape.rank else tf.TensorShape([None, *shape[1:]])


def _joined(numbers: Sequence[int], values: Sequence[Any]) -> Any:
    """Return one tensor; of a layer repeated over time, all time steps along a new axis after the batch."""
    return values[numbers[0]] if len(numbers) == 1 else tf.stack([values[number] for number in numbers], axis=1)


def _joined_backward(part: _Part, values: Sequence[Any]) -> Any:
    """Return the gradient at the pre-activations, those of several losses added up."""
    gradients: list[Any] = []
    for z, places_of in zip(part.z, part.backward, strict=True):
        dense = [_dense(place, values, values[z].shape, like=values[z]) for place in places_of]
        gradients.append(dense[0] if len(dense) == 1 else tf.add_n(dense))
    return gradients[0] if len(gradients) == 1 else tf.stack(gradients, axis=1)


def _dense(place: Any, values: Sequence[Any], shape: Any, *, like: Any = None) -> Any:
    if not isinstance(place, list):
        return values[place]
    sizes = tf.shape(like) if like is not None else tf.constant(shape)
    return tf.convert_to_tensor(tf.IndexedSlices(values[place[0]], values[place[1]], sizes))


def _limits_of_alpha(alpha: Any, unit_axis: int) -> Limits:
    """Return where a PReLU has no slope: where its present alpha is 0, unit by unit."""
    alpha = tf.cast(alpha, tf.float32)
    axis = unit_axis if unit_axis < 0 else unit_axis - 1  # alpha has no batch axis
    others = [i for i in range(alpha.shape.rank) if i != axis % alpha.shape.rank]
    low = tf.where(tf.reduce_all(alpha == 0, axis=others), 0.0, tf.constant(-math.inf, tf.float32))
    return Limits(z_low=low, z_high=math.inf, zero_low=low, zero_high=math.inf)


def _softmax(application: Application, probabilities: Any, mask: Any, values: Sequence[Any]) -> SoftmaxSums[Any]:
    axis = application.keywords.get("axis", getattr(application.frame.layer, "axis", -1))
    class_mask = application.keywords.get("mask")
    return softmax_sums(
        probabilities,
        class_axis=tuple(keras.tree.flatten(axis)),
        class_mask=values[class_mask.number] if isinstance(class_mask, _Place) else class_mask,
        mask=mask,
    )


def _histogram_outputs(sampled: Any, tensors: list[tuple[Any, dict[str, Any]]], wanted: Any) -> dict[str, Any]:
    """Return activations of all sites in a row, and how many are whose; nothing where they are not ``wanted``."""

    def taken() -> tuple[Any, Any]:
        values = [sampled(tensor, **where) for tensor, where in tensors]
        return tf.concat(values, 0), tf.stack([tf.size(value) for value in values])

    def nothing() -> tuple[Any, Any]:
        return tf.zeros((0,)), tf.zeros((len(tensors),), tf.int32)

    samples, lengths = tf.cond(wanted, taken, nothing) if tensors else nothing()
    return {"samples": samples, "lengths": lengths}


def _is_finite(arrays: dict[str, NDArray[Any]]) -> bool:
    """Return whether the statistics of finite tensors met nothing else."""
    counts = [arrays["gradients"][:, GradientSums._fields.index("nonfinite_count")]]
    if arrays["sites"].size:
        forward = ActivationSums._fields.index("nonfinite_count")
        backward = len(ActivationSums._fields) + BackwardSums._fields.index("nonfinite_count")
        counts.append(arrays["sites"][:, (forward, backward)].ravel())
    return not np.isnan(np.concatenate(counts)).any()


def _sample_count(leaf: Any) -> Any:
    if isinstance(leaf, tf.RaggedTensor):
        return tf.cast(leaf.nrows(), tf.int32)
    return tf.cast(leaf.dense_shape[0], tf.int32) if isinstance(leaf, tf.SparseTensor) else tf.shape(leaf)[0]


def _unscaled(gradient: Any, scale: Any) -> Any:
    """Return a gradient over the loss scale, in float32: what underflows in half precision is seen as it arrived."""
    gradient = tf.cast(gradient, tf.float32)
    return gradient if scale is None else gradient / scale


def _scales_losses(optimizer: Any) -> bool:
    """Return whether the optimizer may scale the loss: most do not, and a division is a pass over each gradient."""
    return isinstance(optimizer, keras.optimizers.LossScaleOptimizer) or bool(
        getattr(optimizer, "loss_scale_factor", None)
    )


def _loss_scale(optimizer: Any) -> float:
    """Return the factor by which an optimizer scales the loss."""
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        scale = optimizer.dynamic_scale if optimizer.built else optimizer.initial_scale
        return float(np.asarray(scale))
    return float(getattr(optimizer, "loss_scale_factor", None) or 1.0)


def _number(rate: Any, optimizers: Sequence[Any]) -> float:
    """Return a learning rate that is known without running anything of the user's."""
    if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule) and type(rate).__module__.startswith("keras."):
        return next(
            (float(rate(inner(o).iterations)) for o in optimizers if given_rate(inner(o)) is rate),
            math.nan,
        )
    if isinstance(rate, (keras.Variable, int, float)):
        return float(np.asarray(values_of(rate)[0]) if isinstance(rate, keras.Variable) else rate)
    return math.nan
