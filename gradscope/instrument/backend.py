"""What recording and inspecting ask of a backend: all that is said to one, and all that it answers with.

A backend is a folder beside this file, called as `keras.backend.backend()` calls it, whose module `adapter` is a
`Backend`. It is imported when it is first asked for, and nothing outside of its folder names it. The suite in
``tests/instrument/test_backend_contract.py`` holds it to what is promised here.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast  # models, batches and variables are Any: Keras and its backends ship no types

import numpy as np
from numpy.typing import NDArray

from gradscope.errors import ModelError
from gradscope.instrument.keras_border import keras
from gradscope.instrument.network_of import LayerFilter
from gradscope.instrument.observation import Observation
from gradscope.network import Network
from gradscope.records import MovingStatistics, NonFiniteOrigin


@dataclass(frozen=True, slots=True)
class Recorded:
    """What one recorded step gave.

    Attributes:
        observation: Its numbers.
        network: What the numbers are of.
        weight_norms: Norms of the trained variables before the step.
        update_norms: Norms of what the step added to them; NaN where several steps ran in one call.
        labels: Labels and weights from which its loss was computed; None where they are not known.
        origin: Where its numbers stop being finite, of the first step of which they do; else None.
    """

    observation: Observation
    network: Network
    weight_norms: NDArray[np.float32]
    update_norms: NDArray[np.float32]
    labels: tuple[Any, Any] | None
    origin: NonFiniteOrigin | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of one recorded step.

    Attributes:
        step_seconds: The training's own step.
        extra_seconds: Everything else.
        is_setup: Whether something was built and traced meanwhile.
    """

    step_seconds: float
    extra_seconds: float
    is_setup: bool


class Recorder(Protocol):
    """Records steps of one model's training, which comes to the same numbers, bit for bit, with and without it.

    Between `arm` and `finish` the training runs one call of its step. Whatever goes wrong on our side meanwhile is told
    to ``on_failure`` and not to the training.
    """

    @property
    def recorded(self) -> Recorded | None:
        """The numbers of the latest step that was armed for; None where there are none."""
        ...

    @property
    def batch(self) -> Any:
        """The batch of the latest step that was armed for, to be given to `again`; None where it is not known."""
        ...

    @property
    def timing(self) -> Timing | None:
        """What the latest step that was armed for took; None where no step was seen."""
        ...

    @property
    def unseen(self) -> str:
        """Why a step that was armed for was not seen, one of `gradscope.reasons`; ``""`` where each was."""
        ...

    @property
    def data(self) -> Any:
        """The batch of the latest step that was armed for with ``keep``, as the step takes it; None where unknown."""
        ...

    @property
    def weights(self) -> dict[str, Any]:
        """The trained variables before that step, by path; none where they are not known."""
        ...

    def arm(self, *, observe: bool, histograms: bool = False, keep: bool = False) -> None:
        """Take the batch of the step that is about to begin, and record it if ``observe``.

        Args:
            observe: Whether numbers are wanted, and not only the batch.
            histograms: Whether activations for histograms are wanted.
            keep: Whether `data` and `weights` are wanted.
        """
        ...

    def finish(self) -> None:
        """Make what the step has shown into numbers; there are none of a step that nobody armed for."""
        ...

    def disarm(self) -> None:
        """Let go of the step that was armed for, whatever has become of it."""
        ...

    def again(self, batch: Any) -> Observation:
        """Return the numbers of a batch under the present weights, and change nothing.

        Args:
            batch: What `batch` was.

        Raises:
            UnobservableError: If no step was recorded yet, or the step has no function of a batch.
        """
        ...

    def moving_statistics(self, batch: Any) -> tuple[MovingStatistics, ...]:
        """Return how far the statistics that BatchNormalization keeps are from those of a batch.

        Args:
            batch: What `batch` was.

        Returns:
            Of each such layer that trains; none where they are not known.
        """
        ...

    def close(self) -> None:
        """Leave Keras and its backend as they were found, and let go of what the training was fed with."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Batches:
    """Some batches of one training.

    Attributes:
        elements: What the training's iterator would yield, the first first; all have as many samples.
        spec: Their structure, in the backend's own terms.
    """

    elements: tuple[Any, ...]
    spec: Any


class Look(Protocol):
    """One training step of a model, traced for nothing but to be looked at: nothing of it is kept."""

    @property
    def network(self) -> Network:
        """The model, with what is measured of it."""
        ...

    @property
    def trained(self) -> list[Any]:
        """The variables of the `gradients` table, in its order."""
        ...

    def __call__(self, batch: Any, number: int) -> Observation:
        """Return the numbers of a batch under the present weights.

        Args:
            batch: One of the elements.
            number: Moves the sample of large tensors along.

        Raises:
            StepFailedError: If the step raises.
        """
        ...

    def origin(self, batch: Any, weights: Sequence[Any]) -> NonFiniteOrigin | None:
        """Return by which operation the numbers of a batch stop being finite; None where they do not.

        Args:
            batch: One of the elements.
            weights: Values of `trained` to be taken in place of the present ones; empty for these.
        """
        ...

    def gradients(self, batch: Any) -> dict[int, NDArray[np.float32]]:
        """Return the gradients of a batch by the identity of the variable; without those that have none."""
        ...


class Backend(Protocol):
    """The module `adapter` of a backend."""

    def look_at(self, model: Any, spec: Any) -> Look:
        """Return a look at the step of a compiled and built model.

        Args:
            model: The model.
            spec: The structure of the batches it is trained on, see `Batches`.

        Raises:
            UnobservableError: If the step cannot be looked at without being noticed.
        """
        ...

    def replica_count(self, model: Any) -> int:
        """Return on how many replicas a model trains."""
        ...

    def is_dataset(self, x: Any) -> bool:
        """Return whether ``x`` is a dataset of batches of the backend's own kind."""
        ...

    def batches_of_dataset(self, dataset: Any, count: int) -> Batches:
        """Return up to ``count`` first batches of a dataset, which does not notice.

        Raises:
            ArgumentError: If it cannot be read so.
        """
        ...

    def batches_of_arrays(self, x: Any, y: Any, sample_weight: Any, *, size: int, count: int) -> Batches:
        """Return up to ``count`` first batches of ``size`` samples, as `fit` would make them of arrays.

        Raises:
            ArgumentError: If the arrays cannot be trained on.
        """
        ...

    def plain_values(self, leaf: Any) -> NDArray[Any] | None:
        """Return the values of a tensor of a batch; None for one that is ragged, sparse, text or absent."""
        ...

    def recorder_for(self, model: Any, layers: LayerFilter | None, on_failure: Callable[[Exception], None]) -> Recorder:
        """Return what `gradscope.instrument.backend.recorder_for` says."""
        ...


class StepFailedError(ModelError):
    """The step raises on this batch; the message says what."""


class UnobservableError(ModelError):
    """The step cannot be looked at without being noticed; the message says why."""


def backend_name() -> str:
    """Return the name of the backend that Keras runs on.

    Raises:
        ModelError: If GradScope has none for it.
    """
    name: str = keras.backend.backend()
    known = sorted(module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]) if module.ispkg)
    if name not in known:
        raise ModelError(
            f"Keras runs on the backend {name!r}; GradScope works on {' and '.join(map(repr, known))} only. "
            f"Set the environment variable KERAS_BACKEND={known[0]} before importing keras."
        )
    return name


def present_backend() -> Backend:
    """Return the backend that Keras runs on.

    Raises:
        ModelError: If GradScope has none for it.
    """
    return cast("Backend", importlib.import_module(f"gradscope.instrument.{backend_name()}.adapter"))


def recorder_for(model: Any, layers: LayerFilter | None, on_failure: Callable[[Exception], None]) -> Recorder:
    """Return what records steps of a model's training, on the backend that Keras runs on.

    Args:
        model: A compiled Keras model.
        layers: Which layers are recorded; None for all.
        on_failure: Called with whatever went wrong while recording; the training goes on.

    Raises:
        ModelError: If GradScope has no such backend.
    """
    return present_backend().recorder_for(model, layers, on_failure)
