"""Two runs side by side."""

import io
from collections.abc import Callable

import runs
from rich.cells import cell_len
from rich.console import Console

from gradscope.report.terminal.pair import paired_table, print_pair
from gradscope.report.values.summary import Summary, summarise
from gradscope.store.read import frames_of


def summary_of(name: str) -> Summary:
    return summarise(frames_of(getattr(runs, name)()), name=name)


def test_the_pair_reads_as_it_did(golden: Callable[[str, str], None]) -> None:
    table = paired_table(summary_of("sick"), summary_of("healthy"), ("sick", "healthy"))
    assert max(map(cell_len, table.plain.splitlines())) <= 80
    golden("console/pair.txt", table.plain + "\n")


def test_sites_that_only_one_run_has_are_shown_too() -> None:
    lines = paired_table(summary_of("saturated"), summary_of("healthy"), ("short", "long")).plain.splitlines()
    (line,) = (line for line in lines if line.startswith("dense_7"))
    assert line.split() == ["dense_7", "–", "relu", "–", "(50%)", "–", "20%", "–", "5.8e-3"]


def test_long_titles_and_awkward_names_stay_within_80_columns() -> None:
    titles = ("a very long title", "[bold]another[/bold] one")
    table = paired_table(summary_of("awkward_names"), summary_of("sick"), titles)
    assert max(map(cell_len, table.plain.splitlines())) <= 80


def test_a_pair_printed_to_no_terminal_is_plain() -> None:
    file = io.StringIO()
    print_pair(summary_of("sick"), summary_of("healthy"), ("sick", "healthy"), console=Console(file=file, width=500))
    assert file.getvalue() == paired_table(summary_of("sick"), summary_of("healthy"), ("sick", "healthy")).plain + "\n"
