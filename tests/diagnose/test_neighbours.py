"""What stands before and behind a layer, with the graph and without."""

import pytest

from gradscope.diagnose.neighbours import Neighbours, neighbours
from gradscope.network import Network
from gradscope.testing import Part, network

PARTS = (
    Part("dense"),
    Part("norm", "BatchNormalization", None, None),
    Part("relu", "ReLU", "relu", None),
    Part("drop", "Dropout", None, None),
    Part("hidden", activation="tanh"),
    Part("logits"),
    Part("softmax", "Softmax", "softmax", None),
)


@pytest.fixture(params=["chain", None])
def around(request: pytest.FixtureRequest) -> Neighbours:
    return neighbours(network(*PARTS, edges=request.param))


def test_a_function_of_its_own_belongs_to_the_weights_before_it(around: Neighbours) -> None:
    assert {key: around.function_of(key) for key in ("dense", "hidden", "logits")} == {
        "dense": "relu", "hidden": "tanh", "logits": "softmax",
    }  # fmt: skip
    assert around.weights_of("relu") == "dense"
    assert around.weights_of("hidden") == "hidden"


def test_a_normalisation_before_the_function_counts(around: Neighbours) -> None:
    assert [key for key in ("dense", "hidden") if around.is_normalised(key)] == ["dense"]


def test_logits_before_the_outputs_function_are_the_end(around: Neighbours) -> None:
    assert [key for key in around.layers if around.ends(key)] == ["logits", "softmax"]


def test_a_fork_ends_the_way() -> None:
    around = neighbours(network(Part("a"), Part("b", "ReLU", "relu", None), Part("c"), edges=[("a", "b"), ("a", "c")]))
    assert around.function_of("a") == "linear"


def test_a_circle_is_walked_once_and_an_empty_network_has_no_neighbours() -> None:
    drops = (Part("a", "Dropout", None, None), Part("b", "Dropout", None, None))
    around = neighbours(network(*drops, edges=[("a", "b"), ("b", "a")], outputs=[]))
    assert around.function_of("a") == "linear"
    assert neighbours(Network("empty")).weights_of("nothing") is None
