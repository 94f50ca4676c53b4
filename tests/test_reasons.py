"""The reasons: each one sentence for a person, whatever an error has said."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given
from hypothesis import strategies as st

from gradscope import reasons
from gradscope.errors import ShapeError, WriterError

CONSTANTS = {
    name: value for name, value in vars(reasons).items() if isinstance(value, str) and name.isupper() and name[0] != "_"
}
SAMPLES: dict[str, list[Any]] = {
    "twice": [["EagerPyFunc"], ["IteratorGetNext", "QueueDequeueV2"], ["SomethingNew"], []],
    "from_step": [1200],
    "of_error": [
        RuntimeError("out of ideas"),
        ShapeError("The table 'gradients' has shape (0, 0), but its network needs (0, 10)."),
        WriterError("'logs/a/gradscope' cannot be written: No space left on device."),
        OSError(28, "No space left on device", "/home/me/logs"),
        MemoryError(),
        KeyError("slope"),
        ValueError("a\n" * 1000),
    ],
    "of_function": [ZeroDivisionError("division by zero")],
    "named": [RuntimeError("out of ideas")],
    "plain": ["No such axis."],
    "moved": [("Keras", "3.99.0", "Layer.place")],
}
FUNCTIONS = {
    name: value
    for name, value in vars(reasons).items()
    if inspect.isfunction(value) and value.__module__ == reasons.__name__ and name[0] != "_"
}
FORBIDDEN = {
    "a colour": r"\x1b",
    "a second line": r"\n",
    "a stack trace": r"Traceback|File \"|in user code|most recent call|Graph execution error|Encountered when",
    "a shape": r"[(\[]\s*(\d+|None)\s*,",
    "an address": r"0x[0-9a-f]+",
    "a mark of a node": r"\{\{|\[\[|\[Op:|__inference|__wrapped",
    "a path of code": r"\.py\b|site-packages",
    "the name of an operation": r"\b(Eager)?PyFunc\b|\w+V2\b|\bIteratorGetNext\b",
}


def said() -> Iterator[tuple[str, str]]:
    yield from CONSTANTS.items()
    for name, function in FUNCTIONS.items():
        for number, sample in enumerate(SAMPLES[name]):
            takes = len(inspect.signature(function).parameters)
            known = {"from_step": (sample, reasons.GATES), "of_function": ("on_finding", sample), "moved": sample}
            arguments = known.get(name, (sample,))
            assert len(arguments) == takes
            yield f"{name} {number}", function(*arguments)


def faults(text: str) -> list[str]:
    return [name for name, pattern in FORBIDDEN.items() if re.search(pattern, text)]


def test_every_function_has_a_sample() -> None:
    assert SAMPLES.keys() == FUNCTIONS.keys()


@pytest.mark.parametrize(("name", "text"), [*said()])
def test_a_reason_is_one_sentence_for_a_person(name: str, text: str) -> None:
    assert faults(text) == []
    assert text == text.strip()
    assert 0 < len(text) <= 330
    assert not re.search(r"[.!?]( |$)", text), "one sentence, with the full stop left to where it stands"


@pytest.mark.parametrize("name", CONSTANTS)
def test_a_reason_begins_small_and_says_what_to_do_or_what_there_is_instead(name: str) -> None:
    text = CONSTANTS[name]
    assert text[0].islower()
    assert "; " in text
    assert not text.startswith("it is not measured")


def test_every_reason_is_made_to_happen_by_a_test() -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.rglob("test_*.py"))
    assert [name for name in CONSTANTS if f"reasons.{name}" not in tests] == []


def test_no_reason_stands_twice() -> None:
    assert len({*CONSTANTS.values()}) == len(CONSTANTS)


def test_what_a_step_does_beside_training_is_told_once_and_in_plain_words() -> None:
    text = reasons.twice(["EagerPyFunc", "PyFunc", "QueueEnqueueV2", "PrintV2"])
    assert text.startswith("its step calls Python code, takes from a queue or puts into one and prints, which")


# --- errors as frameworks raise them ---


def inside_a_graph() -> Any:
    @tf.function
    def fails(x: Any) -> Any:
        tf.debugging.assert_less(x, 0.0, "weights ran away")
        return x

    return fails(tf.constant(1.0))


def inside_a_layer() -> Any:
    return keras.layers.Dense(3)(keras.Input((4,)))(np.ones((2, 7)))


def inside_a_subclass() -> Any:
    class Broken(keras.layers.Layer):
        def call(self, inputs: Any) -> Any:
            raise RuntimeError("the layer gives up")

    return Broken()(np.ones((2, 3), "float32"))


def inside_autograph() -> Any:
    @tf.function
    def fails() -> Any:
        raise TypeError("nothing to add")

    return fails()


def eager_operation() -> Any:
    return tf.matmul(tf.ones((2, 3)), tf.ones((2, 3)))


@pytest.mark.parametrize(
    ("fails", "kept"),
    [
        (inside_a_graph, "weights ran away"),
        (inside_a_subclass, "the layer gives up"),
        (inside_autograph, "nothing to add"),
        (eager_operation, "Matrix size-incompatible"),
    ],
)
def test_of_what_a_framework_says_the_words_are_kept(fails: Callable[[], Any], kept: str) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - of many types
        fails()
    text = reasons.of_error(caught.value)
    assert kept in text
    assert faults(text) == []
    assert len(text) <= reasons.MOST_CHARACTERS + 100


def test_what_runs_out_of_memory_says_what_to_do() -> None:
    error = tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[8,8]")
    assert reasons.of_error(error) == reasons.MEMORY


def test_an_error_of_gradscope_s_own_is_told_as_one_and_what_it_raises_on_purpose_as_it_is() -> None:
    assert reasons.of_error(ShapeError("shape (3,)")).startswith("an error of GradScope's own (ShapeError")
    assert reasons.of_error(WriterError("'a' is a file. Pass a directory.")) == "'a' is a file. Pass a directory"


@given(st.text())
@example("A\x1b")
@example("A\x1b\nB")
def test_whatever_an_error_says_one_short_line_is_left(text: str) -> None:
    said = reasons.plain(text)
    assert len(said) <= reasons.MOST_CHARACTERS
    assert len(said.splitlines()) <= 1
    assert faults(said) == []
