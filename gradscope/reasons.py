"""Reasons: why something is not measured, or why recording ends, each as one sentence with what to do about it.

This is the one list of them. A reason stands in brackets in a summary, behind a name in ``run.not_measured`` and at the
end of a warning; so it begins small, has no full stop, and is made of words that a person knows who has written a
model: no name of an operation, no shape, no path, no stack trace.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from gradscope.errors import GradscopeError, ShapeError

# --- what of a model is not measured ---

GATES: Final = "its gates run inside a recurrent loop, which is not looked into; the layer's output is measured"
CELL: Final = "its cell runs inside a recurrent loop, which is not looked into; the layer's output is measured"
ATTENTION: Final = "the softmax inside attention is not taken out; the layer's output is measured"
ELSEWHERE: Final = (
    "it runs inside a loop, a condition or a compiled function of its own, which is not looked into; "
    "call it outside of that to have it measured"
)
SINGLE_NUMBER: Final = (
    "its function returns a single number rather than one for each unit; return one for each unit to have it measured"
)
NO_PROFILE: Final = (
    "its function could not be tried out by itself, so where it saturates is not known; all else of it is measured"
)
RECOMPUTED: Final = (
    "it is computed a second time for its gradient (remat), so that its backward signal is not seen; "
    "train without remat to have it measured"
)
NO_BACKWARD: Final = (
    "no backward signal was met there: no gradient passes, or it is recomputed (recompute_grad), or asked for by "
    "tf.gradients or with unconnected_gradients; a plain GradientTape shows it"
)
OUTSIDE: Final = (
    "it is applied outside of any layer, so that it belongs to no layer; "
    "put it into a layer, such as an Activation layer, to have it measured"
)
SEVERAL: Final = (
    "its step calls several compiled functions that train, of which the last is recorded; "
    "call them from one tf.function, or in train_step, to have all of them recorded"
)
QUANTISED: Final = (
    "its weights are quantised to small integers, which no gradient trains; record the model before it is quantised"
)
NO_GRADIENT: Final = (
    "no optimizer that is known was given its gradient; "
    "apply it with a Keras optimizer that the model holds as an attribute to have it measured"
)
MAYBE_MISSING: Final = (
    "a function put together from basic operations, such as maximum(z, 0), is not recognised and may be missing; "
    "use one of keras.activations, or an Activation layer, to have it measured"
)
OTHER_NOISE: Final = (
    "its random numbers come from a generator that keeps a state, as tf.random.uniform does, so what is recorded is of "
    "other noise than was trained on; use keras.random with a SeedGenerator to have the same"
)

# --- why a training is not recorded, or no further ---

NO_STEP: Final = "no step was recorded; pass schedule=1 to record every step"
NOT_SEEN: Final = (
    "no step ran where it could be seen, as in a training loop of one's own; train with model.fit to have it recorded"
)
TRACED_BEFORE: Final = (
    "its step was compiled before the callback came and could not be compiled again; "
    "call model.compile once more before fit to have it recorded"
)

LOOPED: Final = (
    "its step trains inside a loop, a condition or a compiled function of its own, which is not looked into; "
    "train outside of that to have it recorded"
)
MEMORY: Final = (
    "there was not enough memory to record; choose fewer layers with layers=, or record less often with schedule="
)

_DOINGS: Final = {
    "PyFunc": "calls Python code",
    "Iterator": "takes from an iterator",
    "Queue": "takes from a queue or puts into one",
    "Table": "changes a lookup table",
    "Summary": "writes summaries",
    "Collective": "waits for other workers",
    "Print": "prints",
    "File": "writes a file",
    "Save": "writes a file",
}
_ANY_DOING: Final = "does something that cannot be undone"


def twice(operations: Iterable[str]) -> str:
    """Return why a step cannot be looked at without doing again what it does beside training.

    Args:
        operations: Types of the operations, as the framework calls them; they are told in plain words.

    Example:
        >>> twice(["EagerPyFunc", "QueueDequeueV2"])
        'its step calls Python code and takes from a queue or puts into one, which would be done twice ...'
    """
    found = dict.fromkeys(
        next((doing for part, doing in _DOINGS.items() if part in name), _ANY_DOING) for name in operations
    )
    return (
        f"its step {_listed([*found] or [_ANY_DOING])}, which would be done twice if the step were looked at; "
        "move that out of the step, into the data or a callback, to have it recorded"
    )


def from_step(step: int, reason: str) -> str:
    """Return ``reason`` as one that holds from ``step`` on.

    Example:
        >>> from_step(1200, NO_PROFILE)
        'from step 1,200 on: its function could not be tried out by itself, ...'
    """
    return f"from step {step:,} on: {reason}"


def moved(package: str, version: str, name: str) -> str:
    """Return why what a package never promised to keep is not found.

    Example:
        >>> moved("Keras", "3.99.0", "Layer.place")
        "Keras 3.99.0 has moved Layer.place, which recording needs; install versions that go together: ..."
    """
    return (
        f"{package} {version} has moved {name}, which recording needs; "
        "install versions that go together: pip install 'keras-gradscope[tensorflow]'"
    )


def of_error(error: BaseException) -> str:
    """Return why recording ends at ``error``, which is ours and not the training's.

    Errors that gradscope raises on purpose say what to do themselves. All others come from within; of their text the
    part is kept that a person can read.

    Example:
        >>> of_error(MemoryError("1 GiB wanted"))
        'there was not enough memory to record; choose fewer layers with layers=, or record less often with schedule='
        >>> of_error(RuntimeError("out of ideas"))
        "an error of GradScope's own (RuntimeError: out of ideas); please report it"
    """
    if isinstance(error, GradscopeError) and not isinstance(error, ShapeError):
        return " ".join(_ANSI.sub("", str(error)).split()).rstrip(".")
    names = {cls.__name__ for cls in type(error).__mro__}
    if names & {"MemoryError", "ResourceExhaustedError"}:
        return MEMORY
    if isinstance(error, OSError) and error.strerror:
        return f"the system refused a file: {plain(error.strerror)}; see that it can be written and that there is room"
    return f"an error of GradScope's own ({named(error)}); please report it"


def of_function(name: str, error: BaseException) -> str:
    """Return why a function that the user passed is called no more: its failure is not ours.

    Example:
        >>> of_function("on_finding", ZeroDivisionError("division by zero"))
        'the function passed as on_finding= raised an error (ZeroDivisionError: division by zero)'
    """
    return f"the function passed as {name}= raised an error ({named(error)})"


def named(error: BaseException) -> str:
    """Return the type of ``error`` and what its text says to a person.

    Example:
        >>> named(KeyError("slope")), named(ZeroDivisionError())
        ("KeyError: 'slope'", 'ZeroDivisionError')
    """
    text = plain(str(error))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


# --- the text of an error, for a person ---

MOST_CHARACTERS: Final = 200

_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b.?")
_PREAMBLE = re.compile(
    r"graph execution error|detected at node|encountered when executing an operation"
    r"|(exception|error) encountered when calling|in user code|traceback|stack trace|<stack traces? |file \"|node:"
    r"|(call )?arguments received|original stack|errors may have originated|\d+ root error|\(\d+\) ",
    re.IGNORECASE,
)
"""How a line begins that says where an error was met, not what it is."""

_DETAILS = re.compile(
    r"\{\{.*?(?:\}\}|$)|\[\[.*?(?:\]\]|$)|\[Op:[^\]]*(?:\]|$)"  # nodes and operations, as TensorFlow marks them
    r"|(?:[A-Za-z]:)?(?:[\w.~<>-]*[/\\])+[\w.:<>-]+"  # paths, and names of nodes, which look alike
    r"|\bname: [\w.:-]+|\b0x[0-9a-fA-F]+\b|\b__\w+"
    r"|[(\[]\s*(?:(?:\d+|None|\?)\s*,\s*)*(?:\d+|None|\?)?\s*,?\s*[)\]]"  # shapes
)


def plain(text: str) -> str:
    r"""Return the first line of an error's text that says what has happened, without what only a developer reads.

    Left out are colours, paths, names of nodes and operations, shapes and addresses, and lines that only say where the
    error was met.

    Args:
        text: Of an exception.

    Returns:
        At most `MOST_CHARACTERS` characters, without a full stop; nothing where no words are left.

    Example:
        >>> plain("Graph execution error:\n\nDetected at node a/b\nassertion failed: [too deep] [[{{node a/b}}]]")
        'assertion failed: [too deep]'
        >>> plain("Exception encountered when calling Dense.call().\n\n\x1b[1mNo such axis.\x1b[0m")
        'No such axis'
    """
    lines = [" ".join(line.split()) for line in _ANSI.sub("", text).splitlines()]
    telling = (line for line in lines if line and not _PREAMBLE.match(line))
    said = next((words for line in telling if (words := _without_details(line))), "")
    if len(said) <= MOST_CHARACTERS:
        return said
    return said[: MOST_CHARACTERS - 1].rsplit(" ", 1)[0].rstrip(" ,;:") + "…"


def _without_details(line: str) -> str:
    line = re.sub(r"\s+([,;:.])", r"\1", " ".join(_DETAILS.sub("", line).split()))
    return line.strip(" ,;:.") if any(map(str.isalpha, line)) else ""


def _listed(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
