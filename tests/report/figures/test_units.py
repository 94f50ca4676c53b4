import numpy as np
import pandas as pd
import pytest
from figure_specs import spec

import gradscope.testing as made
from gradscope import ArgumentError, figures
from gradscope.schema import UNITS


def table(*rows: dict[str, float | str]) -> pd.DataFrame:
    whole = [
        {"site": "dense", "layer": "dense", "epoch": 0, **dict.fromkeys(UNITS.statistic_names, 0.0), **row}
        for row in rows
    ]
    return pd.DataFrame(whole, columns=list(UNITS.columns))


DIED = {"step": 100, "unit": 2, "dead": 1.0, "dead_since_step": 60.0}


def states(figure: dict, at: int) -> list[str]:
    """The state of each unit at a step, by the colour that it has there."""
    names = {trace["marker"]["color"]: trace["name"] for trace in figure["data"] if trace["type"] == "scatter"}
    found: dict[int, str] = {}
    for trace in figure["data"]:
        if trace["type"] == "heatmap":
            column = int(np.searchsorted(trace["x"], at, side="right")) - 1
            for row, cells in enumerate(trace["z"]):
                if cells[column] is not None:
                    found[row] = names[trace["colorscale"][0][1]]
    return [found[row] for row in sorted(found)]


def test_a_unit_is_dead_since_the_first_step_of_its_windows() -> None:
    figure = spec(figures.unit_map(table(DIED), "dense", unit_count=4, last_step=200))
    assert states(figure, 59) == ["active"] * 4
    assert states(figure, 60) == states(figure, 200) == ["active", "active", "dead", "active"]
    assert figure["layout"]["title"]["subtitle"]["text"] == "At the end 1 of 4 units are dead."
    dead = next(trace for trace in figure["data"] if "since step" in trace["hovertemplate"])
    assert dead["customdata"][2][-1] == 60


def test_a_unit_that_comes_back_is_active_again() -> None:
    back = {"step": 150, "unit": 2, "dead": 0.0, "dead_since_step": np.nan}
    figure = spec(figures.unit_map(table(DIED, back), "dense", unit_count=3, last_step=200))
    assert states(figure, 149)[2] == "dead"
    assert states(figure, 150)[2] == "active"


def test_a_unit_in_one_tail_throughout_is_stuck() -> None:
    stuck = {"step": 50, "unit": 0, "dead": np.nan, "saturated_high_fraction": 1.0}
    figure = spec(figures.unit_map(table(stuck), "dense", unit_count=1, last_step=90))
    assert states(figure, 60) == ["stuck in one tail"]


def test_units_of_other_sites_are_left_out() -> None:
    figure = spec(figures.unit_map(table({**DIED, "site": "other"}), "dense", unit_count=4, last_step=200))
    assert states(figure, 200) == ["active"] * 4
    assert "No unit of this site" in figure["layout"]["title"]["subtitle"]["text"]


def test_of_very_many_units_a_row_shows_the_worst() -> None:
    figure = spec(figures.unit_map(table({**DIED, "unit": 1001}), "dense", unit_count=1024, last_step=200))
    shown = states(figure, 200)
    assert len(shown) == 256
    assert [row for row, state in enumerate(shown) if state == "dead"] == [1001 // 4]
    assert "4 neighbours" in figure["layout"]["yaxis"]["title"]["text"]


def test_a_map_of_a_made_run_agrees_with_its_table() -> None:
    frames = made.run(made.stack(depth=1), units={"dense": {5: {"dead": 1.0, "dead_since_step": 25.0}}})
    figure = spec(figures.unit_map(frames.units, "dense", unit_count=64, last_step=299))
    assert [row for row, state in enumerate(states(figure, 299)) if state == "dead"] == [5]


def test_a_negative_number_of_units_is_refused() -> None:
    with pytest.raises(ArgumentError, match="unit_count=-1"):
        figures.unit_map(table(), "dense", unit_count=-1, last_step=0)
