from collections.abc import Callable

import findings
import pytest
import runs
from figure_specs import golden_text, spec, with_distributions

import gradscope.testing as made
from gradscope import figures
from gradscope.store.read import frames_of

SICK = frames_of(runs.sick())
HEALTHY = frames_of(with_distributions(runs.healthy()))
NAMED = frames_of(with_distributions(runs.awkward_names()))
NOT_FINITE = frames_of(runs.not_finite())
MADE = made.run(made.stack("tanh", depth=3), activations={"dense": {"mean": 0.5, "std": lambda step: 1 + step / 100}})

FIGURES = {
    "saturation_heatmap": lambda: figures.saturation_heatmap(SICK.activations),
    "dead_unit_heatmap": lambda: figures.dead_unit_heatmap(HEALTHY.activations),
    "gradient_heatmap": lambda: figures.gradient_heatmap(SICK.gradients),
    "gradient_heatmap_not_finite": lambda: figures.gradient_heatmap(NOT_FINITE.gradients),
    "update_ratio_heatmap_names": lambda: figures.update_ratio_heatmap(NAMED.gradients),
    "activation_profile": lambda: figures.activation_profile(MADE.activations),
    "gradient_profile": lambda: figures.gradient_profile(SICK.gradients, [0, 275]),
    "statistic_curves": lambda: figures.statistic_curves(SICK.gradients, "rms", findings=findings.SICK),
    "distribution": lambda: figures.distribution(NAMED.histograms, "<img src=x onerror=alert(1)>"),
    "unit_map": lambda: figures.unit_map(HEALTHY.units, "dense_2", unit_count=64, last_step=299),
    "loss_curve": lambda: figures.loss_curve(SICK.steps, SICK.epochs, findings.SICK),
    "overhead": lambda: figures.overhead(MADE.steps, runs.COSTS),
    "loss_comparison": lambda: figures.loss_comparison(
        {"healthy": HEALTHY.epochs, "sick": SICK.epochs, "<img>": NOT_FINITE.epochs}, "val_loss"
    ),
    "profile_comparison": lambda: figures.profile_comparison(
        {"healthy": HEALTHY.gradients, "sick": SICK.gradients, "<img>": NAMED.gradients}, "rms"
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_what_a_person_has_read(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"figures/{name}.json", golden_text(FIGURES[name]()))


def test_all_figures_share_one_template_that_names_no_black() -> None:
    template, *others = (spec(make())["layout"]["template"] for make in FIGURES.values())
    assert all(other == template for other in others)
    assert template["layout"]["paper_bgcolor"] == template["layout"]["plot_bgcolor"] == "rgba(0,0,0,0)"
    assert template["layout"]["font"]["color"] not in {"#000", "#000000", "black"}
