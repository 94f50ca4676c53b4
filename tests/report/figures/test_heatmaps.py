import numpy as np
import pytest
import runs
from figure_specs import spec

import gradscope.testing as made
from gradscope import figures
from gradscope.store.read import frames_of


def test_sizes_are_shown_as_powers_of_ten() -> None:
    figure = figures.gradient_heatmap(frames_of(runs.sick()).gradients)
    trace = spec(figure)["data"][0]
    assert [row[-1] for row in trace["z"]] == pytest.approx([float(exponent) for exponent in range(-10, -1)])
    assert trace["colorbar"]["ticktext"][0] == "1e-10"
    layout = spec(figure)["layout"]
    assert layout["yaxis"]["ticktext"][0] == "dense"
    assert layout["yaxis"]["range"] == [8.5, -0.5]  # the input is at the top


def test_two_runs_have_one_scale_where_they_are_compared() -> None:
    tables = [frames_of(records).gradients for records in (runs.sick(), runs.healthy())]
    limits = figures.common_limits(tables, "rms")
    bars = [spec(figures.gradient_heatmap(table, limits=limits))["data"][0] for table in tables]
    assert bars[0]["zmin"] == bars[1]["zmin"] == pytest.approx(-10)
    assert bars[0]["zmax"] == bars[1]["zmax"]
    assert bars[0]["colorbar"] == bars[1]["colorbar"]


def test_the_colour_bar_says_where_values_lie_beyond_it() -> None:
    gradients = frames_of(runs.sick()).gradients
    texts = spec(figures.gradient_heatmap(gradients, limits=(1e-6, 1e-4)))["data"][0]["colorbar"]["ticktext"]
    assert texts[0] == "≤ 1e-6"
    assert texts[-1] == "≥ 1e-4"


def test_an_exact_zero_has_a_colour_of_its_own() -> None:
    frames = made.run(made.stack(depth=2), gradients={"dense/kernel": {"rms": 0.0}})
    sizes, zeros = spec(figures.gradient_heatmap(frames.gradients))["data"]
    assert zeros["name"] == "exactly 0"
    assert set(zeros["z"][0]) == {1.0}
    assert set(zeros["z"][1]) == set(sizes["z"][0]) == {None}


def test_many_records_are_thinned_and_the_axis_says_so() -> None:
    spike = {"dense_1/kernel": {"rms": lambda step: 1.0 if step == 777 else 1e-3}}
    frames = made.run(made.stack(depth=2), recorded=range(1_000), gradients=spike)
    figure = figures.statistic_heatmap(frames.gradients, "rms", most_columns=100)
    z = np.array(spec(figure)["data"][0]["z"])
    assert z.shape == (3, 100)
    assert z[1, 77] == 0.0
    assert spec(figure)["data"][0]["x"][77] == "770–779"
    assert "highest of up to 10 records" in spec(figure)["layout"]["xaxis"]["title"]["text"]


def test_a_long_name_is_shortened_on_the_axis_and_whole_in_the_hover() -> None:
    figure = spec(figures.gradient_heatmap(frames_of(runs.awkward_names()).gradients))
    assert figure["layout"]["yaxis"]["ticktext"][5] == "x" * 9 + "…" + "x" * 18
    assert figure["data"][0]["y"][5].replace("<br>", "") == "x" * 300


def test_layers_whose_names_look_alike_keep_their_rows() -> None:
    frames = made.run(made.network(made.Part("two\nlines"), made.Part("two\\nlines")))
    assert spec(figures.gradient_heatmap(frames.gradients))["data"][0]["y"] == ["two\\nlines", "two\\nlines (2)"]
