"""What a person passes to the callback, checked as it is made: an error then costs no training."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from gradscope.errors import ArgumentError
from gradscope.nearest import nearest, question
from gradscope.recording.schedule import Schedule

if TYPE_CHECKING:
    from gradscope.diagnose.finding import Severity
    from gradscope.watching.live import OnFinding


@dataclass(frozen=True, slots=True)
class Settings:
    """How a training is recorded, and what happens to findings meanwhile; as the callback says.

    Attributes:
        schedule: When to record.
        max_overhead: Share of the training's own time that recording may take, as it was given.
        layers: Which layers are recorded; None for all.
        params: What tells the training from others.
        on_finding: What happens to a finding.
        finding_floor: Least severity that is acted on.
        stop_on: Ids of rules whose findings end the training too.
        keep_bad_batch: Whether the first batch whose step is not finite is kept.
        quiet: True to print nothing but why a training was stopped.
    """

    schedule: Schedule
    max_overhead: float | None
    layers: Sequence[str] | Callable[[str], bool] | None
    params: dict[str, Any]
    on_finding: OnFinding
    finding_floor: Severity
    stop_on: tuple[str, ...]
    keep_bad_batch: bool
    quiet: bool


def log_dir(value: str | PathLike[str] | None) -> Path | None:
    """Return the directory that ``log_dir`` names; None for none.

    Raises:
        ArgumentError: If it is no path.
    """
    if value is None:
        return None
    try:
        return Path(value)
    except TypeError as error:
        raise ArgumentError(f"log_dir={value!r} is no path. Pass a directory, such as 'logs/run'.") from error


def layers(value: Any) -> Sequence[str] | Callable[[str], bool] | None:
    """Return what ``layers`` asks for, a single pattern as a list of one.

    Raises:
        ArgumentError: If it is neither patterns nor a function, or no pattern at all.
    """
    if isinstance(value, str):
        return [value]
    if value is None or callable(value):
        return cast("Callable[[str], bool] | None", value)
    patterns: list[Any] = [*value] if isinstance(value, Iterable) else []
    if not patterns or not all(isinstance(pattern, str) for pattern in patterns):
        raise ArgumentError(
            f"layers={value!r} names no layers. Pass glob patterns such as ['dense*'], or a function of a layer's key."
        )
    return patterns


def params(value: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return ``params`` as plain JSON.

    Raises:
        ArgumentError: If they cannot be written as JSON.
    """
    if not isinstance(value, Mapping | None):  # pyright: ignore[reportUnnecessaryIsInstance] - not all check types
        raise ArgumentError(f'params={value!r} is no dict. Pass one, such as params={{"lr": 0.01}}.')
    try:
        return json.loads(json.dumps({} if value is None else dict(value), default=_python_number))
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"params={value!r} cannot be kept with the run: {error}. Pass a dict of strings, numbers and booleans."
        ) from error


def _python_number(value: Any) -> Any:
    """Return a scalar of NumPy, or of a framework, as Python's: sweeps draw their parameters so."""
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} is no JSON value")


def on_finding(value: Any) -> OnFinding:
    """Return what is to happen to a finding.

    Raises:
        ArgumentError: If it is neither a known word nor a function nor None; it names the nearest word.
    """
    if value is None or callable(value) or value in ("warn", "stop"):
        return value
    hint = question(nearest(str(value), ("warn", "stop")))
    raise ArgumentError(
        f"on_finding={value!r} is not known.{hint} Pass 'warn', 'stop', a function of a finding, or None for nothing."
    )


def finding_floor(value: object, on_finding: object) -> Severity:
    """Return the least severity of a finding that is acted on: by default high where it ends the training, else medium.

    Raises:
        ArgumentError: If it is no severity.
    """
    from gradscope.diagnose.verdict import severity_named

    if value is None:
        return "high" if on_finding == "stop" else "medium"
    return severity_named(value, "finding_floor")


def stop_on(value: Any, on_finding: object) -> tuple[str, ...]:
    """Return the ids of rules whose findings end the training.

    Raises:
        ArgumentError: If a rule is not known, or nothing is to be stopped; it names the nearest.
    """
    from gradscope.diagnose.discover import rule_named

    names: list[Any] = [value] if isinstance(value, str) else [*value] if isinstance(value, Iterable) else [value]
    if names and on_finding != "stop":
        raise ArgumentError(f"stop_on={value!r} stops nothing without on_finding='stop'. Pass that, too.")
    for name in names:
        if not isinstance(name, str):
            raise ArgumentError(f"stop_on={value!r} names no rules. Pass ids such as ['not_converging'].")
        rule_named(name)
    return tuple(names)


def keep_bad_batch(value: object) -> bool:
    """Return ``keep_bad_batch``.

    Raises:
        ArgumentError: If it is neither True nor False.
    """
    if not isinstance(value, bool):
        raise ArgumentError(f"keep_bad_batch={value!r} is neither True nor False. Pass one of them.")
    return value


def quiet(value: object) -> bool:
    """Return ``quiet``.

    Raises:
        ArgumentError: If it is neither True nor False.
    """
    if not isinstance(value, bool):
        raise ArgumentError(f"quiet={value!r} is neither True nor False.")
    return value
