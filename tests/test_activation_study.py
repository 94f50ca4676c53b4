"""The activation study judges every claim by what it measured, and shows it in a page that needs nothing else."""

import json
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
CLAIMS = [
    "sigmoid-gradient",
    "tanh-gradient",
    "zero-centred",
    "fewer-steps",
    "six-times",
    "relu-dies",
    "leaky-lives",
    "blow-up",
    "linear-stack",
    "step-blocks",
]
VERDICTS = {"confirmed", "depends", "not confirmed"}

pytestmark = pytest.mark.slow


class Elements(HTMLParser):
    """Collects what a page's tags say; the text of scripts and styles is kept apart."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.styles: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] == "style":
            self.styles.append(data)

    def values(self, name: str) -> Iterator[str]:
        return (attributes[name] or "" for _, attributes in self.tags if name in attributes)


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder that the quick form of the study wrote, and what it printed."""
    out = tmp_path_factory.mktemp("study")
    printed = run("--quick", "--out", str(out), "--markdown", str(out / "study.md"))
    return out, printed


def run(*arguments: str) -> str:
    finished = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", EXAMPLES / "activation_study.py", *arguments],
        cwd=Path(arguments[arguments.index("--out") + 1]),
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=300,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def page(studied: tuple[Path, str]) -> Elements:
    elements = Elements()
    elements.feed((studied[0] / "activation_study.html").read_text(encoding="utf-8"))
    return elements


def measured(studied: tuple[Path, str], name: str) -> pd.DataFrame:
    return pd.read_csv(studied[0] / f"{name}.csv")


def test_every_claim_has_one_of_three_verdicts_and_a_number(studied: tuple[Path, str]) -> None:
    verdicts = json.loads((studied[0] / "verdicts.json").read_text(encoding="utf-8"))
    assert [verdict["key"] for verdict in verdicts] == CLAIMS
    assert {verdict["verdict"] for verdict in verdicts} <= VERDICTS
    for verdict in verdicts:
        assert any(character.isdigit() for character in verdict["measured"]), verdict["measured"]
        assert verdict["settings"]
        assert "onfirmed if" in verdict["criterion"]


def test_the_terminal_and_the_markdown_show_every_verdict(studied: tuple[Path, str]) -> None:
    out, printed = studied
    text = (out / "study.md").read_text(encoding="utf-8")
    for verdict in json.loads((out / "verdicts.json").read_text(encoding="utf-8")):
        assert f"| {verdict['claim']} | **{verdict['verdict']}** | {verdict['measured']} |" in text
        assert verdict["claim"].split()[0] in printed
    assert "python examples/activation_study.py --quick" in text
    assert max(len(line) for line in printed.splitlines() if str(out) not in line) <= 80


def test_each_verdict_in_the_page_leads_to_a_section_with_a_figure(page: Elements) -> None:
    assert list(page.values("href")) == [f"#{key}" for key in CLAIMS]
    ids = list(page.values("id"))
    assert [key for key in CLAIMS if key not in ids or f"figure-{key}" not in ids] == []


def test_the_page_needs_no_network(page: Elements) -> None:
    assert not list(page.values("src"))
    assert not [tag for tag, _ in page.tags if tag in {"link", "iframe", "img", "object", "embed", "base"}]
    style = " ".join(page.styles)
    assert "color-scheme" in style
    assert "url(" not in style
    assert "@import" not in style


def test_the_page_holds_plotly_once(studied: tuple[Path, str]) -> None:
    text = (studied[0] / "activation_study.html").read_text(encoding="utf-8")
    assert text.count("plotly.js v") == 1


def test_numbers_judged_again_give_the_same_verdicts(studied: tuple[Path, str]) -> None:
    out, _ = studied
    before = (out / "verdicts.json").read_text(encoding="utf-8")
    run("--judge-again", "--out", str(out))
    assert (out / "verdicts.json").read_text(encoding="utf-8") == before


def test_a_linear_stack_is_the_product_of_its_matrices_and_a_relu_network_is_not(studied: tuple[Path, str]) -> None:
    distances = measured(studied, "linear_depth").groupby("function")["distance_from_one_layer"]
    assert distances.max()["linear"] < 1e-5
    assert distances.min()["relu"] > 1e-2


def test_a_step_function_leaves_the_weights_before_it_bit_for_bit_as_they_were(studied: tuple[Path, str]) -> None:
    trainings = measured(studied, "step_training").set_index("function")
    assert (trainings.loc[["step"], ["connected_fraction", "changed_fraction"]] == 0).all(axis=None)
    assert (trainings.loc[["sigmoid"], ["connected_fraction", "changed_fraction"]] == 1).all(axis=None)
    assert trainings.loc[["step"], "rules"].str.contains("blocked_gradient").all()


def test_sigmoid_loses_more_than_two_thirds_of_the_signal_at_each_layer(studied: tuple[Path, str]) -> None:
    signal = measured(studied, "signal_at_start")
    sigmoid = signal[signal["function"] == "sigmoid"]
    # With Glorot's weights a layer keeps the spread of what passes it, up to the slope, which is at most a quarter.
    assert (sigmoid["backward_ratio"] < 0.3 ** (sigmoid["depth"] - 1)).all()
    assert signal["sign_agreement"].between(0.5, 1).all()
    assert (signal.loc[signal["function"] != "relu", "largest"] <= 1).all()


def test_leaky_units_never_count_as_dead(studied: tuple[Path, str]) -> None:
    trainings = measured(studied, "high_rates")
    assert (trainings.loc[trainings["function"] == "leaky_relu", "dead_fraction"] == 0).all()
    assert trainings[["dead_fraction", "no_gradient_fraction"]].apply(lambda share: share.between(0, 1).all()).all()
