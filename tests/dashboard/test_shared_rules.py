"""What the report page and the tab show alike: the page and `shared_rules.json`; `front_end.test.mjs` has the tab."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradscope.report.figures.distributions import edges_of, rebinned
from gradscope.report.figures.grid import range_of
from gradscope.report.figures.units import UNIT_COLOURS
from gradscope.report.words.names import shortened
from gradscope.report.words.numbers import percentage, share
from gradscope.schema import UNIT_STATES, Column

RULES: dict[str, Any] = json.loads(Path(__file__).with_name("shared_rules.json").read_text("utf-8"))


def test_shares_read_as_in_the_tab() -> None:
    assert [percentage(value) for value, _ in RULES["fractions"]] == [text for _, text in RULES["fractions"]]
    assert [share(value) for value, _ in RULES["shares"]] == [text for _, text in RULES["shares"]]


def test_long_names_are_cut_where_the_tab_cuts_them() -> None:
    assert [shortened(name, cells) for name, cells, _ in RULES["names"]] == [text for *_, text in RULES["names"]]


@pytest.mark.parametrize("case", RULES["colours"], ids=lambda case: f"{case['scale']}-{case['values']}")
def test_colours_end_where_those_of_the_tab_do(case: dict[str, Any]) -> None:
    column = Column("any", case["unit"], "", scale=case["scale"])
    values = np.concatenate([np.array(each, np.float32).astype(np.float64) for each in case["values"]])
    assert range_of(column, values) == pytest.approx((case["low"], case["high"]), rel=1e-6)


@pytest.mark.parametrize("case", RULES["histograms"], ids=lambda case: case["about"])
def test_histograms_are_laid_on_the_cells_of_the_tab(case: dict[str, Any]) -> None:
    steps = [np.array(bins, np.float64) for bins in case["bins"]]
    edges, _ = edges_of(steps)
    assert (edges[0], edges[-1], len(edges)) == pytest.approx((case["low"], case["high"], 91))
    shares = rebinned(steps[-1], edges) / steps[-1][:, 2].sum()
    assert [[cell, shares[cell]] for cell, _ in case["shares"]] == [
        pytest.approx(each, abs=1e-6) for each in case["shares"]
    ]


def test_units_have_the_states_of_the_tab_in_its_words_and_colours() -> None:
    assert [[state, UNIT_STATES[state], UNIT_COLOURS[state]] for state in UNIT_STATES] == RULES["unit_states"]
