"""The tab in TensorBoard through a real browser: real trainings, awkward ones, and a crowd of foreign runs."""

from __future__ import annotations

import csv
import json
import shutil
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import runs
from axe_core_python.selenium import Axe
from browser import browser
from dashboard.server import tensorboard, until
from dashboard.tab import Tab

from gradscope import GradScope, demo
from gradscope.store.event_sink import EventFileSink
from gradscope.store.messages import Event, Value, scalar_tensor
from gradscope.store.tfrecord import framed

pytestmark = pytest.mark.slow

EPOCHS = 8
HIDDEN = [f"dense_{order}" if order else "dense" for order in range(demo.DEPTH + 1)]
AWKWARD = "awkward <b>&amp;%2C,"
OURS = [AWKWARD, "healthy", "passing", "sick"]
FOREIGN = 197


def write_foreign(directory: Path) -> None:
    """Write a run of which nothing is ours, as another callback does."""
    directory.mkdir(parents=True)
    event = Event(wall_time=runs.BEGAN, step=0)
    event.summary.value.append(Value(tag="loss", tensor=scalar_tensor(1.0)))
    head = Event(wall_time=runs.BEGAN, file_version="brain.Event:2")
    payload = framed(head.SerializeToString()) + framed(event.SerializeToString())
    (directory / "events.out.tfevents.1.host").write_bytes(payload)


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's two networks, trained shortly, one that a test deletes, one with awkward names, and foreign runs."""
    logs = tmp_path_factory.mktemp("logs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "EPOCHS", EPOCHS)
        demo.load_framework()
        for recipe in (demo.SICK, demo.HEALTHY):
            demo.fit(recipe, demo.digits(), [GradScope(logs / recipe.name, quiet=True)])
    runs.write(logs / AWKWARD, runs.awkward_names())
    runs.write(logs / "passing", runs.saturated())
    for number in range(FOREIGN):
        write_foreign(logs / "foreign" / f"{number:03}")
    return logs


@pytest.fixture(scope="module")
def started(logs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    folder = tmp_path_factory.mktemp("browser")
    with (
        browser(folder) as shown,  # first: where there is none, nothing is started
        tensorboard(folder / "said.txt", "--logdir", str(logs)) as server,
    ):
        until(lambda: len(server.json("runs")["runs"]) == len(OURS))
        until(lambda: len(json.loads(server.get("data/runs").body)) == len(OURS) + FOREIGN)
        yield Tab(shown, server.address)


@pytest.fixture
def tab(started: Tab) -> Iterator[Tab]:
    """The tab, which must not complain of anything, nor ask any other host."""
    yield started
    assert started.browser.complaints() == []
    assert started.browser.other_hosts() == set()


def test_the_disease_is_seen_at_first_sight(tab: Tab) -> None:
    tab.open()
    assert tab.browser.driver.execute_script("return window.parent.document.title") == "TensorBoard"
    assert "vanishing gradient" in tab.text("#findings .finding.high")
    sick, healthy = tab.heatmaps()
    assert sick["title"] == "sick"
    assert healthy["title"] in {"healthy", "passing"}
    assert tab.text(".segments [aria-pressed='true']") == "backward signal"  # in which the finding is seen
    bottom = tab.do("return document.querySelector('#network .heatmap').getBoundingClientRect().bottom")
    assert bottom < tab.do("return window.innerHeight")


def test_only_runs_of_ours_are_listed_among_two_hundred(tab: Tab) -> None:
    tab.look_at(runs=["sick"])
    assert [name.text for name in tab.find(".runs .name")] == OURS


def test_the_list_of_runs_says_the_last_step_of_each_training(tab: Tab) -> None:
    tab.open(runs=["sick"])
    said = {found.text.split("\n")[0]: found.text for found in tab.find(".runs li")}
    assert f"to step {EPOCHS * 45 - 1}," in said["sick"]
    assert f"to step {EPOCHS * 45 - 1}," in said["healthy"]


def test_the_library_that_draws_is_asked_for_by_its_version(tab: Tab) -> None:
    tab.open(runs=["sick"])
    asked = tab.do("return Array.from(document.scripts, (script) => script.src).filter((src) => /plotly/.test(src))")
    assert [address.rpartition("/")[2] for address in asked] == [f"plotly.min.js?v={version('plotly')}"]


def test_the_menu_of_statistics_stands_below_the_headings_that_the_server_names(tab: Tab) -> None:
    tab.look_at(runs=["sick"])
    shown = tab.do("""
        return Array.from(document.querySelectorAll('#statistic optgroup'), (group) => [
            group.label, Array.from(group.children, (option) => option.value),
        ]);
    """)
    served = tab.do("return (await (await fetch('statistics')).json()).statistics")
    headings = dict.fromkeys(statistic["group"] for statistic in served if statistic["table"] != "steps")
    expected = [[name, [found["id"] for found in served if found["group"] == name]] for name in headings]
    assert shown == expected
    assert len(shown) > 2


def test_a_figure_that_is_taken_away_gives_back_what_it_held(tab: Tab) -> None:
    hold = """
        window.held = Array.from(document.querySelectorAll(arguments[0])).filter((plot) => plot._fullLayout);
        return window.held.length;
    """
    kept = "return window.held.filter((plot) => plot._fullLayout || document.contains(plot)).length"
    tab.look_at(runs=["sick", "healthy"])
    assert tab.do(hold, "#network .heatmap") == 2
    tab.look_at(runs=["sick"])
    assert tab.do(kept) == 1
    tab.look_at(runs=["sick"], layer="dense_3")
    tab.do("document.querySelector('[aria-label=Curves]').scrollIntoView()")
    drawn = tab.until(lambda: tab.do(hold, ".page .plot"), "the curves")
    assert drawn > 1
    tab.look_at(runs=["sick"], layer="dense_30")
    assert tab.do(kept) == 0


def test_the_heatmap_has_a_row_a_layer_in_the_order_of_the_model(tab: Tab) -> None:
    tab.look_at(runs=["sick"], statistic="activations.backward_rms")
    (sick,) = tab.heatmaps()
    assert sick["rows"] == len(HIDDEN)
    assert [name.replace("</b>", "").rpartition(">")[2].strip() for name in sick["names"]] == HIDDEN


def test_a_click_on_a_finding_opens_its_layer_at_its_step_and_the_back_button_returns(tab: Tab) -> None:
    tab.look_at(runs=["sick"])
    heading = tab.find("#findings .headline")[0].text
    step = heading.rpartition("steps ")[2].partition("–")[0]
    tab.click("#findings .headline", "vanishing gradient")
    tab.settle()
    assert tab.text("#layer-title") == "dense"
    assert tab.text(".stepper output").startswith(f"{step} ")
    assert f"p.gradscope.step={step}" in tab.link()
    assert "p.gradscope.layer=dense" in tab.link()
    tab.do("window.parent.history.back()")
    tab.until(lambda: tab.find("#network"), "the network")
    assert "layer=" not in tab.link()


def test_a_click_into_the_heatmap_opens_the_layer_there(tab: Tab) -> None:
    tab.look_at(runs=["sick"])
    place = tab.do("""
        const drag = document.querySelector('#network .heatmap .nsewdrag').getBoundingClientRect();
        return [drag.left + 0.5 * drag.width, drag.top + (2.5 / 9) * drag.height];
    """)
    tab.mouse("mouseMoved", *place)
    tip = tab.until(lambda: tab.text(".tip"), "the text beside the pointer")
    assert tip.startswith("backward signal ")
    assert "dense_2" in tip
    tab.mouse("mousePressed", *place)
    tab.mouse("mouseReleased", *place)
    tab.until(lambda: tab.text("#layer-title") == "dense_2", "the page of the layer")
    assert "p.gradscope.step=" in tab.link()


def test_a_deep_link_survives_a_reload(tab: Tab) -> None:
    looked_at = {"runs": ["healthy", "sick"], "statistic": "activations.sample_std", "step": 38, "layer": "dense_3"}
    tab.open(**looked_at)
    before = tab.link()
    tab.reload()
    assert tab.link() == before
    assert tab.text("#layer-title") == "dense_3"
    assert tab.text(".stepper output").startswith("38 ")
    tab.click(".back")
    tab.settle()
    assert tab.text(".segments [aria-pressed='true']") == "spread over samples"
    assert [shown["title"] for shown in tab.heatmaps()] == ["healthy", "sick"]


def test_two_runs_are_compared_on_one_scale(tab: Tab) -> None:
    tab.look_at(runs=["sick", "healthy"], statistic="gradients.rms")
    sick, healthy = tab.heatmaps()
    assert (sick["zmin"], sick["zmax"]) == (healthy["zmin"], healthy["zmax"])
    profile = tab.chart(".profile")
    assert [trace["name"] for trace in profile["data"]] == ["sick", "healthy"]
    first = tab.find("#compare tbody tr")[0].text
    assert first.startswith("dense")
    assert first.endswith("× larger")
    assert tab.find("#recording .card")[0].text.split("\n")[1].endswith(f"of {EPOCHS * 45} steps recorded")


def test_statistic_axis_and_smoothing_are_switched(tab: Tab) -> None:
    tab.look_at(runs=["healthy"])
    tab.click(".segments button", "dead units")
    tab.settle()
    (shown,) = tab.heatmaps()
    assert (shown["zmin"], shown["zmax"]) == (0, 1)
    tab.do("const axis = document.getElementById('axis'); axis.value = 'wall'; axis.dispatchEvent(new Event('change'))")
    tab.settle()
    assert tab.chart("#network .heatmap")["layout"]["xaxis"]["type"] == "date"
    tab.do("scrollTo(0, document.querySelector('#training').offsetTop)")
    tab.until(lambda: tab.chart("#training .lines"), "the loss")
    count = len(tab.chart("#training .lines")["data"])
    slide = "const s = document.getElementById('smoothing'); s.value = '0.9'; s.dispatchEvent(new Event('input'))"
    tab.do(slide)
    tab.until(lambda: len(tab.chart("#training .lines")["data"]) > count, "the smoothed curve")
    tab.until(lambda: "smoothing=0.9" in tab.link() and "axis=wall" in tab.link(), "the link")


def test_runs_are_filtered_by_a_regular_expression(tab: Tab) -> None:
    tab.look_at(runs=["sick"])
    (box,) = tab.find("#filter")
    box.send_keys("^(sick|healthy)$")
    assert [name.text for name in tab.find(".runs .name")] == ["healthy", "sick"]
    box.send_keys("(")
    assert "Not a regular expression" in tab.text("#filter-note")
    assert len(tab.find(".runs .name")) == len(OURS)


def test_dark_mode_follows_tensorboard_also_when_it_is_toggled_and_both_can_be_read(tab: Tab) -> None:
    tab.open(query="?darkMode=true", runs=["sick"])
    papers = [tab.heatmaps()[0]["paper"]]
    assert barriers(tab) == []
    assert tab.do("return document.body.classList.contains('dark')")
    tab.do("window.parent.document.querySelector('app-header-dark-mode-toggle button').click()")
    light = """
        window.parent.document.querySelectorAll('[mat-menu-item]')[1]?.click();
        return !document.body.classList.contains('dark');
    """
    tab.until(lambda: tab.do(light), "the light theme")
    tab.settle()
    papers.append(tab.heatmaps()[0]["paper"])
    assert papers[0] != papers[1]
    tab.look_at(runs=["sick"], layer="dense_4")
    assert barriers(tab) == []


def barriers(tab: Tab) -> list[str]:
    """Return what keeps some people from reading the page, contrast and missing labels among it."""
    tab.do("for (const details of document.querySelectorAll('details')) details.open = true")
    return [found["id"] for found in Axe().run(tab.browser.driver)["violations"]]


def test_hostile_names_stay_text(tab: Tab) -> None:
    tab.look_at(runs=[AWKWARD])
    assert tab.text("#network h3") == AWKWARD
    shown = tab.do("return Array.from(document.querySelectorAll('#network .ytick text'), (text) => text.textContent)")
    assert "<img src=…nerror=alert(1)>" in [name.strip().replace("\xa0", " ") for name in shown]
    options = tab.do("return Array.from(document.getElementById('open-layer').options, (option) => option.text)")
    assert options[2] == "<img src=x onerror=alert(1)>"
    tab.look_at(runs=[AWKWARD], layer="<img src=x onerror=alert(1)>")
    assert tab.text("#layer-title") == "<img src=x onerror=alert(1)>"
    assert tab.do("return document.querySelectorAll('img, b, red').length") == 0


def test_what_is_shown_is_saved(tab: Tab, tmp_path: Path) -> None:
    tab.look_at(runs=["sick"], statistic="gradients.rms")
    allow = {"behavior": "allow", "downloadPath": str(tmp_path)}
    tab.browser.driver.execute_cdp_cmd("Browser.setDownloadBehavior", allow)
    tab.click("#network .card button", "CSV")
    tab.click("#network .card button", "PNG")
    saved = [tmp_path / "gradscope_sick_rms.csv", tmp_path / "gradscope_sick_rms.png"]
    tab.until(lambda: all(file.exists() and file.stat().st_size for file in saved), "the files")
    with saved[0].open(encoding="utf-8-sig", newline="") as text:
        rows = list(csv.DictReader(text))
    assert {row["layer"] for row in rows} == set(HIDDEN)
    value = tab.do("""
        const bytes = await (await fetch('matrix?run=sick&statistic=gradients.rms')).arrayBuffer();
        return new Float32Array(bytes, 4 + new DataView(bytes).getUint32(0, true))[0];
    """)
    assert float(rows[0]["gradients.rms"]) == value
    assert saved[1].read_bytes().startswith(b"\x89PNG")


def test_a_running_training_shows_up_within_one_reload_and_the_view_is_kept(tab: Tab, logs: Path) -> None:
    net = runs.network("relu", runs.layer_names(5))
    records: list[Any] = runs.training(net, losses=[2.0] * 40, gradient=[1e-3] * 5, saturated=0.4)
    early, late = records[:12], records[12:]
    sink = EventFileSink(logs / "running")
    sink.open()
    try:
        for record in early:
            sink.write(record)
        tab.open(runs=["running"])
        tab.until(lambda: reloaded(tab) and tab.heatmaps(), "the first steps")
        before = tab.heatmaps()[0]["columns"]
        left, top, width = tab.do("""
            const {left, top, width} = document.querySelector('#network .heatmap .nsewdrag').getBoundingClientRect();
            return [left, top, width];
        """)
        tab.mouse("mousePressed", left + 0.2 * width, top + 20)
        tab.mouse("mouseMoved", left + 0.6 * width, top + 22)
        tab.mouse("mouseReleased", left + 0.6 * width, top + 22)
        zoomed = tab.until(lambda: tab.chart("#network .heatmap")["layout"]["xaxis"]["range"], "the zoom")
        for record in late:
            sink.write(record)
        time.sleep(2.5)  # until TensorBoard has read them
        reloaded(tab)
        tab.until(lambda: tab.heatmaps()[0]["columns"] > before, "the later steps", seconds=5)
        assert tab.chart("#network .heatmap")["layout"]["xaxis"]["range"] == zoomed
        assert 0 < zoomed[0] < zoomed[1] < 12 * 25
    finally:
        sink.close()


def reloaded(tab: Tab) -> bool:
    """Press TensorBoard's own button."""
    return bool(tab.do("window.parent.document.querySelector('.reload-button').click(); return true"))


def test_a_run_that_is_deleted_while_it_is_shown_is_taken_out_with_a_word(tab: Tab, logs: Path) -> None:
    tab.open(runs=["passing", "sick"])
    assert len(tab.heatmaps()) == 2
    shutil.rmtree(logs / "passing")
    tab.until(lambda: reloaded(tab) and "no longer" in tab.text("#notice"), "the word")
    assert [shown["title"] for shown in tab.heatmaps()] == ["sick"]


def test_controls_are_labelled_and_reached_by_keyboard(tab: Tab) -> None:
    tab.look_at(runs=["sick"])
    unnamed = tab.do("""
        const named = (e) => e.labels?.length || e.getAttribute('aria-label') || e.textContent.trim();
        return Array.from(document.querySelectorAll('input, select, button')).filter((e) => !named(e)).length;
    """)
    assert unnamed == 0
    tab.do("document.getElementById('step').focus()")
    tab.find("#step")[0].send_keys("\ue012")  # the arrow to the left
    tab.until(lambda: "the latest" not in tab.text(".stepper output"), "a step back")


@pytest.mark.parametrize("width", [360, 800])
def test_narrow_widths_do_not_break(tab: Tab, width: int) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    tab.browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        tab.open(runs=["sick", "healthy"])
        assert tab.do("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    finally:
        tab.browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {**size, "width": 1400})


def test_without_a_run_it_says_how_to_record(started: Tab, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    with tensorboard(tmp_path / "said.txt", "--logdir", str(tmp_path / "logs")) as server:
        empty = Tab(started.browser, server.address)
        empty.open()
        assert "gradscope.GradScope(" in empty.text("#empty pre")
        assert empty.browser.complaints() == []
    # TensorBoard is gone now: the tab says so, and offers to try again.
    empty.click("aside button", "Reload")
    empty.until(lambda: "TensorBoard does not answer" in empty.text("#notice"), "the error")
    assert empty.find("#notice button")[0].text == "Try again"
    empty.browser.driver.get("about:blank")
    empty.browser.complaints()
