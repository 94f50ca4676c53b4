"""What the optimizer does besides following the gradient: clipping, accumulation, averages, decay, constraints."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras

from zoo.case import Case, Training
from zoo.data import digit_images
from zoo.healthy.tasks import classify, digits_mlp

L: Any = keras.layers
OPT: Any = keras.optimizers


def _digits(optimizer: Callable[[], Any], epochs: int = 6, batch_size: int = 32, **dense: Any) -> Training:
    return classify(digits_mlp(**dense), optimizer=optimizer(), epochs=epochs, batch_size=batch_size)


def _spectral_norm() -> Training:
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            L.SpectralNormalization(L.Conv2D(16, 3, activation="leaky_relu")),
            L.Flatten(),
            L.SpectralNormalization(L.Dense(32, "leaky_relu")),
            L.Dense(10, "softmax"),
        ]
    )
    return classify(model, digit_images(), optimizer=OPT.Adam(3e-3), epochs=6)


_CLIPPED = "raw norms are far above the clip (exploding at > 1, > 100 in fixed bands), updates are not"
CASES: tuple[Case, ...] = (
    Case("clipped_by_norm", "clipping", _CLIPPED, partial(_digits, lambda: OPT.SGD(1.0, clipnorm=0.1), 8), learns=0.5),
    Case(
        "clipped_by_global_norm",
        "clipping",
        _CLIPPED,
        partial(_digits, lambda: OPT.Adam(2e-3, global_clipnorm=0.01)),
        learns=0.4,
    ),
    Case(
        "clipped_by_value", "clipping", _CLIPPED, partial(_digits, lambda: OPT.SGD(1.0, clipvalue=0.02), 8), learns=0.4
    ),
    Case(
        "accumulated_gradients",
        "accumulation",
        "three of four steps leave every weight unchanged (SMD's UnchangedTensor looks at 3 steps)",
        partial(_digits, lambda: OPT.Adam(3e-3, gradient_accumulation_steps=4), 8, 16),
        learns=0.5,
    ),
    Case(
        "averaged_weights",
        "moving average",
        "weights are replaced by their average every 20 steps: an update without a gradient",
        partial(_digits, lambda: OPT.Adam(3e-3, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=20), 8),
        learns=0.5,
    ),
    Case(
        "strong_weight_decay",
        "weight decay",
        "weights shrink whatever the gradient says",
        partial(_digits, lambda: OPT.AdamW(5e-3, weight_decay=0.3), 8),
        learns=0.8,
    ),
    Case(
        "l2_penalty",
        "penalty",
        "most of the loss at the start is the penalty, and it stays above zero",
        partial(_digits, lambda: OPT.Adam(3e-3), 8, kernel_regularizer=keras.regularizers.L2(2e-3)),
        learns=0.8,
    ),
    Case(
        "l1_penalty",
        "penalty",
        "many kernel entries go to zero on purpose",
        partial(_digits, lambda: OPT.Adam(3e-3), 8, kernel_regularizer=keras.regularizers.L1(3e-4)),
        learns=1.1,
    ),
    Case(
        "max_norm_constraint",
        "constraint",
        "weights are cut back after each step: the update is not the optimizer's",
        partial(_digits, lambda: OPT.SGD(0.1, momentum=0.9), 6, kernel_constraint=keras.constraints.MaxNorm(1.0)),
        learns=0.5,
    ),
    Case("spectral_norm", "constraint", "kernels are divided by their norm at each call", _spectral_norm, learns=0.8),
)
