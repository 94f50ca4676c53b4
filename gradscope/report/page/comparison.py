"""The page of a comparison: what was gained and lost, what differs and how it looks, in one file that can be sent.

It has the frame, the style and the security of the report of one run. What is worse than in the reference comes first,
each with what to try; then what differs in configuration and layers; then the figures; then what could not be matched,
and by which limits all of it was judged.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Final

from gradscope._version import __version__
from gradscope.diagnose.finding import rank
from gradscope.report.page.changed_findings import finding_groups, wanted_statistics
from gradscope.report.page.comparison_figures import pictures
from gradscope.report.page.comparison_tables import MOST_SIDES, lack_lines, layer_tables, run_table, setting_lines
from gradscope.report.page.facts import Fact
from gradscope.report.page.figure_store import FigureStore
from gradscope.report.page.rendering import SEVERITY_SYMBOLS, PageHead, moment, rendered
from gradscope.report.page.run import FEW_RECORDS
from gradscope.report.page.writing import write_page
from gradscope.report.values.comparison import Comparison
from gradscope.report.words.comparison import compared_runs, few_short, headline, points
from gradscope.report.words.names import printable, shortened

_MOST_ARTICLES: Final = 8
_MOST_NAMES: Final = 12
_NAME_CELLS: Final = 32
_UNLIKE: Final = 1.1


def write_comparison(comparison: Comparison, *, path: Path, force: bool, now: datetime) -> None:
    """Write the page of ``comparison`` to ``path``, as `write_page` does."""
    write_page(comparison_html(comparison, now=now), path, force=force)


def comparison_html(comparison: Comparison, *, now: datetime) -> str:
    """Return a comparison as one HTML page that asks nothing of any server.

    Args:
        comparison: What to show. Where its runs lie is not told: the page is for others too.
        now: When the page is made, with its time zone.

    Example:
        >>> from datetime import UTC
        >>> from gradscope import compare
        >>> from gradscope.run import Run
        >>> from gradscope.testing import run, stack
        >>> runs = [Run(run(stack(depth=1)), name=name) for name in ("<before>", "after")]
        >>> page = comparison_html(compare(runs), now=datetime(2026, 1, 2, tzinfo=UTC))
        >>> "<h1>after compared with &lt;before&gt;</h1>" in page
        True
    """
    store = FigureStore()
    shown = pictures(comparison, store, wanted_statistics(comparison))
    groups = finding_groups(comparison, shown)
    chosen, recorded = setting_lines(comparison)
    title = compared_runs(comparison)
    return rendered(
        "comparison.html",
        title=f"{title} – GradScope comparison",
        now=now,
        version=__version__,
        figures=store.figures,
        name=title,
        reference=printable(comparison.reference.name),
        head=page_head(comparison),
        facts=_facts(comparison),
        runs=run_table(comparison),
        groups=groups,
        changed_count=sum(len(group.articles) for group in groups),
        anchors={article.finding.key: article.id for group in groups if group.is_news for article in group.articles},
        most_articles=_MOST_ARTICLES,
        most_names=_MOST_NAMES,
        sides=[shortened(side.name, _NAME_CELLS) for side in comparison.sides]
        if len(comparison.sides) <= MOST_SIDES
        else [],
        chosen=chosen,
        recorded=recorded,
        layers=layer_tables(comparison),
        criterion=_criterion(comparison),
        is_pair=len(comparison.others) == 1,
        panels=shown.panels,
        pair=shown.pair,
        figure_notes=shown.notes,
        lacks=lack_lines(comparison),
        left_out=[(printable(run), printable(reason)) for run, reason in comparison.left_out.items()],
        how=list(_how(comparison, now.tzinfo)),
    )


def page_head(comparison: Comparison) -> PageHead:
    """Return what stands at the top of the page of ``comparison``."""
    symbol, level = "✓", "fine"
    if gained := comparison.gained():
        worst = max(gained, key=lambda change: rank(change.finding.severity)).finding.severity
        symbol, level = SEVERITY_SYMBOLS[worst], worst
    return PageHead(level, symbol, headline(comparison), tuple(_cautions(comparison)))


def _cautions(comparison: Comparison) -> Iterator[str]:
    short = [side.name for side in comparison.sides if side.row.recorded_count < FEW_RECORDS]
    if short:
        yield f"Fewer than {FEW_RECORDS} steps are recorded of {few_short(short)}: most problems show only over more."
    steps = [side.row.step_count for side in comparison.sides]
    if max(steps) > _UNLIKE * min(steps):
        yield (
            f"The trainings are of unlike length, from {min(steps):,} to {max(steps):,} steps: numbers of the last "
            "record are taken at different times."
        )
    damaged = [side.name for side in comparison.sides if side.summary.lost]
    if damaged:
        yield f"The recording of {few_short(damaged)} is damaged; what was lost is missing here."
    if comparison.left_out:
        yield f"Left out, with the reasons below: {few_short(list(comparison.left_out))}."


def _facts(comparison: Comparison) -> list[Fact]:
    ranges = comparison.ranges
    notable = sum(item.extent >= 1 for item in ranges)
    return [
        Fact("reference", printable(comparison.reference.name)),
        Fact("compared with it", f"{len(comparison.others):,} run{'s' * (len(comparison.others) != 1)}"),
        Fact("numbers of layers that differ", f"{notable:,} of {len(ranges):,}"),
        Fact("settings that differ", f"{len(comparison.differences):,}"),
        Fact("layers not matched", f"{len({item.key for item in comparison.unmatched}):,}"),
    ]


def _criterion(comparison: Comparison) -> str:
    return f"by a ratio of {comparison.ratio:g}, or by {points(comparison.difference)} of a share"


def _how(comparison: Comparison, zone: tzinfo | None) -> Iterator[Fact]:
    """Yield by which limits and of what the comparison was made."""
    yield Fact("sizes differ from", f"a ratio of {comparison.ratio:g}, either way")
    yield Fact("shares differ from", points(comparison.difference))
    yield Fact(
        "numbers are of", "the last record of each run; a single one is noisy, so this is no test of significance"
    )
    yield Fact("findings are matched", "by rule and layer")
    yield Fact("layers are matched", "by key, which does not depend on how Keras numbered them")
    recorded = [side.row.recorded_count for side in comparison.sides]
    yield Fact("recorded steps", _span(f"{min(recorded):,}", f"{max(recorded):,}"))
    heard = [side.row.last_wall_time for side in comparison.sides if not math.isnan(side.row.last_wall_time)]
    if heard:
        first, last = (moment(datetime.fromtimestamp(time, zone)) for time in (min(heard), max(heard)))
        yield Fact("last records", _span(first, last))
    yield Fact("rules and page", f"GradScope {__version__}")
    names = dict.fromkeys(name for side in comparison.sides for name in side.network.versions)
    for name in names:
        versions = {side.network.versions.get(name, "unknown") for side in comparison.sides}
        yield Fact(printable(name), ", ".join(sorted(map(printable, versions))))


def _span(first: str, last: str) -> str:
    return first if first == last else f"{first} to {last}"
