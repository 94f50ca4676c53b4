"""Which rules there are: one file each in `gradscope.diagnose.rules`, and those that other packages install.

Another package's rule is an entry point of the group ``gradscope.rules``: its name is the rule's id, its value the
function. What else is to be known of a rule, such as what its findings follow from, stands on the function: see
`gradscope.rule`.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from types import ModuleType

from gradscope.diagnose import checks as checks_package
from gradscope.diagnose import rules as rules_package
from gradscope.diagnose.docstring import argument_meanings
from gradscope.diagnose.rule import Rule
from gradscope.errors import ArgumentError
from gradscope.nearest import nearest

GROUP = "gradscope.rules"


@dataclass(frozen=True, slots=True)
class Threshold:
    """A rule's threshold: its name, its default, and what its docstring says of it, unit and reason included."""

    name: str
    default: float
    meaning: str


@functools.cache
def known_rules() -> Mapping[str, Rule]:
    """Return every rule by its id: gradscope's own in the order of their names, then those that are installed.

    Example:
        >>> "dying_relu" in known_rules()
        True
    """
    found = rules_in(rules_package)
    for point in entry_points(group=GROUP):
        try:
            found.setdefault(point.name, point.load())
        except Exception as error:
            warnings.warn(f"The rule {point.name!r} cannot be loaded and is left out: {error}", stacklevel=2)
    return found


@functools.cache
def known_checks() -> Mapping[str, Rule]:
    """Return every check of data, loss and output by its id: functions of a model and a batch, `Subject`.

    They are asked of the first batch, before a training and in it; what they found then stands in `Frames.checked`.
    """
    return rules_in(checks_package)


def rules_in(package: ModuleType) -> dict[str, Rule]:
    """Return the function of each file of ``package`` by its name, which is the file's, in the order of the names."""
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    return {name: getattr(importlib.import_module(f"{package.__name__}.{name}"), name) for name in names}


def rule_named(name: str) -> Rule:
    """Return the rule with this id.

    Raises:
        ArgumentError: If there is none; it names the nearest.
    """
    rules = known_rules()
    if name not in rules:
        near = nearest(name, rules, count=3, likeness=0.3) or list(rules)
        raise ArgumentError(f"There is no rule {name!r}. Nearest: {', '.join(near)}. `gradscope rules` lists all.")
    return rules[name]


def chosen_rules(rules: Sequence[str | Rule] | None) -> dict[str, Rule]:
    """Return the rules that ``rules`` asks for, by id: all that are known for None, else ids and functions.

    Raises:
        ArgumentError: If an id is not known or given to two functions, or something is neither an id nor a function.
    """
    if rules is None:
        return dict(known_rules())
    if isinstance(rules, str):
        raise ArgumentError(f"rules={rules!r} is one name. Pass a list of names or functions, such as [{rules!r}].")
    chosen: dict[str, Rule] = {}
    for name, rule in _named(rules):
        if chosen.setdefault(name, rule) is not rule:
            raise ArgumentError(f"rules holds two functions of the name {name!r}, which is a rule's id. Rename one.")
    return chosen


def _named(rules: Sequence[str | Rule]) -> Iterator[tuple[str, Rule]]:
    for rule in rules:
        if isinstance(rule, str):
            yield rule, rule_named(rule)
        elif callable(rule):
            yield getattr(rule, "__name__", type(rule).__name__), rule
        else:
            raise ArgumentError(f"rules holds {rule!r}, which is neither a rule's name nor a function of frames.")


def thresholds_of(rule: Rule) -> list[Threshold]:
    """Return the thresholds of ``rule``: its keyword defaults, with their lines from the docstring's ``Args``."""
    said = argument_meanings(rule)
    return [
        Threshold(name, parameter.default, said.get(name, ""))
        for name, parameter in inspect.signature(rule).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    ]
