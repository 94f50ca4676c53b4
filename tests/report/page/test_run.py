"""The report as HTML: what stands in it, in which order, and that names, sizes and odd runs do not break it."""

import inspect
import json
import math
import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import runs
from findings import DYING, OSCILLATING, SICK, VANISHING, named, unchanged
from html_page import HtmlPage

import gradscope
from gradscope import Evidence, Finding
from gradscope.diagnose.diagnosis import diagnose
from gradscope.diagnose.discover import known_rules
from gradscope.errors import ArgumentError
from gradscope.records import EpochRecord, NetworkChange, Record, SessionEnd, StepRecord
from gradscope.report.page.figure_store import FIGURE_BUDGET, FigureStore, PageFigure
from gradscope.report.page.finding_figures import figure_of, place_of
from gradscope.report.page.panels import panels
from gradscope.report.page.run import page_head, report_html
from gradscope.report.page.writing import write_page
from gradscope.report.values.summary import summarise
from gradscope.schema import ACTIVATIONS, GRADIENTS, OVER_LAYERS, STEPS, UNITS
from gradscope.store.frames import Frames, frames_of

NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
ALL_RUNS = ("healthy", "sick", "saturated", "awkward_names", "not_finite", "cut_off", "nothing_recorded", "deep")


def page_of(records: list[Record], findings: tuple[Finding, ...] | None = None, name: str = "mlp") -> HtmlPage:
    frames = frames_of(records)
    return HtmlPage(report_html(frames, diagnose(frames) if findings is None else findings, name=name, now=NOW))


def test_the_verdict_leads_then_findings_layers_figures_and_how_it_was_recorded() -> None:
    text = page_of(runs.sick(), SICK).text
    places = [
        text.index(part) for part in ("7 findings of medium or high severity", VANISHING.message, "Findings Causes")
    ]
    places += [text.index(part) for part in ("What to try", "The model from its input", "Drag over a figure")]
    places += [text.index("recorded steps 12, from 0 to 275")]
    assert places == sorted(places)
    assert "Made 2 January 2026, 03:04 UTC by GradScope" in text


def test_a_finding_has_its_words_evidence_advice_code_and_explanation() -> None:
    page = page_of(runs.sick(), (VANISHING,))
    for part in (
        "high vanishing_gradient in dense",
        "Seen at steps 0–275",
        "update_to_weight_ratio 1e-13 (limit: ≤ 1e-05)",
        VANISHING.advice[0].text,
        "keras.layers.BatchNormalization()",
        "Each layer multiplies the gradient that passes it",
        "Backward signal through the depth of the model",
    ):
        assert part in page.text


def test_what_follows_from_a_finding_stands_beneath_it_and_a_great_many_are_counted() -> None:
    many = tuple(unchanged(f"dense_{index}") for index in range(20))
    page = page_of(runs.sick(), (VANISHING, *many, DYING))
    text = page.text
    assert (
        text.index("What follows from it")
        < text.index("The weights of dense_0 do not change.")
        < text.index(DYING.message, text.index("Causes come first"))
    )
    assert "8 findings more. Follows from it: unchanged_weights (medium) in dense_12" in text
    assert "The weights of dense_19 do not change." not in text


def test_low_findings_are_information_and_no_verdict() -> None:
    text = page_of(runs.healthy(), (OSCILLATING,)).text
    assert "Nothing wrong found" not in text
    assert "✓" not in text
    assert "1 finding of low severity: information." in text


@pytest.mark.parametrize("name", ALL_RUNS)
def test_every_link_has_its_anchor_and_every_anchor_is_one(name: str) -> None:
    page = page_of(getattr(runs, name)())
    anchors = {value[1:] for key, value in page.attributes if key == "href" and value}
    assert anchors <= set(page.ids)
    assert len(set(page.ids)) == len(page.ids)
    named_by = [value for key, value in page.attributes if key.startswith("aria-") and key.endswith("by") and value]
    assert {part for value in named_by for part in value.split()} <= set(page.ids)


@pytest.mark.parametrize("name", ALL_RUNS)
def test_nothing_in_the_page_names_another_place(name: str) -> None:
    page = page_of(getattr(runs, name)())
    assert not {"link", "iframe", "object", "embed", "img", "base", "form"} & set(page.tags)
    assert not [value for key, value in page.attributes if key in ("src", "srcset", "action", "style", "onclick")]
    assert all((value or "").startswith("#") for key, value in page.attributes if key == "href")


def test_names_are_text_wherever_they_stand() -> None:
    frames = frames_of(runs.awkward_names())
    awkward = "<img src=x onerror=alert(1)>"
    findings = [named(awkward), named('</script><script>alert("x")</script>', rule="<b>rule</b>")]
    page = HtmlPage(report_html(frames, findings, name=awkward, now=NOW))
    plain = HtmlPage(report_html(frames_of(runs.sick()), [], name="sick", now=NOW))
    assert page.tags.count("h1") == 1
    assert set(page.tags) <= set(plain.tags) | {"article", "ol", "pre", "code", "details", "summary", "br", "h4", "a"}
    assert page.tags.count("img") == 0
    assert page.text.startswith(f"{awkward} – GradScope report")
    for part in (awkward, "🔥_layer", "two\\nlines", "\\x1b[31mred", "x" * 300, "[red]x[/red]"):
        assert part in page.text


def test_the_figures_are_strict_json_that_cannot_end_its_script() -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    page = report_html(frames_of(runs.awkward_names()), [], name="x", now=NOW)
    found = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)
    assert len(found) > 3
    for text in found:
        assert "<" not in text
        assert {"data", "layout"} == set(json.loads(text, parse_constant=refuse))


def test_where_the_run_lies_is_not_told(tmp_path: Path) -> None:
    run = gradscope.load(runs.write(tmp_path / "secret_place" / "mlp", runs.sick()))
    written = run.report(tmp_path / "mlp.html")
    text = written.read_text(encoding="utf-8")
    assert "secret_place" not in text
    assert "<h1>mlp</h1>" in text


# --- odd runs ---


def test_a_run_without_any_record_says_so() -> None:
    page = page_of(runs.nothing_recorded())
    assert "Nothing was recorded" in page.text
    assert "its batches cannot be fed a second time" in page.text
    assert "Nothing wrong found" not in page.text
    assert "figure" not in page.tags


def test_an_empty_directory_of_records_is_a_page_too() -> None:
    assert "Nothing is known of the model." in page_of([]).text


def test_one_step_of_one_layer_is_a_page_that_warns_of_how_little_that_is() -> None:
    page = page_of(runs.training(runs.network("relu", ["dense"]), losses=[2.3], gradient=[1e-3], saturated=0.5))
    assert "Only 1 step was recorded: most problems show only over 5 and more." in page.text
    assert "svg" in page.tags


def test_only_nan_is_a_page() -> None:
    net = runs.network("relu", ["dense", "dense_1"])
    broken = dict.fromkeys(ACTIVATIONS.statistic_names, math.nan) | dict.fromkeys(GRADIENTS.statistic_names, math.nan)
    page = page_of(runs.training(net, losses=[math.nan] * 3, gradient=[math.nan] * 2, last=broken))
    assert "batch loss, first → last NaN → NaN" in page.text
    assert page.text.count("NaN: the last record holds entries that are not finite.") == 0  # nothing counted them


def test_a_run_of_steps_without_an_epoch_or_a_site_is_a_page() -> None:
    records = runs.training(runs.network("relu", ["dense"]), losses=[2.3, 2.2], gradient=[1e-3])
    bare: list[Record] = []
    for record in records:
        match record:
            case StepRecord():
                bare.append(StepRecord(record.step, 0, record.wall_time, steps=record.steps))
            case NetworkChange():
                bare.append(NetworkChange(0, record.wall_time, runs.network("relu", ["dense"])))
            case EpochRecord() | SessionEnd():
                pass
            case _:
                bare.append(record)
    assert "Nothing wrong found" in page_of(bare, ()).text


def test_damage_resumption_and_what_was_not_measured_are_told() -> None:
    frames = frames_of(runs.two_trainings(), lost=("events.out: 3 records are broken.",))
    page = HtmlPage(report_html(frames, [], name="mlp", now=NOW))
    assert "events.out: 3 records are broken." in page.text
    assert "The recording is damaged" in page.text
    assert "resumed at step 300" in page.text
    assert "trainings in the directory 2; the last one is shown" in page.text
    deep = page_of(runs.deep(), ())
    assert all(f"lstm_{index} gates inside a recurrent loop" in deep.text for index in range(12))


# --- figures ---


def choices(frames: Frames) -> set[tuple[str, str]]:
    return {(panel.id, figure.key) for panel in panels(frames, [], summarise(frames)) for figure in panel.figures}


def test_a_finding_leads_to_the_column_that_shows_it_among_all_layers() -> None:
    shown = choices(frames_of(big(layers=3, records=6)))
    for key in {statistic.key for statistic in OVER_LAYERS} - {"activations.nonfinite_count"}:  # it has none
        assert place_of(named("dense", statistic=key)) == ("figure-layers", key)
        assert ("figure-layers", key) in shown
    assert place_of(named("dense", statistic="steps.loss")) in shown
    for without in ("", "gradients.norm", "theirs.secret"):
        assert place_of(named("dense", statistic=without)) == ("", "")


@pytest.mark.parametrize("rule", sorted(set(known_rules()) - {"linear_stack"}))  # seen in the model, not in a number
def test_every_column_that_a_rule_names_has_a_figure_and_a_place_among_the_figures(rule: str) -> None:
    frames = frames_of(big(layers=3, records=6))
    shown = choices(frames) | {("figure-layers", "activations.nonfinite_count")}  # shown only where there is any
    columns = re.findall(r'statistic="([^"]*)"', inspect.getsource(inspect.getmodule(known_rules()[rule])))
    assert columns
    for statistic in columns:
        finding = named("dense_1", rule=rule, statistic=statistic)
        figure = figure_of(finding, frames)
        assert figure is not None, statistic
        assert figure.draw().data, statistic
        assert place_of(finding) in shown, statistic


@pytest.mark.parametrize("name", ALL_RUNS)
def test_what_a_rule_finds_has_a_figure_and_a_place_among_the_figures(name: str) -> None:
    frames = frames_of(getattr(runs, name)())
    shown = choices(frames)
    for finding in diagnose(frames):
        if finding.rule != "linear_stack":  # seen in the model, not in a number
            figure = figure_of(finding, frames)
            assert figure is not None, finding.key
            assert figure.draw().data, finding.key
            assert place_of(finding) in shown, finding.key


def test_the_figure_of_a_finding_shows_the_column_that_the_finding_names() -> None:
    frames = frames_of(big(layers=3, records=6))
    for rule, statistic, part in (
        ("theirs", "gradients.weight_norm", "curves/gradients.weight_norm/"),
        ("exploding_gradient", "gradients.rms", "curves/gradients.rms/"),
        ("blocked_gradient", "gradients.rms", "gradients.rms"),
        ("slow_convergence", "steps.loss", "loss/"),
    ):
        figure = figure_of(named("dense", rule=rule, statistic=statistic), frames)
        assert figure is not None, rule
        assert figure.key.startswith(part)


def test_a_rule_of_another_package_gets_the_figure_of_the_column_that_its_evidence_names() -> None:
    frames = frames_of(big(layers=3, records=6))
    finding = Finding("theirs", "high", "dense", 0, 5, "", (Evidence("zero_fraction", 0.9),))
    figure = figure_of(finding, frames)
    assert figure is not None
    assert "activations.zero_fraction" in figure.key
    assert figure_of(Finding("theirs", "high", "dense", 0, 5, "", (Evidence("secret", 0.9),)), frames) is None


def test_a_figure_that_finds_no_room_is_left_out_and_named() -> None:
    frames = frames_of(runs.sick())
    layers = next(panel for panel in panels(frames, [], summarise(frames)) if panel.id == "figure-layers")
    store = FigureStore(budget=6_000)
    shown = store.panel(layers)
    assert shown is not None
    assert 0 < len(shown.figures) < len(layers.figures)
    assert len(shown.left_out) == len(layers.figures) - len(shown.figures)


def test_a_figure_is_made_once_however_often_it_is_asked_for() -> None:
    import plotly.graph_objects as go

    made: list[go.Figure] = []

    def draw() -> go.Figure:
        made.append(go.Figure())
        return made[-1]

    store = FigureStore()
    figure = PageFigure("key", "", "", "", draw)
    assert store.holds(figure)
    assert store.holds(figure)
    assert len(made) == len(store.figures) == 1


def test_fifty_layers_of_two_thousand_steps_stay_below_six_megabytes() -> None:
    frames = frames_of(big(layers=50, records=2_000))
    findings = [unchanged(f"dense_{index}") for index in range(1, 40)]
    page = report_html(frames, [VANISHING, *findings, DYING], name="big", now=NOW)
    assert len(page.encode()) < 6_000_000
    data = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)
    assert sum(map(len, data)) <= FIGURE_BUDGET


# --- verdict and file ---


@pytest.mark.parametrize(
    ("findings", "level", "text"),
    [
        ((), "fine", "Nothing wrong found"),
        ((OSCILLATING,), "low", "No findings of medium or high severity"),
        ((DYING,), "medium", "1 finding of medium or high severity"),
        ((DYING, VANISHING), "high", "2 findings of medium or high severity"),
    ],
)
def test_the_verdict_is_that_of_the_worst_finding(findings: tuple[Finding, ...], level: str, text: str) -> None:
    found = page_head(summarise(frames_of(runs.healthy()), findings))
    assert (found.level, found.text) == (level, text)


def test_a_report_replaces_an_older_one_and_nothing_else(tmp_path: Path) -> None:
    file, other = tmp_path / "a.html", tmp_path / "model.py"
    page = report_html(frames_of(runs.sick()), [], name="mlp", now=NOW)
    write_page(page, file)
    write_page(page.replace("mlp", "new"), file)
    assert "<h1>new</h1>" in file.read_text(encoding="utf-8")
    other.write_text("precious")
    with pytest.raises(ArgumentError, match="is no report, so it is not replaced"):
        write_page(page, other)
    assert other.read_text() == "precious"
    write_page(page, other, force=True)
    assert "<h1>mlp</h1>" in other.read_text(encoding="utf-8")


def test_a_place_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="is a directory"):
        write_page("", tmp_path)
    with pytest.raises(ArgumentError, match="There is no directory"):
        write_page("", tmp_path / "missing" / "a.html")


def test_frames_are_left_as_they_were() -> None:
    frames = frames_of(runs.sick())
    before = frames.activations.copy(), frames.gradients.copy()
    report_html(frames, SICK, name="mlp", now=NOW)
    assert before[0].equals(frames.activations)
    assert before[1].equals(frames.gradients)


def big(layers: int, records: int) -> list[Record]:
    """A training of which every column is filled, with histograms and dying units now and then."""
    rng = np.random.default_rng(0)
    net = runs.network("relu", runs.layer_names(layers))
    fade = 10.0 ** (-np.arange(layers)[::-1] / 6)
    found: list[Record] = [runs.session(), NetworkChange(0, runs.BEGAN, net)]
    for index in range(records):
        activations = rng.uniform(0.1, 0.6, (layers, len(ACTIVATIONS.statistics)))
        activations[:, ACTIVATIONS.statistic_names.index("backward_rms")] *= fade
        gradients = rng.uniform(0.1, 0.6, (2 * layers, len(GRADIENTS.statistics)))
        gradients[:, GRADIENTS.statistic_names.index("rms")] *= np.repeat(fade, 2)
        for table, numbers in ((ACTIVATIONS, activations), (GRADIENTS, gradients)):
            numbers[:, table.statistic_names.index("nonfinite_count")] = 0
        gradients[:, GRADIENTS.statistic_names.index("connected")] = 1
        bins = np.column_stack([np.arange(30), np.arange(1, 31), rng.integers(0, 99, 30)]).astype(np.float64)
        found.append(
            StepRecord(
                index,
                index // 50,
                runs.BEGAN + index,
                rng.uniform(0.5, 2.5, len(STEPS.statistics)).astype(np.float32),
                activations.astype(np.float32),
                gradients.astype(np.float32),
                _units(rng, layers, index) if index % 20 == 0 else None,
                {site.key: bins for site in net.sites} if index % 50 == 0 else {},
            )
        )
    return [*found, SessionEnd(records - 1, runs.BEGAN + records, runs.COSTS)]


def _units(rng: np.random.Generator, layers: int, step: int) -> np.ndarray:
    rows = []
    for site in range(layers):
        for unit in rng.choice(64, 3, replace=False):
            dead = float(rng.random() < 0.5)
            values = {
                "unit": unit,
                "active_fraction": 1 - dead,
                "dead": dead,
                "dead_since_step": step if dead else np.nan,
            }
            rows.append([site, *(float(values.get(name, 0.0)) for name in UNITS.statistic_names)])
    return np.array(rows, np.float64)


def test_a_page_is_not_written_under_the_name_of_another_kind_of_file(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"Write 'out\.html'"):
        write_page("<!doctype html>", tmp_path / "out.pdf")
    assert not list(tmp_path.iterdir())
