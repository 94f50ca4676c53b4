"""How names read: short, on one line."""

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from gradscope.report.words.names import shortened


@given(st.text(min_size=1), st.integers(8, 40))
def test_a_shortened_name_fits_and_stays_on_one_line(name: str, cells: int) -> None:
    short = shortened(name, cells)
    assert cell_len(short) <= cells
    assert short.isprintable()


def test_a_name_that_fits_is_left_alone() -> None:
    assert shortened("encoder/dense", 13) == "encoder/dense"
