"""The page of a comparison: what it says, in which order, which runs its figures show, and how large it grows."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import runs
from findings import DYING, OSCILLATING, VANISHING, named, unchanged
from html_page import HtmlPage
from sweeps import many, run, with_params

import gradscope
from gradscope import ArgumentError, Finding
from gradscope.records import Record
from gradscope.report.page.comparison import comparison_html, page_head
from gradscope.report.page.comparison_figures import MOST_RUNS, pictures, shown_sides
from gradscope.report.page.comparison_tables import layer_tables, run_table, setting_lines
from gradscope.report.page.figure_store import FIGURE_BUDGET, FigureStore
from gradscope.report.values.comparison import Comparison, Side
from gradscope.report.values.matching import compared, side_of
from gradscope.report.values.runs_table import run_row
from gradscope.report.values.summary import summarise
from gradscope.store.read import frames_of

NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


def side(records: Sequence[Record], name: str, findings: Sequence[Finding] = ()) -> Side:
    frames = frames_of(records)
    summary = summarise(frames, findings, name=name)
    params = frames.sessions[-1].params if frames.sessions else {}
    return replace(side_of(frames, summary, run_row(summary, params)), load=lambda: frames)


def pair(before: Sequence[Finding] = (), after: Sequence[Finding] = ()) -> Comparison:
    first = with_params(runs.healthy(), {"lr": 0.001, "seed": 1})
    second = with_params(runs.sick(), {"lr": 0.01, "seed": 1})
    return compared([side(first, "before", before), side(second, "after", after)])


def page_of(comparison: Comparison) -> HtmlPage:
    return HtmlPage(comparison_html(comparison, now=NOW))


def sweep(count: int, *, records: Callable[[], list[Record]] = runs.healthy) -> Comparison:
    return compared([side(records(), f"run_{index:02}", [DYING] if index else []) for index in range(count)])


# --- words ---


def test_the_sentence_leads_then_runs_findings_configuration_layers_figures_and_how_it_was_compared() -> None:
    text = page_of(pair([DYING], [VANISHING])).text
    parts = ("after compared with before", "1 finding gained, 1 lost", "worst finding", VANISHING.message,
             VANISHING.advice[0].text, DYING.message, "params.lr", "x12 is twelve times", "Loss of the runs",
             "Every layer over the training, side by side", "What could not be matched", "a ratio of 2, either way",
             "Made 2 January 2026, 03:04 UTC by GradScope")  # fmt: skip
    at = 0
    for part in parts:
        at = text.index(part, at)


@pytest.mark.parametrize(
    ("before", "after", "level", "text"),
    [
        ([], [], "fine", "No findings in any of the runs"),
        ([DYING], [DYING], "fine", "The same 1 finding in all runs"),
        ([DYING], [], "fine", "No finding gained, 1 lost"),
        ([], [OSCILLATING], "low", "1 finding gained, none lost"),
        ([], [DYING, VANISHING], "high", "2 findings gained, none lost"),
        ([DYING], [replace(DYING, severity="high")], "high", "No finding gained, none lost, 1 of higher severity"),
        ([replace(DYING, severity="high")], [DYING], "fine", "No finding gained, none lost, 1 of lower severity"),
    ],
)
def test_the_sentence_counts_what_changed(
    before: Sequence[Finding], after: Sequence[Finding], level: str, text: str
) -> None:
    head = page_head(pair(before, after))
    assert (head.level, head.text) == (level, text)


def test_a_finding_of_many_runs_is_told_once_with_their_names() -> None:
    text = page_of(sweep(6)).text
    assert text.count(DYING.message) == 1
    assert "In all 5 runs; told here as run_01 has it, at steps 100–275" in text
    assert "Runs: run_01, run_02, run_03, run_04, run_05" in text


def test_what_follows_from_a_gained_finding_leads_to_it_and_folds_its_advice() -> None:
    page = page_of(pair([], [VANISHING, replace(unchanged("dense_1"), advice=DYING.advice)]))
    assert "Follows from vanishing_gradient in dense." in page.text
    assert page.text.index("What to try, if the cause is mended") > page.text.index("Follows from")
    assert page.values("href").count("#finding-1") == 2  # from the run's worst finding, and from what follows


def test_a_layer_that_the_reference_lacks_is_said_with_the_finding_and_listed_as_not_matched() -> None:
    net = runs.network("relu", runs.layer_names(3))
    short = runs.training(net, losses=[2.0] * 6, gradient=[1e-3] * 3, saturated=0.5)
    text = page_of(compared([side(short, "short"), side(runs.healthy(), "deep", [DYING])])).text
    assert "the reference has no such layer" in text
    assert "dense_3, dense_4, dense_5, dense_6, dense_7, dense_8 short; deep has it there is no layer" in text


def test_of_very_many_layers_that_are_missing_some_are_folded_away_and_none_is_lost() -> None:
    text = page_of(compared([side(runs.healthy(), "short"), side(runs.deep(), "deep")])).text
    (folded,) = re.findall(r"dense_9, dense_10, .* and 69 more (.*) short; deep has it there is no layer", text)
    assert folded.split(", ") == runs.layer_names(90)[21:]


def test_cautions_are_told_of_short_unlike_and_left_out_runs() -> None:
    lines = page_head(
        compared([side(runs.healthy(), "a"), side(runs.not_finite(), "b"), side(runs.nothing_recorded(), "c")])
    ).lines
    assert [line.partition(" ")[0] for line in lines] == ["Fewer", "The", "Left"]
    assert "recorded of b" in lines[0]
    assert "from 51 to 300 steps" in lines[1]
    assert page_head(pair()).lines == ()


# --- tables ---


def test_the_runs_have_varying_params_and_final_metrics_and_the_worst_comes_first() -> None:
    sides = [side(with_params(runs.healthy(), {"lr": index, "seed": 1}), f"r{index}") for index in range(3)]
    sides.append(side(with_params(runs.sick(), {"lr": 9, "seed": 1}), "ill", [VANISHING, DYING]))
    table = run_table(compared(sides))
    assert [title.text for title in table.titles] == ["lr", "loss", "val_loss", "accuracy", "steps", "overhead"]
    assert [(line.name, line.is_reference, line.more) for line in table.lines][:2] == [
        ("r0", True, 0), ("ill", False, 1),
    ]  # fmt: skip
    assert [cell.text for cell in table.lines[1].cells] == ["9", "2.300", "2.530", "0.3030", "300", "6.0%"]


def test_of_thirty_runs_some_are_folded_away_and_none_is_lost() -> None:
    table = run_table(sweep(30))
    assert len(table.lines) + len(table.further) == 30
    assert len(table.further) == 16


def test_settings_of_few_runs_stand_side_by_side_and_of_many_by_value() -> None:
    (line,) = [line for line in setting_lines(pair())[0] if line.name == "params.lr"]
    assert line.values == ("0.001", "0.01")
    sides = [side(with_params(runs.healthy(), {"lr": index % 2}), f"r{index}") for index in range(6)]
    (line,) = setting_lines(compared(sides))[0]
    assert line.values == ("0 (3: r0, r2, r4)", "1 (3: r1, r3, r5)")


def test_notable_layers_come_first_and_the_rest_is_not_lost() -> None:
    tables = {table.key: table for table in layer_tables(pair())}
    gradient = tables["gradient_rms"]
    assert [line.name for line in gradient.notable] == runs.layer_names(8)
    assert [line.name for line in gradient.others] == ["dense_8"]
    assert [cell.text for cell in gradient.notable[0].cells] == ["3.0e-3", "1.0e-10", "/3.0e7"]
    assert [bool(table.notable) for table in layer_tables(pair())] == sorted(
        (bool(table.notable) for table in tables.values()), reverse=True
    )


def test_of_more_runs_lowest_and_highest_are_shown_with_their_names() -> None:
    sides = [side(runs.healthy(), "a"), side(runs.sick(), "low"), side(runs.healthy(), "c")]
    gradient = next(table for table in layer_tables(compared(sides)) if table.key == "gradient_rms")
    assert [cell.text for cell in gradient.notable[0].cells] == ["3.0e-3", "1.0e-10", "low", "3.0e-3", "c", "1 of 2"]


# --- figures ---


def test_all_of_few_runs_are_shown_and_of_many_those_with_the_extremes_and_a_sentence() -> None:
    comparison = gradscope.compare(many(MOST_RUNS))
    assert shown_sides(comparison) == (list(comparison.sides), [])
    comparison = gradscope.compare([*many(29), run(runs.sick(), "sick")])
    sides, (note,) = shown_sides(comparison)
    names = [each.name for each in sides]
    assert len(names) == MOST_RUNS
    assert names[0] == "run_00"
    assert {"sick", "run_28"} <= set(names)  # the highest loss, and the lowest gradients
    assert f"{MOST_RUNS} of 30 runs" in note
    assert all((name in names) != (name in note) for name in (f"run_{index:02}" for index in range(29)))


def test_only_the_tables_of_shown_runs_are_read_and_each_once() -> None:
    read: list[str] = []
    frames = frames_of(runs.healthy())

    def reading(name: str) -> Callable[[], object]:
        return lambda: (read.append(name), frames)[1]

    comparison = sweep(30)
    sides = tuple(replace(each, load=reading(each.name)) for each in comparison.sides)
    pictures(replace(comparison, sides=sides), FigureStore())
    assert len(read) == len(set(read)) == MOST_RUNS


def test_heatmaps_side_by_side_have_one_colour_scale() -> None:
    store = FigureStore()
    shown = pictures(pair(), store).pair
    assert shown is not None
    for choice in shown.choices:
        made = [store.figures[key].json for key in (choice.left, *choice.right)]
        assert len({tuple(re.findall(r'"zm(?:in|ax)":[-\d.]+', text)) for text in made}) == 1, choice.key


def test_a_statistic_that_a_gained_finding_is_about_can_be_chosen() -> None:
    frames = frames_of(runs.sick())
    frames.activations["mean"] = 0.5
    made = replace(
        side(runs.sick(), "after", [named("dense", rule="not_zero_centred", statistic="activations.mean")]),
        load=lambda: frames,
    )
    comparison = compared([side(runs.healthy(), "before"), made])
    page = page_of(comparison)
    assert "activations.mean" in page.values("data-statistic")
    assert "activations.mean" in page.values("value")


def test_a_figure_that_finds_no_room_is_left_out_and_named() -> None:
    shown = pictures(pair(), FigureStore(budget=20_000))
    assert shown.pair is not None
    assert shown.pair.left_out


def test_without_tables_there_are_words_and_no_figure() -> None:
    comparison = pair([], [VANISHING])
    bare = replace(comparison, sides=tuple(replace(each, load=None) for each in comparison.sides))
    page = page_of(bare)
    assert "The tables of before, after are not at hand" in page.text
    assert VANISHING.message in page.text
    assert "figure" not in page.tags


def test_skipped_steps_are_no_last_record() -> None:
    frames = frames_of(runs.healthy())
    last = frames.steps["step"].max()
    frames.steps.loc[frames.steps["step"] == last, "skipped"] = True
    frames.gradients.loc[frames.gradients["step"] == last, "rms"] = math.inf
    store = FigureStore()
    made = replace(side(runs.healthy(), "b"), load=lambda: frames)
    pictures(compared([side(runs.healthy(), "a"), made]), store)
    assert store.figures["depth/gradients.rms"].notes == ""


# --- any runs ---

ODD = ("healthy", "sick", "saturated", "awkward_names", "not_finite", "cut_off", "deep", "two_trainings")


@pytest.mark.parametrize("name", ODD)
def test_any_run_can_be_compared_and_every_link_has_its_anchor(name: str) -> None:
    comparison = gradscope.compare([run(runs.healthy(), "a"), run(getattr(runs, name)(), "b"), run(runs.sick(), "c")])
    page = page_of(comparison)
    anchors = {value[1:] for value in page.values("href")}
    ids = page.ids
    assert anchors <= set(ids)
    assert len(set(ids)) == len(ids)
    named_by = page.values("aria-labelledby", "aria-describedby")
    assert {part for value in named_by for part in value.split()} <= set(ids)
    assert not {"link", "iframe", "object", "embed", "img", "base", "form"} & set(page.tags)
    assert not page.values("src", "srcset", "action", "style", "onclick")
    assert all(value.startswith("#") for value in page.values("href"))


def test_names_are_text_wherever_they_stand() -> None:
    hostile = '</script><script>alert("x")</script>'
    image = "<img src=x onerror=alert(1)>"
    sides = [
        side(with_params(runs.awkward_names(), {image: image}), image),
        side(runs.awkward_names(), hostile, [named(image), named(hostile, rule="<b>rule</b>")]),
    ]
    comparison = replace(compared(sides), left_out={"<i>gone</i>": "<u>because</u>"})
    page = page_of(comparison)
    assert page.tags.count("script") == len(page.values("data-key")) + 2  # the figures, plotly.js and the page's own
    assert not {"img", "b", "i", "u"} & set(page.tags)
    for part in (image, hostile, "<b>rule</b>", "<i>gone</i>", "<u>because</u>", "🔥_layer", "two\\nlines"):
        assert part in page.text


def test_where_the_runs_lie_is_not_told(tmp_path: Path) -> None:
    for name, records in (("a", runs.healthy()), ("b", runs.sick())):
        runs.write(tmp_path / "secret_place" / name, records)
    written = gradscope.load_runs(tmp_path / "secret_place").compare().report(tmp_path / "out.html")
    text = written.read_text(encoding="utf-8")
    assert "secret_place" not in text
    assert "<h1>b compared with a</h1>" in text


# --- file and size ---


def test_a_page_replaces_an_older_one_and_nothing_else(tmp_path: Path) -> None:
    comparison = pair()
    file, other = tmp_path / "a.html", tmp_path / "notes.txt"
    assert comparison.report(file) == comparison.report(str(file)) == file
    other.write_text("precious")
    with pytest.raises(ArgumentError, match="is no report, so it is not replaced"):
        comparison.report(other)
    assert other.read_text() == "precious"
    comparison.report(other, force=True)
    assert other.read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize("count", [2, 14])
def test_fifty_layers_of_many_runs_stay_below_six_megabytes(count: int) -> None:
    net = runs.network("relu", runs.layer_names(50))
    records = runs.training(net, losses=[2.0] * 400, gradient=[1e-3] * 50, saturated=0.5, dead=[0.0] * 50, every=1)
    found = [DYING, *(unchanged(f"dense_{index}") for index in range(40))]
    made = side(records, "x", found)
    sides = [replace(made, row=replace(made.row, run=f"run_{index:02}")) for index in range(count)]
    sides[0] = replace(sides[0], summary=replace(made.summary, findings=()))
    page = comparison_html(compared(sides), now=NOW)
    assert len(page.encode()) < 6_000_000
    data = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)
    assert sum(map(len, data)) <= FIGURE_BUDGET
