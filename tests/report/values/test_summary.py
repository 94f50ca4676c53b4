"""What a summary says of a run, against numbers that the runs were made of."""

import math
from collections.abc import Sequence

import pandas as pd
import pytest
from runs import BEGAN, cut_off, deep, healthy, layer_names, network, nothing_recorded, session, training, two_trainings

from gradscope.network import Compiled, Layer, Network, Site, Variable
from gradscope.records import FinalPass, Record, StepRecord
from gradscope.report.values.summary import Summary, summarise
from gradscope.schema import GRADIENTS, STEPS
from gradscope.store.read import frames_of


def summary_of(records: Sequence[Record]) -> Summary:
    return summarise(frames_of(records), name="test")


def small(**changed: float) -> list[Record]:
    net = network("relu", layer_names(2))
    return training(net, losses=[2.0] * 8, gradient=[1e-3, 1e-2], saturated=0.5, dead=[0.25, math.nan], last=changed)


def test_rows_are_the_sites_in_the_order_of_the_model() -> None:
    assert [row.site for row in summary_of(healthy()).rows] == layer_names(9)


def test_a_gradient_is_shown_at_the_first_and_at_the_last_record() -> None:
    row = summary_of(small()).rows[1]
    assert (row.first_gradient_rms, row.gradient_rms) == pytest.approx((1.1e-2, 1e-2))
    assert row.gradient_norm == pytest.approx(1e-2 * 64)


def test_the_kernel_stands_for_its_layer_though_the_bias_comes_first() -> None:
    net = network("relu", layer_names(2))
    bias_first = Network(**{f: getattr(net, f) for f in ("name", "layers", "sites")}, variables=net.variables[::-1])
    rows = summary_of(training(bias_first, losses=[2.0], gradient=[1e-3, 1e-2])).rows
    assert [row.variable for row in rows] == ["dense/kernel", "dense_1/kernel"]


def test_the_update_ratio_is_the_median_over_the_last_five_records() -> None:
    records, ratios = small(), [9.0, 9.0, 9.0, 5.0, 1.0, 4.0, 2.0, 3.0]
    column = GRADIENTS.statistic_names.index("update_to_weight_ratio")
    for record, ratio in zip((r for r in records if isinstance(r, StepRecord)), ratios, strict=True):
        assert record.gradients is not None
        record.gradients[:, column] = ratio
    assert summary_of(records).rows[0].update_to_weight_ratio == 3.0


def test_batches_between_two_accumulated_updates_do_not_count_as_updates_of_nothing() -> None:
    net = network("relu", layer_names(2), compiled=Compiled(accumulation_steps=4))
    records = training(net, losses=[2.0] * 8, gradient=[1.0, 1.0])
    column = GRADIENTS.statistic_names.index("update_to_weight_ratio")
    for index, record in enumerate(r for r in records if isinstance(r, StepRecord)):
        assert record.gradients is not None
        record.gradients[:, column] = 0.125 if index % 4 == 3 else 0.0
    assert summary_of(records).rows[0].update_to_weight_ratio == 0.125


def test_a_dead_fraction_is_kept_until_the_next_window_tells_anew() -> None:
    assert summary_of(small(dead_unit_fraction=math.nan)).rows[0].dead_unit_fraction == 0.25


def test_a_final_pass_adds_dead_units_and_leaves_the_last_step_standing() -> None:
    net = network("relu", layer_names(2))
    records = training(net, losses=[2.0], gradient=[1e-3, 1e-2], saturated=0.5)
    counted = training(net, losses=[2.0] * 3, gradient=[1.0, 1.0], saturated=0.9, dead=[0.75, math.nan])
    last = [r for r in counted if isinstance(r, StepRecord)][-1]
    records.append(FinalPass(25, 0, BEGAN, activations=last.activations))
    row = summary_of(records).rows[0]
    assert (row.dead_unit_fraction, row.saturated_fraction) == (0.75, 0.5)
    assert row.backward_rms == pytest.approx(3.3e-3)


def test_a_step_that_loss_scaling_skipped_is_not_the_last_word() -> None:
    records = small(rms=math.inf, norm=math.inf, backward_rms=math.inf)
    last = [r for r in records if isinstance(r, StepRecord)][-1]
    assert last.steps is not None
    last.steps[STEPS.statistic_names.index("skipped")] = 1.0
    row = summary_of(records).rows[0]
    assert (row.gradient_rms, row.backward_rms) == pytest.approx((1e-3, 3e-3))


def test_a_training_of_skipped_steps_alone_shows_what_there_is() -> None:
    records = training(network("relu", layer_names(2)), losses=[2.0], gradient=[math.inf, math.inf])
    first = next(r for r in records if isinstance(r, StepRecord))
    assert first.steps is not None
    first.steps[STEPS.statistic_names.index("skipped")] = 1.0
    assert summary_of(records).rows[0].gradient_rms == math.inf


def test_weights_that_the_loss_does_not_depend_on_are_not_connected() -> None:
    assert [row.connected for row in summary_of(cut_off()).rows] == [False, False]


def test_a_layer_with_weights_and_no_site_has_a_row_where_it_stands() -> None:
    net = Network(
        "text",
        layers=(
            Layer("embedding", "embedding", "Embedding", 0, True, "float32"),
            Layer("dense", "dense", "Dense", 1, True, "float32"),
        ),
        sites=(Site("dense", "dense", "relu", None, 4),),
        variables=(
            Variable("dense/kernel", "dense", (4, 4), "kernel"),
            Variable("embedding/table", "embedding", (9, 4), "embedding"),
        ),
    )
    rows = summary_of(training(net, losses=[2.0], gradient=[1e-3, 1e-2])).rows
    assert [(row.site, row.activation, row.variable) for row in rows] == [
        ("embedding", "", "embedding/table"),
        ("dense", "relu", "dense/kernel"),
    ]


def test_the_weights_of_a_layer_that_is_applied_twice_are_shown_once() -> None:
    net = network("relu", layer_names(2))
    twice = Network(
        "twice", net.layers, (*net.sites, Site("dense:1", "dense", "relu", net.sites[0].profile, 64)), net.variables
    )
    rows = summary_of(training(twice, losses=[2.0], gradient=[1e-3, 1e-2, 1e-2])).rows
    assert [(row.site, row.variable) for row in rows] == [
        ("dense", "dense/kernel"),
        ("dense_1", "dense_1/kernel"),
        ("dense:1", ""),
    ]


def test_progress_tells_steps_epochs_losses_and_the_last_epochs_metrics() -> None:
    progress = summary_of(healthy()).progress
    assert (progress.step_count, progress.recorded_count, progress.epoch_count) == (300, 12, 6)
    assert (progress.first_loss, progress.last_loss) == pytest.approx((2.35, 0.03))
    assert progress.baseline_loss == pytest.approx(math.log(10))
    assert progress.metrics["val_loss"] == pytest.approx(0.033)


def test_steps_before_a_training_that_goes_on_from_a_checkpoint_are_not_counted() -> None:
    net = network("relu", layer_names(2))
    records = training(net, losses=[2.0, 1.9], gradient=[1e-3, 1e-2], start=session(5000))
    assert summary_of(records).progress.step_count == 50


def test_trainings_are_counted_and_resumed_sessions_named() -> None:
    summary = summary_of(two_trainings())
    assert (summary.training_count, summary.resumed_steps) == (2, (300,))
    assert (summary.progress.step_count, summary.progress.recorded_count) == (350, 14)


def test_a_training_that_recorded_nothing_still_has_its_rows_and_its_reasons() -> None:
    summary = summary_of(nothing_recorded())
    assert [row.site for row in summary.rows] == layer_names(2)
    assert math.isnan(summary.rows[0].gradient_rms)
    assert summary.not_measured[0].name == "model"


def test_no_record_at_all_is_a_summary_too() -> None:
    summary = summary_of([])
    assert (summary.rows, summary.progress.step_count) == ((), 0)
    assert list(summary.frame.columns)[:3] == ["layer", "site", "activation"]


def test_the_frame_has_one_row_a_site_and_plain_columns() -> None:
    frame = summary_of(deep()).frame
    assert len(frame) == 90
    assert "profile" not in frame
    assert frame["gradient_rms"].dtype == pd.Series([1.0]).dtype
