"""What a page carries within itself: figures as JSON, plotly.js, and the hashes by which its scripts may run.

Numbers travel as base64 of their bytes, as 32-bit floats: they were recorded with no more, and a page of them is half
the size. Plotly.js is compressed, which makes a page of 2.5 MB of one of 5.5 MB; browsers unpack it themselves.
"""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import html
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np

_BARE_TOP: Final = 16
"""Pixels above a figure whose title and notes stand in the page."""


@dataclass(frozen=True, slots=True)
class EmbeddedFigure:
    """A figure on its way into a page.

    Attributes:
        id: What its places in the page name it by.
        json: Its data and layout, without title and notes, safe inside a script element.
        height: Its height in pixels.
        notes: What stood below its title, in plain text.
    """

    id: str
    json: str
    height: int
    notes: str


def embedded(figure: Any, id: str) -> EmbeddedFigure:  # Any: plotly has no types
    """Return a figure of plotly as a page holds it: its title and notes are the page's to show.

    Example:
        >>> import plotly.graph_objects as go
        >>> figure = go.Figure(go.Scatter(y=np.array([1.5, 2.5])), {"title": {"subtitle": {"text": "Of 2<br>steps."}}})
        >>> found = embedded(figure, "f1")
        >>> found.notes, '"y":{"dtype":"f4","bdata":"AADAPwAAIEA="}' in found.json
        ('Of 2 steps.', True)
    """
    whole: dict[str, Any] = figure.to_plotly_json()
    layout: dict[str, Any] = {**whole["layout"]}
    title: Mapping[str, Any] = layout.pop("title", None) or {}
    subtitle: Mapping[str, Any] = title.get("subtitle") or {}
    margin: Mapping[str, Any] = layout.get("margin") or {}
    height = int(layout.pop("height", 420)) - max(int(margin.get("t", _BARE_TOP)) - _BARE_TOP, 0)
    layout["margin"] = {**margin, "t": _BARE_TOP}
    if layout.get("legend", {}).get("y") == 1:
        layout["margin"]["t"] += 24  # a legend above the axes keeps its place
        height += 24
    text = json.dumps({"data": _plain(whole["data"]), "layout": _plain(layout)}, separators=(",", ":"), allow_nan=False)
    return EmbeddedFigure(id, safe_json(text), height, _plain_text(str(subtitle.get("text", ""))))


def safe_json(text: str) -> str:
    r"""Return JSON that cannot end the script element that it stands in.

    Example:
        >>> safe_json('"</script>"')
        '"\\u003c/script\\u003e"'
    """
    for character in "<>&\u2028\u2029":  # faster than one translation of millions of characters
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


@functools.cache
def plotly_js() -> tuple[str, str]:
    """Return plotly.js as base64 of its gzip, and the hash by which a page lets it run."""
    from plotly.offline import get_plotlyjs

    source = get_plotlyjs()
    packed = gzip.compress(source.encode(), compresslevel=6, mtime=0)
    return base64.b64encode(packed).decode("ascii"), script_hash(source)


def script_hash(source: str) -> str:
    """Return the source expression of a content security policy that lets a script with just this text run.

    Example:
        >>> script_hash("alert(1)")
        "'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='"
    """
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode('ascii')}'"


def _plain(value: Any) -> Any:
    """Return ``value`` as strict JSON values, plotly's arrays of 64-bit floats as 32-bit ones."""
    match value:
        case {"dtype": "f8", "bdata": str(data), **rest}:
            return {**_halved(data), **cast("dict[str, Any]", rest)}
        case dict():
            return {str(key): _plain(item) for key, item in cast("dict[Any, Any]", value).items()}
        case list() | tuple():
            return [_plain(item) for item in cast("Sequence[Any]", value)]
        case np.ndarray() | np.generic():
            return _plain(value.tolist())
        case float() if not math.isfinite(value):
            return None
        case _:
            return value


def _halved(data: str) -> dict[str, str]:
    """Return 64-bit floats as 32-bit ones, unless one of them is larger than those can hold."""
    values = np.frombuffer(base64.b64decode(data), "<f8")
    with np.errstate(over="ignore"):
        packed = values.astype("<f4")
    if not np.array_equal(np.isfinite(packed), np.isfinite(values)):
        return {"dtype": "f8", "bdata": data}
    return {"dtype": "f4", "bdata": base64.b64encode(packed.tobytes()).decode("ascii")}


def _plain_text(markup: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", " ", markup))
