"""A TensorBoard as everyone starts it, with our run and Keras' own in one directory, asked over HTTP."""

import html
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import keras
import numpy as np
import pytest

import gradscope

pytestmark = [
    pytest.mark.slow,
    # Keras' own callback reads the learning rate in a way that NumPy 2 warns of.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]

SECONDS = 90.0
STEPS = 6


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training of six steps that both callbacks recorded."""
    logs = tmp_path_factory.mktemp("logs")
    inputs = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(4, activation="tanh"), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    callbacks = [
        keras.callbacks.TensorBoard(logs / "mlp", histogram_freq=1),
        gradscope.GradScope(logs / "mlp", schedule=1, quiet=True),
    ]
    model.fit(inputs, inputs[:, :1], validation_data=(inputs, inputs[:, :1]), batch_size=4, epochs=2, verbose=0,
              callbacks=callbacks)  # fmt: skip
    return logs


@pytest.fixture(scope="module", params=["true", "false"], ids=["data server", "Python loader"])
def ask(request: pytest.FixtureRequest, logs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A function that gets a path from a running TensorBoard."""
    said = tmp_path_factory.mktemp("tensorboard") / "said.txt"
    line = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logs), "--host", "127.0.0.1", "--port", "0"]
    with said.open("wb") as log:
        server = subprocess.Popen([*line, "--load_fast", request.param], stdout=log, stderr=subprocess.STDOUT)
    try:
        address = until(lambda: re.search(r"http://[\w.]+:\d+", said.read_text("utf-8")), said, server).group()

        def get(path: str) -> Any:
            with urlopen(f"{address}/data/{path}", timeout=SECONDS) as answer:
                return json.load(answer)

        # Its loaders read in the background, each run at a time.
        until(lambda: len(get("plugin/histograms/tags")) == 2 and len(get("plugin/scalars/tags")) >= 3, said, server)
        until(lambda: len(get("plugin/scalars/scalars?run=mlp/gradscope&tag=global_norm")) == STEPS, said, server)
        yield get
    finally:
        server.terminate()
        server.wait(timeout=30)


def until(found: Callable[[], Any], said: Path, server: subprocess.Popen[bytes]) -> Any:
    """Return what ``found`` returns once it is something; fail with what TensorBoard said."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if answer := found():
                return answer
        except OSError:  # an answer of 404, as long as nothing of it is loaded
            pass
        time.sleep(0.1)
    pytest.fail(f"TensorBoard did not answer in time: {said.read_text('utf-8')}")


def test_our_scalars_stand_beside_those_of_keras(ask: Callable[[str], Any]) -> None:
    tags = ask("plugin/scalars/tags")
    assert set(tags) == {"mlp/gradscope", "mlp/train", "mlp/validation"}
    ours = {"global_norm", "saturated_fraction/dense", "gradient_norm/dense", "gradient_norm/dense_1"}
    assert ours <= set(tags["mlp/gradscope"])
    assert "epoch_loss" in tags["mlp/train"]


def test_our_histograms_stand_beside_those_of_keras(ask: Callable[[str], Any]) -> None:
    tags = ask("plugin/histograms/tags")
    assert set(tags) == {"mlp/gradscope", "mlp/train"}
    assert set(tags["mlp/gradscope"]) == {"activation/dense", "activation/dense_1"}
    assert all(any(kind in tag for tag in tags["mlp/train"]) for kind in ("kernel", "bias"))


def test_the_findings_stand_in_the_text_tab(ask: Callable[[str], Any], logs: Path) -> None:
    assert ask("plugin/text/tags")["mlp/gradscope"] == ["findings"]
    (shown,) = ask("plugin/text/text?run=mlp/gradscope&tag=findings")
    assert shown["step"] == STEPS - 1
    assert f"By the rules of gradscope {gradscope.__version__}:" in shown["text"]
    words = html.unescape(re.sub(r"<[^>]*>", "", shown["text"]))
    assert str(gradscope.load(logs / "mlp").diagnose()).split()[:3] == words.partition(":")[2].split()[:3]


def test_custom_scalars_show_all_layers_in_one_chart(ask: Callable[[str], Any]) -> None:
    (category,) = ask("plugin/custom_scalars/layout")["category"]
    charts = {chart["title"]: chart["multiline"]["tag"] for chart in category["chart"]}
    (tags,) = charts["Gradient norm of each layer"]
    answer = ask(f"plugin/custom_scalars/scalars?run=mlp/gradscope&tag={quote(tags)}")
    assert set(answer["tag_to_events"]) == {"gradient_norm/dense", "gradient_norm/dense_1"}
    for expressions in charts.values():
        for expression in expressions:
            assert ask(f"plugin/custom_scalars/scalars?run=mlp/gradscope&tag={quote(expression)}")["regex_valid"]


def test_a_curve_holds_the_numbers_of_the_frame(ask: Callable[[str], Any], logs: Path) -> None:
    steps = gradscope.load(logs / "mlp").steps
    curve = ask("plugin/scalars/scalars?run=mlp/gradscope&tag=global_norm")
    assert [(step, np.float32(value)) for _, step, value in curve] == list(
        zip(steps["step"], steps["global_norm"].astype(np.float32), strict=True)
    )


def test_a_histogram_counts_every_entry(ask: Callable[[str], Any]) -> None:
    _, step, bins = ask("plugin/histograms/histograms?run=mlp/gradscope&tag=activation/dense")[0]
    assert step == 0
    assert sum(count for *_, count in bins) == 4 * 4  # samples times units
    assert all(-1 <= left <= right <= 1 for left, right, _ in bins)  # the range of tanh
