"""The study as one HTML page that needs nothing else: figures, plotly.js and style sheet are in it."""

from collections.abc import Sequence
from pathlib import Path

import plotly.graph_objects as go
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from activation_study.claim import Claim

_CONFIG = {"displayModeBar": False, "responsive": True}


def page(claims: Sequence[Claim], how: Sequence[str]) -> str:
    """Return the page: a table of the verdicts, and a section a claim.

    Args:
        claims: The claims, judged.
        how: Sentences on how the numbers were made.
    """
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["drawn"] = _drawn
    template = environment.get_template("page.html")
    return template.render(claims=claims, how=how, plotly_js=Markup(get_plotlyjs()))


def _drawn(figure: go.Figure, key: str) -> Markup:
    drawn = figure.to_html(full_html=False, include_plotlyjs=False, config=_CONFIG, div_id=f"figure-{key}")
    return Markup(drawn)
