"""Pages: a template filled with what it shows, self-contained, and closed to every network by its own policy.

Names of layers and runs are data: all that is filled in is escaped, scripts run by their hash alone, and the page's
policy forbids whatever else a name might smuggle in.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gradscope.diagnose.finding import Severity
from gradscope.report.page.embedded import EmbeddedFigure, plotly_js, script_hash
from gradscope.report.words.findings import NAME_CELLS, code_lines, sentence, steps
from gradscope.report.words.names import printable, shortened

SEVERITY_SYMBOLS: Final[Mapping[Severity, str]] = {"low": "●", "medium": "◆", "high": "▲"}

_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'; "
    "script-src {scripts}"
)


@dataclass(frozen=True, slots=True)
class PageHead:
    """The sentence at the top of a page.

    Attributes:
        level: A severity; ``fine`` where nothing is wrong, ``unknown`` where nothing can be said.
        symbol: The level as a character.
        text: The sentence.
        lines: What to bear in mind, a sentence each.
    """

    level: str
    symbol: str
    text: str
    lines: tuple[str, ...]


def rendered(
    template: str, *, title: str, now: datetime, version: str, figures: Mapping[str, EmbeddedFigure], **content: Any
) -> str:
    """Return the page that a template, which extends ``base.html``, makes of its content.

    Args:
        template: Its file name in the folder of templates.
        title: What the browser's tab shows.
        now: When the page is made, with its time zone.
        version: Of gradscope.
        figures: Those that the page holds, by the key that the content knows them by.
        content: What the template asks for besides.
    """
    environment = _environment()
    js = _asset("page.js")
    scripts, plotly = [script_hash(js)], ""
    if figures:
        plotly, plotly_hash = plotly_js()
        scripts.append(plotly_hash)
    return environment.get_template(template).render(
        title=title,
        made=moment(now),
        version=version,
        figures=figures,
        plotly=plotly,
        css=Markup(_asset("page.css")),
        js=Markup(js),
        policy=_POLICY.format(scripts=" ".join(scripts)),
        symbols=SEVERITY_SYMBOLS,
        **content,
    )


def moment(when: datetime) -> str:
    """Return a moment as one writes it, with its time zone.

    Example:
        >>> from datetime import UTC
        >>> moment(datetime(2026, 1, 2, 3, 4, tzinfo=UTC))
        '2 January 2026, 03:04 UTC'
    """
    return f"{when.day} {when:%B %Y, %H:%M} {when:%Z}".strip()


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("gradscope.report.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "sentence": sentence,
        "printable": printable,
        "steps": steps,
        "name": _name,
        "code": _code,
        "unbroken": _unbroken,
    }
    return environment


def _name(text: str) -> str:
    return shortened(text, NAME_CELLS)


def _code(text: str) -> str:
    return "\n".join(code_lines(text))


def _unbroken(text: str) -> str:
    """Return ``text`` with numbers such as 1e-5 held together at the end of a line."""
    return re.sub(r"(?<=\de)-(?=\d)", "-\N{WORD JOINER}", text)


@functools.cache
def _asset(name: str) -> str:
    """Return the text of a file in the templates' folder."""
    loader = _environment().loader
    assert loader is not None
    return loader.get_source(_environment(), name)[0]
