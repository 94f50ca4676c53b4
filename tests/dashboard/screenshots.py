"""Makes the pictures of the tab in `examples/pictures`: the demo is trained, TensorBoard started, each view looked at.

    python tests/dashboard/screenshots.py

It needs Chromium and Pillow, and takes about a minute.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from browser import browser
from dashboard.server import tensorboard
from dashboard.tab import Tab

from gradscope.demo import demo

PICTURES = Path(__file__).parents[2] / "examples" / "pictures"
BOTH = ["sick", "healthy"]

VIEWS: dict[str, dict[str, Any]] = {
    "network": {"runs": BOTH},
    "compare": {"runs": BOTH, "scroll": "#profile"},
    "training": {"runs": BOTH, "scroll": "#training", "smoothing": 0.6},
    "layer": {"runs": BOTH, "layer": "dense_4", "step": 100},
    "curves": {"runs": BOTH, "layer": "dense_4", "step": 100, "scroll": '[aria-label="Curves"]'},
    "units": {"runs": ["healthy"], "layer": "dense_3", "scroll": '[aria-label="Units"]'},
}


def main() -> None:
    """Write the picture of each view, light and dark."""
    with tempfile.TemporaryDirectory() as folder:
        logs = Path(folder) / "logs"
        demo(logs)
        with (
            tensorboard(Path(folder) / "said.txt", "--logdir", str(logs)) as server,
            browser(Path(folder), width=1280, height=860) as shown,
        ):
            tab = Tab(shown, server.address)
            tab.until(lambda: len(server.json("runs")["runs"]) == len(BOTH), "both runs")
            for theme, query in (("light", ""), ("dark", "?darkMode=true")):
                for name, looked_at in VIEWS.items():
                    place = {key: value for key, value in looked_at.items() if key != "scroll"}
                    tab.open(query=query, **place)
                    if "scroll" in looked_at:
                        tab.do("document.querySelector(arguments[0]).scrollIntoView()", looked_at["scroll"])
                    tab.settle()
                    shown.driver.execute_async_script("setTimeout(arguments[0], 800)")  # figures that came into view
                    shown.driver.switch_to.default_content()
                    keep(shown.driver.get_screenshot_as_png(), PICTURES / f"tab_{name}_{theme}.png")


def keep(png: bytes, file: Path) -> None:
    """Write a picture as small as it gets without losing a colour: the marks of severity are a few pixels each."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.open(io.BytesIO(png)).convert("RGB").save(file, optimize=True)
    print(f"{file.name} {file.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
