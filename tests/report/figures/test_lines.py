"""Profiles, curves, losses and costs: what their lines say."""

import math

import findings
import numpy as np
import pytest
import runs
from figure_specs import spec

import gradscope.testing as made
from gradscope import ArgumentError, figures
from gradscope.records import Costs
from gradscope.report.figures.losses import loss_curve
from gradscope.store.read import frames_of


def test_a_profile_has_the_layers_in_order_and_a_line_a_step() -> None:
    first, last = spec(figures.gradient_profile(frames_of(runs.sick()).gradients, [0, 10_000]))["data"]
    assert [first["name"], last["name"]] == ["step 0", "step 275"]  # the nearest that was recorded
    assert last["y"][0] == "dense"
    assert np.log10(last["x"]).tolist() == pytest.approx(list(range(-10, -1)), abs=1e-4)


def test_the_activation_profile_has_a_band_of_one_deviation_to_each_side() -> None:
    frames = made.run(
        made.stack(depth=1), activations={"dense": {"mean": 0.5, "std": 2.0}, "dense_1": {"mean": 0, "std": 1}}
    )
    band, line = spec(figures.activation_profile(frames.activations, steps=[0]))["data"]
    assert band["x"] == [-1.5, -1.0, 1.0, 2.5]
    assert band["y"] == ["dense", "dense_1", "dense_1", "dense"]
    assert line["x"] == [0.5, 0.0]
    assert line["customdata"] == [2.0, 1.0]


def test_a_profile_shows_exact_zeros_beside_its_scale() -> None:
    frames = made.run(made.stack(depth=2), activations={"dense": {"backward_rms": 0.0}})
    *lines, zeros = spec(figures.backward_profile(frames.activations))["data"]
    assert all(line["x"][0] is None for line in lines)
    assert set(zeros["y"]) == {"dense"}
    assert zeros["x"][0] < min(x for x in lines[0]["x"] if x is not None)


def test_curves_are_told_apart_by_more_than_their_colour() -> None:
    lines = spec(figures.statistic_curves(made.run(made.stack(depth=5)).gradients, "rms"))["data"]
    assert len({line["line"]["dash"] for line in lines}) == len(lines) == 6


def test_findings_are_marked_with_rule_and_severity_in_legend_and_hover() -> None:
    figure = spec(figures.statistic_curves(frames_of(runs.sick()).gradients, "rms", findings=findings.SICK))
    marks = {trace["name"]: trace for trace in figure["data"] if trace.get("yaxis") == "y2"}
    assert list(marks) == [
        "vanishing_gradient (high)", "unchanged_weights (medium)", "dying_relu (medium)", "oscillating_loss (low)",
    ]  # fmt: skip
    assert marks["vanishing_gradient (high)"]["x"] == [0.0, 275.0, None]
    assert "dense_1, dense_2, dense_3 and 2 more" in marks["unchanged_weights (medium)"]["hovertext"][0]
    assert len({trace["marker"]["symbol"] for trace in marks.values()}) == 3
    assert [shape["x0"] for shape in figure["layout"]["shapes"]] == [0, 50, 75, 100]


def test_findings_about_other_layers_are_left_out() -> None:
    figure = spec(
        figures.statistic_curves(frames_of(runs.sick()).gradients, "rms", layers=["dense_5"], findings=findings.SICK)
    )
    names = [trace["name"] for trace in figure["data"]]
    assert names == ["dense_5", "unchanged_weights (medium)", "dying_relu (medium)", "oscillating_loss (low)"]


def test_a_spike_among_very_many_records_is_drawn_at_its_own_step() -> None:
    spike = {"dense/kernel": {"rms": lambda step: 1.0 if step == 1_777 else 1e-3}}
    frames = made.run(made.stack(depth=1), recorded=range(2_000), gradients=spike)
    line = spec(figures.statistic_curves(frames.gradients, "rms", layers=["dense"]))["data"][0]
    assert len(line["x"]) <= 400
    assert line["x"][line["y"].index(1.0)] == 1_777


def test_values_that_are_not_finite_are_marked_with_their_layers() -> None:
    figure = spec(figures.statistic_curves(frames_of(runs.not_finite()).gradients, "rms"))
    mark = next(trace for trace in figure["data"] if trace["name"] == "NaN or infinite")
    assert mark["x"] == [50]
    assert "dense, dense_1, dense_2" in mark["hovertext"][0]


def test_the_loss_has_its_curves_findings_and_recorded_steps() -> None:
    frames = frames_of(runs.sick())
    figure = spec(figures.loss_curve(frames.steps, frames.epochs, findings.SICK))
    names = [trace["name"] for trace in figure["data"]]
    assert names[:4] == ["batch loss", "epoch loss", "validation loss", "best constant answer"]
    assert names[-1] == "recorded steps"
    assert figure["data"][-1]["x"] == list(range(0, 300, 25))
    assert figure["layout"]["yaxis"]["title"]["text"] == "loss (no unit)"


def test_a_thinned_line_has_a_gap_where_a_long_stretch_is_not_finite() -> None:
    losses = [1.0 + index % 7 for index in range(5_000)]
    losses[2_000:3_000] = [math.nan] * 1_000
    frames = frames_of(runs.training(runs.network("relu", ["dense"]), losses=losses, gradient=[1e-3], every=1))
    for figure in (loss_curve(frames.steps, frames.epochs), figures.loss_comparison({"run": frames.steps})):
        (line,) = [trace for trace in spec(figure)["data"] if trace["name"] in ("batch loss", "run")]
        assert len(line["x"]) <= 4_000
        gap = [x for x, y in zip(line["x"], line["y"], strict=True) if y is None]
        assert 2_000 <= min(gap) < 2_020
        assert 2_960 < max(gap) < 3_000


def test_a_loss_over_two_decades_has_a_log_axis() -> None:
    frames = made.run(made.stack(), epochs={"loss": [2.0, 0.1, 0.001]})
    assert spec(loss_curve(frames.steps, frames.epochs))["layout"]["yaxis"]["type"] == "log"


def test_a_loss_that_is_not_finite_is_marked() -> None:
    frames = frames_of(runs.not_finite())
    figure = spec(loss_curve(frames.steps, frames.epochs))
    assert next(trace["x"] for trace in figure["data"] if trace["name"] == "loss NaN or infinite") == [50]


def test_the_learning_rate_is_shown_where_it_changes() -> None:
    constant = made.run(made.stack())
    falling = made.run(made.stack(), steps={"learning_rate": lambda step: 1e-2 / (1 + step)})
    drawn = [
        [trace["name"] for trace in spec(loss_curve(frames.steps, frames.epochs))["data"]]
        for frames in (constant, falling)
    ]
    assert "learning rate (right axis)" not in drawn[0]
    assert "learning rate (right axis)" in drawn[1]


def test_the_loss_of_very_many_records_keeps_its_extremes() -> None:
    frames = made.run(
        made.stack(depth=1), recorded=range(9_000), steps={"loss": lambda s: 9.0 if s == 4_567 else math.sin(s)}
    )
    line = spec(loss_curve(frames.steps, frames.epochs))["data"][0]
    assert len(line["x"]) <= 4_001
    assert line["x"][line["y"].index(9.0)] == 4_567
    assert min(line["y"]) == pytest.approx(-1.0, abs=1e-3)


def test_overhead_is_shown_in_seconds_and_as_shares_of_the_training() -> None:
    costs = Costs(training_seconds=20.0, setup_seconds=3.0, early_seconds=0.5, epoch_seconds=0.1, running_seconds=0.2)
    bars, own, recording = spec(figures.overhead(made.run(made.stack()).steps, costs))["data"]
    assert bars["x"] == [20.0, 3.0, 0.5, 0.1, 0.2]
    assert bars["text"][1] == "3 s (15&#37;)"
    assert set(own["y"]) == set(recording["y"]) == {0.01}


def test_losses_of_several_runs_are_told_apart_by_more_than_their_colour_and_the_first_is_thickest() -> None:
    tables = {name: frames_of(runs.sick()).steps for name in ("a", "b", "c")}
    lines = spec(figures.loss_comparison(tables))["data"]
    assert [line["name"] for line in lines] == ["a", "b", "c"]
    assert len({line["line"]["dash"] for line in lines}) == len({line["line"]["color"] for line in lines}) == 3
    assert lines[0]["line"]["width"] > lines[1]["line"]["width"] == lines[2]["line"]["width"]


def test_the_axis_says_which_loss_is_compared() -> None:
    frames = frames_of(runs.sick())
    titles = [
        spec(figures.loss_comparison({"a": table}, loss))["layout"]["yaxis"]["title"]["text"]
        for table, loss in ((frames.steps, "loss"), (frames.epochs, "loss"), (frames.epochs, "val_loss"))
    ]
    assert titles == ["batch loss (no unit)", "epoch loss (no unit)", "validation loss (no unit)"]


def test_a_run_that_lacks_the_loss_has_a_line_without_points_and_one_that_broke_is_named() -> None:
    broken, sick = frames_of(runs.not_finite()), frames_of(runs.sick())
    figure = spec(figures.loss_comparison({"sick": sick.steps, "<broken>": broken.steps}))
    assert figure["layout"]["title"]["subtitle"]["text"] == "Not finite from step 50 on: &lt;broken&gt;."
    lacking = spec(figures.loss_comparison({"a": sick.epochs, "b": sick.epochs.drop(columns="val_loss")}, "val_loss"))
    assert set(lacking["data"][1]["y"]) == {None}


def test_a_spike_of_a_long_run_is_kept_among_several() -> None:
    long = made.run(made.stack(depth=1), recorded=range(2_000), steps={"loss": lambda s: 9.0 if s == 1_777 else 1.0})
    line = spec(figures.loss_comparison({"a": long.steps, "b": long.steps}))["data"][1]
    assert len(line["x"]) <= 500
    assert line["x"][line["y"].index(9.0)] == 1_777


def test_a_profile_of_several_runs_shows_each_at_its_own_last_record() -> None:
    long = made.run(made.stack(depth=1), gradients={"*": {"rms": lambda step: 1e-3 if step == 275 else 1.0}})
    short = made.run(made.stack(depth=1), recorded=[0, 10], gradients={"*": {"rms": 1e-5}})
    lines = spec(figures.profile_comparison({"long": long.gradients, "short": short.gradients}, "rms"))["data"]
    assert [line["x"] for line in lines] == [[pytest.approx(1e-3)] * 2, [pytest.approx(1e-5)] * 2]
    assert ["step 275" in lines[0]["hovertemplate"], "step 10<" in lines[1]["hovertemplate"]] == [True, True]


def test_layers_that_only_some_runs_have_keep_their_place_in_the_depth() -> None:
    short = made.run(made.network(made.Part("in"), made.Part("out")))
    deep = made.run(made.network(made.Part("in"), made.Part("middle"), made.Part("out"), made.Part("more")))
    first, second = spec(figures.profile_comparison({"s": short.gradients, "d": deep.gradients}, "rms"))["data"]
    assert first["y"] == second["y"] == ["in", "middle", "out", "more"]
    assert [value is None for value in first["x"]] == [False, True, False, True]
    assert None not in second["x"]


def test_a_profile_of_several_runs_marks_exact_zeros_and_names_the_run() -> None:
    cut = made.run(made.stack(depth=1), activations={"dense": {"backward_rms": 0.0}})
    fine = made.run(made.stack(depth=1))
    *_, zeros = spec(figures.profile_comparison({"fine": fine.activations, "<cut>": cut.activations}, "backward_rms"))[
        "data"
    ]
    assert zeros["y"] == ["dense"]
    assert zeros["hovertext"] == ["&lt;cut&gt;, step 275"]


def test_no_run_at_all_is_refused() -> None:
    with pytest.raises(ArgumentError, match="no run"):
        figures.loss_comparison({})
    with pytest.raises(ArgumentError, match="no run"):
        figures.profile_comparison({}, "rms")
