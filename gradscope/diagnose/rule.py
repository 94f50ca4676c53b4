"""The facts about a rule: what its findings follow from, when it is asked, when they are told, and what shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, TypeVar, get_args

from gradscope.diagnose.finding import Finding
from gradscope.errors import ArgumentError
from gradscope.nearest import nearest, question

Rule: TypeAlias = Callable[..., Iterable[Finding]]
"""A pure function of `Frames`, with its thresholds as keyword defaults."""

FigureKind: TypeAlias = Literal["curves", "heatmap", "units", "profile", "loss"]
FIGURE_KINDS: Final[tuple[FigureKind, ...]] = get_args(FigureKind)
"""What shows a finding: its statistic over the steps in the layers named (curves), or in all layers (heatmap), or
through the depth of the model at some steps (profile); which units are dead (units); or the loss."""

_AnyRule = TypeVar("_AnyRule", bound=Rule)
_ATTRIBUTE: Final = "rule_facts"


@dataclass(frozen=True, slots=True)
class RuleFacts:
    """What `rule` says of a rule; of a plain function, the defaults."""

    follows: tuple[str, ...] = ()
    explains: tuple[str, ...] = ()
    at_once: bool = False
    before_training: bool = False
    figure: FigureKind = "curves"


def rule(
    *,
    follows: tuple[str, ...] = (),
    explains: tuple[str, ...] = (),
    at_once: bool = False,
    before_training: bool = False,
    figure: FigureKind = "curves",
) -> Callable[[_AnyRule], _AnyRule]:
    """Return a decorator that notes on a rule what is known of it; the function itself stays as it is.

    A function without it is a rule too, with these defaults.

    Args:
        follows: Ids of the rules whose findings explain its own, the likeliest first. One that is not installed is
            harmless.
        explains: Ids of the rules whose findings its own explain, where these rules do not name it themselves. Causes
            that they name are likelier.
        at_once: Whether a training that runs tells its findings at the first look, and not only when it has gone on,
            and has shown them, for a while: for what cannot pass.
        before_training: Whether `gradscope.preflight` asks it, too: for what a single step can show.
        figure: What shows its findings: ``curves`` of their statistic over the steps in the layers that they name, a
            ``heatmap`` of it in all layers, a ``profile`` through the depth of the model, the ``units`` that are dead,
            or the ``loss``.

    Raises:
        ArgumentError: If ``follows`` or ``explains`` is one name, or the figure is not known.

    Example:
        >>> @rule(follows=("dying_relu",), figure="heatmap")
        ... def silent_layer(frames):
        ...     yield from ()
        >>> facts_of(silent_layer).follows
        ('dying_relu',)
    """
    for argument, names in (("follows", follows), ("explains", explains)):
        if isinstance(names, str):
            raise ArgumentError(f"{argument}={names!r} is one name. Pass a tuple of names, such as ({names!r},).")
    if figure not in FIGURE_KINDS:
        hint = question(nearest(str(figure), FIGURE_KINDS))
        raise ArgumentError(f"figure={figure!r} is not known.{hint} Pass one of: {', '.join(FIGURE_KINDS)}.")
    facts = RuleFacts(tuple(follows), tuple(explains), at_once, before_training, figure)

    def noted(function: _AnyRule) -> _AnyRule:
        setattr(function, _ATTRIBUTE, facts)
        return function

    return noted


def facts_of(function: Rule) -> RuleFacts:
    """Return what is known of a rule: what `rule` noted on it, or the defaults."""
    return getattr(function, _ATTRIBUTE, RuleFacts())
