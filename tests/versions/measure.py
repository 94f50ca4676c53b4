"""Do the oldest and the newest allowed versions work? Run: python tests/versions/measure.py [--write] [--only NAME].

For each Python a fresh environment is made with the oldest release that `pyproject.toml` allows of everything that it
names, and one with the newest. In each the demo runs, a sample of the hazards, and the tests of reading and reporting.
It takes some twenty minutes and ten gigabytes, in a temporary folder.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
README = Path(__file__).with_name("README.md")
PYTHONS = ("3.11", "3.13")
EXTRAS = ("tensorflow", "demo", "parquet", "remote")
SHOWN = ("tensorflow", "keras", "numpy", "pandas", "plotly", "rich", "typer", "tensorboard")
TOOLS = ("pytest==9.2.0", "pytest-xdist>=3.6", "hypothesis>=6.100", "duckdb>=1.4")
BEGIN, END = "<!-- versions: from python tests/versions/measure.py --write -->\n", "<!-- end -->\n"
CHECKS = {
    "demo": ("-m", "gradscope", "demo", "--dir", "{folder}"),
    "hazards' sample": ("-m", "pytest", "-q", "-k", "sample", "tests/hazards"),
    "reading and reporting": (
        *("-m", "pytest", "-q", "tests/store", "tests/report", "tests/diagnose"),
        *("--ignore-glob", "*_in_browser.py", "--ignore", "tests/report/test_report_page.py"),
    ),
}


@dataclass(frozen=True)
class Environment:
    """One Python with the oldest or the newest of everything."""

    python: str
    is_oldest: bool

    @property
    def name(self) -> str:
        return f"{'oldest' if self.is_oldest else 'newest'}, Python {self.python}"

    def constraints(self) -> Iterator[str]:
        """Yield what pip is to install of each: of the oldest release series its latest fix; nothing of the newest."""
        for requirement in requirements() if self.is_oldest else ():
            if requirement.marker is not None and not requirement.marker.evaluate({"python_version": self.python}):
                continue
            floor = next((each.version for each in requirement.specifier if each.operator == ">="), None)
            if floor is not None:
                is_series = floor.count(".") == 1
                yield f"{requirement.name}=={floor}.*" if is_series else f"{requirement.name}=={floor}"


def requirements() -> list[Requirement]:
    """Return what the project needs, the extras that users install included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    texts = [*project["dependencies"], *(text for extra in EXTRAS for text in project["optional-dependencies"][extra])]
    return [Requirement(text) for text in texts]


def interpreter(version: str) -> str:
    """Return the path of a Python, on the path or among pyenv's.

    Raises:
        SystemExit: If there is none.
    """
    found = [shutil.which(f"python{version}"), *map(str, Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))]
    for path in filter(None, found):
        if subprocess.run([path, "--version"], capture_output=True, check=False).returncode == 0:
            return path
    raise SystemExit(f"There is no Python {version}: put python{version} on the path.")


def measured(environment: Environment, folder: Path) -> list[str]:
    """Return a row of the table: the environment, what is installed in it, and what each check came to."""
    home = folder / "venv"
    subprocess.run([interpreter(environment.python), "-m", "venv", str(home)], check=True)
    python = str(home / "bin" / "python")
    limits = folder / "constraints.txt"
    limits.write_text("\n".join(environment.constraints()), encoding="utf-8")
    install = [python, "-m", "pip", "install", "-q", "-c", str(limits), "-e", f"{ROOT}[{','.join(EXTRAS)}]", *TOOLS]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr[-2000:])
        return [environment.name, *["-"] * len(SHOWN), *["not installed"] * len(CHECKS)]
    (site,) = home.glob("lib/python*/site-packages")
    installed = {each.name.lower(): each.version for each in importlib.metadata.distributions(path=[str(site)])}
    row = [environment.name, *(installed[name] for name in SHOWN)]
    for name, command in CHECKS.items():
        begun = time.monotonic()
        arguments = [part.format(folder=folder / "demo") for part in command]
        done = subprocess.run([python, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        verdict = "passes" if done.returncode == 0 else f"fails ({done.returncode})"
        print(f"{environment.name}: {name} {verdict} in {time.monotonic() - begun:.0f} s", flush=True)
        if done.returncode:
            print(done.stdout[-6000:], done.stderr[-2000:], flush=True)
        row.append(verdict)
    return row


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as a table of Markdown."""
    head = ["", *SHOWN, *CHECKS]
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="keep the table in README.md, beside this file")
    parser.add_argument("--only", default="", help="words that the name of an environment has to contain")
    arguments = parser.parse_args()
    rows: list[list[str]] = []
    for environment in (Environment(python, is_oldest) for is_oldest in (True, False) for python in PYTHONS):
        if arguments.only in environment.name:
            with tempfile.TemporaryDirectory() as folder:
                rows.append(measured(environment, Path(folder)))
    found = table(rows)
    print(found)
    if arguments.write:
        before, rest = README.read_text(encoding="utf-8").split(BEGIN)
        README.write_text(before + BEGIN + found + END + rest.split(END, 1)[1], encoding="utf-8")
    return int(any(verdict != "passes" for row in rows for verdict in row[1 + len(SHOWN) :]))


if __name__ == "__main__":
    sys.exit(main())
