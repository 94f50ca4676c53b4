"""Runs made by hand are what they say, and a slip of the pen is an error."""

import math

import numpy as np
import pytest

from gradscope.activations import known_profile
from gradscope.errors import ArgumentError
from gradscope.network import Profile
from gradscope.schema import ACTIVATIONS, GRADIENTS, STEPS, TABLES
from gradscope.testing import Part, network, run, stack


def column(table: str, name: str, of: str, value: str) -> list[float]:
    frames = run(stack(depth=1), recorded=[0, 10])
    rows = getattr(frames, table)
    return rows[rows[name] == of][value].tolist()


def test_the_tables_have_the_columns_of_the_schema() -> None:
    frames = run(stack())
    for name, table in TABLES.items():
        assert tuple(getattr(frames, name).columns)[: len(table.columns)] == table.columns


def test_every_statistic_of_a_step_a_hidden_site_and_a_variable_is_known_and_finite() -> None:
    frames = run(stack(depth=1))
    hidden = frames.activations[frames.activations["site"] == "dense"]
    of_softmax = {"entropy", "top_probability"}
    assert np.isfinite(frames.steps[list(STEPS.statistic_names)].to_numpy(float)).all()
    assert np.isfinite(hidden[[n for n in ACTIVATIONS.statistic_names if n not in of_softmax]].to_numpy(float)).all()
    assert np.isfinite(frames.gradients[list(GRADIENTS.statistic_names)].to_numpy(float)).all()


def test_a_softmax_has_entropy_and_no_tails() -> None:
    assert not math.isnan(column("activations", "site", "dense_1", "entropy")[0])
    assert math.isnan(column("activations", "site", "dense_1", "saturated_fraction")[0])
    assert math.isnan(column("activations", "site", "dense_1", "dead_unit_fraction")[0])


@pytest.mark.parametrize("name", ACTIVATIONS.statistic_names)
def test_every_column_of_a_site_can_be_set(name: str) -> None:
    frames = run(stack(depth=1), recorded=[0, 1], activations={"dense": {name: [7.0, 8.0]}})
    assert frames.activations[frames.activations["site"] == "dense"][name].tolist() == [7, 8]


@pytest.mark.parametrize("name", GRADIENTS.statistic_names)
def test_every_column_of_a_variable_can_be_set(name: str) -> None:
    frames = run(stack(depth=1), recorded=[0, 1], gradients={"dense/kernel": {name: math.nan}})
    assert math.isnan(frames.gradients[frames.gradients["variable"] == "dense/kernel"][name].iloc[1])


@pytest.mark.parametrize("name", STEPS.statistic_names)
def test_every_column_of_a_step_can_be_set(name: str) -> None:
    assert math.isnan(run(stack(), recorded=[3], steps={name: math.nan}).steps[name].iloc[0])


def test_a_column_is_one_number_one_a_record_or_a_function_of_the_step() -> None:
    values = {"rms": 5.0, "mean": np.array([1.0, 2.0]), "std": lambda step: step / 2}
    frames = run(network(Part("out")), recorded=[0, 10], activations={"out": values})
    assert frames.activations[["rms", "mean", "std"]].to_numpy().tolist() == [[5, 1, 0], [5, 2, 5]]


def test_a_pattern_names_several_and_what_stands_later_wins() -> None:
    frames = run(stack(depth=2), recorded=[0], activations={"*": {"rms": 1.0}, "dense_1": {"rms": 2.0}})
    assert frames.activations["rms"].tolist() == [1, 2, 1]
    frames = run(stack(depth=1), recorded=[0], gradients={"*/kernel": {"rms": 3.0}})
    assert frames.gradients["rms"].tolist() == pytest.approx([3, 1e-3, 3, 1e-3])


def test_a_name_that_looks_like_a_pattern_names_itself() -> None:
    frames = run(network(Part("[red]"), Part("out")), recorded=[0], activations={"[red]": {"rms": 2.0}})
    assert frames.activations["rms"].iloc[0] == 2


def test_the_epochs_share_the_steps_and_a_batch_has_the_loss_of_its_epoch() -> None:
    frames = run(stack(), recorded=range(0, 300, 25), epochs={"loss": [3.0, 2.0, 1.0], "val_loss": [4.0, 4.0, 4.0]})
    assert frames.epochs["step"].tolist() == [99, 199, 299]
    assert frames.epochs["val_loss"].tolist() == [4, 4, 4]
    assert frames.steps["loss"].tolist() == [3] * 4 + [2] * 4 + [1] * 4
    assert frames.steps["epoch"].tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_more_epochs_than_steps_are_all_there() -> None:
    assert len(run(stack(), recorded=[0], epochs={"loss": [1.0, 2.0, 3.0]}).epochs) == 3


def test_a_run_may_have_no_epoch_and_no_record() -> None:
    assert run(stack(), epochs={}).epochs.empty
    nothing = run(stack(), recorded=[], epochs={})
    assert nothing.steps.empty
    assert nothing.activations.empty
    assert nothing.gradients.empty


def test_units_are_written_at_the_last_step() -> None:
    frames = run(stack(), units={"dense_1": {4: {"dead": 1.0, "dead_since_step": 50.0}}})
    row = frames.units.iloc[0]
    assert (row["step"], row["site"], row["unit"], row["dead"], row["dead_since_step"]) == (275, "dense_1", 4, True, 50)


# ---- Networks


def test_a_stack_is_named_as_keras_names_it_and_ends_in_a_softmax() -> None:
    net = stack("relu", depth=2, units=32, classes=3)
    assert [(site.key, site.activation, site.units, site.is_output) for site in net.sites] == [
        ("dense", "relu", 32, False),
        ("dense_1", "relu", 32, False),
        ("dense_2", "softmax", 3, True),
    ]
    assert [variable.path for variable in net.variables][:2] == ["dense/kernel", "dense/bias"]
    assert net.edges == (("dense", "dense_1"), ("dense_1", "dense_2"))
    assert net.sites[0].profile == known_profile("relu")


def test_a_convolution_is_configured_as_keras_configures_it() -> None:
    (layer,) = network(Part("conv", "Conv2D", "relu", (3, 5, 8, 16))).layers
    assert (layer.config["filters"], layer.config["kernel_size"]) == (16, [3, 5])
    assert "units" not in layer.config


def test_a_frozen_layer_has_no_rows_of_gradients() -> None:
    net = network(Part("dense", trainable=False), Part("out"))
    assert {variable.layer for variable in net.variables} == {"out"}
    assert not net.layers[0].trainable


def test_a_function_of_one_s_own_has_the_profile_that_is_given_or_none() -> None:
    own = Profile(blocked=True)
    net = network(Part("a", activation="binary", profile=own), Part("b", activation="binary"))
    assert [site.profile for site in net.sites] == [own, None]


def test_edges_and_outputs_may_be_told_or_be_unknown() -> None:
    parts = [Part("a"), Part("b"), Part("c")]
    net = network(*parts, edges=[("a", "b"), ("a", "c")], outputs=["b", "c"])
    assert net.edges == (("a", "b"), ("a", "c"))
    assert [site.is_output for site in net.sites] == [False, True, True]
    assert network(*parts, edges=None).edges is None


# ---- Slips of the pen


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"activations": {"dense": {"rsm": 1.0}}}, "no column 'rsm'. Nearest: rms"),
        ({"gradients": {"*": {"saturated_fraction": 1.0}}}, "'gradients' has no column 'saturated_fraction'"),
        ({"steps": {"losses": 1.0}}, "'steps' has no column 'losses'"),
        ({"activations": {"dense_9": {"rms": 1.0}}}, "names 'dense_9', which is none of: dense, dense_1"),
        ({"gradients": {"dense": {"rms": 1.0}}}, "names 'dense', which is none of: dense/kernel"),
        ({"units": {"elsewhere": {0: {}}}}, "units names 'elsewhere'"),
        ({"units": {"dense": {0: {"alive": 1.0}}}}, "'units' has no column 'alive'"),
        ({"steps": {"loss": [1.0, 2.0]}}, r"loss has shape \(2,\), but 12 steps are recorded"),
        ({"epochs": {"loss": [1.0], "val_loss": [1.0, 2.0]}}, "unlike lengths"),
    ],
)
def test_a_slip_of_the_pen_is_an_error(told: dict[str, object], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        run(stack(depth=1), **told)  # type: ignore[arg-type]


def test_two_layers_of_one_key_are_an_error() -> None:
    with pytest.raises(ArgumentError, match="key of its own"):
        network(Part("dense"), Part("dense"))
