"""Which layers of a model are recorded, which tensors are wanted for that, and what is said not to be measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gradscope.instrument.network_of import LayerFilter, Place, places, selected
from gradscope.instrument.notes import Frame
from gradscope.instrument.tensors import Tensors
from gradscope.network import NotMeasured


@dataclass(frozen=True, slots=True)
class Slot:
    """Stands where a tensor stood: its number among the wanted ones."""

    number: int


@dataclass(frozen=True, slots=True)
class SparseSlot:
    """Stands where a sparse gradient stood: the numbers of its rows and of their indices."""

    rows: int
    indices: int


@dataclass(eq=False)
class Wanted:
    """The tensors of a step whose values are wanted, each once."""

    tensors: list[Any] = field(default_factory=list[Any])
    numbers: dict[int, int] = field(default_factory=dict[int, int])

    def add(self, tensor: Any) -> int:
        """Want a tensor, and return its number."""
        if id(tensor) not in self.numbers:
            self.numbers[id(tensor)] = len(self.tensors)
            self.tensors.append(tensor)
        return self.numbers[id(tensor)]

    def add_gradient(self, gradient: Any, of: Tensors) -> Slot | SparseSlot:
        """Want a gradient, dense or sparse."""
        parts = of.rows_of(gradient)
        return Slot(self.add(gradient)) if parts is None else SparseSlot(*map(self.add, parts))


class Selection:
    """The layers of a model that are recorded.

    Args:
        model: The model that trains.
        layers: Which layers are recorded; None for all.

    Attributes:
        places: Where every layer stands.
        is_whole: Whether all are recorded.
    """

    def __init__(self, model: Any, layers: LayerFilter | None) -> None:
        self.model = model
        self.places = places(model)
        self.is_whole = layers is None
        self._by_layer = {id(place.layer): place for place in self.places}
        self._chosen = selected([place.key for place in self.places], layers)
        self._missed: dict[str, str] = {}

    def wants(self, key: str) -> bool:
        """Return whether the layer of this key is recorded; ``""`` is the model itself."""
        return self.is_whole or key in self._chosen

    def place_of(self, layer: Any) -> Place | None:
        """Return where a layer stands; None outside of the model."""
        return self._by_layer.get(id(layer))

    def place_around(self, frame: Frame) -> tuple[Place, Frame] | None:
        """Return the place of the innermost layer of the model around a call; None outside of the model."""
        current: Frame | None = frame
        while current is not None:
            if current.layer is self.model:
                return Place(None, ""), current
            place = self.place_of(current.layer)
            if place is not None:
                return place, current
            current = current.parent
        return None

    def miss(self, key: str, reason: str) -> None:
        """Say of a thing that it is not measured; the first reason holds."""
        self._missed.setdefault(key, reason)

    @property
    def not_measured(self) -> list[NotMeasured]:
        """What is not measured, and why."""
        return [NotMeasured(key, reason) for key, reason in self._missed.items()]
