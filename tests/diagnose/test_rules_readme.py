"""What the README of the rules shows runs as it stands."""

import re
import tomllib
from pathlib import Path

from gradscope.diagnose import rules
from gradscope.diagnose.diagnosis import diagnose
from gradscope.diagnose.discover import GROUP, thresholds_of
from gradscope.testing import run, stack

README = (Path(rules.__path__[0]) / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> str:
    return "\n".join(re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL))


def test_the_rule_of_the_readme_passes_its_own_tests_and_can_be_asked() -> None:
    names: dict[str, object] = {}
    exec(blocks("python"), names)
    tests = [test for name, test in names.items() if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        test()
    rule = names["small_batch"]
    assert [finding.rule for finding in diagnose(run(stack(), steps={"samples": 2}), [rule])] == ["small_batch"]
    assert [threshold.name for threshold in thresholds_of(rule)] == ["least"]


def test_the_entry_point_of_the_readme_is_of_the_group_that_is_looked_up() -> None:
    assert list(tomllib.loads(blocks("toml"))["project"]["entry-points"]) == [GROUP]
