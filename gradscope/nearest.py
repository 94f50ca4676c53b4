"""Names in a sentence: the few that there is room for, and the one that a user may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Final

LIKENESS: Final = 0.6
"""From which ratio of matching characters on two words are alike; the default of `difflib`."""


def nearest(given: str, known: Iterable[str], *, count: int = 1, likeness: float = LIKENESS) -> list[str]:
    """Return the words of ``known`` that ``given`` may be the beginning or a misspelling of, the likeliest first.

    Args:
        given: What was typed.
        known: The words that would have worked.
        count: How many to return at most.
        likeness: How like a word must be, in [0, 1].

    Returns:
        None at all where none is like it.

    Example:
        >>> nearest("hihg", ["low", "high"]), nearest("sat", ["saturation", "dead"]), nearest("xyz", ["low", "high"])
        (['high'], ['saturation'], [])
    """
    known = list(known)
    begun = [word for word in known if given and word.startswith(given)]
    alike = difflib.get_close_matches(given, known, n=count, cutoff=likeness)
    return list(dict.fromkeys([*begun, *alike]))[:count]


def few(names: Sequence[str], most: int) -> str:
    """Return the first ``most`` names, and how many more there are.

    Example:
        >>> few(["a", "b"], 3), few(["a", "b", "c", "d", "e"], 3)
        ('a, b', 'a, b, c and 2 more')
    """
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def question(words: Iterable[str]) -> str:
    """Return what asks whether one of ``words`` was meant, to stand behind a sentence; ``""`` for none.

    Example:
        >>> question(["--json"]), question([])
        (" Did you mean '--json'?", '')
    """
    listed = " or ".join(repr(word) for word in words)
    return f" Did you mean {listed}?" if listed else ""
