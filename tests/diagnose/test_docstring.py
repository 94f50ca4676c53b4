"""A rule's docstring, read as paragraphs under headings."""

from gradscope.diagnose.docstring import Paragraph, argument_meanings, paragraphs


def documented() -> None:
    """First line,
    and its second.

    Another: not a heading.

    Severity: high.

    What to try:
    - this

      and more of it

    Args:
        first: What it is,
            and more.

        second: A share: of one.

    Source:
        third: no argument.

    Prose again.
    """


def test_each_paragraph_stands_under_its_heading_with_its_lines_as_they_are() -> None:
    found = list(paragraphs(documented))
    assert found[0] == Paragraph("", "First line,\nand its second.")
    assert found[3].text == "What to try:\n- this"
    assert [paragraph.heading for paragraph in found] == [
        "", "", "Severity", "What to try", "What to try", "Args", "Args", "Source", "",
    ]  # fmt: skip


def test_arguments_are_read_with_their_continued_lines() -> None:
    assert argument_meanings(documented) == {"first": "What it is, and more.", "second": "A share: of one."}


def test_without_a_docstring_there_is_nothing() -> None:
    assert list(paragraphs(lambda: None)) == []
    assert argument_meanings(lambda: None) == {}
