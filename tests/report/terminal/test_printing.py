"""Text in the characters that a terminal has."""

from hypothesis import given
from hypothesis import strategies as st

from gradscope.report.terminal.printing import encodable


@given(st.text())
def test_any_text_can_be_written_to_any_terminal(text: str) -> None:
    assert encodable(text, "ascii").isascii()
    encodable(text, "utf-8").encode("utf-8")
