"""``gradscope rules``: which rules there are, and what each sees."""

from __future__ import annotations

from typing import Annotated

import typer


def rule_names(incomplete: str) -> list[str]:
    """Return the rules whose names begin like this, for the shell's completion."""
    from gradscope.diagnose.discover import known_rules

    return [name for name in known_rules() if name.startswith(incomplete)]


def rules(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A rule, to read its page.", autocompletion=rule_names)
    ] = None,
) -> None:
    """List the rules, or show the page of one.

    The page of a rule says what it sees, why that harms, what to try, and its thresholds.
    Rules that other packages install are listed too.

    \b
    Examples:
      gradscope rules
      gradscope rules dying_relu
    """
    from rich.console import Console
    from rich.text import Text

    from gradscope.diagnose.discover import known_rules, rule_named
    from gradscope.report.terminal.printing import WIDTH, print_text
    from gradscope.report.terminal.rule import rule_list, rule_page

    shown = rule_list(known_rules(), width=WIDTH) if name is None else rule_page(name, rule_named(name), width=WIDTH)
    print_text(Text(shown), Console())
