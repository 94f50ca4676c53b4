"""Which rules there are: those of the folder, those that other packages install, and those asked for by name."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gradscope.diagnose import rules as folder
from gradscope.diagnose.discover import chosen_rules, known_rules, rule_named, thresholds_of
from gradscope.diagnose.finding import Finding
from gradscope.errors import ArgumentError
from gradscope.store.frames import Frames


def of_my_own(frames: Frames, *, floor: float = 0.5, ceiling: float = 2.0, plain: float = 1.0) -> Iterator[Finding]:
    """My rule sees nothing.

    Args:
        frames: The run.
        floor: Share that is too small, fraction; as I
            have seen: half of it.
        ceiling: What is too large, pure number.

    Source:
        ceiling: this is no argument.
    """
    yield from ()


def test_every_file_of_the_folder_is_a_rule_named_after_it() -> None:
    files = {path.stem for path in Path(folder.__path__[0]).glob("*.py")} - {"__init__"}
    assert files == {name for name, rule in known_rules().items() if rule.__module__.startswith(folder.__name__)}
    assert all(rule.__name__ == name for name, rule in known_rules().items())


def test_they_are_listed_by_name() -> None:
    own = [name for name, rule in known_rules().items() if rule.__module__.startswith(folder.__name__)]
    assert own == sorted(own)


def test_an_unknown_name_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(ArgumentError, match=r"no rule 'dying_relus'. Nearest: dying_relu"):
        rule_named("dying_relus")
    with pytest.raises(ArgumentError, match="no rule '§'"):
        rule_named("§")


def test_rules_are_chosen_by_name_or_as_functions() -> None:
    assert list(chosen_rules(["dying_relu", of_my_own])) == ["dying_relu", "of_my_own"]
    assert chosen_rules(None) == known_rules()
    assert chosen_rules([]) == {}


def test_one_name_is_no_list_of_names() -> None:
    with pytest.raises(ArgumentError, match=r"Pass a list .*\['dying_relu'\]"):
        chosen_rules("dying_relu")


def test_what_is_neither_a_name_nor_a_function_is_an_error() -> None:
    with pytest.raises(ArgumentError, match="rules holds 3"):
        chosen_rules([3])  # type: ignore[list-item]


def test_two_functions_of_one_name_are_an_error() -> None:
    with pytest.raises(ArgumentError, match="two functions of the name '<lambda>'"):
        chosen_rules([lambda frames: [], lambda frames: ()])


def test_thresholds_are_the_keyword_defaults_with_what_the_docstring_says_of_them() -> None:
    floor, ceiling, plain = thresholds_of(of_my_own)
    assert (floor.name, floor.default) == ("floor", 0.5)
    assert floor.meaning == "Share that is too small, fraction; as I have seen: half of it."
    assert (ceiling.default, ceiling.meaning) == (2.0, "What is too large, pure number.")
    assert (plain.name, plain.meaning) == ("plain", "")


def test_a_rule_without_thresholds_or_docstring_has_none() -> None:
    assert thresholds_of(lambda frames: []) == []


# ---- Rules of other packages, in an interpreter that has them installed

THEIRS = '''"""Rules of another package."""
from gradscope import Evidence, Finding

def grokking(frames, *, patience: float = 3.0):
    """The network waits.

    Args:
        patience: How long, epochs.
    """
    yield Finding("grokking", "low", None, 0, 0, "It waits.", (Evidence("patience", patience),))
'''
ENTRY_POINTS = """[gradscope.rules]
grokking = their_rules:grokking
dying_relu = their_rules:grokking
broken = their_rules:missing
"""
PROGRAM = """
import warnings
with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    from gradscope.diagnose.discover import known_rules, rule_named, thresholds_of
    rules = known_rules()
from gradscope.diagnose.diagnosis import diagnose
from gradscope.testing import run, stack
print(list(rules)[-1], rules["dying_relu"].__module__, "broken" in rules)
print([str(w.message) for w in warned if "broken" in str(w.message)])
print(rule_named("grokking").__module__, thresholds_of(rules["grokking"]))
print([f.evidence[0].value for f in diagnose(run(stack()), ["grokking"], grokking={"patience": 7.0})])
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder as an installer leaves it: a package with rules, one of which cannot be loaded."""
    (tmp_path / "their_rules.py").write_text(THEIRS, encoding="utf-8")
    info = tmp_path / "their_rules-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-rules\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(ENTRY_POINTS, encoding="utf-8")
    return tmp_path


def test_a_rule_that_another_package_installs_is_found_and_cannot_replace_one_of_ours(installed: Path) -> None:
    program = f"import sys; sys.path.insert(0, {str(installed)!r})\n{PROGRAM}"
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    found, warned, theirs, findings = finished.stdout.splitlines()
    assert found == "grokking gradscope.diagnose.rules.dying_relu False"
    assert warned.startswith("[\"The rule 'broken' cannot be loaded and is left out")
    assert theirs == "their_rules [Threshold(name='patience', default=3.0, meaning='How long, epochs.')]"
    assert findings == "[7.0]"
