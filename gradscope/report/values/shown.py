"""Values that show themselves: what renders one is found by its name when a person looks, and not imported."""

from __future__ import annotations

import importlib
from html import escape
from typing import Any, ClassVar


class Shown:
    """A value that prints itself, in a terminal as text and in a notebook as HTML.

    Attributes:
        TEXT: Module and function that make a `rich.text.Text` of the value.
        HTML: Module and function that make an HTML fragment of it; ``""`` to show the text.
    """

    __slots__ = ()

    TEXT: ClassVar[str]
    HTML: ClassVar[str] = ""

    def __str__(self) -> str:
        return rendered(self.TEXT, self).plain

    def _repr_html_(self) -> str:
        return rendered(self.HTML, self) if self.HTML else f"<pre>{escape(str(self))}</pre>"


def rendered(name: str, value: object, **options: object) -> Any:  # Any: what the function returns
    """Return what the function named ``name``, as ``module:function``, makes of ``value``."""
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)(value, **options)
