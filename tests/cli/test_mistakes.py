"""What is said to a user who mistyped."""

from pathlib import Path

import pytest
from runs import healthy, write

from gradscope.cli.main import main
from gradscope.cli.many_runs import nearest_run
from gradscope.cli.mistakes import explained


def test_a_message_that_offers_nothing_stays_as_it_is() -> None:
    for message in ("Missing argument 'PATH'.", "No such option: --zzz", "'x' is odd."):
        assert explained(message) == message


def test_what_is_like_nothing_gets_no_suggestion() -> None:
    assert explained("Value error, 'zzz' is not one of 'low', 'high'.") == "'zzz' is not one of 'low', 'high'."


def test_a_misspelt_part_anywhere_in_a_path_is_found(tmp_path: Path) -> None:
    path = write(tmp_path / "logs" / "mlp", healthy())
    assert nearest_run(tmp_path / "logs" / "mpl") == f" Did you mean '{path}'?"
    assert nearest_run(tmp_path / "lgos" / "mlp") == f" Did you mean '{path}'?"
    assert nearest_run(tmp_path / "lgos" / "other") == f" Did you mean '{tmp_path / 'logs'}'?"
    assert nearest_run(path) == nearest_run(tmp_path / "zzz") == ""


@pytest.mark.filterwarnings("default")  # as outside of tests, where the warning is one line on standard error
@pytest.mark.parametrize(
    ("ignored", "said"),
    [
        ("dying_relu@dens_1", "no layer is called 'dens_1'. Did you mean 'dying_relu@dense_1'?"),
        ("dying_relu@zzz", "--ignore dying_relu@zzz ignores nothing: no layer is called 'zzz'.\n"),
        ("dying_relu@dense_1", ""),
        ("dying_relu", ""),
    ],
)
def test_a_finding_to_ignore_of_a_layer_that_no_run_has_is_told_and_fails_nothing(
    ignored: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(write(tmp_path / "mlp", healthy())), "--ignore", ignored]) == 0
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == bool(said)
