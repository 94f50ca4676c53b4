"""How runs differ from the first: findings, numbers of layers, what could not be matched, and how that reads."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
from findings import DYING, OSCILLATING, VANISHING
from runs import awkward_names, cut_off, deep, healthy, layer_names, network, not_finite, nothing_recorded, sick
from runs import training as trained
from sweeps import many, with_params

from gradscope import ArgumentError, Finding, MissingTableError
from gradscope.network import NotMeasured
from gradscope.records import Record
from gradscope.report.terminal.comparison import comparison_text
from gradscope.report.values.comparison import COLUMNS, STATISTICS, Change, Comparison, Side
from gradscope.report.values.matching import compared, side_of
from gradscope.report.values.runs_table import run_row
from gradscope.report.values.summary import summarise
from gradscope.store.read import frames_of


def side(records: Sequence[Record], name: str, findings: Sequence[Finding] = ()) -> Side:
    frames = frames_of(records)
    summary = summarise(frames, findings, name=name)
    params = frames.sessions[-1].params if frames.sessions else {}
    return side_of(frames, summary, run_row(summary, params))


def small(depth: int = 3, *, activation: str = "sigmoid", gradient: float = 1e-3, **given: Any) -> list[Record]:
    net = network(activation, layer_names(depth), not_measured=given.pop("not_measured", ()))
    return trained(net, losses=[2.0] * 4, gradient=[gradient] * depth, **given)


def pair(first: Sequence[Record], second: Sequence[Record], **limits: float) -> Comparison:
    return compared([side(first, "a"), side(second, "b")], **limits)


def change(comparison: Comparison, statistic: str, site: str = "dense") -> Change:
    return next(each for each in comparison.changes if (each.statistic, each.site) == (statistic, site))


# ---- Findings


def kinds(before: Sequence[Finding], after: Sequence[Finding]) -> list[tuple[str, str]]:
    comparison = compared([side(healthy(), "a", before), side(healthy(), "b", after)])
    return [(each.kind, each.finding.key) for each in comparison.finding_changes]


def test_findings_are_gained_and_lost_by_rule_and_layer() -> None:
    other_layer = replace(DYING, layer="dense_6", layers=("dense_6",))
    assert kinds([DYING, OSCILLATING], [other_layer, VANISHING, OSCILLATING]) == [
        ("gained", "vanishing_gradient@dense"),
        ("gained", "dying_relu@dense_6"),
        ("lost", "dying_relu@dense_5"),
    ]


def test_a_finding_of_another_severity_is_worse_or_milder() -> None:
    severe = replace(DYING, severity="high")
    assert kinds([DYING], [severe]) == [("worse", DYING.key)]
    assert kinds([severe], [DYING]) == [("milder", DYING.key)]
    assert kinds([DYING], [replace(DYING, last_step=999, message="Other words.")]) == []


def test_of_two_findings_with_one_key_the_severer_counts() -> None:
    assert kinds([DYING], [DYING, replace(DYING, severity="high"), DYING]) == [("worse", DYING.key)]


def test_a_finding_that_stands_under_another_of_its_layers_is_neither_gained_nor_lost() -> None:
    wide = replace(DYING, layer="stem", layers=("stem", "fc"), severity="high")
    narrow = replace(DYING, layer="fc", layers=("fc",), severity="medium")
    assert kinds([wide], [narrow]) == [("milder", "dying_relu@fc")]
    assert kinds([wide], [replace(narrow, layer="head", layers=("head",))]) == [
        ("gained", "dying_relu@head"),
        ("lost", "dying_relu@stem"),
    ]


def test_what_was_gained_can_be_asked_for_by_severity() -> None:
    before, after = [replace(OSCILLATING, severity="low")], [replace(OSCILLATING, severity="high"), DYING]
    comparison = compared([side(healthy(), "a", before), side(healthy(), "b", after)])
    assert [each.finding.rule for each in comparison.gained()] == ["dying_relu", "oscillating_loss"]
    assert [each.finding.rule for each in comparison.gained("high")] == ["oscillating_loss"]
    assert [each.finding.rule for each in comparison.lost()] == []


def test_a_finding_in_a_layer_that_the_other_lacks_says_so() -> None:
    comparison = compared([side(small(3), "a"), side(healthy(), "b", [DYING, OSCILLATING])])
    assert [each.has_layer for each in comparison.gained()] == [False, True]
    assert "the reference has no such layer" in str(comparison)
    back = compared([side(healthy(), "b", [DYING]), side(small(3), "a")])
    assert "it has no such layer" in str(back)


def test_findings_are_a_frame_too() -> None:
    frame = compared([side(healthy(), "a", [DYING]), side(healthy(), "b", [VANISHING])]).findings
    assert frame[["run", "change", "rule", "layer"]].to_numpy().tolist() == [
        ["b", "gained", "vanishing_gradient", "dense"],
        ["b", "lost", "dying_relu", "dense_5"],
    ]
    assert frame["severity"].tolist()[0] == "high"
    assert pd.isna(frame["severity"][1])
    assert frame["reference_severity"].tolist()[1] == "medium"


# ---- Numbers of layers


def test_a_magnitude_is_notable_from_the_ratio_on_either_way() -> None:
    for factor, notable in ((2.1, True), (1.9, False), (1 / 2.1, True), (1 / 1.9, False)):
        found = change(pair(small(), small(gradient=factor * 1e-3)), "gradient_rms")
        assert found.notable is notable
        assert found.ratio == pytest.approx(factor, rel=1e-5)
    assert change(pair(small(), small(gradient=1.6e-3), ratio=1.5), "gradient_rms").notable


def test_a_share_is_notable_from_the_difference_on() -> None:
    for value, notable in ((0.3, True), (0.29, False), (0.1, True)):
        assert change(pair(small(saturated=0.2), small(saturated=value)), "saturated_fraction").notable is notable
    assert not change(pair(small(saturated=0.2), small(saturated=0.3), difference=0.5), "saturated_fraction").notable


def test_a_number_that_became_zero_is_notable_whatever_the_ratio() -> None:
    found = change(pair(small(), small(gradient=0.0), ratio=1e30), "gradient_rms")
    assert (found.extent, found.ratio) == (math.inf, 0.0)
    back = change(pair(small(gradient=0.0), small()), "gradient_rms")
    assert (back.extent, back.ratio) == (math.inf, math.inf)
    assert change(pair(small(gradient=0.0), small(gradient=0.0)), "gradient_rms").extent == 0


def test_what_is_not_known_is_no_difference() -> None:
    found = change(pair(small(dead=[0.5] * 3), small()), "dead_unit_fraction")
    assert math.isnan(found.extent)
    assert not found.notable


def test_entries_that_are_not_finite_are_notable_though_nan_has_no_ratio() -> None:
    comparison = pair(small(activation="relu"), not_finite())
    assert change(comparison, "nonfinite_count").notable
    assert not change(comparison, "gradient_rms").notable


def test_a_gradient_that_is_cut_is_notable() -> None:
    assert change(pair(small(2), cut_off()), "connected").notable
    assert not change(pair(small(2), small(2)), "connected").notable


def test_the_flat_side_of_relu_is_not_held_against_the_two_of_sigmoid() -> None:
    found = change(pair(small(saturated=0.0), small(activation="relu", saturated=0.5)), "saturated_fraction")
    assert (found.value, found.reference) == (0.5, 0.0)
    assert not found.notable
    assert change(pair(small(saturated=0.0), small(saturated=0.5)), "saturated_fraction").notable


def test_the_frame_has_a_row_for_every_run_site_and_statistic() -> None:
    frame = compared([side(healthy(), "a"), side(sick(), "b"), side(healthy(), "c")]).frame
    assert list(frame.columns) == list(COLUMNS)
    assert len(frame) == 2 * 9 * len(STATISTICS)
    row = frame[(frame["run"] == "b") & (frame["site"] == "dense") & (frame["statistic"] == "gradient_rms")].iloc[0]
    assert row["value"] == pytest.approx(1e-10)
    assert row["ratio"] == pytest.approx(1e-10 / 3e-3)
    assert row["notable"]
    assert not frame[frame["run"] == "c"]["notable"].any()


def test_the_spread_of_activations_is_that_of_the_last_trained_record() -> None:
    frames = frames_of(healthy())
    frames.activations["sample_std"] = frames.activations["step"] / 1000.0
    made = side_of(frames, summarise(frames, name="a"), run_row(summarise(frames, name="a"), {}))
    assert set(made.spreads.values()) == {0.275}


def test_a_range_names_the_runs_with_the_extremes_in_the_order_of_the_model() -> None:
    sides = [side(small(gradient=g), name) for name, g in (("a", 1e-3), ("b", 1e-6), ("c", 1.5e-3), ("d", 1e-2))]
    ranges = [each for each in compared(sides).ranges if each.statistic == "gradient_rms"]
    assert [each.site for each in ranges] == layer_names(3)
    found = ranges[0]
    assert (found.lowest_run, found.highest_run, found.notable_count) == ("b", "d", 2)
    assert (found.reference, found.lowest, found.highest) == pytest.approx((1e-3, 1e-6, 1e-2))


# ---- What is matched


def test_layers_are_matched_by_key_whatever_keras_called_them() -> None:
    comparison = pair(small(), small())
    assert comparison.unmatched == ()
    assert {each.site for each in comparison.changes} == set(layer_names(3))


def test_what_only_one_run_has_is_listed_with_the_reason() -> None:
    missing = [NotMeasured("dense_1", "gates inside a recurrent loop")]
    comparison = pair(small(2), small(4))
    assert [(each.key, each.present, each.missing) for each in comparison.unmatched] == [
        ("dense_2", "b", "a"),
        ("dense_3", "b", "a"),
    ]
    assert comparison.unmatched[0].reason == "there is no layer of this name"
    (lacking,) = pair(small(2), small(1, not_measured=missing)).unmatched
    assert (lacking.missing, lacking.reason) == ("b", "not measured there: gates inside a recurrent loop")


def test_runs_of_two_architectures_have_nothing_to_compare_but_say_what_each_has() -> None:
    comparison = pair(healthy(), awkward_names())
    assert comparison.changes == ()
    assert len(comparison.unmatched) == 9 + 7
    assert "Layers: none could be matched." in str(comparison)


def test_a_run_does_not_differ_from_itself() -> None:
    comparison = pair(sick(), sick())
    assert (comparison.finding_changes, comparison.differences, comparison.unmatched) == ((), (), ())
    assert not comparison.frame["notable"].any()
    text = str(comparison)
    assert "Findings: the same in all runs (0 findings)." in text
    assert "Configuration: the same in all runs." in text
    assert "no number differs at the last record, by a ratio of 2 or 10 points" in " ".join(text.split())


def test_the_reference_is_the_first_or_the_one_named() -> None:
    sides = [side(healthy(), name) for name in ("a", "b", "c")]
    assert [each.name for each in compared(sides).sides] == ["a", "b", "c"]
    assert [each.name for each in compared(sides, reference="b").sides] == ["b", "a", "c"]
    with pytest.raises(ArgumentError, match=r"reference='bb' is none of the runs. Did you mean 'b'\?"):
        compared(sides, reference="bb")


def test_a_run_without_records_is_left_out_with_the_reason() -> None:
    comparison = compared([side(healthy(), "a"), side(nothing_recorded(), "b"), side(sick(), "c")])
    assert [each.name for each in comparison.others] == ["c"]
    assert comparison.left_out == {"b": "no step of it is recorded"}
    assert "b is left out: no step of it is recorded" in str(comparison)


@pytest.mark.parametrize("records", [nothing_recorded(), []])
def test_a_reference_without_records_is_an_error_and_so_is_no_other_run(records: list[Record]) -> None:
    with pytest.raises(MissingTableError, match="'a' has no recorded step"):
        compared([side(records, "a"), side(healthy(), "b")])
    with pytest.raises(MissingTableError, match="No step is recorded of b"):
        compared([side(healthy(), "a"), side(records, "b")])


def test_one_run_cannot_be_compared() -> None:
    with pytest.raises(ArgumentError, match="only 'a' was given"):
        compared([side(healthy(), "a")])
    with pytest.raises(ArgumentError, match="none was given"):
        compared([])


@pytest.mark.parametrize("limits", [{"ratio": 1.0}, {"ratio": math.nan}, {"difference": 0.0}, {"difference": 7}])
def test_limits_that_cannot_work_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(ArgumentError, match=next(iter(limits))):
        pair(healthy(), sick(), **limits)


def test_json_holds_all_of_it() -> None:
    comparison = compared([side(healthy(), "a", [DYING]), side(sick(), "b", [VANISHING]), side(small(), "c")])
    document = json.loads(json.dumps(comparison.to_json()))
    assert document["reference"] == "a"
    assert [each["run"] for each in document["runs"]] == ["a", "b", "c"]
    assert [(each["run"], each["change"]) for each in document["findings"]] == [
        ("b", "gained"), ("b", "lost"), ("c", "lost"),
    ]  # fmt: skip
    assert len(document["layers"]) == len(comparison.changes)
    assert document["unmatched"][0]["present"] == "a"
    assert document["settings"][0]["values"] == {"a": "relu", "b": "sigmoid", "c": "sigmoid"}


# ---- Text


def test_two_runs_read_so(golden: Callable[[str, str], None]) -> None:
    first = side(with_params(healthy(), {"lr": 0.001, "seed": 1}), "healthy", [DYING])
    second = side(with_params(sick(), {"lr": 0.01, "seed": 1}), "sick", [VANISHING, OSCILLATING])
    golden("console/comparison.txt", f"{compared([first, second])}\n")


def test_runs_of_different_depth_and_a_broken_one_read_so(golden: Callable[[str, str], None]) -> None:
    sides = [side(small(activation="relu", saturated=0.5), "base"), side(not_finite(), "broken")]
    sides += [side(small(5, activation="relu", saturated=0.5), "deeper"), side(nothing_recorded(), "empty")]
    golden("console/comparison_unlike.txt", f"{compared(sides)}\n")


def test_thirty_runs_read_so(golden: Callable[[str, str], None]) -> None:
    sides = [side(with_params(healthy(), {"lr": index}), f"run_{index:02}") for index in range(28)]
    sides += [side(sick(), "sick", [VANISHING]), side(cut_off(), "cut", [OSCILLATING])]
    golden("console/comparison_many.txt", f"{compared(sides)}\n")


def test_ninety_layers_are_not_all_shown_unless_asked_for() -> None:
    comparison = pair(deep(), trained(network("relu", layer_names(90)), losses=[2.0] * 3, gradient=[1e-6] * 90))
    short, whole = comparison_text(comparison).plain, comparison_text(comparison, show_all=True).plain
    assert len(short.splitlines()) < 50
    assert "… and 85 more" in short
    assert all(f"  dense_{index} " in whole for index in range(1, 90))


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("count", [2, 3])
def test_hostile_names_are_text_and_no_line_is_too_wide(width: int, count: int) -> None:
    names = ["[red]a[/red]\x1b[31m" * 9, "b\nb" * 40, "<c>"]
    faded = trained(network("relu", ["🔥_layer", "two\nlines", "x" * 300]), losses=[2.0], gradient=[1e-9] * 3)
    findings = [replace(DYING, layer="\x1b[31mred", rule="[red]rule[/red]")]
    sides = [side(records, name, found) for name, records, found in zip(
        names, (awkward_names(), faded, faded), ((), findings, ()), strict=True
    )][:count]  # fmt: skip
    text = comparison_text(compared(sides), width=width)
    assert max(line.cell_len for line in text.split()) <= width
    assert "\x1b" not in text.plain
    assert "[red]rule[/red]" in text.plain
    assert "&lt;c&gt;" in compared([side(awkward_names(), "<c>"), *sides[1:2]])._repr_html_()


def test_a_comparison_tells_in_one_line_what_it_is() -> None:
    two = compared([side(healthy(), "a"), side(sick(), "b", [VANISHING])])
    assert repr(two) == "<gradscope comparison of 'b' with 'a': 1 finding gained, 0 lost>"
    three = compared([side(healthy(), "a"), *[side(sick(), name, [VANISHING]) for name in "bc"]])
    assert repr(three) == "<gradscope comparison of 2 runs with 'a': 2 findings gained, 0 lost>"


def test_many_runs_are_compared_in_one_go() -> None:
    sides = [side_of(r.frames, r.summary(), run_row(r.summary(), {})) for r in many(30)]
    comparison = compared([replace(s, row=replace(s.row, run=f"r{i}")) for i, s in enumerate(sides)])
    assert len(comparison.others) == 29
    assert comparison.ranges[0].lowest_run
