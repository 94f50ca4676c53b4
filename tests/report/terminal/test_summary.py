"""The summary as a person sees it: golden files at width 80, and the awkward terminals."""

import io
from collections.abc import Callable

import pytest
import runs
from findings import OSCILLATING, SICK, named
from rich.cells import cell_len
from rich.console import Console

from gradscope.report.terminal.summary import print_summary, summary_text
from gradscope.report.values.summary import Summary, summarise
from gradscope.store.read import frames_of

NAMES = ["healthy", "sick", "saturated", "awkward_names", "not_finite", "cut_off", "nothing_recorded", "two_trainings"]


FOUND = {
    "sick": SICK,
    "saturated": [named("dense", rule="saturated_activation", message="Nearly all entries are in a tail.")],
    "not_finite": [named("dense", rule="nan_or_inf", first_step=50, last_step=50, message="It holds NaN.")],
    "cut_off": [named("dense", rule="blocked_gradient", message="No gradient passes dense.")],
    "awkward_names": [named(f"[bold]{'x' * 300}\n\x1b[31m[/bold]")],
    "deep": [OSCILLATING],
}


def summary_of(name: str) -> Summary:
    return summarise(frames_of(getattr(runs, name)()), FOUND.get(name, ()), name=name)


def printed(summary: Summary, *, encoding: str = "utf-8", terminal: bool = False, row_limit: int | None = 60) -> str:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")
    console = Console(file=file, force_terminal=terminal, width=80, color_system="truecolor" if terminal else None)
    print_summary(summary, console=console, row_limit=row_limit)
    file.seek(0)
    return file.read()


@pytest.mark.parametrize("name", NAMES)
def test_the_summary_reads_as_it_did(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"console/{name}.txt", printed(summary_of(name)))


def test_a_deep_network_is_shown_without_its_middle_in_a_terminal(golden: Callable[[str, str], None]) -> None:
    golden("console/deep.txt", summary_text(summary_of("deep"), row_limit=10).plain)


@pytest.mark.parametrize("name", [*NAMES, "deep"])
def test_no_line_is_wider_than_80_columns(name: str) -> None:
    lines = str(summary_of(name)).splitlines()
    assert lines
    assert max(map(cell_len, lines)) <= 80


def test_a_file_gets_every_row_and_a_terminal_those_that_fit() -> None:
    deep = summary_of("deep")
    assert "dense_45" in printed(deep)
    assert "dense_45" not in printed(deep, terminal=True)
    assert "30 more rows" in printed(deep, terminal=True)
    assert "dense_45" in printed(deep, terminal=True, row_limit=None)


def test_what_is_no_terminal_gets_no_escape_codes() -> None:
    assert "\x1b" not in printed(summary_of("sick"))
    assert "\x1b[1m" in printed(summary_of("sick"), terminal=True)


def test_no_colour_is_used_even_in_a_terminal_that_has_millions(monkeypatch: pytest.MonkeyPatch) -> None:
    in_colour = printed(summary_of("sick"), terminal=True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert printed(summary_of("sick"), terminal=True) == in_colour
    assert "\x1b[3" not in in_colour


def test_names_are_shown_as_they_are_and_never_as_markup() -> None:
    shown = printed(summary_of("awkward_names"), terminal=True)
    assert "[red]x[/red]" in shown
    assert "🔥_layer" in shown
    assert "\\x1b[31mred" in shown
    assert "two\\nlines" in shown


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437", "latin-1"])
def test_an_old_encoding_gets_the_same_lines_in_its_own_characters(encoding: str) -> None:
    for name in NAMES:
        shown = printed(summary_of(name), encoding=encoding)
        assert [cell_len(line) for line in shown.splitlines()] == [
            cell_len(line) for line in printed(summary_of(name)).splitlines()
        ]


@pytest.mark.parametrize("width", [40, 60, 100, 200])
def test_numbers_survive_every_width(width: int) -> None:
    assert "4.4e-3" in summary_text(summary_of("healthy"), width=width).plain


def test_a_wide_terminal_shows_long_names_in_full() -> None:
    assert "<img src=x onerror=alert(1)>" in summary_text(summary_of("awkward_names"), width=120).plain


def test_bold_marks_the_smallest_gradient_and_backward_signal() -> None:
    text = summary_text(summary_of("sick"))
    assert {text.plain[span.start : span.end].strip() for span in text.spans if span.style == "bold"} >= {
        "1.0e-10",
        "3.0e-10",
    }
