"""Records: what a training hands to the store, and what the store gives back.

A record is frozen and framework-free. The numeric part of one is a table with the columns of `gradscope.schema` and one
row for each site or variable of the `Network`, so that a whole step travels as a few arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradscope.network import Network


@dataclass(frozen=True, slots=True)
class Session:
    """The beginning of a training, or of its continuation.

    Attributes:
        step: Step it begins at; older rows at or after it are void.
        wall_time: Seconds since 1970.
        resumed: True where it continues the training recorded before.
        fingerprint: Digest of the architecture: equal for two builds of one program.
        settings: Schedule, overhead budget and whatever else tells how it was recorded, as JSON values.
        params: The user's own ``params``, as JSON values.
        counts: Batches that the optimizers had been given, each its own: a new one of a later phase begins at 0.
    """

    step: int
    wall_time: float
    resumed: bool
    fingerprint: str
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    counts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class NetworkChange:
    """What is trained from this step on; first written before the first recorded step."""

    step: int
    wall_time: float
    network: Network


@dataclass(frozen=True, slots=True, eq=False)
class StepRecord:
    """The numbers of one recorded step.

    Attributes:
        step: Step, counted from 0 over the whole run.
        epoch: Epoch, counted from 0.
        wall_time: Seconds since 1970.
        steps: Shape ``(len(STEPS.statistics),)``, float32; None where not recorded.
        activations: Shape ``(sites, len(ACTIVATIONS.statistics))``, float32; None where not recorded.
        gradients: Shape ``(variables, len(GRADIENTS.statistics))``, float32; None where not recorded.
        units: Shape ``(changed units, 1 + len(UNITS.statistics))``, float64; its first column is the index of the
            site. None where nothing changed or nothing was due.
        histograms: Bins of a sample of each site's activations, by site key: shape ``(bins, 3)``, left edge, right edge
            and count; empty where none is due.
        extra_columns: By table, the names of further columns at the right of its array: those that a file of a newer
            version holds and that this version does not know.
    """

    step: int
    epoch: int
    wall_time: float
    steps: NDArray[np.float32] | None = None
    activations: NDArray[np.float32] | None = None
    gradients: NDArray[np.float32] | None = None
    units: NDArray[np.float64] | None = None
    histograms: Mapping[str, NDArray[np.float64]] = field(default_factory=dict[str, NDArray[np.float64]])
    extra_columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])


@dataclass(frozen=True, slots=True, eq=False)
class FinalPass:
    """The training's first batches under the weights that it ended with: nothing is trained by it.

    Attributes:
        step: Last step of the training.
        epoch: Its epoch.
        wall_time: Seconds since 1970.
        activations: Shape ``(sites, len(ACTIVATIONS.statistics))``, float32; None where the recorded steps say enough.
        units: Units whose state has changed since the last record, as in `StepRecord`; None where none has.
        extra_columns: As in `StepRecord`.
    """

    step: int
    epoch: int
    wall_time: float
    activations: NDArray[np.float32] | None = None
    units: NDArray[np.float64] | None = None
    extra_columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])


@dataclass(frozen=True, slots=True)
class Costs:
    """What recording has cost so far in this session, and in those that it goes on from in one process, in seconds.

    Attributes:
        training_seconds: The training's own, recording, set-up and validation left out.
        setup_seconds: Tracing, the first trial, loading the rules; at the end the final pass and the last diagnosis.
        early_seconds: Records of the beginning.
        epoch_seconds: The one record an epoch.
        running_seconds: All other records, and looking for findings: the share that ``max_overhead`` limits.
        record_count: Recorded steps.
    """

    training_seconds: float = 0.0
    setup_seconds: float = 0.0
    early_seconds: float = 0.0
    epoch_seconds: float = 0.0
    running_seconds: float = 0.0
    record_count: int = 0


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """The end of an epoch.

    Attributes:
        step: Last step of the epoch.
        epoch: Epoch, counted from 0.
        wall_time: Seconds since 1970.
        logs: The epoch's logs, validation included.
        costs: What recording has cost so far.
    """

    step: int
    epoch: int
    wall_time: float
    logs: Mapping[str, float]
    costs: Costs


@dataclass(frozen=True, slots=True)
class SessionEnd:
    """The end of a training: what recording cost in all."""

    step: int
    wall_time: float
    costs: Costs


@dataclass(frozen=True, slots=True)
class BatchChecks:
    """What the checks found in the first batch of a session: of data, loss and output, which no table holds.

    Attributes:
        step: The batch's step.
        wall_time: Seconds since 1970.
        version: Version of gradscope whose checks looked.
        findings: Each finding as JSON values.
    """

    step: int
    wall_time: float
    version: str
    findings: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class FindingsNote:
    """What was found in a training as it ended: for whoever reads the file without rules, as TensorBoard does.

    Attributes:
        step: Last step.
        wall_time: Seconds since 1970.
        version: Version of gradscope whose rules looked.
        findings: Each finding as JSON values.
        text: All of them in words.
    """

    step: int
    wall_time: float
    version: str
    findings: tuple[Mapping[str, Any], ...]
    text: str


OriginKind: TypeAlias = Literal[
    "root", "logarithm", "division", "power", "exponential", "domain", "overflow", "loop", "data", "labels", "weights",
    "other",
]  # fmt: skip
"""What made a number that is not finite: an operation at the edge of where it is defined (``root`` to ``domain``), one
whose result the number format cannot hold, a loop that is not looked into, or what came in."""


@dataclass(frozen=True, slots=True)
class NonFiniteOrigin:
    """The operation of a step at which its numbers stop being finite.

    Attributes:
        operation: Type of the operation, as the framework calls it, such as ``Sqrt``.
        kind: What that is.
        in_gradient: Whether its value is finite, and the gradient that is sent back through it is not.
        layer: Key of the layer in whose call it stands; ``""`` for the loss, or where no layer calls it.
        after: Key of the last layer before it; ``""`` where none is.
        before: Key of the next layer behind it; ``""`` where none is.
        dtype: Name of the number format that it computes in.
        lowest: Smallest of its inputs; NaN where unknown.
        highest: Largest of its inputs; NaN where unknown.
        guarded: Whether a ``where`` chooses another branch for entries at which it is not defined.
    """

    operation: str
    kind: OriginKind
    in_gradient: bool = False
    layer: str = ""
    after: str = ""
    before: str = ""
    dtype: str = "float32"
    lowest: float = float("nan")
    highest: float = float("nan")
    guarded: bool = False

    def __str__(self) -> str:
        """Return which operation it is and where, in words.

        Example:
            >>> str(NonFiniteOrigin("Sqrt", "root", True, after="dense_1", before="head", lowest=0.0))
            'the gradient of Sqrt between dense_1 and head, whose input is 0,'
        """
        if self.kind in ("data", "labels", "weights"):
            return {"data": "the inputs of the batch", "labels": "the labels of the batch"}.get(
                self.kind, "the weights"
            )
        what = f"the gradient of {self.operation}" if self.in_gradient else self.operation
        return f"{what} {self.place}{self._input()}"

    @property
    def place(self) -> str:
        """Where it stands, in words: inside of which layer, or between which."""
        if self.layer:
            return f"in {self.layer}"
        if self.after and self.before:
            return f"between {self.after} and {self.before}"
        if self.before:
            return f"before {self.before}"
        return f"behind {self.after}" if self.after else "outside of all layers"

    def _input(self) -> str:
        if self.kind == "exponential" or (self.kind == "overflow" and self.highest == self.highest):
            return f", whose input reaches {max(abs(self.lowest), abs(self.highest)):.3g},"
        if self.kind in ("root", "logarithm", "division", "power") and self.lowest <= 0:
            is_zero = self.lowest == 0 or (self.kind == "division" and self.highest >= 0)
            return ", whose input is 0," if is_zero else f", whose input is {self.lowest:.3g},"
        return ""


@dataclass(frozen=True, slots=True)
class MovingStatistics:
    """How far the statistics that BatchNormalization keeps for inference are from those of a batch.

    Attributes:
        layer: Key of the layer.
        mean_gap: Root mean square over channels of the difference of the means, over the batch's standard deviation.
        variance_ratio: Batch's variance over the one that is kept, or its inverse, whichever is larger: its median.
    """

    layer: str
    mean_gap: float
    variance_ratio: float


@dataclass(frozen=True, slots=True)
class Causes:
    """All that was found out.

    Attributes:
        origin: Where the first step that was not finite began to be so; None where none was, or it is not known.
        origin_step: That step; -1 without one.
        statistics: Of each normalisation, at the end.
    """

    origin: NonFiniteOrigin | None = None
    origin_step: int = -1
    statistics: tuple[MovingStatistics, ...] = ()

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Causes:
        """Return what `dataclasses.asdict` made values of JSON of."""
        origin = body.get("origin")
        return cls(
            None if origin is None else NonFiniteOrigin(**origin),
            body.get("origin_step", -1),
            tuple(MovingStatistics(**each) for each in body.get("statistics", ())),
        )


@dataclass(frozen=True, slots=True)
class CausesNote:
    """What looking once more at a step has found out; a later one replaces it."""

    step: int
    wall_time: float
    causes: Causes


Record: TypeAlias = (
    Session
    | NetworkChange
    | BatchChecks
    | StepRecord
    | FinalPass
    | EpochRecord
    | CausesNote
    | FindingsNote
    | SessionEnd
)
