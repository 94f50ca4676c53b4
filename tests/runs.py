"""Small runs, healthy and sick, made by hand: the same numbers every time, no training needed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gradscope.network import Compiled, Layer, Network, NotMeasured, Profile, Site, Variable
from gradscope.records import Costs, EpochRecord, NetworkChange, Record, Session, SessionEnd, StepRecord
from gradscope.schema import ACTIVATIONS, GRADIENTS, STEPS, Table
from gradscope.store.event_sink import EventFileSink

SIGMOID = Profile(z_low=-4.357, z_high=4.357, minimum=0.0, maximum=1.0)
RELU = Profile(z_low=0.0, zero_low=0.0, minimum=0.0)
STEP = Profile(blocked=True, minimum=0.0, maximum=1.0)
SOFTMAX = Profile(elementwise=False, minimum=0.0, maximum=1.0)

PROFILES = {"sigmoid": SIGMOID, "relu": RELU, "step": STEP, "softmax": SOFTMAX}
BEGAN = 1_700_000_000.0
STEPS_AN_EPOCH = 50
COSTS = Costs(
    training_seconds=10.0,
    setup_seconds=3.0,
    early_seconds=0.4,
    epoch_seconds=0.05,
    running_seconds=0.15,
    record_count=12,
)


def network(
    activation: str, names: Sequence[str], *, not_measured: Sequence[NotMeasured] = (), compiled: Compiled | None = None
) -> Network:
    """Return a stack of dense layers of 64 units with these names; the last is a softmax of ten classes."""
    functions = [*[activation] * (len(names) - 1), "softmax"]
    return Network(
        name="mlp",
        layers=tuple(Layer(name, name, "Dense", order, True, "float32") for order, name in enumerate(names)),
        sites=tuple(
            Site(name, name, function, PROFILES[function], 64, is_output=name == names[-1])
            for name, function in zip(names, functions, strict=True)
        ),
        variables=tuple(
            variable
            for name in names
            for variable in (
                Variable(f"{name}/kernel", name, (64, 64), "kernel"),
                Variable(f"{name}/bias", name, (64,), "bias"),
            )
        ),
        compiled=compiled or Compiled(loss="sparse_categorical_crossentropy", optimizer="Adam"),
        not_measured=tuple(not_measured),
    )


def numbers(table: Table, rows: Sequence[Mapping[str, float]]) -> NDArray[np.float32]:
    """Return the numeric table of ``rows``; what a row does not name is NaN."""
    return np.array([[row.get(name, math.nan) for name in table.statistic_names] for row in rows], np.float32)


def session(step: int = 0, *, resumed: bool = False) -> Session:
    return Session(step=step, wall_time=BEGAN + step, resumed=resumed, fingerprint="0123456789abcdef")


def training(
    net: Network,
    *,
    losses: Sequence[float],
    gradient: Sequence[float],
    saturated: float = math.nan,
    dead: Sequence[float] = (),
    every: int = 25,
    start: Session | None = None,
    last: Mapping[str, float] | None = None,
) -> list[Record]:
    """Return the records of one training of ``net``.

    Args:
        net: What was trained, a stack as `network` makes it.
        losses: Loss of each recorded batch; the batches lie ``every`` steps apart.
        gradient: RMS of each layer's kernel gradient; a tenth larger at the first record.
        saturated: Saturated fraction of every hidden site.
        dead: Dead unit fraction of each site; known from the third record on.
        every: Steps between two records.
        start: Its session; a new training by default.
        last: Numbers of every site and kernel that replace the others at the last record.
    """
    start = start or session()
    records: list[Record] = [start, NetworkChange(start.step, start.wall_time, net)]
    epoch = 0
    for index, loss in enumerate(losses):
        step = start.step + index * every
        epoch = step // STEPS_AN_EPOCH
        override = dict(last or {}) if index == len(losses) - 1 else {}
        size = np.array(gradient) * (1.1 if index == 0 else 1.0)
        records.append(
            StepRecord(
                step,
                epoch,
                BEGAN + step,
                steps=numbers(STEPS, [{"loss": loss, "baseline_loss": math.log(10), "skipped": 0.0, "samples": 32}])[0],
                activations=numbers(
                    ACTIVATIONS,
                    [
                        {
                            "saturated_fraction": math.nan if site.is_output else saturated,
                            "dead_unit_fraction": dead[order] if dead and index >= 2 else math.nan,
                            "backward_rms": 3 * size[order],
                            "nonfinite_count": 0.0,
                            **override,
                        }
                        for order, site in enumerate(net.sites)
                    ],
                ),
                gradients=numbers(
                    GRADIENTS, [_gradient(v, float(size[_order(net, v)]), override) for v in net.variables]
                ),
            )
        )
        if (step + every) % STEPS_AN_EPOCH == 0:
            logs = {"loss": loss, "accuracy": 1 / (1 + loss), "val_loss": 1.1 * loss}
            records.append(EpochRecord(step + every - 1, epoch, BEGAN + step + every, logs, COSTS))
    end = start.step + len(losses) * every
    return [*records, SessionEnd(end - 1, BEGAN + end, COSTS)]


def _order(net: Network, variable: Variable) -> int:
    return next(layer.order for layer in net.layers if layer.key == variable.layer)


def _gradient(variable: Variable, rms: float, override: Mapping[str, float]) -> dict[str, float]:
    entries = math.prod(variable.shape)
    return {
        "connected": 1.0,
        "rms": rms,
        "norm": rms * math.sqrt(entries),
        "nonfinite_count": 0.0,
        "weight_norm": 8.0,
        "update_norm": 8e-3 * rms,
        "update_to_weight_ratio": 1e-3 * rms,
        **override,
    }


def write(directory: Path, records: Sequence[Record]) -> Path:
    """Write ``records`` to an event file below ``directory``, as a training does, and return the directory."""
    sink = EventFileSink(directory)
    sink.open()
    for record in records:
        sink.write(record)
    sink.close()
    return directory


def layer_names(depth: int) -> list[str]:
    return ["dense", *(f"dense_{index}" for index in range(1, depth))]


def healthy() -> list[Record]:
    """Eight ReLU layers and an output: the gradient is of one size through the depth, few units are dead."""
    return training(
        network("relu", layer_names(9)),
        losses=[2.35, 1.6, 0.9, 0.5, 0.3, 0.2, 0.12, 0.08, 0.06, 0.05, 0.04, 0.03],
        gradient=[3e-3 * 1.1**order for order in range(9)],
        saturated=0.5,
        dead=[0.0, 0.02, 0.05, 0.08, 0.11, 0.14, 0.17, 0.2, math.nan],
    )


def sick() -> list[Record]:
    """Eight sigmoid layers and an output: the gradient falls tenfold a layer towards the input; nothing is learnt."""
    return training(
        network("sigmoid", layer_names(9)),
        losses=[2.33, 2.31, 2.31, 2.3, 2.3, 2.3, 2.3, 2.3, 2.3, 2.3, 2.3, 2.3],
        gradient=[1e-2 * 10.0 ** (order - 8) for order in range(9)],
        saturated=0.0,
    )


def saturated() -> list[Record]:
    """Three sigmoid layers of which nearly every entry is in a tail."""
    return training(
        network("sigmoid", layer_names(4)),
        losses=[2.4, 2.35, 2.33, 2.32],
        gradient=[2e-6, 3e-5, 4e-4, 5e-3],
        saturated=0.93,
        dead=[math.nan] * 4,
    )


def awkward_names() -> list[Record]:
    """Layers whose names are markup, HTML, an emoji, a line break, a terminal's escape code, and very long."""
    names = ["[red]x[/red]", "<img src=x onerror=alert(1)>", "🔥_layer", "two\nlines", "\x1b[31mred", "x" * 300, "out"]
    return training(network("relu", names), losses=[2.3, 2.0], gradient=[1e-3] * 7, saturated=0.5)


def not_finite() -> list[Record]:
    """A training whose last record holds NaN in every site and gradient."""
    return training(
        network("relu", layer_names(3)),
        losses=[2.3, 9.5, math.nan],
        gradient=[1e-3, 1e-2, 1e-1],
        saturated=0.5,
        last={"rms": math.nan, "norm": math.nan, "backward_rms": math.nan, "nonfinite_count": 7.0},
    )


def cut_off() -> list[Record]:
    """A step function behind the first layer: the loss does not depend on its weights."""
    return training(
        network("step", layer_names(2)),
        losses=[2.3, 2.2],
        gradient=[1e-3, 1e-3],
        last={"connected": 0.0, "rms": math.nan, "norm": math.nan, "update_to_weight_ratio": 0.0},
    )


def nothing_recorded() -> list[Record]:
    """A training whose every batch was of a kind that cannot be measured."""
    missing = [NotMeasured("model", "its batches cannot be fed a second time")]
    return [
        session(),
        NetworkChange(0, BEGAN, network("relu", layer_names(2), not_measured=missing)),
        SessionEnd(0, BEGAN, Costs()),
    ]


def deep(depth: int = 90) -> list[Record]:
    """A deep stack, of which much is not measured."""
    missing = [NotMeasured(f"lstm_{index}", "gates inside a recurrent loop") for index in range(12)]
    missing.append(NotMeasured("attention", "the softmax inside attention"))
    return training(
        network("relu", layer_names(depth), not_measured=missing),
        losses=[2.3, 2.0, 1.5],
        gradient=[1e-3] * depth,
        saturated=0.5,
        dead=[0.1] * depth,
    )


def two_trainings() -> list[Record]:
    """A notebook cell that was run twice; the second training was interrupted and resumed."""
    first, second = healthy(), healthy()
    net = network("relu", layer_names(9))
    resumed = training(net, losses=[0.03, 0.02], gradient=[1e-3] * 9, saturated=0.5, start=session(300, resumed=True))
    return [*first, *second, *resumed]
