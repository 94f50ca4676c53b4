import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gradscope.recording.histogram import histogram

floats = st.floats(width=32)


@given(arrays(np.float32, st.integers(0, 60), elements=floats))
def test_every_finite_sample_lies_in_exactly_one_bin(samples: np.ndarray) -> None:
    bins, finite = histogram(samples), samples[np.isfinite(samples)]
    if not finite.size:
        assert bins is None
        return
    assert bins is not None
    left, right, counts = bins.T
    assert bins.shape == (30, 3)
    assert counts.sum() == finite.size
    assert (left[0], right[-1]) == (finite.min(), finite.max())
    np.testing.assert_array_equal(left[1:], right[:-1])
    assert np.isfinite(bins).all()


@given(arrays(np.float32, st.integers(2, 60), elements=st.integers(-100, 100), unique=True))
def test_bins_agree_with_numpys_histogram(samples: np.ndarray) -> None:
    counts, edges = np.histogram(samples.astype(np.float64), bins=30)
    bins = histogram(samples)
    assert bins is not None
    np.testing.assert_allclose(bins[:, 0], edges[:-1], atol=1e-12)
    # A sample on an edge may fall to either side of it, by rounding.
    np.testing.assert_allclose(np.cumsum(bins[:, 2]), np.cumsum(counts), atol=1)


@pytest.mark.parametrize("value", [0.0, -3.5, 3.4e38, 1e-45])
def test_equal_samples_lie_in_the_last_bin_of_width_zero(value: float) -> None:
    bins = histogram(np.full(7, value, np.float32))
    assert bins is not None
    assert bins[:, 2].tolist() == [0.0] * 29 + [7.0]
    assert set(bins[:, :2].ravel()) == {np.float64(np.float32(value))}
