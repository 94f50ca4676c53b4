"""A rule's docstring, read as paragraphs under headings: prose for a person, and sections about the function."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

OF_THE_CODE: Final = frozenset({"Args", "Returns", "Yields", "Raises", "Example", "Examples"})
"""Sections that are about the function; all else is about the rule."""
_HEADINGS: Final = OF_THE_CODE | {"Severity", "What to try", "Source"}


class Paragraph(NamedTuple):
    """A paragraph with its lines as they stand, and the heading that it stands under; ``""`` for prose."""

    heading: str
    text: str


def paragraphs(function: object) -> Iterator[Paragraph]:
    """Yield the paragraphs of the docstring of ``function``.

    Example:
        >>> [paragraph.heading for paragraph in paragraphs(paragraphs)]
        ['', 'Example']
    """
    heading = ""
    for text in re.split(r"\n\s*\n", inspect.getdoc(function) or ""):
        if not text.startswith(" "):
            start, colon, _ = text.partition(":")
            heading = start if colon and start in _HEADINGS else ""
        if text:
            yield Paragraph(heading, text)


def argument_meanings(function: object) -> dict[str, str]:
    """Return what the docstring's ``Args`` say of each argument."""
    lines = [line for heading, text in paragraphs(function) if heading == "Args" for line in text.splitlines()]
    said: dict[str, str] = {}
    name = ""
    for line in lines:
        if re.match(r" {4}\S.*:", line):
            name, _, meaning = line.strip().partition(":")
            said[name] = meaning.strip()
        elif name:
            said[name] = f"{said[name]} {line.strip()}"
    return said
