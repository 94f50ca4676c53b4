"""A user's mistake in words: what the command line's parser says, with the nearest word that would have worked."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Final

_NO_CHOICE: Final = re.compile(r"(?:Value error, )?(?P<given>'[^']*') is not one of (?P<choices>'.*')\.?$")
_OPTIONS: Final = re.compile(r" \(Possible options: (?P<options>.*)\)$")


def explained(message: str) -> str:
    """Return the parser's ``message`` with the nearest choice, in one style for commands, options and their values.

    Example:
        >>> explained("Invalid value for '--fail-on': Value error, 'hihg' is not one of 'low', 'medium', 'high'.")
        "Invalid value for '--fail-on': 'hihg' is not one of 'low', 'medium', 'high'. Did you mean 'high'?"
        >>> explained("No such option: --jsn (Possible options: --json)")
        "No such option: --jsn. Did you mean '--json'?"
    """
    if options := _OPTIONS.search(message):
        return f"{message[: options.start()]}.{question(options['options'].split(', '))}"
    if wrong := _NO_CHOICE.search(message):
        near = nearest(wrong["given"].strip("'"), re.findall(r"'([^']*)'", wrong["choices"]))
        return f"{message[: wrong.start()]}{wrong['given']} is not one of {wrong['choices']}.{question(near)}"
    return message


def nearest(given: str, known: Iterable[str]) -> list[str]:
    """Return the word of ``known`` that ``given`` may be a misspelling or the beginning of; none if none is like it.

    Example:
        >>> nearest("hihg", ["low", "high"]), nearest("sat", ["saturation", "dead"]), nearest("xyz", ["low", "high"])
        (['high'], ['saturation'], [])
    """
    known = list(known)
    begun = [word for word in known if given and word.startswith(given)]
    return begun[:1] or difflib.get_close_matches(given, known, n=1)


def question(words: Iterable[str]) -> str:
    """Return what asks whether one of ``words`` was meant, to stand behind a sentence; ``""`` for none.

    Example:
        >>> question(["--json"]), question([])
        (" Did you mean '--json'?", '')
    """
    listed = " or ".join(repr(word) for word in words)
    return f" Did you mean {listed}?" if listed else ""
