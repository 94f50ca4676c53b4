"""Replay: one training step run beside the training, with taps on and nothing of it kept.

The model's own `train_step` is traced as a plain graph with every optimizer silenced; after each run, every variable
that the graph may have written is put back. The training then takes the same batch as if nothing had been.

Statistics of finite tensors take a third of the time. They are what is traced first; a batch in which something is not
finite is run again through the general ones, which are traced when they are first needed.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradscope.framework import keras
from gradscope.instrument.observation import Observation, SiteObservation
from gradscope.instrument.taps import Application, Tracer, position_mask, taps
from gradscope.instrument.tensorflow.framework import tf
from gradscope.instrument.tensorflow.graph_functions import take_graph_functions
from gradscope.instrument.tensorflow.grappler import as_written
from gradscope.instrument.tensorflow.kernels import filled, packed, reshaping_sums, stacked, unit_matrix
from gradscope.instrument.tensorflow.profiles import Profiles
from gradscope.instrument.tensorflow.sharing import shared
from gradscope.instrument.tensorflow.silence import loss_scale, silenced, variable_path
from gradscope.instrument.tensorflow.trace import TensorFlowTrace
from gradscope.instrument.tensorflow.variables import Restoration, side_effects, written_variables
from gradscope.network import Network, NotMeasured, Profile, Site, Variable
from gradscope.optimizers import learning_rate
from gradscope.sites import LayerFilter, describe, own_variables, owners, places, role, selected, unit_axes
from gradscope.statistics.activations import histogram_sample, site_sums, softmax_sums
from gradscope.statistics.finite import finite_gradient_sums, finite_site_sums
from gradscope.statistics.gradients import gradient_sums, touched_row_sums
from gradscope.sums import (
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


class CannotReplayError(Exception):
    """The step cannot be run a second time without being noticed; the message says why."""


@dataclass(frozen=True, slots=True)
class TracedSite:
    """What the trace knows of a site beside its numbers."""

    site: Site
    has_units: bool
    has_backward: bool
    has_softmax: bool


class Replay:
    """One compiled replay of a model's train step.

    Args:
        model: A compiled and built Keras model.
        element_spec: What the training's iterator yields.
        layers: Which layers are recorded.

    Raises:
        CannotReplayError: If a second run of the step would have effects that cannot be put back.
    """

    def __init__(self, model: Any, element_spec: Any, layers: LayerFilter | None) -> None:
        self._model = model
        self._spec = element_spec
        self._places = places(model)
        self._chosen = None if layers is None else selected([place.key for place in self._places], layers)
        self.trace_count = 0
        self._compile(finite=True)
        self.network: Network = describe(
            model,
            self._places,
            sites=[traced.site for traced in self._sites],
            variables=[variable for variable, _ in self._variables],
            not_measured=self._not_measured,
        )

    @property
    def trained(self) -> list[Any]:
        """The variables of the `gradients` table, in its order."""
        return [variable for _, variable in self._variables]

    def _compile(self, *, finite: bool) -> None:
        """Trace the step, with statistics of finite tensors or of any."""
        self._finite = finite
        self.trace_count += 1
        specs = [spec for spec in tf.nest.flatten(self._spec) if not _is_absent(spec)]
        self._function = tf.function(self._traced, autograph=False).get_concrete_function(
            specs, tf.TensorSpec((), tf.int32), tf.TensorSpec((), tf.bool)
        )
        effects = side_effects(self._function.graph)
        if effects:
            raise CannotReplayError(f"its step has effects that would happen twice: {', '.join(effects)}")
        self._restoration = Restoration(written_variables(self._function.graph))

    def __call__(self, batch: Any, number: int, *, histograms: bool) -> Observation:
        """Return the numbers of ``batch`` under the present weights, leaving every variable as it was.

        Args:
            batch: What the iterator yielded.
            number: Of the record; moves the sample of large tensors along.
            histograms: Whether activations for histograms are wanted.
        """
        leaves = [leaf for leaf in tf.nest.flatten(batch) if not _is_absent(leaf)]
        arrays = self._run(leaves, number, histograms)
        if self._finite and not _is_finite(arrays):
            self._compile(finite=False)
            arrays = self._run(leaves, number, histograms)
        return self._observation(arrays, histograms)

    def _run(self, leaves: list[Any], number: int, histograms: bool) -> dict[str, NDArray[Any]]:
        saved = self._restoration.save()
        try:
            with as_written():
                outputs = self._function(leaves, tf.constant(number, tf.int32), tf.constant(histograms))
            return {name: np.asarray(output) for name, output in outputs.items()}
        finally:
            self._restoration.put_back(saved)

    # Below: inside the trace.

    def _traced(self, leaves: list[Any], number: Any, histograms: Any) -> dict[str, Any]:
        # Reset here: TensorFlow traces a step once more where the first trace has made variables, such as a metric's.
        self._sites: list[TracedSite] = []
        self._variables: list[tuple[Variable, Any]] = []
        self._connected: list[bool] = []
        self._not_measured: list[NotMeasured] = []
        remaining = iter(leaves)
        flat = [None if _is_absent(spec) else next(remaining) for spec in tf.nest.flatten(self._spec)]
        batch = tf.nest.pack_sequence_as(self._spec, flat)
        with contextlib.closing(TensorFlowTrace()) as trace:
            tracer = Tracer(trace, self._chosen)
            with silenced(self._model) as seen, taps(self._model, self._places, tracer, trace):
                self._model.train_step(batch)
        take_graph_functions(trace.graph, tracer)
        samples = _sample_count(leaves[0])
        scale = loss_scale(self._model.optimizer)
        sites = self._site_outputs(tracer, samples, scale, number, histograms)
        self._not_measured += tracer.not_measured
        return {
            **sites,
            "gradients": self._gradient_output(seen.gradients),
            "step": _step_output(self._model, seen.loss, scale, samples),
        }

    def _site_outputs(self, tracer: Tracer, samples: Any, scale: Any, number: Any, histograms: Any) -> dict[str, Any]:
        profiles = Profiles()
        general, finite = shared(packed(site_sums)), shared(packed(finite_site_sums))
        reshaping, sampled = shared(packed(reshaping_sums)), shared(histogram_sample)
        rows: list[Any] = []
        unit_rows: list[Any] = []
        for_histograms: list[tuple[Any, dict[str, Any]]] = []
        for application in tracer.applications:
            z, a = _joined(application.pre), _joined(application.post)
            if not z.shape.rank:
                continue  # a function of one parameter, such as the softplus of a learnt scale
            if not a.shape.rank:
                self._not_measured.append(NotMeasured(application.key, "its function returns a single number"))
                continue
            axis = _unit_axis(application.layer, a.shape.rank)
            units = a.shape[axis] if a.shape.rank > 1 else 1
            profile = profiles.of(application, z.shape.rank, z.shape[axis] if z.shape.rank > 1 else 1)
            if profile is None:
                self._not_measured.append(
                    NotMeasured(f"{application.key} (saturation)", "its function could not be profiled")
                )
            keeps_shape = z.shape.is_compatible_with(a.shape)
            backward = _joined_backward(application)
            scales: Any = {"samples": tf.cast(samples, tf.float32), "loss_scale": tf.cast(scale, tf.float32)}
            mask = position_mask(a, application.mask)
            where: Any = {"mask": mask, "phase": number, "unit_axis": axis}
            bounds = _limits(application, profile, axis)
            if not keeps_shape:
                row, by_unit = reshaping(a, backward, **scales, **where)
            elif self._finite and mask is None:
                at: Any = {"phase": number, "unit_axis": axis}
                row, by_unit = finite(z, None if a is z else a, bounds, backward=backward, **scales, **at)
            else:
                row, by_unit = general(z, a, bounds, backward=backward, **scales, **where)
            softmax = _softmax(application, a, mask)
            rows.append(tf.concat([row, filled(SoftmaxSums, softmax)], axis=0))
            if units is not None:
                unit_rows.append(by_unit)
            for_histograms.append((a, where))
            self._sites.append(
                TracedSite(
                    self._site(application, profile, units or 0, tracer),
                    has_units=units is not None,
                    has_backward=backward is not None,
                    has_softmax=softmax is not None,
                )
            )
        return {
            "sites": tf.stack(rows) if rows else tf.zeros((0, 0)),
            "units": tf.concat(unit_rows, 0) if unit_rows else tf.zeros((0,)),
            **_histogram_outputs(sampled, for_histograms, histograms),
        }

    def _site(self, application: Application, profile: Profile | None, units: int, tracer: Tracer) -> Site:
        return Site(
            key=application.key,
            layer=application.layer_key,
            activation=application.name,
            profile=profile,
            units=units,
            is_output=any(post is output for post in application.post for output in tracer.outputs),
        )

    def _gradient_output(self, gradients: dict[str, Any]) -> Any:
        owner = owners(self._model, self._places)
        layers = {place.key: place.layer for place in self._places}
        inside = {id(variable): place for place in self._places for variable in own_variables(place.layer)}
        summed = shared(stacked(finite_gradient_sums if self._finite else gradient_sums))
        rows: list[Any] = []
        for seen in gradients.values():
            path = variable_path(seen.variable)
            layer_key = owner.get(path, "")
            if self._chosen is not None and layer_key not in self._chosen:
                continue
            place = inside.get(id(seen.variable))
            layer = place.layer if place is not None else layers.get(layer_key)
            kind = role(seen.variable, layer)
            shape = tuple(int(size) for size in seen.variable.shape)
            self._variables.append((Variable(path, layer_key, shape, kind), seen.variable))
            self._connected.append(seen.gradient is not None)
            if seen.gradient is None:
                rows.append(tf.zeros((len(GradientSums._fields),)))
            elif isinstance(seen.gradient, tf.IndexedSlices):
                values = tf.ensure_shape(seen.gradient.values, (None, *shape[1:]))
                rows.append(tf.stack(list(touched_row_sums(values, seen.gradient.indices))))
            else:
                axes = unit_axes(seen.variable, layer) if kind == "kernel" else None
                gradient = tf.ensure_shape(seen.gradient, shape)  # behind a loop the tape does not know it
                rows.append(summed(*unit_matrix(gradient, axes)))
        return tf.stack(rows) if rows else tf.zeros((0, len(GradientSums._fields)))

    # Below: on the host.

    def _observation(self, arrays: dict[str, NDArray[Any]], histograms: bool) -> Observation:
        loss, learning_rate, scale, batch_samples = (float(value) for value in arrays["step"])
        gradients: Iterator[GradientSums[Host] | None] = (
            decoded(GradientSums[Host], row) if connected else None
            for row, connected in zip(arrays["gradients"], self._connected, strict=True)
        )
        return Observation(
            sites=tuple(self._site_observations(arrays["sites"], arrays["units"])),
            gradients=tuple(gradients),
            loss=loss,
            learning_rate=learning_rate,
            loss_scale=scale,
            skips=isinstance(self._model.optimizer, keras.optimizers.LossScaleOptimizer),
            samples=int(batch_samples),
            activations=self._histogram_values(arrays["samples"], arrays["lengths"]) if histograms else {},
        )

    def _site_observations(self, rows: NDArray[np.float32], units: NDArray[np.float32]) -> Iterator[SiteObservation]:
        ends = np.cumsum([len(ActivationSums._fields), len(BackwardSums._fields)])
        start = 0
        for traced, row in zip(self._sites, rows, strict=True):
            activation, backward, softmax = np.split(row, ends)
            by_unit: UnitSums[Host] | None = None
            if traced.has_units:
                fields = len(UnitSums._fields)
                end = start + fields * traced.site.units
                by_unit = decoded(UnitSums[Host], units[start:end].reshape(fields, traced.site.units))
                start = end
            yield SiteObservation(
                activation=decoded(ActivationSums[Host], activation),
                units=by_unit,
                backward=decoded(BackwardSums[Host], backward) if traced.has_backward else None,
                softmax=decoded(SoftmaxSums[Host], softmax) if traced.has_softmax else None,
            )

    def _histogram_values(
        self, values: NDArray[np.float32], lengths: NDArray[np.int32]
    ) -> dict[str, NDArray[np.float32]]:
        parts = np.split(values, np.cumsum(lengths)[:-1]) if len(lengths) else []
        return {traced.site.key: part for traced, part in zip(self._sites, parts, strict=True)}


def _is_absent(leaf: Any) -> bool:
    """Return whether a part of a batch is missing, such as the sample weights that were not given."""
    return leaf is None or isinstance(leaf, (tf.experimental.Optional, tf.OptionalSpec, tf.NoneTensorSpec))


def _sample_count(leaf: Any) -> Any:
    return leaf.nrows() if isinstance(leaf, tf.RaggedTensor) else tf.shape(leaf)[0]


def _joined(tensors: Sequence[Any]) -> Any:
    """Return one tensor; of a layer repeated over time, all time steps along a new axis after the batch."""
    return tensors[0] if len(tensors) == 1 else tf.stack(list(tensors), axis=1)


def _joined_backward(application: Application) -> Any:
    """Return the gradient at the pre-activations; None where none comes back."""
    gradients = [application.backward.get(at) for at in range(len(application.pre))]
    return None if any(gradient is None for gradient in gradients) else _joined(gradients)


def _unit_axis(layer: Any, rank: int) -> int:
    return 1 if rank > 2 and getattr(layer, "data_format", None) == "channels_first" else -1


def _limits(application: Application, profile: Profile | None, unit_axis: int) -> Limits | None:
    """Return where the function has no slope; of a PReLU, where its present alpha is 0, unit by unit."""
    if not isinstance(application.layer, keras.layers.PReLU):
        bounds = limits(profile)
        if bounds is None:
            return None
        # Tensors, so that one traced function serves all limits, but for those that say that there is nothing to count.
        return Limits(*(tf.constant(bound, tf.float32) if math.isfinite(bound) else bound for bound in bounds))
    alpha = tf.cast(tf.convert_to_tensor(application.layer.alpha), tf.float32)
    axis = unit_axis if unit_axis < 0 else unit_axis - 1  # alpha has no batch axis
    others = [i for i in range(alpha.shape.rank) if i != axis % alpha.shape.rank]
    low = tf.where(tf.reduce_all(alpha == 0, axis=others), 0.0, -math.inf)
    return Limits(z_low=low, z_high=math.inf, zero_low=low, zero_high=math.inf)


def _softmax(application: Application, probabilities: Any, mask: Any) -> SoftmaxSums[Any] | None:
    if application.name != "softmax":
        return None
    axis = application.keywords.get("axis", getattr(application.layer, "axis", -1))
    axes = tuple(keras.tree.flatten(axis))
    return softmax_sums(
        probabilities,
        class_axis=axes,
        class_mask=application.keywords.get("mask"),
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


def _step_output(model: Any, loss: Any, scale: Any, samples: Any) -> Any:
    rate = learning_rate(model.optimizer)
    values = [math.nan if loss is None else loss, math.nan if rate is None else rate, scale, samples]
    return tf.stack([tf.cast(tf.reshape(tf.convert_to_tensor(value), ()), tf.float32) for value in values])
