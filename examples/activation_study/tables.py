"""The verdicts as a table in the terminal, as Markdown, and as JSON."""

import json
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from activation_study.claim import Claim

STYLES = {"confirmed": "green", "depends": "yellow", "not confirmed": "red"}


def print_verdicts(claims: Sequence[Claim], console: Console) -> None:
    """Print one row a claim."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_lines=False, row_styles=("",), leading=1)
    table.add_column("claim", ratio=5)
    table.add_column("verdict", no_wrap=True)
    table.add_column("measured", ratio=6)
    table.expand = True
    for claim in claims:
        table.add_row(claim.title, f"[{STYLES[claim.verdict]}]{claim.verdict}[/]", claim.number)
    console.print(table)


def markdown(claims: Sequence[Claim], how: Sequence[str]) -> str:
    """Return the verdicts as a page of Markdown: the table, each verdict's reach, and how it was made."""
    lines = [
        "# What people say about activation functions, measured",
        "",
        "| claim | verdict | measured |",
        "|---|---|---|",
        *(f"| {claim.title} | **{claim.verdict}** | {claim.number} |" for claim in claims),
        "",
        "Where it holds:",
        "",
        *(f"- *{claim.title}.* {claim.depends}" for claim in claims),
        "",
        "How it was made:",
        "",
        *(f"- {sentence}" for sentence in how),
        "",
    ]
    return "\n".join(lines)


def verdicts_json(claims: Sequence[Claim]) -> str:
    """Return the verdicts as JSON, each with its criterion and the table of its numbers."""
    verdicts = [
        {
            "key": claim.key,
            "claim": claim.title,
            "verdict": claim.verdict,
            "measured": claim.number,
            "depends": claim.depends,
            "criterion": claim.criterion,
            "settings": claim.table.reset_index().to_dict(orient="records"),
        }
        for claim in claims
    ]
    return json.dumps(verdicts, indent=1, ensure_ascii=False)
