"""BatchNormalization whose two parts are apart."""

from typing import Any

import keras
import numpy as np
from diagnose.answers import evidence, the_finding
from keras import layers

from gradscope import GradScope
from gradscope.diagnose.rules.batch_statistics import batch_statistics
from gradscope.records import Causes, MovingStatistics
from gradscope.store.frames import Frames
from gradscope.testing import Part, network, run

NORM = Part("norm", "BatchNormalization", None, None, config={"momentum": 0.99})
NET = network(Part("dense", activation="relu"), NORM, Part("out", activation="softmax"))


def normalised(gap: float = 3.0, ratio: float = 1.1, **changes: Any) -> Frames:
    return run(NET, causes=Causes(statistics=(MovingStatistics("norm", gap, ratio),)), **changes)


def nothing(frames: Frames) -> bool:
    return list(batch_statistics(frames)) == []


def test_means_that_are_apart_are_information_where_no_validation_shows_the_harm() -> None:
    finding = the_finding(batch_statistics, normalised(recorded=range(0, 24, 2)))
    assert (finding.severity, finding.layer) == ("low", "norm")
    assert "after 24 steps 79% of them is what they began with" in finding.message
    apart = evidence(finding, "distance of the means in standard deviations")
    assert apart.value >= apart.threshold == 1.0


def test_variances_that_are_apart_are_told_too() -> None:
    assert the_finding(batch_statistics, normalised(0.1, 4.0)).layer == "norm"


def test_a_validation_that_does_not_suffer_makes_it_information() -> None:
    losses = [1.8, 1.2, 0.8, 0.6, 0.5, 0.45]
    assert the_finding(batch_statistics, normalised(epochs={"loss": losses, "val_loss": losses})).severity == "low"
    worse = {"loss": losses, "val_loss": [10.0] * 6}
    assert the_finding(batch_statistics, normalised(epochs=worse)).severity == "medium"


def test_statistics_as_far_apart_as_batches_are_left_alone() -> None:
    assert nothing(normalised(0.3, 1.5))
    assert nothing(run(NET))


def trained(epochs: int) -> Frames:
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(3, 5, size=(128, 8)).astype("float32")
    model = keras.Sequential([keras.Input((8,)), layers.Dense(16), layers.BatchNormalization(), layers.Dense(2)])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    scope = GradScope(quiet=True, on_finding=None)
    model.fit(x, (x.sum(1) > 24).astype("int32"), batch_size=16, epochs=epochs, verbose=0, callbacks=[scope])
    return scope.run.frames


def test_a_training_of_few_steps_leaves_them_behind_and_one_of_many_does_not() -> None:
    assert the_finding(batch_statistics, trained(1)).layer == "batch_normalization"
    assert nothing(trained(50))
