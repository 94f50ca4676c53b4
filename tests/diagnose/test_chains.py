"""Pairs of layers with nothing non-linear between them, in networks made by hand."""

import pytest

from gradscope.diagnose.chains import is_linear, linear_links
from gradscope.network import Network
from gradscope.testing import Part, network, stack

CONV = {"class_name": "Conv2D", "kernel": (3, 3, 8, 8)}
OUT = Part("out", activation="softmax", kernel=(64, 10))


def pairs(net: Network) -> list[tuple[str, str]]:
    return [(link.first.key, link.second.key) for link in linear_links(net)]


def between(class_name: str) -> Network:
    return network(Part("dense"), Part("middle", class_name, None, None), OUT)


def test_each_pair_of_a_linear_chain_is_a_link() -> None:
    assert pairs(stack("linear", depth=2)) == [("dense", "dense_1"), ("dense_1", "dense_2")]


def test_the_order_of_the_edges_does_not_matter() -> None:
    edges = [("dense_1", "out"), ("dense", "dense_1")]
    assert pairs(network(Part("dense"), Part("dense_1"), OUT, edges=edges)) == [
        ("dense", "dense_1"),
        ("dense_1", "out"),
    ]


@pytest.mark.parametrize("name", ["Dropout", "Flatten", "BatchNormalization", "AveragePooling2D", "Reshape"])
def test_what_is_linear_between_them_does_not_part_them(name: str) -> None:
    assert pairs(between(name)) == [("dense", "out")]


@pytest.mark.parametrize("name", ["MaxPooling2D", "LayerNormalization", "Lambda", "TheirOwnLayer"])
def test_what_may_not_be_linear_between_them_parts_them(name: str) -> None:
    assert pairs(between(name)) == []


def test_an_operation_of_the_graph_between_them_parts_them() -> None:
    edges = [("dense", "tanh"), ("tanh", "out")]  # a function called on the tensor: no layer has this key
    assert pairs(network(Part("dense"), OUT, edges=edges)) == []


def test_a_function_parts_them() -> None:
    assert pairs(stack("relu")) == []


def test_a_function_that_could_not_be_profiled_parts_them() -> None:
    assert pairs(stack("my_function")) == []
    assert not is_linear(stack("my_function"), "dense")


def test_a_layer_without_a_site_is_not_known_to_be_linear() -> None:
    assert not is_linear(network(Part("dense", activation=None), OUT), "dense")


def test_a_residual_branch_ends_a_chain_on_both_sides() -> None:
    edges = [("a", "b"), ("a", "add"), ("b", "add"), ("add", "out")]
    assert pairs(network(Part("a"), Part("b"), Part("add", "Add", None, None), OUT, edges=edges)) == []


def test_two_heads_end_a_chain() -> None:
    assert pairs(network(Part("a"), Part("b"), OUT, edges=[("a", "b"), ("a", "out")])) == []


def test_a_graph_that_is_not_known_has_no_links() -> None:
    assert pairs(network(Part("a"), Part("b"), OUT, edges=None)) == []


@pytest.mark.parametrize(
    ("first", "second", "is_bottleneck"),
    [
        ((64, 4), (4, 64), True),
        ((64, 64), (64, 10), False),
        ((64, 256), (256, 64), False),
        ((3, 3, 16, 8), (1, 1, 8, 64), True),
    ],
)
def test_a_pair_with_fewer_weights_than_the_one_layer_it_amounts_to_is_a_bottleneck(
    first: tuple[int, ...], second: tuple[int, ...], is_bottleneck: bool
) -> None:
    net = network(Part("a", kernel=first), Part("b", kernel=second, activation="relu"))
    assert [link.is_bottleneck for link in linear_links(net)] == [is_bottleneck]


def test_convolutions_are_linear_too() -> None:
    assert pairs(network(Part("conv", **CONV), Part("conv_1", activation="relu", **CONV))) == [("conv", "conv_1")]


def test_frozen_layers_are_linear_too_and_no_bottleneck_as_far_as_is_known() -> None:
    net = network(Part("a", kernel=(64, 4), trainable=False), Part("b", kernel=(4, 64), activation="relu"))
    assert [link.is_bottleneck for link in linear_links(net)] == [False]
