"""Which layers a change of a square leaves mostly as they were, and where each square reaches in them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from torch import fx

from explorer.analysis.incremental.spans import Span, union
from explorer.graph import ops
from explorer.graph.layers import Layer, LayerGraph
from explorer.graph.trace import TracedProgram
from explorer.types import is_sequence


@dataclass(frozen=True, eq=False)
class Region:
    """Where squares reach in the output of a layer; dims: its dimensions of rows and of columns."""

    rows: Span
    columns: Span
    dims: tuple[int, int] = (2, 3)

    @property
    def share(self) -> float:
        """The mean share of the map that a square may change, over all pairs of a row and a column of squares."""
        return self.rows.mean * self.columns.mean

    @property
    def largest_share(self) -> float:
        """The largest share of the map that a square may change."""
        return int(self.rows.lengths.max()) * int(self.columns.lengths.max()) / (self.rows.size * self.columns.size)


# One value in, one out, at the same place; among them what mixes channels of one place.
AT_ONE_PLACE = frozenset((
    *ops.ACTIVATIONS, "batch_norm", "local_response_norm", "channel_shuffle", "dropout", "identity", "contiguous",
    "cast", "scale_by_constant", "neg", "abs", "exp", "log", "log1p", "sqrt", "rsqrt", "square", "clamp", "sign",
    "floor", "round", "reciprocal", "erf", "sin", "cos",
))  # fmt: skip
MERGED = frozenset(
    ("add", "sub", "mul", "div", "maximum", "minimum", "pow", "addcmul", "lerp", "where", "own_pointwise")
)
WINDOWED = frozenset(("conv", "max_pool", "avg_pool"))

Known = Mapping[str, Region]
_Rule = Callable[[Layer, Sequence[Region]], Region | None]


def regions(program: TracedProgram, rows: Span, columns: Span, whole: Collection[str] = ()) -> dict[str, Region]:
    """The region of each layer that the squares reach in part, by id; of the others all may change.

    rows, columns: where the squares lie in the image. whole: ids of layers that are computed whole all the same. A
    layer that no rule knows, one that reads the whole map, and all that reads them are not among them.
    """
    graph, found = program.graph, dict[str, Region]()
    whole = {*whole, *_read_whole(program)}
    for layer in graph:
        region = Region(rows, columns) if layer.kind == "input" and layer.is_map else _region(graph, layer, found)
        if region is not None and layer.id not in whole:
            found[layer.id] = region
    return found


def full_macs(layer: Layer) -> int:
    """Multiply-accumulates of the layer's products with weights, for one image."""
    return prod(layer.output_shape) * int(layer.attributes.get("fan_in", 0))


def arithmetic_limit(graph: LayerGraph, reached: Known) -> float:
    """How many times fewer multiply-accumulates the regions take than the whole maps, in the mean over the squares."""
    full = sum(map(full_macs, graph))
    partial = sum(full_macs(layer) * (reached[layer.id].share if layer.id in reached else 1) for layer in graph)
    return full / partial if partial else 1.0


def cut_from(graph: LayerGraph, reached: Known) -> set[str]:
    """The layers from whose clean maps pieces are cut later; of the others nothing but the regions is read."""
    readers = graph.consumers
    return {name for name, region in reached.items()
            if any(_cuts(graph[reader], region, reached.get(reader)) for reader in readers[name])}  # fmt: skip


def _cuts(reader: Layer, read: Region, made: Region | None) -> bool:
    """Whether a layer reads more than the region of its input: what lies around it, or the whole map."""
    if made is None or reader.kind == "pad":
        return True
    window = reader.window if reader.kind in WINDOWED else None
    around = window is not None and not window.kernel == window.stride == (1, 1)
    return around or not (read.rows.equals(made.rows) and read.columns.equals(made.columns))


def _read_whole(program: TracedProgram) -> set[str]:
    """Layers whose output is read as it is by what is no layer: the network's output, and plain code of tensors."""
    layers = {node: name for name, node in program.nodes.items()}
    others = [node for node in program.program.nodes if node not in layers and not _asks_size(node)]
    return {layers[source] for node in others for source in node.all_input_nodes if source in layers}


def _asks_size(node: fx.Node) -> bool:
    return node.op == "call_method" and node.target in ("size", "dim")


def _region(graph: LayerGraph, layer: Layer, found: Known) -> Region | None:
    inputs = [found.get(name) for name in layer.inputs]
    reached = [each for each in inputs if each is not None]
    if not reached or len(reached) < len(inputs) or layer.attributes.get("written"):
        return None
    if layer.kind == "select" and len(graph[layer.inputs[0]].outputs) > 1:
        return reached[0] if isinstance(layer.attributes.get("index"), int) else None
    rule = _RULES.get(layer.kind)
    return rule and rule(layer, reached)


# -- Rules ------------------------------------------------------------------------------------------------------------


def _same_place(layer: Layer, inputs: Sequence[Region]) -> Region | None:
    """Channels stand before rows and columns, where parameters and groups are counted along them."""
    trained = layer.kind == "batch_norm" and layer.attributes.get("training")
    pointwise = min(inputs[0].dims) > 1 or layer.kind in ops.ACTIVATIONS or not layer.param_count
    return inputs[0] if len(inputs) == 1 and pointwise and not trained else None


def _windowed(layer: Layer, inputs: Sequence[Region]) -> Region | None:
    (read,), window = inputs, layer.window
    plain = read.dims == (2, 3) and len(layer.output_shape) == 4 and len(layer.outputs) == 1
    if window is None or not plain or layer.attributes.get("padding_mode", "zeros") != "zeros":
        return None
    height, width = layer.output_shape[2:]
    return Region(read.rows.through(window, 0, height), read.columns.through(window, 1, width))


def _united(layer: Layer, inputs: Sequence[Region]) -> Region | None:
    alike = len({(each.dims, each.rows.size, each.columns.size) for each in inputs}) == 1
    ranks = {len(shape) for shape in layer.input_shapes}
    if not alike or ranks != {len(layer.output_shape)}:
        return None
    return Region(union([each.rows for each in inputs]), union([each.columns for each in inputs]), inputs[0].dims)


def _concatenated(layer: Layer, inputs: Sequence[Region]) -> Region | None:
    apart = _dimensions(layer, "dim", 0).isdisjoint(inputs[0].dims) and all(at is not None for at, _ in layer.joined)
    return _united(layer, inputs) if apart else None


def _along_others(layer: Layer, inputs: Sequence[Region]) -> Region | None:
    """What takes apart or mixes dimensions other than rows and columns."""
    return inputs[0] if _dimensions(layer, "dim", 0).isdisjoint(inputs[0].dims) else None


def _along_last(layer: Layer, inputs: Sequence[Region]) -> Region | None:
    """What mixes the last dimensions, as many as `normalized_shape` names."""
    shape = layer.attributes.get("normalized_shape")
    mixed = len(shape) if is_sequence(shape) else 1
    return inputs[0] if max(inputs[0].dims) < len(layer.output_shape) - mixed else None


def _permuted(layer: Layer, inputs: Sequence[Region]) -> Region | None:
    order = _order(layer)
    if order is None or order[0] != 0:
        return None
    rows, columns = inputs[0].dims
    return Region(inputs[0].rows, inputs[0].columns, (order.index(rows), order.index(columns)))


def _order(layer: Layer) -> list[int] | None:
    """For each dimension of the output, that of the input."""
    rank = len(layer.output_shape)
    if layer.kind == "permute":
        dims = [dim % rank for dim in layer.numbers("dims")]
        return dims if len(dims) == rank else None
    order = list(range(rank))
    first, second = layer.attributes.get("dim0"), layer.attributes.get("dim1")
    if first is None or second is None:
        return None
    order[first % rank], order[second % rank] = second % rank, first % rank
    return order


def _reshaped(layer: Layer, inputs: Sequence[Region]) -> Region | None:
    """What splits or joins the dimensions between the images and the rows and columns, which come last."""
    (before,), after, rank = layer.input_shapes[:1], layer.output_shape, len(layer.input_shapes[0])
    last = inputs[0].dims == (rank - 2, rank - 1) and before[-2:] == after[-2:] and before[0] == after[0]
    if not last or len(after) < 3:
        return None
    return Region(inputs[0].rows, inputs[0].columns, (len(after) - 2, len(after) - 1))


def _padded(layer: Layer, inputs: Sequence[Region]) -> Region | None:
    pad, rank = layer.numbers("pad"), len(layer.output_shape)
    if layer.attributes.get("mode", "constant") != "constant" or inputs[0].dims != (rank - 2, rank - 1):
        return None
    left, _, top, _ = (*pad, 0, 0)[:4]
    height, width = layer.output_shape[-2:]
    return Region(inputs[0].rows.moved(top, height), inputs[0].columns.moved(left, width), inputs[0].dims)


def _resized(layer: Layer, inputs: Sequence[Region]) -> Region | None:
    """An adaptive pool whose input has the size of its output already."""
    alike = len(layer.outputs) == 1 and layer.input_shapes[0] == layer.output_shape
    return inputs[0] if alike and inputs[0].dims == (2, 3) else None


def _dimensions(layer: Layer, name: str, default: int) -> set[int]:
    return {dim % len(layer.input_shapes[0]) for dim in layer.numbers(name) or (default,)}


_RULES: dict[str, _Rule] = {
    **dict.fromkeys(AT_ONE_PLACE, _same_place),
    **dict.fromkeys(WINDOWED, _windowed),
    **dict.fromkeys(MERGED, _united),
    **dict.fromkeys(("chunk", "softmax", "normalize"), _along_others),
    **dict.fromkeys(("layer_norm", "rms_norm", "linear"), _along_last),
    **dict.fromkeys(("permute", "transpose"), _permuted),
    **dict.fromkeys(("reshape", "flatten"), _reshaped),
    **dict.fromkeys(("adaptive_avg_pool", "adaptive_max_pool"), _resized),
    "concat": _concatenated,
    "pad": _padded,
}
