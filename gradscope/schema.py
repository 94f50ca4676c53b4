"""What gradscope records: every table and every column, declared once.

Table layouts, reader, documentation, hover texts and menus are made from these declarations, so that a statistic is
added in one place. Files carry the names of their columns, and are read by name: see `compatibility`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final, Literal

VERSION: Final = (1, 2)
"""Major and minor version of what the files hold. A newer minor adds columns; a newer major cannot be read."""
VERSION_TEXT: Final = ".".join(map(str, VERSION))


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
        name: The column's name in frames and files.
        unit: Its unit, or ``""`` for a pure number; ``fraction`` for a share in [0, 1].
        meaning: What the number says, in one sentence.
        source: Where the definition comes from; ``""`` where it is common usage.
        scale: The axis that shows its range: ``log`` for sizes that span orders of magnitude.
        extreme: Which of several values stands for them all where there is room for one only.
    """

    name: str
    unit: str
    meaning: str
    source: str = ""
    scale: Literal["linear", "log"] = "linear"
    extreme: Literal["high", "low"] = "high"


@dataclass(frozen=True, slots=True)
class Table:
    """One table: what a row stands for, the columns that name the row, and the numbers it holds.

    Attributes:
        name: The table's name in frames and files.
        row: What one row stands for.
        keys: Columns that tell which row it is; not part of the numeric table in the file.
        statistics: The numeric columns, in the order of the numeric table in the file.
    """

    name: str
    row: str
    keys: tuple[Column, ...]
    statistics: tuple[Column, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all columns of the frame, keys first."""
        return tuple(c.name for c in (*self.keys, *self.statistics))

    @property
    def statistic_names(self) -> tuple[str, ...]:
        """Names of the numeric columns, in the order of the file."""
        return tuple(c.name for c in self.statistics)


_GLOROT = "Glorot and Bengio, AISTATS 2010; tails by slope are ours, so that one definition serves every function"
_DORMANT = "Sokar, Agarwal, Castro and Evci, ICML 2023"
_RATIO = "Karpathy, CS231n notes, 'Ratio of weights:updates'"

_STEP = Column("step", "step", "Training batch, counted from 0 over the whole run, epochs included.")
_EPOCH = Column("epoch", "epoch", "Epoch, counted from 0.")
_LAYER = Column("layer", "", "Key of the layer: its path without the model, automatic numbers recounted.")
_SITE = Column("site", "", "Key of the site: the layer's key, with ':1' and so on for further applications.")

STEPS: Final = Table(
    "steps",
    "recorded step",
    (_STEP, _EPOCH, Column("wall_time", "s", "Seconds since 1970 at which the step was recorded.")),
    (
        Column("loss", "", "Loss of this batch alone, regularisation included, loss scale removed."),
        Column("baseline_loss", "", "Loss of the best constant prediction under the labels seen so far.", "ours"),
        Column(
            "lowest_loss", "", "Loss of an answer equal to the labels seen: the entropy of soft ones, else 0.", "ours"
        ),
        Column("learning_rate", "", "Learning rate that the optimizer uses at this step.", scale="log"),
        Column(
            "global_norm", "", "L2 norm over all gradients together, before clipping and accumulation.", scale="log"
        ),
        Column("loss_scale", "", "Factor on the loss in mixed precision; 1 without.", scale="log"),
        Column("clipped", "0/1", "1 where the optimizer's clipping shortens a gradient of this step."),
        Column("skipped", "0/1", "1 where the loss-scale optimizer drops this step: a gradient is not finite."),
        Column("samples", "samples", "Samples in this batch."),
        Column("step_seconds", "s", "Seconds that the training's own step took.", scale="log"),
        Column(
            "recording_seconds", "s", "Seconds that recording this step took, its own set-up left out.", scale="log"
        ),
    ),
)

ACTIVATIONS: Final = Table(
    "activations",
    "recorded step and site",
    (_STEP, _EPOCH, _LAYER, _SITE, Column("activation", "", "Name of the activation function.")),
    (
        Column("pre_mean", "", "Mean of the pre-activations, over finite entries."),
        Column("pre_std", "", "Standard deviation of the pre-activations, over finite entries.", scale="log"),
        Column("pre_min", "", "Smallest pre-activation; NaN entries left out.", extreme="low"),
        Column("pre_max", "", "Largest pre-activation; NaN entries left out."),
        Column("mean", "", "Mean of the activations, over finite entries."),
        Column("std", "", "Standard deviation of the activations, over finite entries.", scale="log"),
        Column(
            "sample_std",
            "",
            "Spread over samples: root mean square over units of a unit's deviation.",
            "ours",
            scale="log",
            extreme="low",
        ),
        Column("rms", "", "Root mean square of the activations, over finite entries.", scale="log"),
        Column("abs_max", "", "Largest absolute activation; NaN entries left out.", scale="log"),
        Column("zero_fraction", "fraction", "Share of activations that are exactly 0."),
        Column("saturated_fraction", "fraction", "Share of entries in either tail of the function.", _GLOROT),
        Column("saturated_low_fraction", "fraction", "Share of entries in the low tail.", _GLOROT),
        Column("saturated_high_fraction", "fraction", "Share of entries in the high tail.", _GLOROT),
        Column("inactive_fraction", "fraction", "Share of entries in an exactly flat tail with zero output."),
        Column("dead_unit_fraction", "fraction", "Share of units inactive on every sample of the window.", "ours"),
        Column("stuck_unit_fraction", "fraction", "Share of units in the same tail on every sample.", "ours"),
        Column("dormant_unit_fraction", "fraction", "Share of units with mean |a| <= 0.025 of the layer's.", _DORMANT),
        Column(
            "backward_rms",
            "",
            "Root mean square of the per-sample gradient of the loss at the pre-activation.",
            scale="log",
        ),
        Column("backward_zero_fraction", "fraction", "Share of entries whose gradient is exactly 0."),
        Column("nonfinite_count", "entries", "NaN and infinite entries among pre-activations and activations."),
        Column("entropy", "fraction", "Softmax only: mean entropy over ln(number of unmasked classes).", extreme="low"),
        Column("top_probability", "fraction", "Softmax only: mean of the largest probability."),
    ),
)

GRADIENTS: Final = Table(
    "gradients",
    "recorded step and trainable variable",
    (
        _STEP,
        _EPOCH,
        _LAYER,
        Column("variable", "", "Path of the variable, as Keras names it."),
        Column("role", "", "kernel, bias, scale, offset, embedding or other."),
    ),
    (
        Column("connected", "0/1", "0 where the loss does not depend on the variable at all: it has no gradient."),
        Column(
            "norm", "", "L2 norm of the gradient, loss scale removed, before clipping and accumulation.", scale="log"
        ),
        Column(
            "rms", "", "Root mean square of the gradient's entries; of the touched rows for an embedding.", scale="log"
        ),
        Column("abs_max", "", "Largest absolute entry of the gradient.", scale="log"),
        Column("zero_fraction", "fraction", "Share of the gradient's entries that are exactly 0."),
        Column("nonfinite_count", "entries", "NaN and infinite entries of the gradient."),
        Column("weight_norm", "", "L2 norm of the variable before the step.", scale="log"),
        Column("update_norm", "", "L2 norm of what the step added to the variable.", scale="log"),
        Column(
            "update_to_weight_ratio",
            "",
            "update_norm over weight_norm; NaN where weight_norm is 0.",
            _RATIO,
            scale="log",
        ),
        Column("sign_agreement", "fraction", "Mean over units of the larger share of one sign in a unit's gradient."),
    ),
)

UNITS: Final = Table(
    "units",
    "window, site and unit, for units whose state changed",
    (_STEP, _EPOCH, _LAYER, _SITE),
    (
        Column("unit", "", "Index of the unit: a feature, or a channel of a convolution."),
        Column("active_fraction", "fraction", "Share of the window's entries that are not inactive.", extreme="low"),
        Column("saturated_low_fraction", "fraction", "Share of the window's entries in the low tail."),
        Column("saturated_high_fraction", "fraction", "Share of the window's entries in the high tail."),
        Column("max_activation", "", "Largest activation of the unit in the window."),
        Column("mean_abs", "", "Mean absolute activation of the unit in the window.", scale="log"),
        Column("positions", "positions", "Positions of the window: samples times spatial positions."),
        Column("dead", "0/1", "1 where the unit is inactive on every sample of the window."),
        Column("confirmed", "0/1", "1 where its gradient was exactly 0 on all of them too."),
        Column("dead_since_step", "step", "First step of the unbroken run of windows in which it is dead; else NaN."),
    ),
)

EPOCHS: Final = Table(
    "epochs",
    "epoch",
    (_EPOCH, Column("step", "step", "Last step of the epoch."), Column("wall_time", "s", "Seconds since 1970.")),
    (),
)

HISTOGRAMS: Final = Table(
    "histograms",
    "recorded step, site and bin, for the steps of which a histogram was kept",
    (_STEP, _EPOCH, _LAYER, _SITE),
    (
        Column("left", "", "Left edge of the bin."),
        Column("right", "", "Right edge of the bin; equal to the left one where all samples are equal."),
        Column("count", "entries", "Sampled activations in the bin, of at most 1,024 of the site."),
    ),
)

FINAL_ACTIVATIONS: Final = Table(
    "final_activations",
    "site, over the first batches under the weights that the training ended with",
    ACTIVATIONS.keys,
    ACTIVATIONS.statistics,
)

TABLES: Final = {
    table.name: table for table in (STEPS, ACTIVATIONS, FINAL_ACTIVATIONS, GRADIENTS, UNITS, EPOCHS, HISTOGRAMS)
}


class Compatibility(enum.Enum):
    """How a file of another version can be read."""

    SAME = "same"
    NEWER_MINOR = "newer minor"
    NEWER_MAJOR = "newer major"


def compatibility(version: tuple[int, int]) -> Compatibility:
    """Return how a file written with schema ``version`` can be read by this one.

    Older files are always ``SAME``: their columns are found by name, and those they lack are NaN.

    Example:
        >>> compatibility((1, 0)).value, compatibility((1, 99)).value, compatibility((9, 0)).value
        ('same', 'newer minor', 'newer major')
    """
    if version[0] > VERSION[0]:
        return Compatibility.NEWER_MAJOR
    return Compatibility.NEWER_MINOR if version > VERSION else Compatibility.SAME
