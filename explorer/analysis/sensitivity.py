"""Where a change of the input can reach, by the wiring of a network alone: its support, as a gradient would have it.

The traced program is run on ones and zeros, with every operation replaced by "does any position that it reads hold a
one": what a network of positive weights without rectifiers would answer, where no term cancels another and nothing is
shut off. Neither weights nor receptive fields have a part in it, so that it can prove the latter.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils import _pytree as pytree

from explorer.analysis.passes import Cancel
from explorer.graph import ops
from explorer.graph.layers import LayerGraph
from explorer.graph.trace import TracedProgram
from explorer.run.execute import OpCall, Rule, first_tensor, run
from explorer.types import is_sequence

OnLayer = Callable[[str, Tensor], None]  # a layer's id, and which of its positions are reached

# What moves values, and makes none, works on ones and zeros as it is.
_MOVES = (
    "concat", "stack", "reshape", "flatten", "permute", "transpose", "movedim", "squeeze", "unsqueeze", "expand",
    "repeat", "chunk", "unbind", "select", "slice", "index", "unfold", "fold", "windows", "roll", "flip",
    "pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "interpolate", "max_pool", "avg_pool", "lp_pool",
)  # fmt: skip
_PASSED = (
    *ops.ACTIVATIONS, "batch_norm", "clamp", "dropout", "identity", "contiguous", "cast", "scale_by_constant", "neg",
    "abs", "exp", "log", "log1p", "sqrt", "rsqrt", "square", "reciprocal", "erf", "sin", "cos",
)  # fmt: skip
_UNITED = ("add", "sub", "mul", "div", "pow", "maximum", "minimum", "addcmul", "lerp", "where", "masked_fill")
_REDUCED = ("mean", "sum", "amax", "amin", "max", "min", "std", "var", "logsumexp", "norm")


class Wiring:
    """A network without its weights, through which ones spread.

    untried: ids of the layers whose operation has no rule here, and of all that read them: of these nothing is told.
    """

    def __init__(self, program: TracedProgram) -> None:
        self.program = _without_weights(program)
        self.untried = _untried(program.graph)

    def spread(
        self,
        images: Tensor,
        seen: OnLayer,
        *,
        local: bool = False,
        start: dict[str, Tensor] | None = None,
        cancel: Cancel | None = None,
    ) -> None:
        """Run images [N, C, H, W] of ones and zeros; `seen` gets each layer's id and output, ones where it is reached,
        of several outputs the first. Layers whose output the network has no use for are not run.

        local: what reads a whole map for a gate or a statistic passes nothing on. start: ids of layers → ones and
        zeros in the form of their output. Channels that are alike may be one that is spread (`Tensor.expand`).
        Raises Cancelled.
        """
        rules = _rules(local)

        def ruled(call: OpCall) -> Any:
            found = _at_hand(rules.get(call.layer.kind, _any_at_all)(call))
            seen(call.layer.id, first_tensor(found))
            return found

        kinds = {layer.kind for layer in self.program.graph} - {"input"}
        with torch.no_grad():
            run(self.program, images, rules=dict.fromkeys(kinds, ruled), start=start, cancel=cancel)


def _without_weights(program: TracedProgram) -> TracedProgram:
    """The program with all its weights on the meta device, which tells them from what was put in."""
    module = program.module
    if any(not tensor.is_meta for tensor in (*module.parameters(), *module.buffers())):
        module = copy.deepcopy(module).to("meta")
    constants = pytree.tree_map_only(Tensor, lambda tensor: tensor.to("meta"), program.constants)
    return replace(program, module=module, constants=constants)


def _untried(graph: LayerGraph) -> frozenset[str]:
    known, found = _rules(False), set[str]()
    for layer in graph:
        has_rule = layer.kind in known or layer.kind == "input"
        if not has_rule or layer.attributes.get("written") or not found.isdisjoint(layer.inputs):
            found.add(layer.id)
    return frozenset(found)


def _at_hand(value: Any) -> Any:
    """The value with weights among its tensors, which nothing reaches, as zeros."""
    return pytree.tree_map_only(Tensor, lambda t: torch.zeros(t.shape) if t.is_meta else t, value)


# -- Rules ------------------------------------------------------------------------------------------------------------


def _rules(local: bool) -> dict[str, Rule]:
    """By kind of operation: which positions of its output are reached, as ones, from those of its inputs."""
    whole: Callable[[Tensor], Tensor] = torch.zeros_like if local else lambda x: x
    return {
        **dict.fromkeys(_MOVES, _moved),
        **dict.fromkeys(_PASSED, lambda call: call.args[0]),
        **dict.fromkeys(_UNITED, _united),
        **dict.fromkeys(_REDUCED, lambda call: _reduced(call, local)),
        **dict.fromkeys(("adaptive_avg_pool", "adaptive_max_pool"), lambda call: _adaptive(call, local)),
        **dict.fromkeys(("group_norm", "instance_norm"), lambda call: _map_norm(call, local)),
        **dict.fromkeys(("layer_norm", "rms_norm"), lambda call: _last_norm(call, whole)),
        **dict.fromkeys(("softmax", "normalize"), lambda call: _along(call, whole)),
        "matmul": lambda call: whole(_matmul(call)),
        "attention": lambda call: whole(_any_at_all(call)),
        "local_response_norm": _channel_window,
        "constant": lambda call: torch.zeros(call.layer.output_shape),
        "pad": _padded,
        "conv": lambda call: _convolved(call, F.conv2d),
        "conv_transpose": lambda call: _convolved(call, F.conv_transpose2d),
        "linear": _linear,
    }  # fmt: skip


def _ones(x: Tensor) -> Tensor:
    return (x != 0).to(torch.float32)


def _alike(x: Tensor, dim: int = 1) -> bool:
    """Whether all channels are one that is spread: then the work is done on that one."""
    return x.dim() == 4 and x.shape[dim] > 1 and x.stride(dim) == 0


def _one_of_alike(x: Tensor) -> Tensor:
    return x[:, :1] if _alike(x) else x


def _moved(call: OpCall) -> Any:
    if call.layer.kind.endswith("pool") and _alike(call.args[0]):
        x = call.args[0]
        return _ones(call.default(x[:, :1])).expand(-1, x.shape[1], -1, -1)
    found = call.perform(_at_hand(call.args), _at_hand(call.kwargs))
    return pytree.tree_map_only(Tensor, _ones, found) if call.layer.kind in _MIXES else found


_MIXES = ("interpolate", "max_pool", "avg_pool", "lp_pool", "fold")


def _united(call: OpCall) -> Tensor:
    """What any operand is reached by; one without a dimension, or of weights, adds nothing."""
    maps = [t for t in (*call.args, *call.kwargs.values()) if isinstance(t, Tensor) and not t.is_meta]
    count = len(maps[0]) if maps else 1
    shape = (count, *call.layer.output_shape[1:])
    if maps and len(shape) == 4 and all(_alike(t) or t.shape[1] == 1 for t in maps):
        return _union([_one_of_alike(t) for t in maps]).expand(shape)
    return _union(maps).expand(shape) if maps else torch.zeros(shape)


def _union(maps: list[Tensor]) -> Tensor:
    found = maps[0]
    for each in maps[1:]:
        found = torch.maximum(found, each)
    return found


def _reduced(call: OpCall, local: bool) -> Tensor:
    dims, keep = call.arguments.get("dim"), bool(call.arguments.get("keepdim"))
    x = call.args[0]
    found = x.amax(() if dims is None else dims, keepdim=keep)
    return torch.zeros_like(found) if local and dims not in (1, [1], (1,)) else found


def _adaptive(call: OpCall, local: bool) -> Tensor:
    x, (rows, columns) = call.args[0], call.layer.output_shape[-2:]
    found = F.adaptive_max_pool2d(_one_of_alike(x), (rows, columns))
    found = found.expand(-1, x.shape[1], -1, -1) if _alike(x) else found
    return torch.zeros_like(found) if local and (rows, columns) == (1, 1) != tuple(x.shape[-2:]) else found


def _map_norm(call: OpCall, local: bool) -> Tensor:
    """Statistics over the map, and over the channels of a group: strictly all of them, locally the unit alone."""
    x = call.args[0]
    if local:
        return x
    if _alike(x):
        return x[:, :1].amax((2, 3), keepdim=True).expand_as(x)
    groups = call.arguments.get("num_groups", x.shape[1])
    parts = x.unflatten(1, (groups, -1))
    return parts.amax((2, 3, 4), keepdim=True).expand_as(parts).flatten(1, 2)


def _last_norm(call: OpCall, whole: Callable[[Tensor], Tensor]) -> Tensor:
    """Statistics over the last dimensions: over channels alone where they are last, else over positions."""
    x, shape = call.args[0], call.arguments["normalized_shape"]
    dims = tuple(range(-len(shape), 0)) if is_sequence(shape) else (-1,)
    if len(dims) > 1:
        return torch.maximum(x, whole(x.amax(dims, keepdim=True)))
    return (x[..., :1] if _alike(x, -1) else x.amax(-1, keepdim=True)).expand_as(x)


def _along(call: OpCall, whole: Callable[[Tensor], Tensor]) -> Tensor:
    x = call.args[0]
    return torch.maximum(x, whole(x.amax(call.arguments.get("dim", 1), keepdim=True)))


def _matmul(call: OpCall) -> Tensor:
    """Each element reads a row of the first and a column of the second."""
    first, second = _at_hand(call.args[:2])
    rows = first.amax(-1, keepdim=True) if first.dim() > 1 else first.amax()
    columns = second.amax(-2, keepdim=True) if second.dim() > 1 else second.amax()
    return torch.maximum(rows, columns).expand(*first.shape[:-1], second.shape[-1]) if second.dim() > 1 else rows


def _any_at_all(call: OpCall) -> Any:
    """All of the output where any input is reached: of attention, and of what is not told any more."""
    maps = [t for t in pytree.tree_leaves((call.args, call.kwargs)) if isinstance(t, Tensor) and not t.is_meta]
    count = len(maps[0]) if maps else 1
    reached = _union([t.reshape(count, -1).amax(1) for t in maps]) if maps else torch.zeros(count)
    outputs = [reached.reshape(-1, *[1] * (len(s) - 1)).expand(count, *s[1:]) for s in call.layer.outputs]
    return outputs if len(outputs) > 1 else outputs[0]


def _channel_window(call: OpCall) -> Tensor:
    """Local response normalisation: `size` neighbouring channels at the same position."""
    x = call.args[0]
    if _alike(x):
        return x
    size: int = call.arguments["size"] if call.module is not None else (*call.args, *call.kwargs.values())[1]
    padded = F.pad(x, (0, 0, 0, 0, size // 2, (size - 1) // 2))
    return padded.unfold(1, size, 1).amax(-1)


def _padded(call: OpCall) -> Tensor:
    a = call.arguments
    return F.pad(call.args[0], tuple(a["pad"]), a.get("mode") or "constant")


# -- Products with weights ---------------------------------------------------------------------------------------------


def _convolved(call: OpCall, convolve: Callable[..., Tensor]) -> Tensor:
    """A window of ones over the channels of each group together, one filter for all that the group makes."""
    x, a = call.args[0], call.arguments
    weight, transposed = a["weight"], call.layer.kind == "conv_transpose"
    groups = 1 if _alike(x) else a.get("groups", 1)
    x = x[:, :1] if _alike(x) else x.unflatten(1, (groups, -1)).amax(2)
    places = {"stride": a.get("stride", 1), "dilation": a.get("dilation", 1), "groups": groups}
    padding = a.get("padding", 0)
    if (border := a.get("padding_mode", "zeros")) != "zeros":
        assert call.module is not None
        x, padding = F.pad(x, vars(call.module)["_reversed_padding_repeated_twice"], border), 0
    if transposed:
        places["output_padding"] = a.get("output_padding", 0)
    found = _ones(convolve(x, torch.ones(groups, 1, *weight.shape[-2:]), padding=padding, **places))
    made = weight.shape[1] * a.get("groups", 1) if transposed else weight.shape[0]
    if groups == 1:
        return found.expand(-1, made, -1, -1)
    return found[:, :, None].expand(-1, -1, made // groups, -1, -1).flatten(1, 2)


def _linear(call: OpCall) -> Tensor:
    x, width = call.args[0], call.arguments["weight"].shape[0]
    return (x[..., :1] if _alike(x, -1) else x.amax(-1, keepdim=True)).expand(*x.shape[:-1], width)
