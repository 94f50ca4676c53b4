"""The backward signal from layer to layer."""

import numpy as np
import pytest

from gradscope.diagnose.depth import Fading, behind, fading_along_depth, times, weighted_layers
from gradscope.diagnose.series import site_series
from gradscope.network import Network
from gradscope.testing import Part, network, run, stack


def lost(*signal: float, first: int = 0) -> Fading | None:
    columns = {
        name: {"backward_rms": value} for name, value in zip(["dense", "dense_1", "dense_2"], signal, strict=True)
    }
    frames = run(stack(depth=3), activations=columns)
    return fading_along_depth(site_series(frames, frames.network.sites[:3]), first)


def layers(net: Network) -> list[tuple[str, str]]:
    return [(layer.site.key, layer.kernel.path) for layer in weighted_layers(net)]


def test_hidden_layers_with_weights_are_taken_in_their_order() -> None:
    net = network(Part("dense"), Part("re_lu", "ReLU", "relu", None), Part("dense_1"), Part("out"))
    assert layers(net) == [("dense", "dense/kernel"), ("dense_1", "dense_1/kernel")]


def test_frozen_layers_have_no_kernel_to_judge() -> None:
    assert layers(network(Part("dense", trainable=False), Part("dense_1"), Part("out"))) == [
        ("dense_1", "dense_1/kernel")
    ]


def test_a_network_without_hidden_layers_has_none() -> None:
    assert layers(network(Part("out"))) == []
    assert layers(Network("")) == []


def test_what_lies_behind_a_layer_is_the_largest_signal_of_any_later_one() -> None:
    signal = np.array([[1.0, 9.0, 3.0, 4.0], [1.0, np.nan, 3.0, np.nan]])
    np.testing.assert_array_equal(behind(signal), [[9, 4, 4, np.nan], [3, 3, np.nan, np.nan]])


def test_behind_nothing_is_nothing() -> None:
    assert behind(np.empty((3, 0))).shape == (3, 0)


def test_an_even_loss_is_told_as_a_factor_a_layer() -> None:
    found = lost(1e-6, 1e-4, 1e-2)
    assert found is not None
    assert (found.start, found.end, found.layers) == ("dense_2", "dense", 2)
    assert found.factor == pytest.approx(1e4)
    assert str(found) == "about 100 times a layer"


def test_a_loss_at_one_layer_names_it() -> None:
    found = lost(1e-6, 2e-6, 1e-2)
    assert found is not None
    assert (found.steepest, found.steepest_factor) == ("dense_2", pytest.approx(5e3))
    assert str(found) == "most of it next to dense_2, 5,000 times in one layer"


def test_it_is_measured_from_the_strongest_later_layer() -> None:
    found = lost(1e-6, 1e-1, 1e-2)
    assert found is not None
    assert (found.start, found.layers) == ("dense_1", 1)


def test_a_signal_that_is_nowhere_known_is_lost_nowhere() -> None:
    assert lost(np.nan, np.nan, np.nan) is None
    assert lost(0.0, 1e-3, 1e-2) is None
    assert lost(1e-3, 0.0, 0.0) is None


@pytest.mark.parametrize(
    ("factor", "said"),
    [
        (6.93, "6.9 times"),
        (634_212.0, "630,000 times"),
        (2e12, "2e+12 times"),
        (np.inf, "infinitely many times"),
        (1.3e7, "13,000,000 times"),
    ],
)
def test_a_factor_is_told_as_one_says_it(factor: float, said: str) -> None:
    assert times(factor) == said
