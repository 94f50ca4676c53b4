"""A user's mistake in words: what the command line's parser says, with the nearest word that would have worked."""

from __future__ import annotations

import re
from typing import Final

from gradscope.nearest import nearest, question

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
