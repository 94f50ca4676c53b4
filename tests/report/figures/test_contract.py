"""What every figure promises, whatever the run: it is drawn, says its units, and shows names as text."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import findings
import numpy as np
import pytest
import runs
from figure_specs import spec, strings, with_distributions

import gradscope.testing as made
from gradscope import ArgumentError, figures
from gradscope.store.frames import Frames
from gradscope.store.read import frames_of

IMG = "<img src=x onerror=alert(1)>"


def first_site(frames: Frames) -> str:
    return frames.network.sites[0].key if frames.network.sites else "dense"


def last_step(frames: Frames) -> int:
    return int(frames.steps["step"].max()) if len(frames.steps) else 0


FIGURES: dict[str, Callable[[Frames], Any]] = {
    "saturation_heatmap": lambda f: figures.saturation_heatmap(f.activations),
    "dead_unit_heatmap": lambda f: figures.dead_unit_heatmap(f.activations),
    "gradient_heatmap": lambda f: figures.gradient_heatmap(f.gradients),
    "update_ratio_heatmap": lambda f: figures.update_ratio_heatmap(f.gradients),
    "statistic_heatmap": lambda f: figures.statistic_heatmap(f.activations, "pre_max"),
    "activation_profile": lambda f: figures.activation_profile(f.activations),
    "gradient_profile": lambda f: figures.gradient_profile(f.gradients),
    "backward_profile": lambda f: figures.backward_profile(f.activations),
    "statistic_curves": lambda f: figures.statistic_curves(f.gradients, "rms", findings=[findings.named(IMG)]),
    "distribution": lambda f: figures.distribution(f.histograms, first_site(f)),
    "unit_map": lambda f: figures.unit_map(f.units, first_site(f), unit_count=64, last_step=last_step(f)),
    "loss_curve": lambda f: figures.loss_curve(f.steps, f.epochs, [findings.named(IMG)]),
    "overhead": lambda f: figures.overhead(f.steps, f.costs),
    "loss_comparison": lambda f: figures.loss_comparison({IMG: f.steps, "x" * 300: f.steps}),
    "profile_comparison": lambda f: figures.profile_comparison({IMG: f.gradients, "x" * 300: f.gradients}, "rms"),
}


def one_value(value: float) -> Frames:
    """A run of which every number is this one."""
    frames = frames_of(with_distributions(runs.healthy()))
    for table in (frames.steps, frames.activations, frames.gradients, frames.epochs):
        for column in table.select_dtypes(np.float64):
            table[column] = value
    return frames


RUNS: dict[str, Callable[[], Frames]] = {
    "no records": lambda: frames_of([]),
    "nothing recorded": lambda: frames_of(runs.nothing_recorded()),
    "one step": lambda: made.run(made.stack(), recorded=[0]),
    "one layer": lambda: made.run(made.network(made.Part("dense"))),
    "one step of one layer": lambda: made.run(made.network(made.Part("dense")), recorded=[0]),
    "awkward names": lambda: frames_of(with_distributions(runs.awkward_names())),
    "the last not finite": lambda: frames_of(runs.not_finite()),
    "cut off": lambda: frames_of(runs.cut_off()),
    "300 layers": lambda: frames_of(with_distributions(runs.deep(300))),
    "a huge spread": lambda: frames_of(with_distributions(runs.healthy(), spread=1e30)),
    **{f"only {value}": lambda value=value: one_value(value) for value in (np.nan, np.inf, -np.inf, 0.0, -1.0, 1e300)},
}


@pytest.fixture(params=RUNS, scope="module")
def frames(request: pytest.FixtureRequest) -> Frames:
    return RUNS[request.param]()


def test_every_public_figure_is_held_to_this() -> None:
    assert set(figures.__all__) - {"SEVERITY_COLOURS", "common_limits", "themed"} == set(FIGURES)


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_of_any_run_keeps_the_contract(name: str, frames: Frames) -> None:
    figure = FIGURES[name](frames)
    written = figure.to_json()
    json.loads(written, parse_constant=pytest.fail)  # NaN and Infinity are no JSON
    assert "<img" not in written
    assert all("<img" not in text for text in strings(spec(figure)))
    layout = spec(figure)["layout"]
    assert layout["title"]["text"]
    axes = {key: axis for key, axis in layout.items() if "axis" in key}
    for key, axis in axes.items():
        if key == "yaxis2" and name in {"statistic_curves", "loss_curve"}:
            continue  # the strip, whose rows are named
        assert axis["title"]["text"], key
    drawn = any(trace.get("x") is not None for trace in spec(figure)["data"])
    assert drawn or layout["annotations"][0]["text"], "neither drawn nor a word why not"


@pytest.mark.parametrize("run", ["no records", "nothing recorded", "only nan"])
@pytest.mark.parametrize("name", sorted(FIGURES.keys() - {"unit_map", "overhead", "distribution"}))
def test_a_figure_without_data_says_so(name: str, run: str) -> None:
    layout = spec(FIGURES[name](RUNS[run]()))["layout"]
    assert layout["annotations"][0]["text"]


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_restyled_without_being_changed(name: str) -> None:
    figure = FIGURES[name](frames_of(with_distributions(runs.awkward_names())))
    before = spec(figure)
    dark, light = (spec(figures.themed(figure, theme)) for theme in ("dark", "light"))
    assert spec(figure) == before
    assert dark["data"] == light["data"] == before["data"]
    assert dark["layout"]["template"]["layout"]["font"] != light["layout"]["template"]["layout"]["font"]


@pytest.mark.parametrize("name", sorted(FIGURES.keys() - {"unit_map", "distribution"}))
def test_a_figure_of_a_long_deep_run_is_small(name: str, long_run: Frames) -> None:
    assert len(FIGURES[name](long_run).to_json()) <= (200_000 if name.endswith("heatmap") else 400_000)


@pytest.mark.overhead
@pytest.mark.parametrize("name", sorted(FIGURES.keys() - {"unit_map", "distribution"}))
def test_a_figure_of_a_long_deep_run_is_quick(name: str, long_run: Frames) -> None:
    FIGURES[name](long_run)  # plotly loads parts of itself at the first
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        FIGURES[name](long_run)
        seconds.append(time.perf_counter() - began)
    assert min(seconds) < 0.1


@pytest.fixture(scope="module")
def long_run() -> Frames:
    return made.run(made.stack(depth=49), recorded=range(2_000))


@pytest.mark.parametrize("figure", [figures.gradient_heatmap, figures.update_ratio_heatmap])
def test_a_table_of_activations_is_not_taken_for_one_of_gradients(figure: Any) -> None:
    frames = frames_of(runs.healthy())
    with pytest.raises(ArgumentError, match=r"Pass run\.gradients"):
        figure(frames.activations)
    with pytest.raises(ArgumentError, match=r"is no table\. Pass a frame of a run"):
        figure(frames)
