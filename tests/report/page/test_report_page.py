"""The report in a real browser without any network: figures, links, names, keyboard, print, phone, screen reader."""

import base64
import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import pytest
import runs
from browser import DRAWN, Browser, browser
from findings import DYING, SICK, named
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from gradscope.diagnose.finding import Finding
from gradscope.records import Record
from gradscope.report.page.run import report_html
from gradscope.store.frames import frames_of

pytestmark = pytest.mark.slow

ARTEFACTS = os.environ.get("GRADSCOPE_ARTEFACTS")
"""Where pictures are kept; a temporary folder where it is not set."""

Open = Callable[..., Browser]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser"), network=False) as found:
        yield found


@pytest.fixture
def opened(seen: Browser, tmp_path: Path) -> Iterator[Open]:
    """Return a function that opens the report of a run, and complains at the end if the page did."""

    def open_report(records: list[Record], findings: tuple[Finding, ...] = SICK, *, width: int = 1400) -> Browser:
        page = tmp_path / "report.html"
        now = datetime(2026, 1, 2, tzinfo=UTC)
        page.write_text(report_html(frames_of(records), findings, name="mlp", now=now), encoding="utf-8")
        seen.open(page.as_uri(), width=width)
        return seen

    seen.complaints()
    seen.other_hosts()
    yield open_report
    assert seen.complaints() == []
    assert seen.other_hosts() == set()


def test_a_finding_leads_to_its_figure_and_a_figure_is_switched(opened: Open, tmp_path: Path) -> None:
    page = opened(runs.sick())
    driver = page.driver
    assert "7 findings of medium or high severity" in driver.find_element(By.TAG_NAME, "header").text
    page.click(".overview a")
    assert page.script("return document.activeElement.id") == "finding-1"
    page.wait_for(DRAWN, "finding-1-figure")
    page.screenshot(Path(ARTEFACTS or tmp_path) / "report-finding.png")

    page.click("#finding-1 > .see a")
    page.wait_for(DRAWN, "figure-layers")
    select = Select(driver.find_element(By.ID, "figure-layers-choice"))
    assert select.first_selected_option.text == "Backward signal"
    assert driver.find_element(By.ID, "figure-layers-title").get_attribute("textContent") == "Backward signal"
    before = driver.find_element(By.ID, "figure-layers-words").text
    shown = "return document.querySelector('#figure-layers .plot').layout.yaxis.title.text"
    assert page.script(shown) == "site, from input to output"

    select.select_by_visible_text("Gradient RMS")
    page.wait_for(f"{shown} === 'layer, from input to output'")
    assert driver.find_element(By.ID, "figure-layers-words").text != before
    page.wait_for("return document.querySelector('.announcement').textContent === 'Gradient RMS is shown.'")
    page.screenshot(Path(ARTEFACTS or tmp_path) / "report-figure.png")


def test_figures_are_drawn_when_they_come_into_view_and_not_before(opened: Open) -> None:
    page = opened(runs.sick())
    page.wait_for("return window.Plotly !== undefined")
    assert not page.script(DRAWN, "figure-layers")
    page.bring_into_view("figure-layers")
    page.wait_for(DRAWN, "figure-layers")


def test_names_are_text_in_words_tables_and_figures(opened: Open) -> None:
    awkward = "<img src=x onerror=alert(1)>"
    page = opened(
        runs.awkward_names(), (named(awkward), named("x" * 300), named("🔥_layer", rule="vanishing_gradient"))
    )
    page.script("for (const part of document.querySelectorAll('details')) part.open = true")
    for anchor in ("finding-1", "finding-3", "layers", "figure-layers", "figure-depth"):
        page.bring_into_view(anchor)
        time.sleep(0.1)
    page.wait_for(DRAWN, "figure-depth")
    page.wait_for(DRAWN, "figure-layers")
    assert page.script("return document.querySelectorAll('img, script[src], [onerror]').length") == 0
    for part in (awkward, "🔥_layer", "two\\nlines", "x" * 300, "\\x1b[31mred"):
        assert part in str(page.script("return document.querySelector('table.layers').textContent")), part
    assert awkward in page.driver.find_element(By.ID, "finding-1").text
    labels = str(page.script("return document.querySelector('#figure-layers .main-svg').textContent"))
    assert awkward in labels
    assert "🔥_layer" in labels


def test_the_keyboard_reaches_all_and_the_code_is_copied(opened: Open) -> None:
    page = opened(runs.sick())
    body = page.driver.find_element(By.TAG_NAME, "body")
    body.send_keys(Keys.TAB)
    assert page.script("return document.activeElement.textContent") == "Skip to the content"
    page.driver.switch_to.active_element.send_keys(Keys.ENTER)
    page.wait_for("return document.activeElement.id === 'content'")
    page.driver.execute_cdp_cmd(
        "Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    )
    button = page.driver.find_element(By.CSS_SELECTOR, ".copy")
    code = page.driver.find_element(By.CSS_SELECTOR, ".code code").get_attribute("textContent")
    button.send_keys(Keys.ENTER)
    page.wait_for("return document.querySelector('.copy').textContent === 'Copied'")
    asked = "navigator.clipboard.readText().then(arguments[0], () => arguments[0](null))"
    assert page.driver.execute_async_script(asked) in (code, None)


def test_a_figure_is_saved_as_a_picture(opened: Open, tmp_path: Path) -> None:
    page = opened(runs.sick())
    folder = tmp_path / "downloads"
    folder.mkdir()
    page.driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)})
    page.bring_into_view("figure-layers")
    page.wait_for(DRAWN, "figure-layers")
    page.click("#figure-layers [data-does=save]")
    end = time.monotonic() + 30
    while not (found := list(folder.glob("*.png"))):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert found[0].name == "Saturated-entries.png"
    assert found[0].read_bytes().startswith(b"\x89PNG")


def test_figures_follow_the_colours_of_the_system(opened: Open, tmp_path: Path) -> None:
    page = opened(runs.sick())
    page.dark(False)
    page.bring_into_view("figure-layers")
    page.wait_for(DRAWN, "figure-layers")
    ink = "return getComputedStyle(document.querySelector('#figure-layers .ytick text')).fill"
    light = page.script(ink)
    page.dark(True)
    page.wait_for(f"{ink} !== arguments[0]", light)
    assert light == "rgb(28, 33, 40)"
    assert page.script(ink) == "rgb(230, 233, 238)"
    page.screenshot(Path(ARTEFACTS or tmp_path) / "report-dark.png")
    page.dark(False)


def test_a_phone_scrolls_the_table_and_not_the_page(opened: Open, tmp_path: Path) -> None:
    page = opened(runs.awkward_names(), (named("<img src=x>"), DYING), width=390)
    for anchor in ("finding-1", "layers", "figure-loss", "figure-layers", "figure-depth", "recording"):
        page.bring_into_view(anchor)
        time.sleep(0.2)
    page.wait_for(DRAWN, "figure-depth")
    assert page.script("return document.documentElement.scrollWidth") == 390
    assert page.script("const box = document.querySelector('.scroll'); return box.scrollWidth > box.clientWidth")
    page.bring_into_view("layers")
    page.screenshot(Path(ARTEFACTS or tmp_path) / "report-phone.png")


def test_print_draws_every_figure_and_opens_all_that_is_folded(opened: Open, tmp_path: Path) -> None:
    page = opened(runs.sick())
    page.wait_for("return window.Plotly !== undefined")
    page.script(
        """addEventListener("beforeprint", () => {
            const plots = [...document.querySelectorAll(".plot")];
            window.atPrint = {
                drawn: plots.filter((plot) => plot.querySelector(".main-svg")).length,
                all: plots.length,
                folded: document.querySelectorAll("details:not([open])").length,
                wide: Math.max(...plots.map((plot) => plot.querySelector(".main-svg").getBoundingClientRect().width)),
            };
        });""",
    )
    printed = page.driver.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})
    assert base64.b64decode(printed["data"]).startswith(b"%PDF")
    found = json.loads(str(page.script("return JSON.stringify(window.atPrint)")))
    assert found["drawn"] == found["all"] > 4
    assert found["folded"] == 0
    assert found["wide"] <= 680
    page.wait_for("return document.querySelectorAll('details[open]').length === 0")
    (Path(ARTEFACTS or tmp_path) / "report.pdf").write_bytes(base64.b64decode(printed["data"]))


@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_no_serious_fault(opened: Open, dark: bool) -> None:
    page = opened(runs.sick())
    page.dark(dark)
    page.script("for (const part of document.querySelectorAll('details')) part.open = true")
    for anchor in ("finding-1", "finding-8", "layers", "figure-loss", "figure-layers", "figure-depth", "recording"):
        page.bring_into_view(anchor)
        time.sleep(0.2)
    page.wait_for(DRAWN, "figure-depth")
    # The page's own policy lets no other script run, so axe comes in through the debugger.
    source = files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    page.driver.execute_cdp_cmd("Runtime.evaluate", {"expression": source})
    found = page.driver.execute_async_script("axe.run().then((found) => arguments[0](found.violations))")
    assert [(fault["id"], fault["nodes"][0]["html"][:200]) for fault in found if fault["impact"] != "minor"] == []
    page.dark(False)


def test_words_and_tables_are_there_without_javascript(opened: Open, seen: Browser) -> None:
    seen.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        page = opened(runs.sick())
        shown = page.driver.find_element(By.TAG_NAME, "main").text
    finally:
        seen.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert "7 findings of medium or high severity" in shown
    assert "The figures need JavaScript" in shown
    assert "dense_8" in shown


@pytest.mark.parametrize("name", ["healthy", "not_finite", "cut_off", "nothing_recorded"])
def test_every_figure_of_an_odd_run_is_drawn(opened: Open, name: str) -> None:
    page = opened(getattr(runs, name)(), ())
    anchors = page.script("return [...document.querySelectorAll('.figure')].map((slot) => slot.id)")
    assert isinstance(anchors, list)
    for anchor in anchors:
        page.bring_into_view(anchor)
        page.wait_for(DRAWN, anchor)
        choices = page.driver.find_elements(By.CSS_SELECTOR, f"#{anchor}-choice option")
        for index in range(len(choices)):
            Select(page.driver.find_element(By.ID, f"{anchor}-choice")).select_by_index(index)
            key = choices[index].get_attribute("value")
            page.wait_for(
                "return document.querySelector(`#${arguments[0]} .plot`).dataset.drawn === arguments[1]",
                anchor,
                key,
            )
