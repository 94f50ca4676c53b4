import numpy as np
import pytest
import runs
from figure_specs import spec, with_distributions
from hypothesis import given
from hypothesis import strategies as st

from gradscope import figures
from gradscope.recording.histogram import histogram
from gradscope.report.figures.distributions import rebinned
from gradscope.store.read import frames_of

SAMPLES = st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=200)
EDGES = st.lists(st.floats(-2e3, 2e3), min_size=2, max_size=20, unique=True)


@given(SAMPLES, EDGES)
def test_rebinning_keeps_every_entry(samples: list[float], edges: list[float]) -> None:
    bins = histogram(np.array(samples))
    assert bins is not None
    cells = rebinned(bins, np.sort(edges))
    assert cells.sum() == pytest.approx(len(samples))
    assert (cells >= 0).all()


@given(SAMPLES)
def test_rebinning_onto_the_same_edges_changes_nothing(samples: list[float]) -> None:
    bins = histogram(np.array(samples))
    assert bins is not None
    if bins[0, 0] == bins[0, 1]:
        return
    cells = rebinned(bins, np.append(bins[:, 0], bins[-1, 1]))
    np.testing.assert_allclose(cells, bins[:, 2], atol=1e-9 * len(samples))


def test_a_bin_over_several_cells_is_shared_by_length() -> None:
    assert rebinned(np.array([[0.0, 4.0, 8.0]]), np.array([0.0, 1.0, 4.0])).tolist() == [2.0, 6.0]


def test_entries_that_are_all_equal_stay_in_one_cell() -> None:
    point = np.array([[2.0, 2.0, 5.0]])
    assert rebinned(point, np.array([0.0, 2.0, 3.0])).tolist() == [0.0, 5.0]
    assert rebinned(point, np.array([2.0, 3.0, 4.0])).tolist() == [5.0, 0.0]


def test_entries_beyond_the_edges_are_counted_in_the_outermost_cells() -> None:
    bins = np.array([[-10.0, -5.0, 1.0], [-5.0, 0.0, 2.0], [0.0, 10.0, 4.0]])
    assert rebinned(bins, np.array([0.0, 2.5, 5.0])).tolist() == [4.0, 3.0]


def test_a_column_is_one_record_and_its_shares_add_up_to_one() -> None:
    frames = frames_of(with_distributions(runs.healthy()))
    density, low, median, high = spec(figures.distribution(frames.histograms, "dense_2"))["data"]
    shares = np.array(density["customdata"])
    assert shares.shape[1] == len(frames.steps)
    np.testing.assert_allclose(shares.sum(axis=0), 1.0, rtol=1e-5)
    assert [line["name"] for line in (low, median, high)] == ["5 &#37; quantile", "median", "95 &#37; quantile"]
    assert all(a <= b <= c for a, b, c in zip(low["y"], median["y"], high["y"], strict=True))


def test_a_site_without_histograms_is_named_with_those_that_have_some() -> None:
    frames = frames_of(with_distributions(runs.healthy()))
    note = spec(figures.distribution(frames.histograms, "<b>"))["layout"]["annotations"][0]["text"]
    assert note.replace("<br>", " ").startswith(
        "There is no histogram of &lt;b&gt;. Sites that have some: dense, dense_1"
    )


def test_one_exploded_record_does_not_hide_the_others() -> None:
    records = with_distributions(runs.healthy())
    frames = frames_of(records)
    last = frames.histograms["step"] == 275
    frames.histograms.loc[last, ["left", "right"]] *= 1e6
    figure = spec(figures.distribution(frames.histograms, "dense"))
    assert figure["data"][0]["dy"] * 90 < 2_000
    assert "beyond the axis" in figure["layout"]["title"]["subtitle"]["text"]
