"""Network: a pure description of what was trained, and its JSON form.

It holds what does not change from step to step, so that a record needs numbers only, and so that rules and reports can
speak of layers, functions, initialisers and the optimizer without a framework at hand.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gradscope.lossless_json import from_json, to_json

Role = Literal["kernel", "bias", "scale", "offset", "embedding", "other"]


@dataclass(frozen=True, slots=True)
class Profile:
    """Where an activation function has lost its slope.

    Attributes:
        elementwise: False for functions such as softmax, which mix entries; all else is then undefined.
        z_low: The low tail is ``z <= z_low``; ``-inf`` where there is none.
        z_high: The high tail is ``z >= z_high``; ``inf`` where there is none.
        zero_low: In ``z <= zero_low`` the function is exactly flat and exactly 0; ``-inf`` where nowhere.
        zero_high: In ``z >= zero_high`` likewise; ``inf`` where nowhere.
        blocked: True where the slope is zero everywhere, as of a step function.
        linear: True where the slope is the same everywhere.
        minimum: Smallest value of the function; ``-inf`` where unbounded.
        maximum: Largest value; ``inf`` where unbounded.
    """

    elementwise: bool = True
    z_low: float = -float("inf")
    z_high: float = float("inf")
    zero_low: float = -float("inf")
    zero_high: float = float("inf")
    blocked: bool = False
    linear: bool = False
    minimum: float = -float("inf")
    maximum: float = float("inf")

    @property
    def bounded(self) -> bool:
        """True for a function that saturates on both sides."""
        return self.z_low > -float("inf") and self.z_high < float("inf")


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: its key and path, class, place in the order of execution, and configuration."""

    key: str
    path: str
    class_name: str
    order: int
    trainable: bool
    dtype: str
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Site:
    """One application of an activation function.

    Attributes:
        key: The site's key; the layer's own for its first application.
        layer: Key of the layer.
        activation: Name of the function.
        profile: Where it loses its slope; None where the function could not be profiled.
        units: Number of units: features, or channels of a convolution.
        is_output: True where the model's output is this site's activation.
        consumers: Keys of the layers that read the activation; None where unknown (no functional graph).
    """

    key: str
    layer: str
    activation: str
    profile: Profile | None
    units: int
    is_output: bool = False
    consumers: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Variable:
    """One trainable variable.

    Attributes:
        path: Its path, as Keras names it.
        layer: Key of its layer.
        shape: Its shape.
        role: The role that it plays.
        cut_by: Where no gradient can reach it: type of the first operation that lets none through, and the layer in
            which that stands, such as ``StopGradient in encoder``; ``unused`` where the loss does not depend on it.
        flattened_by: Where a gradient reaches it that is 0 whatever comes in, because of how an operation is used.
    """

    path: str
    layer: str
    shape: tuple[int, ...]
    role: Role
    cut_by: str = ""
    flattened_by: str = ""


@dataclass(frozen=True, slots=True)
class NotMeasured:
    """Something of the model that is not recorded, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Compiled:
    """How the model was compiled.

    Attributes:
        loss: Name of the loss, or of each output's.
        from_logits: What the loss says it expects; None where it does not say.
        optimizer: Class of the optimizer.
        optimizer_config: The optimizer as Keras serialises it, with all its arguments; a plain learning rate is left
            out, as each step records it. Empty where it is not known.
        clipping: ``clipnorm``, ``global_clipnorm`` or ``clipvalue`` with its value; empty without clipping.
        accumulation_steps: Batches whose gradients make one update.
        epsilon: The optimizer's epsilon; None where it has none.
        dtype_policy: Name of the model's dtype policy.
        jit_compile: Whether XLA compiles the step.
        run_eagerly: Whether the step runs without a graph.
        steps_per_execution: Batches in one call of the train function.
    """

    loss: str = ""
    from_logits: bool | None = None
    optimizer: str = ""
    clipping: Mapping[str, float] = field(default_factory=dict[str, float])
    accumulation_steps: int = 1
    epsilon: float | None = None
    dtype_policy: str = "float32"
    jit_compile: bool = False
    run_eagerly: bool = False
    steps_per_execution: int = 1
    optimizer_config: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Network:
    """What was trained.

    Attributes:
        name: The model's name.
        layers: In the order of execution.
        sites: In the order of execution; the rows of the `activations` table.
        variables: The rows of the `gradients` table.
        edges: Pairs of layer keys, from and to, of the functional graph; None where unknown.
        compiled: How it was compiled.
        not_measured: What is not recorded, each with the reason.
        untracked: What the step reads as weights, and neither Keras nor an optimizer knows of.
        broadcasts: Where the loss is made of two tensors of which one is ``(n, 1)`` and the other ``(n,)``, which gives
            ``(n, n)``: the operation in words.
        versions: Versions of Python, gradscope, the framework and Keras.
    """

    name: str
    layers: tuple[Layer, ...] = ()
    sites: tuple[Site, ...] = ()
    variables: tuple[Variable, ...] = ()
    edges: tuple[tuple[str, str], ...] | None = None
    compiled: Compiled = field(default_factory=Compiled)
    not_measured: tuple[NotMeasured, ...] = ()
    untracked: tuple[Variable, ...] = ()
    broadcasts: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict[str, str])

    def to_json(self) -> str:
        """Return the description as JSON that any reader takes.

        Example:
            >>> Network.from_json(Network("mlp").to_json()) == Network("mlp")
            True
        """
        return to_json(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Network:
        """Return the description that `to_json` wrote; fields of a newer version are left out."""
        data = from_json(text)
        edges = data.get("edges")
        return cls(
            name=data["name"],
            layers=tuple(_known(Layer, item) for item in data.get("layers", ())),
            sites=tuple(_site(item) for item in data.get("sites", ())),
            variables=_variables(data.get("variables", ())),
            edges=None if edges is None else tuple((start, end) for start, end in edges),
            compiled=_known(Compiled, data.get("compiled", {})),
            not_measured=tuple(_known(NotMeasured, item) for item in data.get("not_measured", ())),
            untracked=_variables(data.get("untracked", ())),
            broadcasts=tuple(data.get("broadcasts", ())),
            versions=data.get("versions", {}),
        )


def main_variables(variables: Iterable[Variable]) -> dict[str, Variable]:
    """Return by layer the variable whose gradient stands for it: its first kernel, else embedding, else any.

    Args:
        variables: In the order of the model.

    Example:
        >>> roles = ("bias", "kernel", "kernel")
        >>> found = main_variables(Variable(f"w{at}", "dense", (2,), role) for at, role in enumerate(roles))
        >>> found["dense"].path
        'w1'
    """
    main: dict[str, Variable] = {}
    for variable in variables:
        if variable.layer not in main or _rank(variable) < _rank(main[variable.layer]):
            main[variable.layer] = variable
    return main


def _rank(variable: Variable) -> int:
    return {"kernel": 0, "embedding": 1}.get(variable.role, 2)


def _variables(items: Iterable[Mapping[str, Any]]) -> tuple[Variable, ...]:
    return tuple(_known(Variable, {**item, "shape": tuple(item["shape"])}) for item in items)


def _known(cls: Any, item: Mapping[str, Any]) -> Any:
    names = {f.name for f in dataclasses.fields(cls)}
    return cls(**{key: value for key, value in item.items() if key in names})


def _site(item: Mapping[str, Any]) -> Site:
    profile, consumers = item.get("profile"), item.get("consumers")
    if profile is not None:
        # Files of version 1.0 hold "inf" where a limit is infinite.
        profile = _known(Profile, {key: float(v) if isinstance(v, str) else v for key, v in profile.items()})
    return _known(Site, {**item, "profile": profile, "consumers": None if consumers is None else tuple(consumers)})
