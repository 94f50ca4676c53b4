"""GradScope: the callback that records a training.

Its hooks hand on to the recording of one `fit`, which lives as long as that does. Only wrong arguments raise, and they
do so before the first step.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterable, Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, cast

from keras.callbacks import Callback

from gradscope.errors import ArgumentError, ModelError
from gradscope.instrument.backend import backend_name
from gradscope.instrument.network_of import LayerFilter, places, selected
from gradscope.recording import arguments
from gradscope.recording.fit import FitRecording
from gradscope.recording.schedule import Schedule, from_argument
from gradscope.recording.written_run import WrittenRun

if TYPE_CHECKING:
    from gradscope.diagnose.finding import Severity
    from gradscope.run import Run
    from gradscope.watching.live import OnFinding


class GradScope(Callback):
    """Records activations, dead units and gradients of every layer while ``model.fit`` runs.

    Training is not changed by it: weights and history are the same, bit for bit, with and without.

    Args:
        log_dir: Directory of the run, beside which TensorBoard may be started; None keeps the records in memory.
        schedule: When to record: every so many steps, or a `gradscope.recording.schedule.Schedule`. By default the
            beginning is recorded densely, then each epoch that is long enough to pay for it, and otherwise as often as
            ``max_overhead`` allows.
        max_overhead: Share of the training's own time that recording may take, in (0, 1]; by default 0.02, and no
            limit where a ``schedule`` is given.
        layers: Glob patterns of layer keys, or a function of a key, to record only some layers.
        params: What tells this training from others, such as ``{"learning_rate": 1e-3}``; kept with the run.
        scalars: What TensorBoard's Time Series tab gets: ``"auto"``, ``"all"`` or ``"none"``.
        on_finding: What happens to a finding while the training runs: ``"warn"`` prints it, ``"stop"`` prints it and
            ends the training if no later step can repair it, a function gets the `Finding`; None looks for none before
            the end. Each is told once, again only if it becomes more severe, and taken back if it no longer holds.
            What may still mend itself is told when a fifth of the training has gone by and has shown it for a while.
        finding_floor: Least severity that is acted on: ``"low"``, ``"medium"`` or ``"high"``; by default high where a
            finding stops the training, else medium.
        stop_on: Ids of rules whose findings end the training too, such as ``["not_converging"]``; with
            ``on_finding="stop"``.
        keep_bad_batch: True to keep the first batch whose step is not finite, with the weights before it, in
            ``bad_batch.npz`` in the run's directory: see `Run.bad_batch` and `gradscope.reproduce`. It looks at each
            step, which costs a copy of the weights.
        quiet: True to print no findings and no summary; only why a training was stopped.

    Raises:
        ArgumentError: If an argument cannot work.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> layers = [keras.Input((4,)), keras.layers.Dense(3, activation="relu"), keras.layers.Dense(1)]
        >>> model = keras.Sequential(layers)
        >>> model.compile("adam", "mse")
        >>> scope = GradScope(schedule=1, quiet=True)
        >>> history = model.fit(np.ones((8, 4)), np.ones((8, 1)), verbose=0, callbacks=[scope])
        >>> first = scope.run.activations.query("step == 0")
        >>> first[["layer", "activation"]].astype(str).values.tolist()
        [['dense', 'relu'], ['dense_1', 'linear']]
    """

    def __init__(
        self,
        log_dir: str | PathLike[str] | None = None,
        *,
        schedule: int | Schedule | None = None,
        max_overhead: float | None = None,
        layers: LayerFilter | str | None = None,
        params: Mapping[str, Any] | None = None,
        scalars: Literal["auto", "all", "none"] = "auto",
        on_finding: OnFinding = "warn",
        finding_floor: Severity | None = None,
        stop_on: str | Iterable[str] = (),
        keep_bad_batch: bool = False,
        quiet: bool = False,
    ) -> None:
        super().__init__()
        self._settings = arguments.Settings(
            schedule=from_argument(schedule, max_overhead),
            max_overhead=max_overhead,
            layers=arguments.layers(layers),
            params=arguments.params(params),
            on_finding=arguments.on_finding(on_finding),
            finding_floor=arguments.finding_floor(finding_floor, on_finding),
            stop_on=arguments.stop_on(stop_on, on_finding),
            keep_bad_batch=arguments.keep_bad_batch(keep_bad_batch),
            quiet=arguments.quiet(quiet),
        )
        self._run = WrittenRun(arguments.log_dir(log_dir), scalars)
        self._fit: FitRecording | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy needs: how to record, not what was recorded, nor open files and what is inside a graph."""
        return {**vars(self), "_run": copy.copy(self._run), "_fit": None, "params": None, "_model": None}

    @property
    def run(self) -> Run:
        """The run as recorded so far.

        Raises:
            RunNotFoundError: If nothing was written to ``log_dir`` yet.
        """
        return self._run.read(getattr(self._trained, "name", "run"))

    @property
    def _trained(self) -> Any:
        """The model, which Keras leaves untyped."""
        return self.model  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        self._check_model()
        self._check_thread()
        if self._fit is not None:
            self._fit.close()  # Keras tells no callback of a `fit` that was broken off
        parameters: Mapping[str, Any] = cast("Any", self).params or {}
        self._fit = FitRecording(self._settings, self._run, self._trained, parameters)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        if self._fit is not None:
            self._fit.begin_epoch(epoch)

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        if self._fit is not None:
            self._fit.begin_batch(batch)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        if self._fit is not None:
            self._fit.end_batch(batch, logs or {})

    def on_test_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        if self._fit is not None:
            self._fit.begin_test()

    def on_test_end(self, logs: Mapping[str, Any] | None = None) -> None:
        if self._fit is not None:
            self._fit.end_test()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        if self._fit is not None:
            self._fit.end_epoch(epoch, logs or {})

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        fit, self._fit = self._fit, None
        if fit is not None:
            fit.end()

    def _check_model(self) -> None:
        """Raise what is wrong with the model, before the first step."""
        model = self._trained
        backend_name()
        if not getattr(model, "compiled", False):
            raise ModelError("The model is not compiled. Call model.compile(...) before fit.")
        layers = self._settings.layers
        if layers is not None and not selected([place.key for place in places(model)], layers):
            raise ArgumentError("layers is a function that chooses no layer of the model, so nothing is recorded.")

    def _check_thread(self) -> None:
        """Raise if another training is being recorded by this callback: neither would be told from the other."""
        other = None if self._fit is None else self._fit.thread
        if other is not None and other is not threading.current_thread() and other.is_alive():
            raise ArgumentError(
                f"This GradScope records a training in thread {other.name!r} already. "
                "Give each training one of its own, with a directory of its own."
            )
