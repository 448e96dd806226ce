"""One network under four conventions of counting, each difference from ours traced to the layers that make it.

Ours is that of the papers: multiply-accumulates of convolutions, linear layers and attention products. The others, at
batch 1, by a rule per kind of layer in the tables below. torchinfo's total is its own, where it runs; what the rules do
not explain of it is said.

- torchinfo 1.8 (`summary(…).total_mult_adds`) multiplies the parameters named weight and bias of each module that has
  no modules inside: those of a convolution by the positions of its output, all others by nothing.
- fvcore (`FlopCountAnalysis`, fvcore/nn/flop_count.py and jit_handles.py) calls one multiply-accumulate one flop and
  adds norms, adaptive average pooling and interpolation; activations, other pools and sums are free.
- torch.utils.flop_counter counts two FLOPs a multiply-accumulate, in products alone. On a CPU without gradients
  nn.MultiheadAttention runs as one fused operation, in which it sees nothing; elsewhere it counts as here.

What a network computes from its weights alone is no layer, and not in ours; of it the others count the products.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import prod

from explorer.analysis.cost import macs
from explorer.analysis.structure import Analysis
from explorer.analysis.torchinfo_total import torchinfo_total
from explorer.errors import UserError
from explorer.graph.layers import Layer, LayerGraph
from explorer.graph.macs import CONVOLUTIONS, TRANSPOSED

RULES = "our rules"


@dataclass(frozen=True, slots=True)
class Line:
    """What the layers of one kind add to our count, or take from it, for one reason; layers: (id, share), none 0."""

    kind: str
    why: str
    layers: tuple[tuple[str, int], ...]

    @property
    def difference(self) -> int:
        return sum(share for _, share in self.layers)


@dataclass(frozen=True, slots=True)
class Tally:
    """The total under one convention, in its own unit; lines and `unexplained` sum to its difference from ours.

    counted_by: "our rules", or the tool itself with its version, whose total may leave something that no rule explains.
    failure: why the tool itself could not count, where it should have.
    """

    name: str
    title: str
    unit: str
    total: int
    lines: tuple[Line, ...]
    counted_by: str = RULES
    unexplained: int = 0
    failure: str = ""

    @property
    def difference(self) -> int:
        return sum(line.difference for line in self.lines) + self.unexplained


@dataclass(frozen=True, slots=True)
class Receipt:
    """The tallies, ours first; unknown: layers whose MACs are not known, of which no convention says anything."""

    tallies: tuple[Tally, ...]
    unknown: tuple[str, ...]

    def __getitem__(self, name: str) -> Tally:
        return next(tally for tally in self.tallies if tally.name == name)


@dataclass(frozen=True, slots=True)
class Work:
    """A layer as the rules see it: its MACs, the class of the module that runs it and that module's own parameters.

    of_weights: it is a product of weights alone, whose MACs are not in our total.
    module is "" and own empty where the operation is a function that a module with modules inside calls: hooks on
    modules, such as torchinfo's, do not see it.
    """

    layer: Layer
    macs: int
    module: str
    own: Mapping[str, int]
    of_weights: bool = False

    @property
    def ours(self) -> int:
        return 0 if self.of_weights else self.macs


Count = tuple[int, str]  # what a convention counts for a layer, and why that is not ours
CountingRule = Callable[[Work], Count]

_WEIGHTS_ALONE = "Products of weights alone: not in our count, as they can be computed once for all images."
_NORM_KINDS = ("batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm")


# -- torchinfo --------------------------------------------------------------------------------------------------------


def _parameters(why: str, work: Work) -> Count:
    """Parameters by torchinfo's factors; those with "weight" or "bias" inside a longer name it takes for an RNN's."""
    shape = work.layer.output_shape
    factor = shape[0] * prod(shape[2:]) if "Conv" in work.module else shape[0]
    counted = sum(
        size * (factor if name in ("weight", "bias") else prod(shape[:2]))
        for name, size in work.own.items()
        if "weight" in name or "bias" in name
    )
    if work.own:
        return counted, why
    if work.module:
        return counted, "The module that runs it has no parameters of its own, so that nothing counts."
    return counted, "A function that a module with others inside calls: torchinfo does not see it."


def _linear_parameters(work: Work) -> Count:
    many = prod(work.layer.output_shape[:-1]) > 1
    why = "Weights and bias count once, not at each position." if many else "The bias counts as a multiply-add."
    return _parameters(why, work)


TORCHINFO: dict[str, CountingRule] = {
    **dict.fromkeys(CONVOLUTIONS, partial(_parameters, "The bias is multiplied at every position, as a weight is.")),
    **dict.fromkeys(
        TRANSPOSED, partial(_parameters, "Weights and bias are multiplied at the positions of the output.")
    ),
    "linear": _linear_parameters,
    **dict.fromkeys(_NORM_KINDS, partial(_parameters, "Scale and shift count once for each channel, at no position.")),
}
_ANY_MODULE: CountingRule = partial(_parameters, "Its parameters count as multiply-adds.")


# -- fvcore -----------------------------------------------------------------------------------------------------------


def _papers(work: Work) -> Count:
    return work.ours, ""


def _as_ours(work: Work) -> Count:
    return work.macs, ""


def _nothing(why: str, _: Work) -> Count:
    return 0, why


def _norm(with_scale: int, without: int, work: Work) -> Count:
    """So much for each value; a batch norm that computes its statistics costs what the other norms cost."""
    if work.layer.kind == "batch_norm" and work.layer.attributes.get("training"):
        with_scale, without = 5, 4
    each = with_scale if work.layer.parameters else without
    return each * prod(work.layer.output_shape), f"A {work.layer.kind.replace('_', ' ')} counts {each} for each value."


def _pooled_values(work: Work) -> Count:
    return prod(work.layer.input_shapes[0]), "Every value that is averaged counts 1."


def _interpolated_values(work: Work) -> Count:
    each = {"nearest": 1, "bilinear": 4}.get(work.layer.attributes.get("mode", "nearest"), 0)
    if work.layer.attributes.get("antialias"):
        each = 0
    return each * prod(work.layer.output_shape), f"Every value that is made counts {each}."


def _matrix_product(work: Work) -> Count:
    return (0, "There is no rule for aten::mm.") if work.layer.op == "mm" else _as_ours(work)


def _attention(work: Work) -> Count:
    """A fused attention has no rule; of nn.MultiheadAttention the four projections are linear layers, which have."""
    return work.layer.attributes.get("projections", 0), "There is no rule for aten::scaled_dot_product_attention."


FVCORE: dict[str, CountingRule] = {
    **dict.fromkeys((*CONVOLUTIONS, *TRANSPOSED, "linear", "einsum"), _as_ours),
    "matmul": _matrix_product,
    "attention": _attention,
    "batch_norm": partial(_norm, 2, 1),
    **dict.fromkeys(("layer_norm", "group_norm", "instance_norm"), partial(_norm, 5, 4)),
    "adaptive_avg_pool": _pooled_values,
    "interpolate": _interpolated_values,
}
_NO_RULE: CountingRule = partial(_nothing, "There is no rule for it.")


# -- torch.utils.flop_counter -----------------------------------------------------------------------------------------


def _two_each(work: Work) -> Count:
    return 2 * work.macs, "A multiply-accumulate is two FLOPs: a product and a sum."


# -- the receipt ------------------------------------------------------------------------------------------------------

# (name, title, unit, rule by kind, rule of all other kinds)
CONVENTIONS: tuple[tuple[str, str, str, dict[str, CountingRule], CountingRule], ...] = (
    ("paper", "Papers (ours)", "MACs", {}, _papers),
    ("torchinfo", "torchinfo", "mult-adds", TORCHINFO, _ANY_MODULE),
    ("fvcore", "fvcore", "flops of 1 MAC", FVCORE, _NO_RULE),
    ("flop_counter", "torch.utils.flop_counter", "FLOPs", {}, _two_each),
)


def receipt(analysis: Analysis) -> Receipt:
    """Count an analysed network under each convention, and say which layers make the difference and why.

    torchinfo is run, on meta: up to a second for the largest networks, in which nothing is allocated.
    """
    work = _work(analysis)
    tallies = (
        _tally(name, title, unit, [(item, table.get(item.layer.kind, default)(item)) for item in work])
        for name, title, unit, table, default in CONVENTIONS
    )
    found = (_by_torchinfo(tally, analysis) if tally.name == "torchinfo" else tally for tally in tallies)
    return Receipt(tuple(found), analysis.uncounted)


def _by_torchinfo(tally: Tally, analysis: Analysis) -> Tally:
    """The tally of its rules with the total that torchinfo finds, or with the reason why it finds none."""
    image = next(layer for layer in analysis.graph if layer.kind == "input")
    try:
        total, version = torchinfo_total(analysis.module, image.output_shape, analysis.program.training)
    except UserError as error:
        return replace(tally, failure=str(error))
    return replace(tally, total=total, counted_by=f"torchinfo {version}", unexplained=total - tally.total)


def _tally(name: str, title: str, unit: str, counted: Iterable[tuple[Work, Count]]) -> Tally:
    total = 0
    lines: dict[tuple[str, str], list[tuple[str, int]]] = {}
    for work, (count, why) in counted:
        total += count
        if count != work.ours:
            reason = _WEIGHTS_ALONE if work.of_weights else why
            lines.setdefault((work.layer.kind, reason), []).append((work.layer.id, count - work.ours))
    found = [Line(kind, why, tuple(layers)) for (kind, why), layers in lines.items()]
    return Tally(name, title, unit, total, tuple(sorted(found, key=lambda line: -abs(line.difference))))


def _work(analysis: Analysis) -> list[Work]:
    graph = analysis.graph
    containers = {path.rpartition(".")[0] for path in (*graph.scopes, *map(_owner, graph.parameter_sizes)) if path}
    counted = [(layer, False) for layer in graph] + [(layer, True) for layer in graph.weight_products]
    return [_work_of(layer, graph, containers, of_weights) for layer, of_weights in counted]


def _work_of(layer: Layer, graph: LayerGraph, containers: set[str], of_weights: bool) -> Work:
    path = _module(layer, graph)
    seen = path not in containers
    own = {
        name.rpartition(".")[2]: graph.parameter_sizes[name]
        for name in layer.parameters
        if seen and _owner(name) == path
    }
    return Work(layer, macs(layer) or 0, graph.scopes[path] if seen else "", own, of_weights)


def _module(layer: Layer, graph: LayerGraph) -> str:
    """The path of the module in whose forward the operation happens."""
    own = layer.id.partition("#")[0]
    return own if own in graph.scopes else layer.scope


def _owner(parameter: str) -> str:
    return parameter.rpartition(".")[0]
