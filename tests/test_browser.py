"""The browser that other tests look through sees what they need it to see."""

from pathlib import Path

import pytest
from browser import browser

PAGE = """<!doctype html><title>t</title><style>@media (prefers-color-scheme: dark) {{ body {{ color: red }} }}</style>
<body><script>{script}</script>"""


@pytest.mark.slow
def test_it_tells_of_errors_of_other_hosts_and_of_the_colour_scheme(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    with browser(tmp_path, network=False) as seen:
        page.write_text(PAGE.format(script=""), encoding="utf-8")
        seen.driver.get(page.as_uri())
        assert (seen.complaints(), seen.other_hosts()) == ([], set())
        colour = "return getComputedStyle(document.body).color"
        seen.dark(True)
        assert seen.driver.execute_script(colour) == "rgb(255, 0, 0)"
        seen.dark(False)
        assert seen.driver.execute_script(colour) == "rgb(0, 0, 0)"
        page.write_text(PAGE.format(script="fetch('http://example.com/x').catch(() => 0); throw Error('oh')"))
        seen.driver.get(page.as_uri())
        assert any("oh" in complaint for complaint in seen.complaints())
        assert seen.other_hosts() == {"example.com"}
        seen.screenshot(tmp_path / "shown" / "page.png")
        assert (tmp_path / "shown" / "page.png").stat().st_size > 500
