"""The summary as HTML."""

from html.parser import HTMLParser

import runs
from findings import SICK, named

from gradscope.report.notebook import summary_html
from gradscope.report.values.summary import summarise
from gradscope.store.read import frames_of


class Cells(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def parsed(name: str) -> Cells:
    cells = Cells()
    cells.feed(summary_html(summarise(frames_of(getattr(runs, name)()), name="<b>run</b>")))
    return cells


def test_names_are_text_and_never_tags() -> None:
    cells = parsed("awkward_names")
    assert cells.tags == {"p", "strong", "br", "table", "thead", "tbody", "tr", "th", "td"}
    assert "<img src=x onerror=alert(1)>" in cells.texts


def test_every_site_has_its_row() -> None:
    assert {f"dense_{index}" for index in range(1, 9)} <= set(parsed("healthy").texts)


def test_findings_lead_and_are_text_too() -> None:
    summary = summarise(frames_of(runs.sick()), [*SICK, named("<img src=x>")])
    cells = Cells()
    cells.feed(summary_html(summary))
    text = "".join(cells.texts)
    assert text.index("8 findings of medium or high severity:") < text.index("layer")
    assert "Follows from it: unchanged_weights (medium) in dense_1" in text
    assert "img" not in cells.tags


def test_a_training_that_recorded_nothing_has_no_table() -> None:
    assert "table" not in parsed("nothing_recorded").tags
