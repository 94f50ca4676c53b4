"""Strips: what a character says."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradscope.report.terminal.heat_strip import (
    BLOCKS,
    FRACTIONS,
    SHADES,
    Glyphs,
    Scale,
    glyphs_for,
    legend,
    level,
    log_scale,
    marks,
    strip,
)

SIZES = Scale(1e-8, 1.0, is_log=True)


@pytest.mark.parametrize("glyphs", [BLOCKS, SHADES])
def test_a_strip_has_one_character_a_value(glyphs: Glyphs) -> None:
    values = [0.0, 1e-9, 1e-4, 1.0, 5.0, math.nan, math.inf]
    line = strip(values, SIZES, glyphs).plain
    top, middle = glyphs.levels[-1], glyphs.levels[len(glyphs.levels) // 2]
    assert line == glyphs.levels[0] * 2 + middle + top * 2 + glyphs.unknown + glyphs.not_finite


def test_the_least_that_is_not_none_stands_out_from_none() -> None:
    assert strip([0.0, 0.001, 1.0], FRACTIONS, SHADES).plain == " .@"
    assert strip([0.0, 0.001, 1.0], FRACTIONS, BLOCKS).plain == "▁▂█"


@given(st.lists(st.floats(0, 10), min_size=2), st.sampled_from([FRACTIONS, SIZES]), st.sampled_from([8, 10]))
def test_a_larger_value_never_has_a_lower_level(values: list[float], scale: Scale, count: int) -> None:
    levels = [level(value, scale, count) for value in sorted(values)]
    assert levels == sorted(levels)
    assert set(levels) <= set(range(count))


def test_a_scale_holds_the_values_between_whole_powers_of_ten() -> None:
    assert log_scale(np.array([3e-4, 0.02, np.nan, np.inf, 0.0], np.float32)) == Scale(1e-4, 0.1, is_log=True)
    assert log_scale(np.array([1e-3], np.float32)) == Scale(1e-5, 1e-3, is_log=True)
    assert log_scale(np.array([1e-30, 1.0], np.float32)) == Scale(1e-12, 1.0, is_log=True)
    assert log_scale(np.array([np.nan], np.float32)).high == 1.0


def test_a_legend_has_the_ends_of_the_scale_and_only_the_marks_that_occur() -> None:
    assert legend(FRACTIONS, BLOCKS).plain == "0% ▁▂▃▄▅▆▇█ 100%"
    assert legend(SIZES, SHADES).plain == "1.0e-8  .:-=+*#%@ 1.0e0"
    assert marks(np.array([1.0], np.float32), BLOCKS) == []
    assert marks(np.array([np.nan, np.inf], np.float32), SHADES) == ["?: not known", "!: NaN or infinite"]


@pytest.mark.parametrize(
    ("encoding", "terminal", "expected"),
    [
        ("utf-8", "xterm-256color", BLOCKS),
        ("utf-8", "", BLOCKS),
        ("utf-8", "linux", SHADES),
        ("utf-8", "vt100", SHADES),
        ("latin-1", "xterm", SHADES),
        ("ascii", "", SHADES),
    ],
)
def test_shades_stand_in_where_there_are_no_blocks(encoding: str, terminal: str, expected: Glyphs) -> None:
    assert glyphs_for(encoding, terminal) == expected
