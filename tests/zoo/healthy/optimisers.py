"""Every optimizer that Keras ships, with a rate at which it learns: their updates differ by orders of magnitude.

Two are left out of these networks, as they lose the initial weights, so that hidden layers begin at zero: Ftrl, which
trains a linear model in `numeric` instead, and ScheduleFreeAdamW as Keras 3.15 ships it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras

from zoo.case import Case, Training
from zoo.healthy.tasks import classify, digits_mlp

OPT: Any = keras.optimizers
_BAND = "a fixed band of update:weight or of the learning rate (UMLAUT: 1e-7 to 1e-2) does not fit every optimizer"


def _digits(optimizer: Callable[[], Any], epochs: int = 6) -> Training:
    return classify(digits_mlp(), optimizer=optimizer(), epochs=epochs)


def _case(name: str, family: str, optimizer: Callable[[], Any], learns: float, epochs: int = 6) -> Case:
    return Case(f"optimizer_{name}", f"optimizer: {family}", _BAND, partial(_digits, optimizer, epochs), learns=learns)


CASES: tuple[Case, ...] = (
    _case("sgd", "descent", lambda: OPT.SGD(0.2), 0.4),
    _case("sgd_large_momentum", "descent", lambda: OPT.SGD(0.02, momentum=0.98), 0.5),
    _case("nesterov", "descent", lambda: OPT.SGD(0.1, momentum=0.9, nesterov=True), 0.3),
    _case("rmsprop", "accumulated squares", lambda: OPT.RMSprop(3e-3), 0.3),
    _case("rmsprop_centred", "accumulated squares", lambda: OPT.RMSprop(1e-3, momentum=0.9, centered=True), 0.3),
    _case("adagrad", "accumulated squares", lambda: OPT.Adagrad(0.05), 0.4),
    _case("adadelta", "accumulated squares", lambda: OPT.Adadelta(1.0), 0.5),
    _case("adam_small_rate", "adam", lambda: OPT.Adam(4e-4), 1.0, 8),
    _case("adamw", "adam", lambda: OPT.AdamW(3e-3, weight_decay=0.05), 0.4),
    _case("adamax", "adam", lambda: OPT.Adamax(1e-2), 0.3),
    _case("nadam", "adam", lambda: OPT.Nadam(2e-3), 0.3),
    _case("adafactor", "adam", lambda: OPT.Adafactor(2e-2), 0.6),
    _case("lion", "sign and trust", lambda: OPT.Lion(5e-4), 0.5),
    _case("lamb", "sign and trust", lambda: OPT.Lamb(1e-2), 0.5),
    _case("muon", "sign and trust", lambda: OPT.Muon(2e-2, adam_lr_ratio=0.1), 0.5),
)
