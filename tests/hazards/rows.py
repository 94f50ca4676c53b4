"""The rows: which programs are tried. Not all combinations; every value of every kind, and the pairs that matter.

Each value is tried in a graph at least. Every train step is tried in each mode, random sources and side effects in
those steps that look at them, and what is known to go together badly is listed by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hazards.devices import DEVICES
from hazards.effects import EFFECTS, XLA_CAN
from hazards.errors import ERRORS
from hazards.feeds import FEEDS
from hazards.fits import FITS
from hazards.optimizers import OPTIMIZERS
from hazards.precisions import PRECISIONS
from hazards.program import Program
from hazards.python_state import EAGER_ONLY, OF_THE_STEP, PYTHON_STATES
from hazards.sources import SOURCES
from hazards.steps import STEPS

EAGER = {
    *EAGER_ONLY,
    "function with a parameter",
    "layer for a function",
    "calls counted in a layer",
    "list of values",
    "cycle",
    "flag",
    "variable made in call",
}
"""State of Python's that is tried eagerly too."""
BY_HAND = {"None": "assign_sub", "an object of one's own": "tape by hand"}
"""The step that an optimizer needs, if not just any."""


def _steps() -> Iterator[Program]:
    yield Program()
    yield Program(mode="auto")
    for name, step in STEPS.items():
        for mode in ("graph", "XLA", "eager"):
            if mode in step.modes:
                yield Program(step=name, mode=mode)


def _sources() -> Iterator[Program]:
    for source in SOURCES:
        yield Program(random=source)
    for source in ("tf.random.normal", "tf.random.Generator", "numpy.random while tracing", "Python random"):
        yield Program(random=source, mode="eager")
        yield Program(random=source, step="GAN")
    for source in ("keras Dropout", "tf.random.Generator", "numpy.random while tracing"):
        yield Program(random=source, mode="XLA")
    for source in ("tf.random.normal", "numpy.random while tracing"):
        yield Program(random=source, fits="one without it before")
        yield Program(random=source, data="generator of numpy.random")
    for step in ("WGAN-GP", "VAE", "diffusion", "@tf.function"):
        yield Program(random="tf.random.normal", step=step)


def _optimizers() -> Iterator[Program]:
    for name in OPTIMIZERS:
        yield Program(optimizer=name, step=BY_HAND.get(name, "Keras' own"))
    for name in sorted({"LossScaleOptimizer", "ScheduleFreeAdamW"} & OPTIMIZERS.keys()):
        yield Program(optimizer=name, step="tape by hand")
    for name in ("counts its calls", "noise in the update", "gradients by name"):
        yield Program(optimizer=name, mode="eager")
    yield Program(optimizer="Lookahead", mode="XLA")
    yield Program(optimizer="accumulation, EMA, clipping, decay", fits="two")


def _feeds() -> Iterator[Program]:
    for name in FEEDS:
        yield Program(data=name, step="VAE" if name == "no labels" else "Keras' own")
    for name in ("generator that counts", "masks", "ragged"):
        yield Program(data=name, mode="eager")
    yield Program(data="short last batch", mode="XLA")
    yield Program(data="short last batch", fits="steps_per_execution")


def _devices() -> Iterator[Program]:
    for name in DEVICES:
        yield Program(device=name)
    for step in ("compute_loss", "tape by hand"):
        yield Program(device="MirroredStrategy of 2", step=step)
    yield Program(device="MirroredStrategy of 1", step="@tf.function")
    yield Program(device="MirroredStrategy of 2", random="tf.random.normal")
    yield Program(device="OneDeviceStrategy", mode="eager")
    yield Program(device="MirroredStrategy of 2", data="short last batch", fits="two")


def _python_states() -> Iterator[Program]:
    for name in PYTHON_STATES:
        step = "tape by hand" if name in OF_THE_STEP else "Keras' own"
        if name not in EAGER_ONLY:
            yield Program(python=name, step=step)
        if name in EAGER:
            yield Program(python=name, step=step, mode="eager")
    for step in ("compute_loss", "GAN"):
        yield Program(python="calls counted in the step", step=step)
    yield Program(python="list of values", step="siamese", mode="eager")
    yield Program(python="calls counted in a loss", fits="two")
    for name in ("calls counted in a layer", "flag", "cycle"):  # the optimizer has its variables: it is traced once
        yield Program(python=name, fits="train_on_batch before")


def _effects() -> Iterator[Program]:
    for name in EFFECTS:
        yield Program(effect=name)
        if name in XLA_CAN:
            yield Program(effect=name, mode="XLA")
    for name in ("py_function metric", "numpy_function that draws", "lookup table", "get_next"):
        yield Program(effect=name, mode="eager")
    for name in ("counter only written", "dequeue_many"):
        yield Program(effect=name, step="tape by hand")
    yield Program(effect="counter only written", fits="two")


def _fits() -> Iterator[Program]:
    for name in FITS:
        yield Program(fits=name)
    for step in ("@tf.function", "GAN"):
        yield Program(fits="one without it before", step=step)
    for name in ("two", "steps_per_execution"):
        yield Program(fits=name, random="keras Dropout", data="shuffled")


def _errors() -> Iterator[Program]:
    for name in ERRORS:
        yield Program(error=name)
    for name in ("out of memory", "KeyboardInterrupt", "raised while tracing"):
        yield Program(error=name, mode="eager")
    yield Program(error="NaN", precision="mixed_float16")
    yield Program(error="out of memory", random="tf.random.normal", step="GAN")


def _precisions() -> Iterator[Program]:
    for name in PRECISIONS:
        yield Program(precision=name)
    yield Program(precision="mixed_float16, steps skipped", step="tape by hand")
    yield Program(precision="mixed_float16, steps skipped", fits="two")
    yield Program(precision="mixed_float16", mode="XLA")
    yield Program(precision="mixed_bfloat16", mode="eager")
    yield Program(precision="floatx float64", step="GAN")


def rows() -> list[Program]:
    """Return every row once, in the order of the kinds."""
    kinds: list[Any] = [_steps, _sources, _optimizers, _feeds, _devices, _python_states, _effects, _fits, _errors]
    return list(dict.fromkeys(program for kind in [*kinds, _precisions] for program in kind()))
