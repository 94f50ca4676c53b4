"""Text on its way to a person: wrapped to a width, in the characters that the terminal or file has."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Final

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

WIDTH: Final = 80
"""Columns of a text that goes to no terminal."""

_PLAIN: Final = str.maketrans({"–": "-", "─": "-", "→": ">", "…": "~", "≥": ">", "≤": "<"})


def print_text(text: Text, console: Console) -> None:
    """Print ``text`` as it is, with what the console's encoding lacks replaced."""
    known = encodable(text.plain, console.encoding)
    console.print(text if known == text.plain else Text(known), soft_wrap=True, highlight=False)


def encodable(text: str, encoding: str) -> str:
    """Return ``text`` with the characters that ``encoding`` lacks replaced, as wide as before.

    Example:
        >>> encodable("2.3 → 0.4 …", "ascii"), encodable("2.3 → 0.4 …", "utf-8")
        ('2.3 > 0.4 ~', '2.3 → 0.4 …')
    """
    if _encodes(text, encoding):
        return text
    return "".join(c if _encodes(c, encoding) else _replacement(c, encoding) for c in text)


def wrapped(texts: Iterable[str], width: int, style: str = "", *, hanging: str = "  ") -> list[Text]:
    """Return ``texts`` as lines of at most ``width`` columns, the later lines of one text begun with ``hanging``."""
    wrap = textwrap.TextWrapper(width, subsequent_indent=hanging, break_on_hyphens=False)
    return [Text(line, style) for text in texts for line in wrap.wrap(text)]


def _encodes(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _replacement(character: str, encoding: str) -> str:
    plain = character.translate(_PLAIN)
    return plain if _encodes(plain, encoding) else "?" * cell_len(character)
