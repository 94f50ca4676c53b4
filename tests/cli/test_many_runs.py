"""How runs are named by their paths."""

from pathlib import PurePath, PurePosixPath, PureWindowsPath

import pytest

from gradscope.cli.many_runs import names_of


@pytest.mark.parametrize(
    ("places", "names"),
    [
        ([], []),
        ([PurePosixPath("/logs/mlp")], ["mlp"]),
        ([PurePosixPath("/logs/mlp"), PurePosixPath("/logs/mlp")], ["mlp", "mlp"]),
        ([PurePosixPath("/logs/mlp"), PurePosixPath("/logs/mlp/inner")], ["mlp", "mlp/inner"]),
        ([PurePosixPath("/a/mlp"), PurePosixPath("/b/mlp")], ["a/mlp", "b/mlp"]),
        ([PureWindowsPath("C:/logs/a"), PureWindowsPath("c:/Logs/b")], ["a", "b"]),
        ([PureWindowsPath("C:/logs/a"), PureWindowsPath("D:/logs/a")], ["C:/logs/a", "D:/logs/a"]),
    ],
)
def test_runs_are_named_from_where_their_paths_part(places: list[PurePath], names: list[str]) -> None:
    assert names_of(places) == names
