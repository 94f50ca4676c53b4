"""What runs were trained with, and in what of it they differ."""

from dataclasses import replace
from typing import Any

from runs import healthy, layer_names, network, session, training

from gradscope.network import Compiled, Layer, Network
from gradscope.records import Session
from gradscope.report.values.configuration import Difference, Settings, differences, settings_of
from gradscope.store.read import frames_of

HE = {"module": "keras.initializers", "class_name": "HeNormal", "config": {"seed": None}, "registered_name": None}
SCALED = {**HE, "class_name": "VarianceScaling", "config": {"scale": 2.0, "mode": "fan_in", "seed": None}}


def settings(
    *, initialiser: Any = HE, activation: str = "relu", depth: int = 3, start: Session | None = None, **compiled: Any
) -> Settings:
    net = network(activation, layer_names(depth), compiled=Compiled(**{"optimizer": "Adam", **compiled}))
    config = {"name": "dense_17", "kernel_initializer": initialiser, "units": 64}
    layers = tuple(replace(layer, config=config) for layer in net.layers)
    net = replace(net, layers=layers)
    return settings_of(frames_of(training(net, losses=[2.0], gradient=[1e-3] * depth, start=start)))


def test_a_run_does_not_differ_from_itself() -> None:
    assert differences([settings(), settings()]) == []
    assert differences([settings_of(frames_of([])), settings_of(frames_of([]))]) == []


def test_an_initialiser_is_told_by_its_class_and_what_it_was_given() -> None:
    found = settings(initialiser=SCALED)
    assert found["dense", "kernel_initializer"] == "VarianceScaling(scale=2.0, mode=fan_in)"
    assert settings()["dense", "kernel_initializer"] == "HeNormal"


def test_layers_that_differ_in_the_same_way_are_told_together() -> None:
    assert differences([settings(), settings(activation="sigmoid")]) == [
        Difference("activation", ("dense", "dense_1"), ("relu", "sigmoid"))
    ]


def test_the_users_parameters_come_first_and_nested_ones_have_names_with_dots() -> None:
    first = replace(session(), params={"lr": 0.1, "model": {"depth": 4}})
    second = replace(session(), params={"lr": 0.2, "model": {"depth": 5}})
    found = differences([settings(start=first), settings(start=second, optimizer="SGD", clipping={"clipnorm": 1.0})])
    assert [(each.name, each.values) for each in found] == [
        ("params.lr", (0.1, 0.2)),
        ("params.model.depth", (4, 5)),
        ("optimizer", ("Adam", "SGD")),
        ("clipping.clipnorm", (None, 1.0)),
    ]


def test_a_layer_that_a_run_lacks_is_no_difference_of_configuration() -> None:
    shallow, deep = settings(depth=2), settings(depth=3)
    names = {(each.name, each.layers) for each in differences([shallow, deep])}
    assert names == {("activation", ("dense_1",))}  # the output of one, a hidden layer of the other


def test_how_it_was_recorded_and_by_what_versions_comes_last() -> None:
    def of(schedule: str, version: str, rate: float) -> Settings:
        net = Network("m", (Layer("dense", "dense", "Dense", 0, True, "float32"),), versions={"keras": version})
        start = replace(session(), settings={"schedule": schedule}, params={"lr": rate})
        return settings_of(frames_of(training(net, losses=[], gradient=[], start=start)))

    found = differences([of("every(1)", "3.14", 0.1), of("every(2)", "3.15", 0.2)])
    assert [each.name for each in found] == ["params.lr", "recording.schedule", "version.keras"]


def test_a_learning_rate_that_changes_is_told_from_first_to_last() -> None:
    frames = frames_of(healthy())
    frames.steps["learning_rate"] = [1e-3, *[5e-4] * 10, 1e-5]
    assert settings_of(frames)["", "learning_rate"] == "0.001 → 1e-05"
    frames.steps["learning_rate"] = 1e-3
    assert settings_of(frames)["", "learning_rate"] == 0.001
