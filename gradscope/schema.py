"""What gradscope records: every table and every column, declared once.

Layouts, reader, documentation, tables, figures, hover texts and menus are made from these declarations, so that a
statistic is added, and told, in one place. Files name their columns, and are read by name: see `compatibility`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

VERSION: Final = (1, 2)
"""Major and minor version of what the files hold. A newer minor adds columns; a newer major cannot be read."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table, and all that is ever said of it, in whatever medium.

    Attributes:
        name: The column's name in frames and files.
        unit: Its unit, or ``""`` for a pure number; ``fraction`` for a share in [0, 1].
        meaning: What the number says, in one sentence.
        source: Where the definition comes from; ``""`` where it is common usage.
        scale: The axis that shows its range: ``log`` for sizes that span orders of magnitude.
        extreme: The side on which it is bad: the value there stands for several where there is room for one only.
        title: What it is called where a person reads it; made of the name where that is left out.
        short: The same where a table has little room; the title where that is left out.
        reading: How a value over layers and steps is to be read; ``""`` for a column that pages do not show that way.
    """

    name: str
    unit: str
    meaning: str
    source: str = ""
    scale: Literal["linear", "log"] = "linear"
    extreme: Literal["high", "low"] = "high"
    title: str = ""
    short: str = ""
    reading: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "title", self.title or self.name.replace("_", " "))
        object.__setattr__(self, "short", self.short or self.title)

    @property
    def heading(self) -> str:
        """The title as a heading or a sentence begins."""
        return self.title[:1].upper() + self.title[1:]

    @property
    def is_fraction(self) -> bool:
        """Whether it is a share in [0, 1], shown in percents and with colours that span all of them."""
        return self.unit == "fraction"


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


@dataclass(frozen=True, slots=True)
class Statistic:
    """A number that is recorded at each step: a column, and the table that it is of."""

    table: Table
    column: Column

    @property
    def key(self) -> str:
        """Table and column, as findings, links and figures name it: ``gradients.rms``."""
        return f"{self.table.name}.{self.column.name}"


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
        Column("lowest_loss", "", "Loss of an answer equal to the labels seen: the entropy of soft ones, else 0.",
               "ours"),
        Column("learning_rate", "", "Learning rate that the optimizer uses at this step.", scale="log"),
        Column("global_norm", "", "L2 norm over all gradients together, before clipping and accumulation.",
               scale="log"),
        Column("loss_scale", "", "Factor on the loss in mixed precision; 1 without.", scale="log"),
        Column("clipped", "0/1", "1 where the optimizer's clipping shortens a gradient of this step."),
        Column("skipped", "0/1", "1 where the loss-scale optimizer drops this step: a gradient is not finite."),
        Column("samples", "samples", "Samples in this batch."),
        Column("step_seconds", "s", "Seconds that the training's own step took.", scale="log",
               title="time of the step"),
        Column("recording_seconds", "s", "Seconds that recording this step took, its own set-up left out.", scale="log",
               title="time of recording"),
    ),
)  # fmt: skip

ACTIVATIONS: Final = Table(
    "activations",
    "recorded step and site",
    (_STEP, _EPOCH, _LAYER, _SITE, Column("activation", "", "Name of the activation function.")),
    (
        Column("pre_mean", "", "Mean of the pre-activations, over finite entries.", title="pre-activation mean"),
        Column("pre_std", "", "Standard deviation of the pre-activations, over finite entries.", scale="log",
               title="pre-activation std"),
        Column("pre_min", "", "Smallest pre-activation; NaN entries left out.", extreme="low",
               title="pre-activation minimum"),
        Column("pre_max", "", "Largest pre-activation; NaN entries left out.", title="pre-activation maximum"),
        Column("mean", "", "Mean of the activations, over finite entries.", title="activation mean",
               reading="Far from 0, the layer is not centred."),
        Column("std", "", "Standard deviation of the activations, over finite entries.", scale="log",
               title="activation std"),
        Column("sample_std", "", "Spread over samples: root mean square over units of a unit's deviation.", "ours",
               scale="log", extreme="low", title="spread over samples",
               reading="Near 0, all samples look alike to the layer."),
        Column("rms", "", "Root mean square of the activations, over finite entries.", scale="log",
               title="activation RMS", reading="It explodes where it grows steadily from the input to the output."),
        Column("abs_max", "", "Largest absolute activation; NaN entries left out.", scale="log",
               title="largest absolute activation"),
        Column("zero_fraction", "fraction", "Share of activations that are exactly 0.", title="zero activations",
               reading="At 100%, a layer passes nothing forward."),
        Column("saturated_fraction", "fraction", "Share of entries in either tail of the function.", _GLOROT,
               title="saturated entries", short="saturated",
               reading="No gradient passes a saturated sigmoid or tanh; of ReLU, about half is usual."),
        Column("saturated_low_fraction", "fraction", "Share of entries in the low tail.", _GLOROT,
               title="entries in the low tail"),
        Column("saturated_high_fraction", "fraction", "Share of entries in the high tail.", _GLOROT,
               title="entries in the high tail"),
        Column("inactive_fraction", "fraction", "Share of entries in an exactly flat tail with zero output.",
               title="inactive entries"),
        Column("dead_unit_fraction", "fraction", "Share of units inactive on every sample of the window.", "ours",
               title="dead units", reading="A dead unit does not learn."),
        Column("stuck_unit_fraction", "fraction", "Share of units in the same tail on every sample.", "ours",
               title="stuck units"),
        Column("dormant_unit_fraction", "fraction", "Share of units with mean |a| <= 0.025 of the layer's.", _DORMANT,
               title="dormant units"),
        Column("backward_rms", "", "Root mean square of the per-sample gradient of the loss at the pre-activation.",
               scale="log", title="backward signal", reading="It vanishes where it falls steadily towards the input."),
        Column("backward_zero_fraction", "fraction", "Share of entries whose gradient is exactly 0.",
               title="zero backward signal"),
        Column("nonfinite_count", "entries", "NaN and infinite entries among pre-activations and activations.",
               title="NaN or infinite entries", short="NaN or infinite",
               reading="The first layer and step with any is where they came from."),
        Column("entropy", "fraction", "Softmax only: mean entropy over ln(number of unmasked classes).", extreme="low",
               title="softmax entropy"),
        Column("top_probability", "fraction", "Softmax only: mean of the largest probability.",
               title="largest softmax probability"),
    ),
)  # fmt: skip

GRADIENTS: Final = Table(
    "gradients",
    "recorded step and trainable variable",
    (
        _STEP, _EPOCH, _LAYER,
        Column("variable", "", "Path of the variable, as Keras names it."),
        Column("role", "", "kernel, bias, scale, offset, embedding or other."),
    ),
    (
        Column("connected", "0/1", "0 where the loss does not depend on the variable at all: it has no gradient."),
        Column("norm", "", "L2 norm of the gradient, loss scale removed, before clipping and accumulation.",
               scale="log", title="gradient norm"),
        Column("rms", "", "Root mean square of the gradient's entries; of the touched rows for an embedding.",
               scale="log", title="gradient RMS", reading="It vanishes where it falls steadily towards the input."),
        Column("abs_max", "", "Largest absolute entry of the gradient.", scale="log",
               title="largest absolute gradient"),
        Column("zero_fraction", "fraction", "Share of the gradient's entries that are exactly 0.",
               title="zero gradients"),
        Column("nonfinite_count", "entries", "NaN and infinite entries of the gradient.",
               title="NaN or infinite gradients"),
        Column("weight_norm", "", "L2 norm of the variable before the step.", scale="log"),
        Column("update_norm", "", "L2 norm of what the step added to the variable.", scale="log"),
        Column("update_to_weight_ratio", "", "update_norm over weight_norm; NaN where weight_norm is 0.", _RATIO,
               scale="log", title="update-to-weight ratio", short="update / weight",
               reading="Around 1e-3 is usual for most layers."),
        Column("sign_agreement", "fraction", "Mean over units of the larger share of one sign in a unit's gradient."),
    ),
)  # fmt: skip

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

STATISTICS: Final[Mapping[str, Statistic]] = {
    found.key: found
    for table in (ACTIVATIONS, GRADIENTS, STEPS)
    for found in (Statistic(table, column) for column in table.statistics)
}
"""What is recorded at each step, by key; groups of a menu stand in this order."""

HEADLINE: Final = tuple(
    STATISTICS[key]
    for key in (
        "activations.saturated_fraction",
        "activations.dead_unit_fraction",
        "gradients.rms",
        "activations.backward_rms",
        "gradients.update_to_weight_ratio",
        "activations.sample_std",
    )
)
"""The statistics that lead: those of a network that saturates, dies, fades, or moves too fast."""

OVER_LAYERS: Final = tuple(
    dict.fromkeys((*HEADLINE, *(found for found in STATISTICS.values() if found.column.reading)))
)
"""What is shown of all layers over a training, the headline first."""

COSTS: Final = (
    Column("setup_seconds", "s", "Tracing, first trial, loading the rules, final pass and last diagnosis.",
           title="set-up"),
    Column("early_seconds", "s", "Records of the beginning.", title="early records"),
    Column("epoch_seconds", "s", "The one record an epoch.", title="one an epoch"),
    Column("running_seconds", "s", "All other records, and looking for findings: the share that max_overhead limits.",
           title="all others"),
)  # fmt: skip
"""The parts of what recording costs, by their names in `Costs`."""

UnitState: TypeAlias = Literal["active", "stuck", "dead", "confirmed"]

UNIT_STATES: Final[Mapping[UnitState, str]] = {
    "active": "active",
    "stuck": "stuck in one tail",
    "dead": "dead",
    "confirmed": "dead, its gradient exactly 0",
}
"""What a unit can be found to be, each worse than the one before, and what that is called."""


def unit_state(unit: Mapping[str, float]) -> UnitState:
    """Return the state in which a row of `UNITS` found its unit; what is not known, NaN, is taken for no.

    Example:
        >>> tails = {"saturated_low_fraction": 1.0, "saturated_high_fraction": 0.0}
        >>> unit_state({"dead": 0.0, "confirmed": 0.0, **tails}), unit_state({"dead": 1.0, "confirmed": 1.0, **tails})
        ('stuck', 'confirmed')
    """
    if unit["dead"] == 1:
        return "confirmed" if unit["confirmed"] == 1 else "dead"
    return "stuck" if 1 in (unit["saturated_low_fraction"], unit["saturated_high_fraction"]) else "active"


class Compatibility(enum.Enum):
    """How a file of another version can be read."""

    SAME = "same"
    NEWER_MINOR = "newer minor"
    NEWER_MAJOR = "newer major"


def version_text(version: tuple[int, int] | None = None) -> str:
    """Return how a version is written; this one's by default.

    Example:
        >>> version_text((1, 0))
        '1.0'
    """
    return ".".join(map(str, VERSION if version is None else version))


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
