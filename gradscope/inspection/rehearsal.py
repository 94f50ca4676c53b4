"""One training step with nothing of it kept: its records, without a training."""

from __future__ import annotations

import time
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradscope.errors import ModelError
from gradscope.instrument.backend import (
    Batches,
    Look,
    StepFailedError,
    UnobservableError,
    present_backend,
)
from gradscope.instrument.keras_border import all_layers, build_ahead, keras
from gradscope.instrument.network_of import fingerprint
from gradscope.instrument.optimizers import optimizers
from gradscope.instrument.python_state import unchanged
from gradscope.network import Network
from gradscope.recording.step_records import StepRecords
from gradscope.records import Causes, CausesNote, FinalPass, NetworkChange, Record, Session, StepRecord
from gradscope.store.frames import Frames, frames_of


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a step would have been.

    Attributes:
        look: At the step.
        frames: One step, numbered 0; None where it failed.
        failure: What it raised; ``""`` where it ran.
    """

    look: Look
    frames: Frames | None
    failure: str = ""

    @property
    def network(self) -> Network:
        """The model."""
        return self.look.network


def check_model(model: Any) -> None:
    """Raise what makes a model impossible to look at.

    Raises:
        ModelError: If it is no compiled Keras model on one device, or its backend is not known.
    """
    if not isinstance(model, keras.Model):
        raise ModelError(f"model is a {type(model).__name__}, which is no keras.Model. Pass a compiled one.")
    backend = present_backend()
    typeless: Any = model
    if not typeless.compiled:
        raise ModelError("The model is not compiled. Call model.compile(...) before preflight.")
    replicas = backend.replica_count(model)
    if replicas > 1:
        raise ModelError(f"The model trains on {replicas} replicas, which preflight does not look at yet.")


def build(model: Any, batch: Any) -> None:
    """Give layers, metrics and optimizer their variables, as `fit` would at its first step.

    Raises:
        ModelError: If Keras cannot build all of them ahead of a step.
    """
    try:
        # With other optimizers among its attributes, Keras would build the one that compile adds.
        if all(optimizer is model.optimizer for optimizer in optimizers(model)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of layers that cannot be built ahead: the training says it again
                build_ahead(model, batch)
    except Exception as error:
        raise ModelError(
            f"The model cannot be built from this batch: {type(error).__name__}: {error}. Check that x and y fit "
            f"it; a model that only a call can build is to be called first, model(x[:1])."
        ) from error
    unbuilt = [part.name for part in (model, *all_layers(model), *optimizers(model)) if not part.built]
    if unbuilt:
        raise ModelError(
            f"{', '.join(map(repr, unbuilt))} cannot be built ahead of the first step. Call the model on one batch, "
            f"model(x[:1]), and build optimizers of your own with optimizer.build(variables), before preflight."
        )


@contextmanager
def unnoticed() -> Generator[None]:
    """Leave Python's and NumPy's random numbers as they are, and keep warnings about the step for the training."""
    with unchanged([]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def rehearse(model: Any, batches: Batches) -> Rehearsal:
    """Return the records of the first batch; the others only complete the windows in which units are judged.

    Raises:
        ModelError: If the step cannot be traced, or would have effects that cannot be put back.
    """
    try:
        look = present_backend().look_at(model, batches.spec)
    except UnobservableError as error:
        raise ModelError(f"The model cannot be looked at: {error}.") from error
    except Exception as error:
        raise ModelError(f"The model's step cannot run on this batch: {type(error).__name__}: {error}") from error
    try:
        records = _step_records(look, batches.elements)
    except StepFailedError as error:
        return Rehearsal(look, None, str(error))
    now = time.time()
    begun: list[Record] = [
        Session(0, now, resumed=False, fingerprint=fingerprint(look.network)),
        NetworkChange(0, now, look.network),
    ]
    frames = frames_of([*begun, *records])
    if (frames.gradients["nonfinite_count"] > 0).any() or np.isinf(frames.steps["loss"]).any():
        note = CausesNote(0, now, Causes(look.origin(batches.elements[0], ()), 0))
        frames = frames_of([*begun, *records, note])
    return Rehearsal(look, frames)


def _step_records(look: Look, elements: Sequence[Any]) -> list[StepRecord | FinalPass]:
    """Return records that all are of step 0, of which the last, the first batch's, counts."""
    norms = np.array([np.linalg.norm(np.asarray(v, np.float64)) for v in look.trained], np.float32)
    made = StepRecords(look.network, None)
    records = [
        made.step_record(
            look(batch, 0),
            step=0,
            epoch=0,
            wall_time=time.time(),
            loss=np.nan,
            weight_norms=norms,
            update_norms=np.full_like(norms, np.nan),
            step_seconds=np.nan,
            recording_seconds=np.nan,
        )
        for batch in reversed(elements)
    ]
    return [*records, made.final_pass([], step=0, epoch=0, wall_time=time.time())]
