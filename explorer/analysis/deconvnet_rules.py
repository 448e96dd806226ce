"""How a signal goes back through each kind of layer: the deconvnet, guided backpropagation and the plain gradient as
three fillings of one table, of which any entry may be changed.

Zeiler and Fergus (2014), §2.1: unpool with switches, rectify, filter with the transposed kernels. All but the rectifier
is what a gradient does: a max pool sends the signal to the place of its maximum, a convolution filters with its
transposed kernels, an add sends it into every branch, a concat cuts it. So that the table has the layers alone at which
the methods differ, or which the paper does not have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, fx

from explorer.errors import UserError, listed, shown
from explorer.graph import ops
from explorer.graph.layers import LayerGraph
from explorer.run.execute import OpCall, Rule

BackwardMethod = Literal["deconvnet", "guided", "gradient"]
BackwardRule = Literal["rectify", "guided", "gradient", "pass", "hold"]

MEANINGS: dict[BackwardRule, str] = {
    "rectify": "the positive part of the signal, whatever went in on the way forward",
    "guided": "the positive part of the signal times the derivative",
    "gradient": "the signal times the derivative",
    "pass": "the signal as it is",
    "hold": "the signal times the factor that was applied, which counts as a constant",
}

# Activations that are near 0 below and near the identity above: what the deconvnet says of ReLU holds for them.
RECTIFIERS = (
    "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish", "hardswish", "softplus", "prelu",
    "rrelu", "threshold", "clamp", "hardtanh", "own_activation",
)  # fmt: skip
_SATURATING = ("sigmoid", "hardsigmoid", "tanh", "softsign", "logsigmoid")
_NORMS = ("batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm")
_GATES = frozenset(("sigmoid", "hardsigmoid", "softmax"))  # whose output scales something else

# Kind of layer → the rules that it may have; all other kinds have the gradient alone.
CHOICES: dict[str, tuple[BackwardRule, ...]] = {
    **dict.fromkeys((*RECTIFIERS, *_SATURATING), ("rectify", "guided", "gradient", "pass")),
    **dict.fromkeys(_NORMS, ("gradient", "pass")),
    "local_response_norm": ("hold", "gradient", "pass"),
    "mul": ("hold", "gradient"),
}

# What each method changes of the gradient. Springenberg et al. (2015) change nothing but rectifiers; the deconvnet has
# no derivative of what scales a map either, as switches have none: a norm's divisor and a gate count as constants.
_OWN: dict[BackwardMethod, dict[str, BackwardRule]] = {
    "deconvnet": {**dict.fromkeys(RECTIFIERS, "rectify"), "local_response_norm": "hold", "mul": "hold"},
    "guided": dict.fromkeys(RECTIFIERS, "guided"),
    "gradient": {},
}


@dataclass(frozen=True)
class BackwardSettings:
    """method: which column of the table; rules: kind or id of a layer → its rule instead (an id goes before a kind)."""

    method: BackwardMethod = "deconvnet"
    rules: Mapping[str, BackwardRule] | None = None

    def __post_init__(self) -> None:
        if self.method not in get_args(BackwardMethod):
            raise UserError(f"method={shown(self.method)} is not one of {', '.join(get_args(BackwardMethod))}.")

    def rule_of(self, kind: str, layer: str = "") -> BackwardRule:
        """The rule of a kind of layer, or of one layer of it."""
        changed = self.rules or {}
        return changed.get(layer) or changed.get(kind) or _OWN[self.method].get(kind, "gradient")

    def check(self, graph: LayerGraph) -> None:
        """Refuse a rule of a layer that is not there, or that its kind cannot have. Raises UserError."""
        for name, rule in (self.rules or {}).items():
            kind = graph[name].kind if name in graph else name
            choices = CHOICES.get(kind)
            if choices is None:
                raise UserError(f"rules: {shown(name)} is no layer with a choice; kinds are {listed(CHOICES)}.")
            if rule not in choices:
                raise UserError(f"rules: {shown(name)} cannot have {shown(rule)}, but {', '.join(choices)}.")


@dataclass(frozen=True, slots=True)
class RuleRow:
    """One kind of layer of a network, how many there are, the rule in use, and those that could be."""

    kind: str
    layers: int
    rule: BackwardRule
    choices: tuple[BackwardRule, ...]


def rule_table(graph: LayerGraph, settings: BackwardSettings) -> tuple[RuleRow, ...]:
    """The kinds of layers of a network that have a choice, in order of first use."""
    kinds = [layer.kind for layer in graph if layer.kind in CHOICES]
    return tuple(
        RuleRow(kind, kinds.count(kind), settings.rule_of(kind), CHOICES[kind]) for kind in dict.fromkeys(kinds)
    )


def backward_rules(graph: LayerGraph, nodes: Mapping[str, fx.Node], settings: BackwardSettings) -> dict[str, Rule]:
    """What the executor does instead, by layer id, so that autograd then goes back by the table. Raises UserError."""
    settings.check(graph)
    kinds = {node: graph[name].kind for name, node in nodes.items()}
    found: dict[str, Rule] = {}
    for layer in graph:
        rule = settings.rule_of(layer.kind, layer.id)
        if layer.kind in CHOICES and rule != "gradient":
            found[layer.id] = _executed(rule, kinds)
    return found


def _executed(rule: BackwardRule, kinds: Mapping[fx.Node, str]) -> Rule:
    def execute(call: OpCall) -> Any:
        if call.layer.kind == "mul":
            return _held_product(call, kinds)
        if not _is_one_sided(call):
            return call.default()
        return _Replaced.apply(call.args[0], call, _BACK[rule])

    return execute


# -- activations and norms --------------------------------------------------------------------------------------------


class _Replaced(torch.autograd.Function):
    """A layer of one input, with a way back of its own; one that writes into its input still does."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, call: OpCall, back: _Back) -> Tensor:
        ctx.call, ctx.back, ctx.x = call, back, x.clone()
        output = call.default(x)
        if output is x:
            ctx.mark_dirty(x)
        return output

    @staticmethod
    def backward(ctx: Any, *signals: Tensor) -> tuple[Tensor, None, None]:
        return ctx.back(signals[0], ctx.x, ctx.call), None, None


_Back = Callable[[Tensor, Tensor, OpCall], Tensor]  # the signal, what went in, the layer → the signal at its input


def _times_derivative(signal: Tensor, x: Tensor, call: OpCall) -> Tensor:
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        (found,) = torch.autograd.grad(call.default(leaf.clone()), leaf, signal)
    return found


def _times_factor(signal: Tensor, x: Tensor, call: OpCall) -> Tensor:
    """The factor is output / input; where the input is 0, that of an input too small to change it."""
    small = torch.full_like(x, torch.finfo(x.dtype).eps)
    given = x.where(x != 0, small)
    return signal * (call.default(given.clone()) / given)


_BACK: dict[BackwardRule, _Back] = {
    "rectify": lambda signal, _x, _call: signal.clamp(min=0),
    "guided": lambda signal, x, call: _times_derivative(signal, x, call).clamp(min=0),
    "pass": lambda signal, _x, _call: signal,
    "hold": _times_factor,
}


def _is_one_sided(call: OpCall) -> bool:
    """Whether a clamp or threshold cuts off at 0 below, as ReLU and ReLU6 do; other kinds are what their name says."""
    names = _BOUNDS.get(call.layer.kind)
    if names is None:
        return True
    if call.module is not None:
        return all(getattr(call.module, name, None) == 0 for name in names)
    if ops.function_name(call.node.target) == "clamp_max":
        return False
    given = dict(zip(names, call.args[1:], strict=False)) | call.kwargs
    return all(type(given.get(name)) in (int, float) and given[name] == 0 for name in names)


# The arguments, in order from the second on, that are 0 where the layer is a rectifier.
_BOUNDS = {"clamp": ("min",), "hardtanh": ("min_val",), "threshold": ("threshold", "value")}


# -- gates ------------------------------------------------------------------------------------------------------------


def _held_product(call: OpCall, kinds: Mapping[fx.Node, str]) -> Any:
    """A product whose gate counts as a constant; one of two maps without a gate is left as it is."""
    gate = _gate(call, kinds)
    if gate is None:
        return call.default()
    return call.default(*[factor.detach() if i == gate else factor for i, factor in enumerate(call.args[:2])])


def _gate(call: OpCall, kinds: Mapping[fx.Node, str]) -> int | None:
    """Which factor is the gate: the one that is spread over the other, else the one that a sigmoid or softmax made."""
    factors = call.args[:2]
    if len(factors) < 2 or not all(isinstance(factor, Tensor) for factor in factors):
        return None
    sizes = [factor.numel() for factor in factors]
    if sizes[0] != sizes[1]:
        return sizes.index(min(sizes))
    made = [kinds.get(node) in _GATES if isinstance(node, fx.Node) else False for node in call.node.args[:2]]
    return made.index(True) if made.count(True) == 1 else None
