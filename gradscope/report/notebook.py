"""Summary and findings in a notebook: the terminal's numbers and words as HTML, every name escaped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from gradscope.diagnose.finding import Finding
from gradscope.report.values.findings import grouped
from gradscope.report.values.summary import SiteRow, Summary
from gradscope.report.words.findings import code_lines, details, following, overview, overview_groups, sentence, title
from gradscope.report.words.layer_columns import LAYER_COLUMNS
from gradscope.report.words.names import printable
from gradscope.report.words.numbers import UNKNOWN
from gradscope.report.words.summary import footing, heading, legend, more_findings


def summary_html(summary: Summary) -> str:
    """Return ``summary`` as an HTML fragment without scripts or styles of its own."""
    first, *others = heading(summary)
    body = "".join(f"<tr>{_cells('td', _texts(row))}</tr>" for row in summary.rows)
    table = f"<table><thead><tr>{_cells('th', _titles())}</tr></thead><tbody>{body}</tbody></table>"
    notes = [*legend(summary.rows), *footing(summary)]
    recorded = summary.progress.recorded_count > 0
    return (
        f"{_paragraph(first, others)}{_overview(summary) if recorded else ''}{table if recorded else ''}"
        f"<p>{'<br>'.join(map(escape, notes))}</p>"
    )


def findings_html(findings: Sequence[Finding]) -> str:
    """Return ``findings`` with evidence and what to try as an HTML fragment."""
    return "".join(_finding(*group) for group in grouped(findings)) or "<p>No findings.</p>"


def _overview(summary: Summary) -> str:
    first, *others = overview(summary.findings, more_findings(summary))
    groups = overview_groups(summary.findings)
    blocks = (_paragraph(title(f), [sentence(f.message), *following(follow)]) for f, follow in groups)
    return f"{_paragraph(first)}{''.join(blocks)}<p>{'<br>'.join(map(escape, others))}</p>"


def _finding(finding: Finding, consequences: Sequence[Finding]) -> str:
    advice = (
        f"<p>Try: {escape(sentence(advice.text))}</p>"
        + (f"<pre>{escape(chr(10).join(code_lines(advice.code)))}</pre>" if advice.code else "")
        for advice in finding.advice
    )
    body = [sentence(finding.message), *details(finding), *following(consequences)]
    return _paragraph(title(finding), body) + "".join(advice)


def _paragraph(first: str, others: Iterable[str] = ()) -> str:
    return f"<p><strong>{escape(first)}</strong>{''.join(f'<br>{escape(line)}' for line in others)}</p>"


def _titles() -> Iterator[str]:
    yield from ("layer", "function")
    for each in LAYER_COLUMNS:
        title = each.column.short
        yield from [title] if each.first is None else [f"{title}, first", f"{title}, last"]


def _texts(row: SiteRow) -> Iterator[str]:
    yield from (printable(row.site), printable(row.activation) or UNKNOWN)
    for each in LAYER_COLUMNS:
        yield from [each.last(row)] if each.first is None else [each.first(row), each.last(row)]


def _cells(tag: str, texts: Iterable[str]) -> str:
    return "".join(f"<{tag}>{escape(text)}</{tag}>" for text in texts)
