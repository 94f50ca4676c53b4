"""What measuring asks of a backend's tensors beyond `keras.ops`."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

from gradscope.network import Profile

Arrays = Mapping[str, NDArray[Any]]


class Tensors(Protocol):
    """What a backend tells of tensors, of those of a trace and of those that hold numbers."""

    def shape(self, tensor: Any) -> tuple[int | None, ...] | None:
        """Return the sizes, None for each that changes from step to step; None where not even the rank is known."""
        ...

    def kind(self, tensor: Any) -> Hashable:
        """Return what of shape and dtype is the same at every step."""
        ...

    def is_dense(self, value: Any) -> bool:
        """Return whether ``value`` is a plain tensor: neither sparse, nor ragged, nor a variable."""
        ...

    def rows_of(self, gradient: Any) -> tuple[Any, Any] | None:
        """Return the rows of a sparse gradient and the index of each; None of a dense one."""
        ...

    def dense(self, rows: Any, indices: Any, shape: Sequence[Any]) -> Any:
        """Return a sparse gradient as a tensor of ``shape``, rows of one index added up."""
        ...

    def shaped(self, tensor: Any, shape: Sequence[int | None]) -> Any:
        """Return a tensor of which it is known from elsewhere that it has this shape."""
        ...

    def held(self, variable: Any) -> Sequence[Any]:
        """Return the backend's own variables behind one of Keras': several where it is mirrored over devices."""
        ...

    def value(self, variable: Any) -> Any:
        """Return what a variable holds now, as a tensor that keeps it."""
        ...

    def profile(self, function: Callable[[Any], Any], rank: int, units: int) -> Profile:
        """Return the profile of a function that is applied to tensors of this rank, by trying it out.

        Raises:
            Exception: Any, where it cannot be evaluated by itself.
        """
        ...

    def sample_counts(self, leaves: Sequence[Any], structure: Any) -> list[Any]:
        """Return how many samples each replica's batch holds, as scalars; none where the batch does not tell."""
        ...

    def shared(self, kernel: Callable[..., Any], *, of_any_size: bool = False) -> Callable[..., Any]:
        """Return a kernel that is traced once for all tensors of one rank, or of all sizes that a trace may have."""
        ...

    def compiled(self, function: Callable[..., Any], tensors: Sequence[Any], *examples: Any) -> Callable[..., Arrays]:
        """Return a function that runs another, traced once, and brings what it returns to the host in one go.

        Args:
            function: Takes what ``examples`` are like, numbers as tensors, and returns tensors by name.
            tensors: Of the step, in the order of their values; these may be of other batch sizes.
            examples: The values as a list; numbers, lists of floats or of tensors, and bools.
        """
        ...
