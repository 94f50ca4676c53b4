"""Findings as a person reads them: golden files at width 80, awkward names, and what follows from what."""

from collections.abc import Callable
from html.parser import HTMLParser

import findings as made
import pytest
from rich.cells import cell_len
from runs import awkward_names

from gradscope import Findings
from gradscope.report.notebook import findings_html
from gradscope.report.terminal.findings import findings_text, overview_lines
from gradscope.report.values.findings import counted, grouped
from gradscope.report.words.findings import overview, steps
from gradscope.store.read import frames_of

AWKWARD = tuple(made.named(layer.key) for layer in frames_of(awkward_names()).network.layers)


@pytest.mark.parametrize(("name", "findings"), [("sick", made.SICK), ("awkward_names", AWKWARD)])
def test_the_findings_read_as_they_did(
    name: str, findings: tuple[made.Finding, ...], golden: Callable[[str, str], None]
) -> None:
    golden(f"console/findings_{name}.txt", f"{Findings(findings)}\n")


def test_no_line_but_code_is_wider_than_asked_for() -> None:
    for width in (40, 80):
        lines = findings_text([*made.SICK, *AWKWARD], width=width).plain.splitlines()
        assert all(cell_len(line) <= width or line.startswith("      ") for line in lines)


def test_names_are_shown_as_text() -> None:
    shown = str(Findings(AWKWARD))
    assert "\x1b" not in shown
    assert "[red]x[/red]" in shown
    assert r"\x1b[31mred" in shown
    assert r"two\nlines" in shown
    assert "x" * 81 not in shown.replace('model.get_layer("' + "x" * 300, "")


def test_code_keeps_its_lines() -> None:
    code = '      keras.layers.Dense(\n          64, activation="relu", kernel_initializer="he_normal"\n      )\n'
    assert code in str(Findings(made.SICK))


def test_no_finding_is_said() -> None:
    assert str(Findings()) == "No findings."
    assert repr(Findings()) == "<gradscope findings: none>"
    assert list(Findings().frame.columns)[:2] == ["rule", "severity"]


def test_steps_are_a_range_or_one() -> None:
    assert steps(made.named("a", first_step=1000, last_step=12000)) == "steps 1,000–12,000"
    assert steps(made.named("a", first_step=7, last_step=7)) == "step 7"


def test_they_are_counted_by_severity() -> None:
    assert counted(made.SICK) == "1 high, 6 medium, 1 low"


# --- causes ---


def chain(*pairs: tuple[str, str | None]) -> list[made.Finding]:
    return [made.named("layer", rule=rule, layer=None, cause=cause) for rule, cause in pairs]


def rules(findings: list[made.Finding]) -> list[tuple[str, list[str]]]:
    return [(finding.rule, [other.rule for other in follow]) for finding, follow in grouped(findings)]


def test_what_follows_from_a_finding_stands_beneath_it_however_far() -> None:
    assert rules(chain(("a", None), ("b", None), ("c", "a"), ("d", "c"))) == [("a", ["c", "d"]), ("b", [])]


def test_a_finding_whose_cause_is_not_shown_stands_for_itself() -> None:
    assert rules(chain(("a", "hidden"), ("b", "a"))) == [("a", ["b"])]


def test_a_finding_shown_without_its_cause_names_it() -> None:
    assert "Follows from" not in str(Findings(chain(("unchanged_weights", None))))
    assert "  Follows from vanishing_gradient in dense." in str(Findings([made.unchanged("dense_1")]))


def test_causes_in_a_circle_lose_no_finding() -> None:
    assert rules(chain(("a", "b"), ("b", "a"), ("c", "c"), ("d", "a"))) == [("a", []), ("b", []), ("c", []), ("d", [])]


def test_two_findings_of_one_key_are_both_shown() -> None:
    assert rules(chain(("a", None), ("a", None), ("b", "a"))) == [("a", ["b"]), ("a", [])]


# --- in few lines ---


def test_the_overview_leaves_the_low_ones_out() -> None:
    lines = [line.plain for line in overview_lines(made.SICK, more="gradscope check logs/mlp")]
    assert lines[0] == "7 findings of medium or high severity:"
    assert lines[-1] == "Evidence and what to try: gradscope check logs/mlp"
    assert not any("oscillating" in line for line in lines)
    assert sum("unchanged_weights" in line for line in lines) == 1


def test_the_overview_says_that_there_is_nothing_severe() -> None:
    assert overview([], "more") == ["No findings of medium or high severity."]
    assert overview([made.OSCILLATING], "more") == [
        "No findings of medium or high severity, 1 of low severity.",
        "Evidence and what to try: more",
    ]


def test_the_overview_of_many_findings_is_short() -> None:
    lines = [line.plain for line in overview_lines([made.named(f"layer_{n}") for n in range(40)], more="more")]
    assert len(lines) < 15
    assert "… and 35 more." in lines


# --- in a notebook ---


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_in_html_names_are_text_and_never_tags() -> None:
    parser = Tags()
    parser.feed(findings_html([*made.SICK, *AWKWARD]))
    assert parser.tags == {"p", "strong", "br", "pre"}
    assert "<img src=x onerror=alert(1)>" in parser.text
    assert "Follows from it: unchanged_weights (medium) in dense_1, dense_2, dense_3 and 2 more" in parser.text
    assert findings_html([]) == "<p>No findings.</p>"
