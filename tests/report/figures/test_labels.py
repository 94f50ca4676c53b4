"""Labels of axes: what plotly would merge is told apart."""

from hypothesis import given
from hypothesis import strategies as st

from gradscope.report.figures.labels import distinct


def test_names_that_look_alike_are_numbered_past_labels_that_are_taken() -> None:
    assert distinct(["a", "a", "a (2)"]) == ["a", "a (2)", "a (2) (2)"]
    assert distinct(["a (2)", "a", "a", "a"]) == ["a (2)", "a", "a (3)", "a (4)"]


@given(st.lists(st.sampled_from(["a", "a (2)", "a (3)", "a (2) (2)", "two\nlines", "two\\nlines"])))
def test_no_two_labels_are_the_same(names: list[str]) -> None:
    labels = distinct(names)
    assert len(labels) == len(names) == len(set(labels))
