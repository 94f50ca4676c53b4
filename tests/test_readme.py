"""What the README shows is what the code says: its tables, its output and its lines."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import runs
from typer.main import get_command

from gradscope import schema
from gradscope.cli.main import app
from gradscope.diagnose.discover import known_rules
from gradscope.report.terminal.pair import paired_table
from gradscope.report.values.summary import summarise
from gradscope.store.read import frames_of

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"


def block(name: str) -> re.Match[str]:
    """Return the part of the README between the markers of this name."""
    found = re.search(rf"(<!-- {name}: [^\n]* -->\n)(.*?)(<!-- end -->)", README.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found


def rewrite(name: str, written: str) -> None:
    text, found = README.read_text(encoding="utf-8"), block(name)
    README.write_text(text[: found.start(2)] + written + text[found.end(2) :], encoding="utf-8")


def statistics() -> Iterator[str]:
    """Yield a table of columns for each table of a run, as the schema declares them."""
    for table in schema.TABLES.values():
        yield f"<details><summary><code>{table.name}</code>: one row a {table.row}</summary>"
        yield ""
        yield "| Column | Title | Unit | What it says | Definition |"
        yield "|---|---|---|---|---|"
        for column in (*table.keys, *table.statistics):
            meaning, source = (text.replace("|", r"\|") for text in (column.meaning, column.source))
            yield f"| `{column.name}` | {column.title} | {column.unit} | {meaning} | {source} |"
        if table is schema.EPOCHS:
            yield "| the name of a log | | | What Keras logged at the end of the epoch, validation included. | |"
        yield ""
        yield "</details>"
        yield ""


def test_the_table_of_statistics_is_what_the_schema_says(pytestconfig: pytest.Config) -> None:
    written = "\n".join(statistics()) + "\n"
    if pytestconfig.getoption("--update-golden"):
        rewrite("statistics", written)
    assert block("statistics")[2] == written, "the README differs from the schema; --update-golden rewrites it"


def commands() -> Iterator[str]:
    """Yield the lines of the table of commands, as their help begins."""
    yield "| Command | What it does |"
    yield "|---|---|"
    group: Any = get_command(app)
    for name, command in group.commands.items():
        taken = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
        arguments = "".join(f" {each.metavar}" if each.required else f" [{each.metavar}]" for each in taken)
        yield f"| `gradscope {name}{arguments}` | {(command.help or '').splitlines()[0]} |"


def test_the_table_of_commands_is_what_their_help_says(pytestconfig: pytest.Config) -> None:
    written = "\n".join(commands()) + "\n"
    if pytestconfig.getoption("--update-golden"):
        rewrite("commands", written)
    assert block("commands")[2] == written, "the README differs from the commands; --update-golden rewrites it"


def rules() -> Iterator[str]:
    """Yield the lines of the table of rules, as their docstrings begin."""
    yield "| Rule | What it sees |"
    yield "|---|---|"
    for name, rule in known_rules().items():
        yield f"| `{name}` | {(inspect.getdoc(rule) or '').splitlines()[0]} |"


def test_the_table_of_rules_is_what_their_docstrings_say(pytestconfig: pytest.Config) -> None:
    written = "\n".join(rules()) + "\n"
    if pytestconfig.getoption("--update-golden"):
        rewrite("rules", written)
    assert block("rules")[2] == written, "the README differs from the rules; --update-golden rewrites it"


def test_the_hazards_that_it_counts_are_those_that_were_measured(pytestconfig: pytest.Config) -> None:
    measured = re.search(
        r"<!-- short: [^\n]* -->\n(.*?)<!-- end -->",
        (ROOT / "tests" / "hazards" / "README.md").read_text(encoding="utf-8"),
        re.DOTALL,
    )
    assert measured is not None
    if pytestconfig.getoption("--update-golden"):
        rewrite("hazards", measured[1])
    assert block("hazards")[2] == measured[1], "the README differs from the hazards'; --update-golden rewrites it"


def test_every_check_before_training_is_named() -> None:
    checks = {path.stem for path in (ROOT / "gradscope" / "diagnose" / "checks").glob("[a-z]*.py")}
    told = README.read_text(encoding="utf-8").partition("**Before training**")[2].partition("\n- **")[0]
    assert checks
    assert {name for name in checks if f"`{name}`" not in told} == set()


def test_the_finding_it_shows_is_one_of_the_rules_and_fits_the_terminal() -> None:
    shown = block("finding")[2].splitlines()
    title = next(line for line in shown if line.startswith(("high: ", "medium: ", "low: ")))
    assert title.split()[1] in known_rules()
    assert any(line.lstrip().startswith("keras.") for line in shown)
    assert max(len(line) for line in shown if "keras." not in line) <= 80


def test_the_output_it_shows_has_the_headings_and_rows_of_a_real_one() -> None:
    pair = [summarise(frames_of(getattr(runs, name)()), name=name) for name in ("sick", "healthy")]
    real = paired_table(*pair, ("sick", "healthy")).plain.splitlines()
    shown = block("demo")[2].splitlines()
    cells = [line.split() for line in shown]
    headings = [line.split() for line in (real[0], real[1], next(line for line in real if "how it went" in line))]
    assert [heading in cells for heading in headings] == [True] * 3
    names = [line.split("  ")[0] for line in real if re.match(r"dense|batch loss|steps|recording", line)]
    assert [name for name in names if not any(line.startswith(f"{name}  ") for line in shown)] == []
    assert max(map(len, shown)) <= 80


def test_every_link_leads_to_a_file() -> None:
    links = re.findall(r"\]\(([^)]+)\)", README.read_text(encoding="utf-8"))
    assert [link for link in links if not (ROOT / link).is_file()] == []


def test_each_line_to_type_has_the_form_for_windows_beside_it() -> None:
    lines = README.read_text(encoding="utf-8").splitlines()
    posix = [line for line in lines if line.startswith("python3 -m venv")]
    assert len(posix) == 2
    for line in posix:
        assert line.replace("python3", "py", 1).replace(".venv/bin/", ".venv\\Scripts\\") in lines
