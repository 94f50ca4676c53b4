"""The description of what was trained: which variable stands for its layer."""

from gradscope.network import Role, Variable, main_variables


def variables(layer: str, *roles: Role) -> list[Variable]:
    return [Variable(f"{layer}/{at}", layer, (2,), role) for at, role in enumerate(roles)]


def test_the_first_kernel_stands_for_a_layer_else_an_embedding_else_whatever_comes_first() -> None:
    found = main_variables([
        *variables("dense", "bias", "kernel", "kernel"),
        *variables("embedding", "other", "embedding"),
        *variables("both", "embedding", "kernel"),
        *variables("norm", "scale", "offset"),
    ])  # fmt: skip
    assert {layer: variable.path for layer, variable in found.items()} == {
        "dense": "dense/1", "embedding": "embedding/1", "both": "both/1", "norm": "norm/0",
    }  # fmt: skip


def test_nothing_stands_for_a_layer_without_variables() -> None:
    assert main_variables([]) == {}
