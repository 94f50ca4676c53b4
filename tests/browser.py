"""A real browser for the tests that look at pages: Chromium without a window, and what it complained about.

Where no Chromium is found and the tests run with the right to, the system's package manager installs it once.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_DRIVERS = ("chromedriver", "chromium.chromedriver")
_SWITCHES = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps",
    "--disable-domain-reliability", "--disable-client-side-phishing-detection", "--metrics-recording-only",
    "--force-color-profile=srgb", "--hide-scrollbars",
)  # fmt: skip

DRAWN = "return document.querySelector(`#${arguments[0]} .plot.drawn .main-svg`) !== null"
"""Whether a report has drawn the figure at an anchor, as a source for `Browser.wait_for`."""


@functools.cache
def _programs() -> tuple[str, str] | str:
    """Return the paths of browser and driver, or the reason why there are none."""
    found = _found()
    if found is None and shutil.which("apt-get") and getattr(os, "geteuid", lambda: 1)() == 0:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for line in (
            ["apt-get", "update", "-qq"],
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium", "chromium-driver"],
        ):
            subprocess.run(line, env=environment, stdout=subprocess.DEVNULL, timeout=600, check=False)
        found = _found()
    return found or (
        "BROWSER TESTS ARE SKIPPED: no Chromium with its driver was found, and it could not be installed. "
        "On Debian or Ubuntu: apt-get install chromium chromium-driver"
    )


def _found() -> tuple[str, str] | None:
    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    driver = next(filter(None, map(shutil.which, _DRIVERS)), None)
    return (browser, driver) if browser and driver else None


class Browser:
    """A browser, and what happened in it since the last look.

    Attributes:
        driver: Selenium's driver.
    """

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def complaints(self) -> list[str]:
        """Return the errors of the console since the last call, violations of a content security policy among them."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

    def other_hosts(self) -> set[str]:
        """Return the hosts other than this machine that were asked for anything since the last call."""
        hosts: set[str] = set()
        for entry in self.driver.get_log("performance"):
            message: dict[str, Any] = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                address = urlsplit(message["params"]["request"]["url"])
                if address.scheme in ("http", "https", "ws", "wss") and address.hostname:
                    hosts.add(address.hostname)
        return hosts - {"127.0.0.1", "localhost"}

    def open(self, address: str, *, width: int = 1400, height: int = 900) -> None:
        """Open a page in a window of that many CSS pixels."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.get(address)

    def script(self, source: str, *arguments: object) -> object:
        """Return what the body of a JavaScript function returns."""
        return self.driver.execute_script(source, *arguments)

    def wait_for(self, source: str, *arguments: object) -> object:
        """Return what ``source`` returns as soon as that is true."""
        end = time.monotonic() + 30
        while not (value := self.script(source, *arguments)):
            assert time.monotonic() < end, source
            time.sleep(0.05)
        return value

    def bring_into_view(self, anchor: str) -> None:
        """Scroll to an anchor at once."""
        self.script("document.getElementById(arguments[0]).scrollIntoView({behavior: 'instant'})", anchor)

    def click(self, selector: str) -> None:
        """Click where a person would, after the page has come to rest: a click does not wait for a smooth scroll."""
        element = self.driver.find_element(By.CSS_SELECTOR, selector)
        self.script("arguments[0].scrollIntoView({behavior: 'instant', block: 'center'})", element)
        element.click()

    def dark(self, wanted: bool) -> None:
        """Set what the system prefers: a dark colour scheme, or a light one."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if wanted else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    def screenshot(self, file: Path) -> None:
        """Keep a picture of what is seen."""
        file.parent.mkdir(parents=True, exist_ok=True)
        assert self.driver.save_screenshot(str(file))


@contextmanager
def browser(folder: Path, *, width: int = 1400, height: int = 900, network: bool = True) -> Iterator[Browser]:
    """Start a browser for as long as the context lasts; skip the test, loudly, where none can be had.

    Args:
        folder: Where it may keep its profile.
        width: Of the page, in CSS pixels.
        height: Of the page.
        network: False to cut it off from every network, this machine included.
    """
    programs = _programs()
    if isinstance(programs, str):
        pytest.skip(programs)
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    for switch in (*_SWITCHES, f"--user-data-dir={folder / 'profile'}", f"--window-size={width},{height}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, Service(programs[1]))
    try:
        driver.set_script_timeout(60)
        driver.execute_cdp_cmd("Network.enable", {})
        if not network:
            offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
            driver.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
        driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )
        yield Browser(driver)
    finally:
        driver.quit()
