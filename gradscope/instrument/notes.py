"""Notes: which tensors of a training step are which, taken while the step itself is traced, or runs eagerly.

They hold the step's own tensors and nothing that was made for them: a graph is the same, node for node, whether it was
noted or not. What is measured of them, and under which key, is decided later.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal  # tensors and layers are Any: Keras and TensorFlow ship no types

Via = Literal["layer", "attribute", "function", "output"]
"""How a function is applied: by a layer of its own, by an attribute of a layer, in a call; or as a layer's output."""


@dataclass(eq=False, slots=True)
class Frame:
    """A layer, or an operation of a functional graph, while it is being called.

    Attributes:
        reference: The layer, which notes do not keep alive: a graph may outlive its model.
        parent: The frame in which it is called.
        mask: Keras' mask of its input.
        hidden: True where nothing inside is to be taken.
        replica: Which of several replicas calls it.
        start: Operations in the trace when the call began.
        end: Operations when it ended.
        outputs: What it returned, flat.
    """

    reference: weakref.ref[Any]
    parent: Frame | None
    mask: Any
    hidden: bool
    replica: int
    start: int
    end: int = -1
    outputs: list[Any] = field(default_factory=list[Any])

    @property
    def layer(self) -> Any:
        """The layer; None where it is gone."""
        return self.reference()


@dataclass(eq=False, slots=True)
class Application:
    """One application of an activation function.

    Attributes:
        frame: Whose call applies it.
        via: How it is applied.
        name: Name of the function.
        attribute: The layer's attribute that holds it; ``""`` where none does.
        function: The function of the pre-activation alone, for profiling.
        z: Pre-activation.
        a: Activation.
        keywords: Arguments that the function was called with, beside the pre-activation.
        identity: What tells its function from others, so that one profile serves all its sites.
        published: Its function's name in `keras.activations`, where it is one of these.
        gradients: Gradients of the losses at the pre-activation, one a tape that was asked.
    """

    frame: Frame
    via: Via
    name: str
    attribute: str
    function: Callable[[Any], Any]
    z: Any
    a: Any
    keywords: dict[str, Any] = field(default_factory=dict[str, Any])
    identity: Hashable = None
    published: str | None = None
    gradients: list[Any] = field(default_factory=list[Any])


@dataclass(eq=False, slots=True)
class GivenGradient:
    """A gradient on its way to a variable.

    Attributes:
        variable: The variable.
        gradient: Its gradient; None where the loss does not depend on it.
        optimizer: The optimizer that was given it; None where only a tape is known to have computed it.
        replica: Which of several replicas.
    """

    variable: Any
    gradient: Any
    optimizer: Any
    replica: int


@dataclass(eq=False, slots=True)
class Loss:
    """A loss that the model computed while training, with what it was computed from."""

    value: Any
    labels: Any
    weights: Any
    replica: int


@dataclass(eq=False, slots=True)
class InnerCall:
    """A traced function that is called inside the trace: the operation that calls it, and what it is.

    Notes keep no function alive: a graph may outlive its function, and would then keep all of a model.
    """

    operation: Any
    reference: weakref.ref[Any]

    @property
    def function(self) -> Any:
        """The function; None where nothing else has kept it."""
        return self.reference()


@dataclass(eq=False)
class Notes:
    """What was noted of one graph, or of one eager step.

    Attributes:
        applications: In the order of execution.
        frames: In the order in which they began: outer ones first.
        claimed: Operations, by number, that applications have made: pairs of first and end.
        given: What optimizers were given.
        tape_gradients: What tapes computed of variables.
        targets: What tapes have differentiated by variables: the losses, of a step of one's own too.
        outside: Names of functions that are applied outside of any layer.
        rates: Learning rate of an update, by identity of the variable.
        losses: What `compute_loss` returned while training.
        calls: Functions called inside.
        nested: Functions called at any depth, in loops and branches too.
        elsewhere: Calls of layers that apply functions in a loop, a branch or a function of its own inside this trace.
        failures: What went wrong while noting.
        outer: The notes of the trace inside which this one is made.
    """

    applications: list[Application] = field(default_factory=list[Application])
    frames: list[Frame] = field(default_factory=list[Frame])
    claimed: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    given: list[GivenGradient] = field(default_factory=list[GivenGradient])
    tape_gradients: list[GivenGradient] = field(default_factory=list[GivenGradient])
    targets: list[Any] = field(default_factory=list[Any])
    outside: set[str] = field(default_factory=set[str])
    rates: dict[int, Any] = field(default_factory=dict[int, Any])
    losses: list[Loss] = field(default_factory=list[Loss])
    calls: list[InnerCall] = field(default_factory=list[InnerCall])
    nested: list[weakref.ref[Any]] = field(default_factory=list[weakref.ref[Any]])
    elsewhere: list[Frame] = field(default_factory=list[Frame])
    failures: list[Exception] = field(default_factory=list[Exception])
    outer: Notes | None = None

    def keep(self, application: Application) -> None:
        """Keep an application, and let the traces around this one know where it is."""
        self.applications.append(application)
        outer = self.outer
        while outer is not None:
            outer.elsewhere.append(application.frame)
            outer = outer.outer

    @property
    def living_calls(self) -> list[InnerCall]:
        """The calls of functions that are still there."""
        return [call for call in self.calls if call.function is not None]

    @property
    def functions(self) -> list[Any]:
        """The functions called at any depth."""
        return [function for reference in self.nested for function in [reference()] if function is not None]

    @property
    def trains(self) -> bool:
        """Whether what was noted is a training step, and no evaluation."""
        return bool(self.given or self.tape_gradients or self.losses)


@dataclass(frozen=True, slots=True)
class NotedTrace:
    """What is known of one trace, or of one eager step: its notes, and what the backend itself has read off it.

    Attributes:
        notes: From the observers.
        applications: Of functions: those of the notes, and those that no observer has met.
        nested: Layers that apply a function inside something that is not looked into.
        handwritten: Layers with an operation that may be a function put together by hand, and its name.
    """

    notes: Notes
    applications: Sequence[Application]
    nested: Sequence[Any] = ()
    handwritten: Sequence[tuple[Any, str]] = ()
