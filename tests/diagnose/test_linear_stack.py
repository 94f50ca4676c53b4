"""Layers that amount to one."""

from diagnose.answers import LEARNING, STUCK, code, evidence, the_finding

from gradscope.diagnose.rules.linear_stack import linear_stack
from gradscope.network import Network
from gradscope.testing import Part, network, run, stack

HEAD = Part("out", activation="softmax", kernel=(64, 10))


def part_linear() -> Network:
    """Four dense layers, of which the second has no function."""
    return network(Part("dense", activation="relu"), Part("dense_1"), Part("dense_2", activation="relu"), HEAD)


def test_a_network_that_is_linear_throughout_is_medium_while_much_of_the_loss_is_left() -> None:
    finding = the_finding(linear_stack, run(stack("linear", depth=2), epochs=LEARNING))
    assert (finding.severity, finding.layer) == ("medium", "dense")
    assert finding.layers == ("dense", "dense_1", "dense_2")
    assert finding.message.startswith("The whole network is linear")
    pairs = evidence(finding, "pairs of layers with nothing non-linear between them")
    assert pairs.value == 2
    assert pairs.value >= pairs.threshold == 1
    left = evidence(finding, "share of the baseline loss that is left")
    assert left.value > left.threshold == 0.5


def test_it_is_information_where_it_does_its_task() -> None:
    assert the_finding(linear_stack, run(stack("linear", depth=2))).severity == "low"


def test_it_is_medium_before_a_training_has_begun() -> None:
    frames = run(stack("linear", depth=2), recorded=[0], epochs={})
    assert the_finding(linear_stack, frames).severity == "medium"


def test_a_part_that_is_linear_is_information_even_where_nothing_is_learnt() -> None:
    finding = the_finding(linear_stack, run(part_linear(), epochs=STUCK))
    assert (finding.severity, finding.layer, finding.layers) == ("low", "dense_1", ("dense_1", "dense_2"))
    assert "nothing non-linear lies between dense_1 and dense_2" in finding.message


def test_the_second_layer_of_a_pair_is_not_called_linear_where_it_has_a_function() -> None:
    assert "dense_2 are linear" not in the_finding(linear_stack, run(part_linear())).message


def test_dropout_and_normalisation_between_are_linear_too() -> None:
    net = network(
        Part("dense"), Part("drop", "Dropout", None, None), Part("norm", "BatchNormalization", None, None), HEAD
    )
    assert the_finding(linear_stack, run(net)).layers == ("dense", "out")


def test_the_code_gives_the_first_of_the_pair_a_function() -> None:
    finding = the_finding(linear_stack, run(stack("linear", depth=2)))
    assert (
        code(finding) == 'keras.layers.Dense(64, activation="relu", kernel_initializer="he_normal")  # dense, dense_1'
    )


def nothing(net: Network) -> bool:
    return list(linear_stack(run(net, epochs=STUCK))) == []


def test_layers_with_a_function_are_left_alone() -> None:
    assert nothing(stack("relu"))


def test_a_function_in_a_layer_of_its_own_counts() -> None:
    assert nothing(network(Part("dense"), Part("re_lu", "ReLU", "relu", None), HEAD))


def test_a_maximum_over_positions_is_not_linear() -> None:
    conv = {"class_name": "Conv2D", "kernel": (3, 3, 8, 8)}
    pool = Part("pool", "MaxPooling2D", None, None)
    assert nothing(network(Part("conv", **conv), pool, Part("conv_1", activation="relu", **conv)))


def test_a_chain_through_a_bottleneck_saves_weights() -> None:
    net = network(Part("dense", kernel=(64, 4)), Part("dense_1", activation="relu", kernel=(4, 64)), HEAD)
    assert nothing(net)


def test_a_graph_that_is_not_known_is_left_alone() -> None:
    assert nothing(network(Part("dense"), Part("dense_1"), HEAD, edges=None))


def test_a_function_that_could_not_be_profiled_is_not_taken_for_linear() -> None:
    assert nothing(stack("my_function"))


def test_a_layer_that_several_read_ends_a_chain() -> None:
    edges = [("dense", "dense_1"), ("dense", "add"), ("dense_1", "add"), ("add", "out")]
    net = network(Part("dense"), Part("dense_1", activation="relu"), Part("add", "Add", None, None), HEAD, edges=edges)
    assert nothing(net)
