"""The receptive field as the gradient sees it: which input pixels have a non-zero derivative of one unit.

The traced program runs in float64 with every operation replaced by a positive one that reads the same positions:
equal positive weights, activations passed through, averages for maxima, sums for products. No term can then cancel
another, so the support of the gradient is the receptive field. Nothing here knows how the fields are computed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from explorer.graph import ops
from explorer.graph.trace import TracedProgram
from explorer.run.execute import OpCall, run
from explorer.types import Box

Unit = tuple[int, int]


def supports(
    program: TracedProgram, units: dict[str, Collection[Unit]], *, local: bool = False
) -> dict[tuple[str, Unit], Box]:
    """(top, left, bottom, right), ends exclusive, of the pixels that units (row, column) of layers depend on.

    With `local`, what reads a whole map (global pools, statistics, attention) counts as a constant.
    """
    size = program.graph.layers[0].output_shape[1:]
    image = torch.ones(1, *size, dtype=torch.float64, requires_grad=True)
    captured = run(program, image, capture=list(units), until=last_of(program, units), rules=rules(local), grad=True)
    return {
        (name, unit): _box(captured.captured[name], unit, image) for name, wanted in units.items() for unit in wanted
    }


def last_of(program: TracedProgram, names: Collection[str]) -> str:
    """The wanted layer that runs last."""
    return [layer.id for layer in program.graph if layer.id in names][-1]


def _box(maps: Tensor, unit: Unit, image: Tensor) -> Box:
    values = maps[0, :, unit[0], unit[1]].sum()
    if not values.requires_grad:
        return 0, 0, 0, 0
    (gradient,) = torch.autograd.grad(values, image, retain_graph=True)
    assert gradient.isfinite().all()
    touched = (gradient != 0).any(dim=1)[0]
    rows, columns = touched.any(dim=1).nonzero().flatten().tolist(), touched.any(dim=0).nonzero().flatten().tolist()
    return (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1) if rows else (0, 0, 0, 0)


def rules(local: bool) -> dict[str, Callable[[OpCall], Any]]:
    """What each kind of operation is replaced by."""
    whole: Callable[[Tensor], Tensor] = torch.zeros_like if local else lambda x: x
    return {
        **dict.fromkeys((*ops.ACTIVATIONS, "batch_norm", "local_response_norm", "clamp"), _pass),
        **dict.fromkeys(("add", "sub", "mul", "div", "maximum", "minimum"), _sum),
        **dict.fromkeys(("group_norm", "instance_norm"), lambda call: _with_mean(call, (-2, -1), whole)),
        **dict.fromkeys(("mean", "sum", "amax", "max"), lambda call: _reduced(call, local)),
        **dict.fromkeys(("adaptive_avg_pool", "adaptive_max_pool"), lambda call: _adaptive(call, local)),
        "layer_norm": _layer_norm,
        "softmax": lambda call: _with_mean(call, (call.arguments["dim"],), whole),
        "matmul": lambda call: whole(_matmul(call)),
        "conv": _conv,
        "conv_transpose": _conv_transpose,
        "linear": _linear,
        "max_pool": _max_pool,
    }


def _pass(call: OpCall) -> Tensor:
    return call.args[0]


def _alike(x: Tensor, dim: int = 1) -> bool:
    """Whether all channels are views of one: then the work is done on that one, and spread again."""
    return x.dim() == 4 and x.shape[dim] > 1 and x.stride(dim) == 0


def _one(x: Tensor) -> Tensor:
    """That one channel, as it was before `_spread`, if it was: the gradient of a slice would fill all channels."""
    return vars(x)["one"] if "one" in vars(x) else x[:, :1]


def _sum(call: OpCall) -> Tensor:
    """Every operand with a positive sign; weights and constants among them are left out."""
    maps = [arg for arg in call.args if isinstance(arg, Tensor) and arg.requires_grad and not arg.is_leaf]
    if not maps:
        return call.default()
    if all(map(_alike, maps)):
        channels = max(each.shape[1] for each in maps)
        return _spread(sum(map(_one, maps[1:]), _one(maps[0])), channels)
    return sum(maps[1:], maps[0])


def _with_mean(call: OpCall, dims: tuple[int, ...], whole: Callable[[Tensor], Tensor]) -> Tensor:
    x = call.args[0]
    return x + whole(x.mean(dims, keepdim=True))


def _matmul(call: OpCall) -> Tensor:
    """The product, scaled down: products of products would outgrow a float within a few attention blocks."""
    found = call.default()
    return found / found.detach().mean().clamp(min=1)


def _layer_norm(call: OpCall) -> Tensor:
    """Statistics over the last dimensions: channels, in the networks that use it on maps."""
    x = call.args[0]
    return (2 * x[..., :1]).expand_as(x) if _alike(x, -1) else x + x.mean(-1, keepdim=True)


def _reduced(call: OpCall, local: bool) -> Tensor:
    dims, keep = call.arguments.get("dim"), bool(call.arguments.get("keepdim"))
    found = call.args[0].mean(dims, keepdim=keep)
    return found.detach() if local and dims not in (1, [1], (1,)) else found


def _adaptive(call: OpCall, local: bool) -> Tensor:
    x = call.args[0]
    rows, columns = call.layer.output_shape[-2:]
    found = F.adaptive_avg_pool2d(_one(x) if _alike(x) else x, (rows, columns))
    found = _spread(found, x.shape[1]) if _alike(x) else found
    return found.detach() if local and found.shape[-2:] == (1, 1) and x.shape[-2:] != (1, 1) else found


def _max_pool(call: OpCall) -> Tensor:
    """The sum over the window; where ceil_mode lets a window hang over, over what it holds."""
    x, window = call.args[0], call.layer.window
    assert window is not None
    extent = [d * (k - 1) + 1 for k, d in zip(window.kernel, window.dilation, strict=True)]
    reach = [(n - 1) * s + e for n, s, e in zip(call.layer.output_shape[-2:], window.stride, extent, strict=True)]
    below, right = (max(0, r - n - p) for r, n, p in zip(reach, x.shape[-2:], window.padding, strict=True))
    copies = x.shape[1] if _alike(x) else 1
    x = F.pad(_one(x) if _alike(x) else x, (window.padding[1], right, window.padding[0], below))
    kernel = torch.full((x.shape[1], 1, *window.kernel), 1 / (window.kernel[0] * window.kernel[1]), dtype=x.dtype)
    return _spread(F.conv2d(x, kernel, None, window.stride, 0, window.dilation, x.shape[1]), copies)


def _conv(call: OpCall) -> Tensor:
    """All weights of the layer equal: the channels of a group are averaged first, one filter then serves all."""
    x, a = call.args[0], call.arguments
    groups, kernel = a.get("groups", 1), a["weight"].shape[-2:]
    groups = 1 if _alike(x) else groups
    x = _one(x) if _alike(x) else x.unflatten(1, (groups, -1)).mean(2)
    weight = torch.full((groups, 1, *kernel), 1 / (kernel[0] * kernel[1]), dtype=x.dtype)
    padding = a.get("padding", 0)
    x = F.conv2d(x, weight, None, a.get("stride", 1), padding, a.get("dilation", 1), groups)
    return _spread(x, a["weight"].shape[0] // groups)


def _conv_transpose(call: OpCall) -> Tensor:
    x, a = call.args[0], call.arguments
    groups, kernel = a.get("groups", 1), a["weight"].shape[-2:]
    x = x.unflatten(1, (groups, -1)).mean(2)
    weight = torch.full((groups, 1, *kernel), 1 / (kernel[0] * kernel[1]), dtype=x.dtype)
    places = a.get("stride", 1), a.get("padding", 0), a.get("output_padding", 0), groups, a.get("dilation", 1)
    return _spread(F.conv_transpose2d(x, weight, None, *places), a["weight"].shape[1])


def _spread(x: Tensor, times: int) -> Tensor:
    """[N, groups, H, W] → [N, groups·times, H, W], without a copy where there is one group."""
    if x.shape[1] > 1:
        return x[:, :, None].expand(-1, -1, times, -1, -1).flatten(1, 2)
    found = x.expand(-1, times, -1, -1)
    vars(found)["one"] = x
    return found


def _linear(call: OpCall) -> Tensor:
    x, width = call.args[0], call.arguments["weight"].shape[0]
    return (x[..., :1] if _alike(x, -1) else x.mean(-1, keepdim=True)).expand(*x.shape[:-1], width)
