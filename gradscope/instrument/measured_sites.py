"""Which sites of a step are measured, what of each, and from which of the step's tensors."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from gradscope import reasons
from gradscope.activations.known import NOT_ELEMENTWISE, known_profile
from gradscope.instrument.keras_border import keras, mask_of
from gradscope.instrument.network_of import Place
from gradscope.instrument.notes import Application, Frame, NotedTrace
from gradscope.instrument.selection import Selection, Slot, SparseSlot, Wanted
from gradscope.instrument.tensors import Tensors
from gradscope.network import Profile, Site
from gradscope.statistics.backend import ops
from gradscope.statistics.sums import Limits, limits


@dataclass(eq=False, slots=True)
class Part:
    """One application of a site's function on one replica: numbers of its tensors among the wanted ones.

    A layer that is repeated over time has several of each, along a new axis after the batch.
    """

    z: list[int]
    a: list[int]
    backward: list[list[Slot | SparseSlot]]
    mask: int | None
    application: Application


@dataclass(eq=False, slots=True)
class MeasuredSite:
    """A site and what is measured of it.

    Attributes:
        site: The site.
        place: Its layer.
        parts: Its applications.
        axis: The axis of its units, which one replica's tensors and another's have in common.
        bounds: Where its function has no slope; None without a profile, and of a PReLU at its first step.
        keeps_shape: Whether pre-activations and activations are of one shape.
        has_units: Whether the number of its units is always the same.
        has_softmax: Whether its activations are probabilities.
    """

    site: Site
    place: Place
    parts: list[Part]
    axis: int
    bounds: Limits | None
    keeps_shape: bool
    has_units: bool
    has_softmax: bool

    @property
    def has_backward(self) -> bool:
        """Whether a gradient comes back to every application."""
        return all(bool(part.backward) and all(part.backward) for part in self.parts)

    @property
    def is_plain(self) -> bool:
        """Whether it can be summed side by side with others, as long as everything is finite."""
        return self.keeps_shape and self.has_units and all(part.mask is None for part in self.parts)

    @property
    def alpha(self) -> Any:
        """The slopes that a PReLU learns; None of any other function."""
        layer = self.place.layer
        return layer.alpha if isinstance(layer, keras.layers.PReLU) else None


def measured_sites(
    traces: Sequence[NotedTrace], selection: Selection, wanted: Wanted, tensors: Tensors
) -> list[MeasuredSite]:
    """Return the sites that are measured, in the order of their first application; their tensors are wanted."""
    applying = _Applications(selection, wanted, tensors)
    outputs = {id(o) for t in traces for f in t.notes.frames if f.layer is selection.model for o in f.outputs}
    for trace in traces:
        for application in trace.applications:
            met = selection.place_around(application.frame)
            if met is not None and met[0].inside_loop is None and selection.wants(met[0].key):
                applying.add(application, *met, is_output=id(application.a) in outputs)
    return list(applying.found.values())


class _Applications:
    """Joins applications into sites: those on several replicas, and those of a layer repeated over time."""

    def __init__(self, selection: Selection, wanted: Wanted, tensors: Tensors) -> None:
        self._selection, self._wanted, self._tensors = selection, wanted, tensors
        self._profiles: dict[Hashable, Profile | None] = {}
        self._counts: dict[tuple[str, int], int] = {}
        self._repeated: dict[tuple[str, int], Part] = {}
        self.found: dict[str, MeasuredSite] = {}

    def add(self, application: Application, place: Place, frame: Frame, *, is_output: bool) -> None:
        on_replica = _site_key(place, application), application.frame.replica
        if place.repeated and on_replica in self._repeated:
            self._extend(self._repeated[on_replica], application)
            return
        count = self._counts.get(on_replica, 0)
        self._counts[on_replica] = count + 1
        key = f"{on_replica[0]}:{count}" if count else on_replica[0]
        z, a = (self._tensors.shape(tensor) for tensor in (application.z, application.a))
        if not z:
            return  # a function of one parameter, such as the softplus of a learnt scale
        if not a:
            self._selection.miss(key, reasons.SINGLE_NUMBER)
            return
        part = self._part(application, frame, repeated=place.repeated)
        if place.repeated:
            self._repeated[on_replica] = part
        if key in self.found:
            self.found[key].parts.append(part)
        else:
            self.found[key] = self._site(key, place, part, z, a, is_output=is_output)

    def _part(self, application: Application, frame: Frame, *, repeated: bool) -> Part:
        around = frame.parent if repeated and frame.parent is not None else frame
        own = mask_of(application.a if application.via == "output" else application.z)
        mask = _position_mask(application.a, around.mask if own is None else own, self._tensors, repeated=repeated)
        for name, value in application.keywords.items():
            if ops.is_tensor(value):
                application.keywords[name] = Slot(self._wanted.add(value))
        part = Part([], [], [], None if mask is None else self._wanted.add(mask), application)
        self._extend(part, application)
        return part

    def _extend(self, part: Part, application: Application) -> None:
        part.z.append(self._wanted.add(application.z))
        part.a.append(self._wanted.add(application.a))
        part.backward.append([self._wanted.add_gradient(each, self._tensors) for each in application.gradients])

    def _site(
        self, key: str, place: Place, part: Part, z: tuple[Any, ...], a: tuple[Any, ...], *, is_output: bool
    ) -> MeasuredSite:
        application = part.application
        rank = len(a) + (1 if place.repeated else 0)
        axis = 1 if rank > 2 and getattr(place.layer, "data_format", None) == "channels_first" else -1
        units = a[axis] if rank > 1 else 1
        profile = self._profile(application, len(z), z[axis] if len(z) > 1 else 1)
        if profile is None:
            self._selection.miss(f"{key} (saturation)", reasons.NO_PROFILE)
        return MeasuredSite(
            Site(key, place.key, application.name, profile, units or 0, is_output=is_output),
            place,
            [part],
            axis,
            None if profile is None else limits(profile),
            keeps_shape=len(z) == len(a) and all(map(_may_be_equal, z, a)),
            has_units=units is not None,
            has_softmax=application.name == "softmax",
        )

    def _profile(self, application: Application, rank: int, units: int | None) -> Profile | None:
        """Return the profile of an application's function, each once; None where it cannot be evaluated on its own."""
        key = (application.name, application.identity)
        if key not in self._profiles:
            self._profiles[key] = _profile(application, rank, units or 1, self._tensors)
        return self._profiles[key]


def _profile(application: Application, rank: int, units: int, tensors: Tensors) -> Profile | None:
    if application.published is not None:
        known = known_profile(application.published, **application.keywords)
        if known is not None:
            return known
    if application.name in NOT_ELEMENTWISE:
        return Profile(elementwise=False)  # with a mask of this graph's, it could not be probed
    try:
        return tensors.profile(application.function, rank, units)
    except Exception:  # a user's function may raise anything on input that it was not made for
        return None


def _site_key(place: Place, application: Application) -> str:
    """Return the key of a site before repetitions are numbered."""
    if application.via in ("layer", "output") or application.attribute == "activation":
        return place.key
    if place.layer is None:
        return application.name
    if application.via == "function" and not isinstance(place.layer, keras.layers.Layer):
        return place.key  # an operation of a functional graph is its function
    return f"{place.key}/{application.name}"


def _position_mask(tensor: Any, mask: Any, tensors: Tensors, *, repeated: bool) -> Any:
    """Return Keras' mask where it speaks of the tensor's leading axes, else None."""
    sizes = tensors.shape(mask) if hasattr(mask, "shape") else None
    shape = [*(tensors.shape(tensor) or ())]
    shape[1:1] = [None] * repeated
    if sizes is None or len(sizes) >= max(len(shape), 2) or not all(map(_may_be_equal, sizes, shape)):
        return None
    return mask


def _may_be_equal(one: int | None, other: int | None) -> bool:
    """Return whether two sizes may be the same, as far as they are known."""
    return one is None or other is None or one == other
