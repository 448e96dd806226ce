"""How each kind of layer carries fields on in the general form: one rule per kind, on index maps.

A rule answers None where it cannot tell from what the layer is called with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain

import numpy as np

from explorer.graph import macs, ops
from explorer.graph.layers import Layer
from explorer.receptive_field import index_map, mixing, moving, orders, sliding
from explorer.receptive_field.index_map import IndexMap, Tables, made
from explorer.receptive_field.tables import UNSEEN, WEIGHTS, Atom, Table, union

Maps = Sequence[IndexMap]
GeneralRule = Callable[[Layer, Maps], "IndexMap | None"]


def general(layer: Layer, maps: Maps) -> IndexMap | None:
    """The index map of a layer's output; None where no rule tells. Raises TooLargeError."""
    rule = GENERAL.get(layer.kind)
    found = None if rule is None else rule(layer, [index_map.seen_by_both(each) for each in maps])
    return found and index_map.seen_by_both(found)


def blind(shape: Sequence[int], unseen: int = WEIGHTS) -> IndexMap:
    """A tensor that sees no pixel: weights, or with UNSEEN one that may be 0."""
    nothing = Table((), np.full(4, unseen))
    pair: Tables = (nothing, nothing)
    return IndexMap(tuple(map(made, shape)), pair, pair, (1, 1))


# -- Of one tensor; others that it is called with weigh it -------------------------------------------------------------


def _one(rule: Callable[[Layer, IndexMap], IndexMap | None]) -> GeneralRule:
    """A rule for what a layer does with its first operand; all other operands are weights from the image."""

    def gated(layer: Layer, maps: Maps) -> IndexMap | None:
        first, others = _roles(layer, maps)
        found = rule(layer, first)
        return found and mixing.gated(found, others)

    return gated


def _roles(layer: Layer, maps: Maps) -> tuple[IndexMap, list[IndexMap]]:
    """What a layer works on, and the rest; weights of the network that it works on see nothing."""
    lead = layer.operands[0] if layer.operands else 0
    if lead is None:
        return blind(layer.attributes["input_shape"]), list(maps)
    return maps[lead], [found for at, found in enumerate(maps) if at != lead]


def _batch_norm(layer: Layer, found: IndexMap) -> IndexMap:
    if not layer.attributes.get("training"):
        return found
    return mixing.statistic(found, _atoms(found, [0, *range(2, len(found.dims))]))


def _instance_norm(_: Layer, found: IndexMap) -> IndexMap:
    return mixing.statistic(found, _atoms(found, range(2, len(found.dims))))


def _group_norm(layer: Layer, found: IndexMap) -> IndexMap:
    groups, shape = int(layer.attributes["num_groups"]), found.shape
    if groups > 1 and found.varies(found.dims[1]):
        found = index_map.reshaped(found, (shape[0], groups, shape[1] // groups, *shape[2:]))
        found = mixing.statistic(found, _atoms(found, range(2, len(found.dims))))
        return index_map.reshaped(found, shape)
    return mixing.statistic(found, _atoms(found, range(1, len(found.dims))))


def _layer_norm(layer: Layer, found: IndexMap) -> IndexMap:
    count = len(layer.numbers("normalized_shape"))
    return mixing.statistic(found, _atoms(found, range(-count, 0)))


def _local_response_norm(_: Layer, found: IndexMap) -> IndexMap:
    """Channels beside each other; where these see differently, all of them."""
    if not found.varies(found.dims[1]):
        return found
    return replace(found.with_tables(lambda table: table.without(found.dims[1])), is_exact=False)


def _softmax(layer: Layer, found: IndexMap) -> IndexMap:
    """softmax and normalize."""
    dims = layer.numbers("dim") or ((1,) if layer.kind == "normalize" else (-1,))
    return mixing.statistic(found, _atoms(found, dims))


def _ordered(layer: Layer, found: IndexMap) -> IndexMap:
    """sort, topk, cumsum: along a dimension each value may come from any other."""
    at = orders.place(layer, len(found.dims), default=-1)
    found = mixing.summed(found, found.dims[at])
    return found.with_dim(at, made(layer.output_shape[at]))


def _linear(layer: Layer, found: IndexMap) -> IndexMap:
    return mixing.contracted(found, len(found.dims) - 1, layer.output_shape[-1])


def _atoms(found: IndexMap, dims: Sequence[int]) -> list[Atom]:
    return list(chain(*(found.dims[at] for at in dims)))


# -- Of several tensors ------------------------------------------------------------------------------------------------


def _merge(_: Layer, maps: Maps) -> IndexMap:
    return mixing.merged(maps)


def _unpool(layer: Layer, maps: Maps) -> IndexMap | None:
    """Values and their places: each position of a window sees both."""
    return sliding.windowed(layer, mixing.merged(maps))


def _reduce(layer: Layer, maps: Maps) -> IndexMap | None:
    if len(maps) > 1:
        return mixing.merged(maps)  # torch.max of two tensors
    rank = len(maps[0].dims)
    over = orders.places(layer, rank)
    if layer.op in ("topk", "kthvalue", "median", "mode") and not layer.numbers("dim"):
        over = [rank - 1]
    kept = len(layer.output_shape) == rank
    found = mixing.reduced(maps[0], over, keepdim=kept)
    return found if found.shape == layer.output_shape else None


def _matmul(layer: Layer, maps: Maps) -> IndexMap | None:
    dim = layer.attributes.get("contracted")
    if dim is not None:
        return _product_with_weights(layer, maps[0], dim)
    a, b = (maps[at] for at in (layer.operands or (0, len(maps) - 1))[:2] if at is not None)
    if min(len(a.dims), len(b.dims)) < 2:
        return None
    return mixing.product(a, b)


def _product_with_weights(layer: Layer, found: IndexMap, dim: int) -> IndexMap | None:
    rank, shape = len(found.dims), layer.output_shape
    at = dim % rank
    left = mixing.contracted(found, at, shape[dim] if len(shape) >= rank else None)
    while len(left.dims) < len(shape):  # weights for a batch of products
        left = index_map.new_dim(left, 0)
    return index_map.expanded(left, shape)


def _attention(layer: Layer, maps: Maps) -> IndexMap | None:
    """Of [..., tokens, width]; nn.MultiheadAttention may have the tokens first."""
    operands = layer.operands or (0, 0, 0)
    first = operands[0]
    query = blind((*layer.output_shape[:-1], 1)) if first is None else maps[first]
    others = [maps[at] for at in dict.fromkeys(operands[1:]) if at is not None]
    shape = layer.output_shape
    if layer.op == "MultiheadAttention" and not layer.attributes.get("batch_first") and len(shape) == 3:
        query, *others = (index_map.permuted(found, (1, 0, 2)) for found in (query, *others))
        found = mixing.attention(query, others, (shape[1], shape[0], shape[2]))
        return index_map.permuted(found, (1, 0, 2))
    return mixing.attention(query, others, shape)


def _einsum(layer: Layer, maps: Maps) -> IndexMap | None:
    equation, operands = layer.attributes.get("equation"), layer.operands
    if not isinstance(equation, str) or not operands:
        return None
    inputs, _arrow, output = equation.replace(" ", "").partition("->")
    names = inputs.split(",")
    if "->" not in equation or len(names) != len(operands):
        return None
    ranks = [len(maps[at].dims) if at is not None else 0 for at in operands]
    spare = max((rank - len(name.replace("...", "")) for name, rank in zip(names, ranks, strict=True)), default=0)
    extra = "".join(chr(ord("Α") + i) for i in range(max(spare, 0)))  # letters for the dots, which no equation has
    used = [(_written(names[i], ranks[i], extra), maps[at]) for i, at in enumerate(operands) if at is not None]
    output = output.replace("...", extra)
    sizes = dict(zip(output, layer.output_shape, strict=True))
    return mixing.einsum([name for name, _ in used], [found for _, found in used], output, sizes)


def _written(names: str, rank: int, extra: str) -> str:
    """The letters of one operand with its dots written out."""
    count = rank - len(names.replace("...", ""))
    return names.replace("...", extra[len(extra) - count :])


def _concat(layer: Layer, maps: Maps) -> IndexMap | None:
    """Also with weights of the network among what is joined, as class tokens."""
    if not layer.joined:
        return moving.concat(layer, maps)
    at, shape = orders.place(layer, len(layer.output_shape)), layer.output_shape
    parts = [
        blind((*shape[:at], size, *shape[at + 1 :])) if number is None else maps[number]
        for number, size in layer.joined
    ]
    return moving.concat(layer, parts)


def _stack(layer: Layer, maps: Maps) -> IndexMap | None:
    operands = layer.operands
    shape, at = layer.output_shape, orders.place(layer, len(layer.output_shape))
    one = (*shape[:at], *shape[at + 1 :])
    parts = maps if not operands else [blind(one) if number is None else maps[number] for number in operands]
    return moving.stack(layer, parts)


def _index(layer: Layer, found: IndexMap) -> IndexMap | None:
    return None if layer.attributes.get("index") is None else moving.indexed(layer, found)


def _everything(layer: Layer, maps: Maps) -> IndexMap:
    """A tensor each of whose elements sees all that any element of the inputs sees: a gate, locally."""
    rows, columns = zip(*(each.strict for each in maps), strict=True)
    whole = (
        union([table.without(table.axes) for table in rows]),
        union([table.without(table.axes) for table in columns]),
    )
    return IndexMap(tuple(map(made, layer.output_shape)), whole, None, (1, 1))


def _constant(layer: Layer, _: Maps) -> IndexMap:
    return blind(layer.output_shape, UNSEEN)


GENERAL: dict[str, GeneralRule] = {
    **dict.fromkeys((*ops.ACTIVATIONS, *ops.POINTWISE, *ops.ARITHMETIC, "where"), _merge),
    **dict.fromkeys(ops.REDUCTIONS, _reduce),
    **dict.fromkeys((*macs.CONVOLUTIONS, *macs.TRANSPOSED), _one(sliding.windowed)),
    **dict.fromkeys(("max_pool", "avg_pool", "lp_pool", "pool1d", "pool3d"), _one(sliding.windowed)),
    **dict.fromkeys(("adaptive_avg_pool", "adaptive_max_pool", "interpolate"), _one(sliding.windowed)),
    **dict.fromkeys(("flatten", "reshape", "squeeze", "unsqueeze"), _one(moving.reshape)),
    **dict.fromkeys(("permute", "transpose", "movedim"), _one(moving.permute)),
    **dict.fromkeys(("layer_norm", "rms_norm"), _one(_layer_norm)),
    **dict.fromkeys(("softmax", "normalize"), _one(_softmax)),
    "own_window": _one(sliding.windowed),
    "own_everything": _everything,
    "unpool": _unpool,
    "pad": _one(sliding.padded),
    "unfold": _one(sliding.patches),
    "windows": _one(sliding.windows_of),
    "fold": _one(sliding.put_back),
    "expand": _one(moving.expand),
    "repeat": _one(moving.repeat),
    "roll": _one(moving.roll),
    "flip": _one(moving.flip),
    "slice": _one(moving.slice_),
    "index": _one(moving.select),
    "select": _one(_index),
    "pixel_shuffle": _one(moving.pixel_shuffle),
    "pixel_unshuffle": _one(moving.pixel_unshuffle),
    "channel_shuffle": _one(moving.channel_shuffle),
    "batch_norm": _one(_batch_norm),
    "instance_norm": _one(_instance_norm),
    "group_norm": _one(_group_norm),
    "local_response_norm": _one(_local_response_norm),
    "sort": _one(_ordered),
    "linear": _one(_linear),
    "matmul": _matmul,
    "attention": _attention,
    "einsum": _einsum,
    "concat": _concat,
    "stack": _stack,
    "constant": _constant,
}
