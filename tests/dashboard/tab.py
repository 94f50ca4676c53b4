"""The tab in a browser, as a person has it: TensorBoard around it, clicks and keys inside it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from browser import Browser
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.remote.webelement import WebElement

SECONDS = 30.0


class Tab:
    """GradScope's tab of a running TensorBoard.

    Attributes:
        browser: What shows it.
        address: Of TensorBoard.
    """

    def __init__(self, browser: Browser, address: str) -> None:
        self.browser = browser
        self.address = address

    def open(self, *, query: str = "", **looked_at: object) -> None:
        """Load TensorBoard's page anew; keywords are what the link says, as ``layer="dense"``."""
        driver = self.browser.driver
        driver.switch_to.default_content()
        driver.get("about:blank")  # a change of the fragment alone would load nothing
        driver.get(f"{self.address}/{query}#{fragment(**looked_at)}")
        self.enter()

    def reload(self) -> None:
        """Load the page anew at the address where it is, as a person does."""
        self.browser.driver.switch_to.default_content()
        self.browser.driver.refresh()
        self.enter()

    def enter(self) -> None:
        """Wait for the tab and work inside it from now on."""
        driver = self.browser.driver

        def inside() -> bool:
            driver.switch_to.default_content()
            (frame,) = driver.find_elements("css selector", 'iframe[src*="name=gradscope"]') or (None,)
            if frame is None:
                return False
            driver.switch_to.frame(frame)
            return self.is_ready()

        self.until(inside, "the tab to be shown")

    def is_ready(self) -> bool:
        """Return whether all answers are there and drawn."""
        return bool(self.do("return document.body.dataset.state === 'ready'"))

    def settle(self) -> None:
        """Wait until what was asked for is drawn."""
        # A change is drawn with the next frame, and says so before that ends.
        wait = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done)))"
        self.browser.driver.execute_async_script(wait)
        self.until(self.is_ready, "the answers")

    def look_at(self, **looked_at: object) -> None:
        """Change the fragment of the address, as a person who follows a link."""
        self.do("window.parent.location.hash = arguments[0]", fragment(**looked_at))
        self.settle()

    def link(self) -> str:
        """Return the address that the person sees."""
        return str(self.do("return window.parent.location.href"))

    def do(self, script: str, *arguments: object) -> Any:
        """Run JavaScript in the tab and return what it returns."""
        return self.browser.driver.execute_script(script, *arguments)

    def find(self, selector: str) -> list[WebElement]:
        """Return the elements of the tab that are seen."""
        return [found for found in self.browser.driver.find_elements("css selector", selector) if found.is_displayed()]

    def text(self, selector: str) -> str:
        """Return the text of the first element that is seen, empty if there is none."""
        return next((found.text for found in self.find(selector)), "")

    def click(self, selector: str, words: str = "") -> None:
        """Click the first element that is seen and has these words."""
        for found in self.find(selector):
            if words in found.text:
                self.do("arguments[0].scrollIntoView({block: 'center'})", found)
                found.click()
                return
        pytest.fail(f"There is no {selector} with {words!r}.")

    def mouse(self, kind: str, x: float, y: float) -> None:
        """Move or press the mouse at a place of the tab, in its own pixels: ``mouseMoved``, ``mousePressed``, …"""
        frame = self.do("const {left, top} = window.frameElement.getBoundingClientRect(); return [left, top]")
        at = {"type": kind, "x": x + frame[0], "y": y + frame[1], "button": "left", "clickCount": 1}
        self.browser.driver.execute_cdp_cmd("Input.dispatchMouseEvent", at)

    def chart(self, selector: str) -> Any:
        """Return data and layout of the first figure at ``selector``, as Plotly holds them."""
        script = """
        const found = document.querySelector(arguments[0]);
        const plain = (value) => JSON.parse(JSON.stringify(value, (_, v) => ArrayBuffer.isView(v) ? Array.from(v) : v));
        return found?.data ? plain({data: found.data, layout: found.layout}) : null;
        """
        return self.do(script, selector)

    def heatmaps(self) -> list[Any]:
        """Return data and layout of the heatmaps of the network, from left to right."""
        script = """
        return Array.from(document.querySelectorAll('#network .heatmap')).filter((plot) => plot.data).map((plot) => ({
            zmin: plot.data[0].zmin, zmax: plot.data[0].zmax, rows: plot.data[0].z.length,
            names: plot.layout.yaxis.ticktext, columns: plot.data[0].z[0].length, paper: plot.layout.paper_bgcolor,
            title: plot.closest('.card').querySelector('h3').textContent,
        }));
        """
        return self.do(script)

    def until(self, found: Callable[[], Any], what: str, seconds: float = SECONDS) -> Any:
        """Return what ``found`` returns once it is something."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if answer := found():
                    return answer
            except WebDriverException:  # the page is being replaced
                pass
            time.sleep(0.05)
        pytest.fail(f"Waited {seconds:.0f} s for {what}, at {self.browser.driver.current_url}")


def fragment(**looked_at: object) -> str:
    """Return the fragment of a link; lists are names of runs."""
    parts = ["gradscope"]
    for key, value in looked_at.items():
        text = ",".join(quote(str(name), safe="") for name in value) if isinstance(value, list) else str(value)
        parts.append(f"p.gradscope.{key}={quote(text, safe='')}")
    return "&".join(parts)
