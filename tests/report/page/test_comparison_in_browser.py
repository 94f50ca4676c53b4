"""The page of a comparison in a real browser without any network: findings, heatmaps, names, phone, screen reader."""

import os
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import pytest
import runs
from browser import DRAWN, Browser, browser
from findings import DYING, OSCILLATING, VANISHING, named
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select
from sweeps import with_params

from gradscope import Finding
from gradscope.records import Record
from gradscope.report.page.comparison import comparison_html
from gradscope.report.values.comparison import Comparison, Side
from gradscope.report.values.matching import compared, side_of
from gradscope.report.values.runs_table import run_row
from gradscope.report.values.summary import summarise
from gradscope.store.read import frames_of

pytestmark = pytest.mark.slow

ARTEFACTS = os.environ.get("GRADSCOPE_ARTEFACTS")
"""Where pictures are kept; a temporary folder where it is not set."""

IMAGE = "<img src=x onerror=alert(1)>"
Open = Callable[..., Browser]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser"), network=False) as found:
        yield found


@pytest.fixture
def opened(seen: Browser, tmp_path: Path) -> Iterator[Open]:
    """Return a function that opens the page of a comparison, and complains at the end if the page did."""

    def open_page(comparison: Comparison, *, width: int = 1400) -> Browser:
        page = tmp_path / "comparison.html"
        page.write_text(comparison_html(comparison, now=datetime(2026, 1, 2, tzinfo=UTC)), encoding="utf-8")
        seen.open(page.as_uri(), width=width)
        return seen

    seen.complaints()
    seen.other_hosts()
    yield open_page
    assert seen.complaints() == []
    assert seen.other_hosts() == set()


def side(records: Sequence[Record], name: str, findings: Sequence[Finding] = ()) -> Side:
    frames = frames_of(with_params(records, {"name": name}))
    summary = summarise(frames, findings, name=name)
    row = run_row(summary, frames.sessions[-1].params)
    made = side_of(frames, summary, row)
    return Side(made.summary, made.row, made.network, made.settings, made.spreads, load=lambda: frames)


def three() -> Comparison:
    return compared([
        side(runs.healthy(), "healthy", [OSCILLATING]),
        side(runs.healthy(), "dying", [DYING]),
        side(runs.sick(), "sick", [VANISHING, OSCILLATING]),
    ])  # fmt: skip


def see_all(page: Browser) -> None:
    """Unfold everything and let every figure be drawn."""
    page.script("for (const part of document.querySelectorAll('details')) part.open = true")
    anchors = page.script("return [...document.querySelectorAll('.figure:not([hidden])')].map((slot) => slot.id)")
    assert isinstance(anchors, list)
    for anchor in anchors:
        page.bring_into_view(anchor)
        page.wait_for(DRAWN, anchor)


TITLE = "return document.querySelector(`#${arguments[0]} .figure-title:not([hidden])`).textContent"


def test_a_gained_finding_leads_to_its_heatmaps_side_by_side(opened: Open, tmp_path: Path) -> None:
    page = opened(three())
    assert "2 findings gained, 1 lost" in page.driver.find_element(By.TAG_NAME, "header").text
    page.click(".runs a")
    assert page.script("return document.activeElement.id") == "finding-1"
    page.screenshot(Path(ARTEFACTS or tmp_path) / "comparison-finding.png")

    page.click("#finding-1 .see a")
    page.wait_for(DRAWN, "figure-other")
    page.wait_for(DRAWN, "figure-reference")
    assert page.script("return document.activeElement.id") == "figure-pair"
    assert page.script(TITLE, "figure-reference") == "Backward signal: healthy"
    assert page.script(TITLE, "figure-other") == "Backward signal: sick"
    assert Select(page.driver.find_element(By.ID, "pair-run")).first_selected_option.text == "sick"
    page.screenshot(Path(ARTEFACTS or tmp_path) / "comparison-pair.png")


def test_the_statistic_is_switched_for_both_and_the_run_for_one(opened: Open) -> None:
    page = opened(three())
    page.bring_into_view("figure-pair")
    page.wait_for(DRAWN, "figure-other")
    assert page.script(TITLE, "figure-other") == "Saturated entries: dying"
    Select(page.driver.find_element(By.ID, "pair-statistic")).select_by_visible_text("Dead units")
    page.wait_for("return document.querySelector('.announcement').textContent === 'Dead units is shown.'")
    assert page.script(TITLE, "figure-reference") == "Dead units: healthy"
    assert page.script(TITLE, "figure-other") == "Dead units: dying"
    Select(page.driver.find_element(By.ID, "pair-run")).select_by_visible_text("sick")
    assert page.script(TITLE, "figure-reference") == "Dead units: healthy"
    assert page.script(TITLE, "figure-other") == "Dead units: sick"
    label = "document.querySelector('#figure-other .plot').getAttribute('aria-labelledby')"
    labelled = f"return document.getElementById({label}).textContent"
    assert page.script(labelled) == "Dead units: sick"
    scale = "return [...document.querySelectorAll('.pair .plot')].map((p) => [p.data[0].zmin, p.data[0].zmax].join())"
    page.wait_for("return document.querySelector('#figure-other .plot').data[0].zmax === 1")
    assert page.script(scale) == ["0,1", "0,1"]


def test_every_combination_is_drawn(opened: Open) -> None:
    page = opened(three())
    page.bring_into_view("figure-pair")
    page.wait_for(DRAWN, "figure-other")
    statistic, run = (Select(page.driver.find_element(By.ID, name)) for name in ("pair-statistic", "pair-run"))
    for first in range(len(statistic.options)):
        statistic.select_by_index(first)
        for second in range(len(run.options)):
            run.select_by_index(second)
            same = (
                "const {drawn, figure} = document.querySelector('#figure-other .plot').dataset; return drawn === figure"
            )
            page.wait_for(same)


def test_names_are_text_in_words_tables_choices_and_figures(opened: Open) -> None:
    sides = [side(runs.awkward_names(), IMAGE), side(runs.awkward_names(), "b\nb", [named(IMAGE)])]
    page = opened(compared([*sides, side(runs.sick(), "</script><script>alert(1)</script>")]))
    see_all(page)
    assert page.script("return document.querySelectorAll('img, script[src], [onerror]').length") == 0
    assert IMAGE in page.driver.find_element(By.TAG_NAME, "h1").text
    assert IMAGE in page.driver.find_element(By.ID, "finding-1").text
    for anchor in ("figure-loss", "figure-depth", "figure-reference"):
        assert "<img" in str(page.script("return document.getElementById(arguments[0]).textContent", anchor)), anchor


@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_no_serious_fault(opened: Open, dark: bool, tmp_path: Path) -> None:
    page = opened(three())
    page.dark(dark)
    see_all(page)
    # The page's own policy lets no other script run, so axe comes in through the debugger.
    source = files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    page.driver.execute_cdp_cmd("Runtime.evaluate", {"expression": source})
    found = page.driver.execute_async_script("axe.run().then((found) => arguments[0](found.violations))")
    assert [(fault["id"], fault["nodes"][0]["html"][:200]) for fault in found if fault["impact"] != "minor"] == []
    page.screenshot(Path(ARTEFACTS or tmp_path) / f"comparison-{'dark' if dark else 'light'}.png")
    page.dark(False)


def test_a_phone_stacks_the_heatmaps_and_scrolls_tables_and_not_the_page(opened: Open, tmp_path: Path) -> None:
    page = opened(three(), width=390)
    see_all(page)
    assert page.script("return document.documentElement.scrollWidth") == 390
    below = (
        "const [a, b] = document.querySelectorAll('.pair .figure'); return b.offsetTop >= a.offsetTop + a.offsetHeight"
    )
    assert page.script(below)
    page.bring_into_view("figure-pair")
    page.screenshot(Path(ARTEFACTS or tmp_path) / "comparison-phone.png")
