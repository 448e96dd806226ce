"""A traced program as a module that Captum can hook: its scores, one layer's maps, its nonlinearities as modules.

Captum asks for modules that are each called once, read one tensor of their own and do not write into it. A network
need not have any such, so that they are made here, and called by the executor in place of the layers they stand for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.analysis.outputs import Reading, per_class, tensors
from explorer.errors import Cancelled, UserError
from explorer.graph import ops
from explorer.graph.layers import Layer, Window
from explorer.graph.trace import TracedProgram
from explorer.receptive_field.map_layout import Arrangement, arrangement
from explorer.run.execute import OpCall, Rule, run

POINTWISE_KINDS = frozenset((*ops.ACTIVATIONS, "clamp"))  # each output depends on one input alone
_SLOW = ("conv", "conv_transpose", "linear", "matmul", "attention")


class ScoringModule(nn.Module):
    """Images [N, C, H, W] → scores [N, classes], before they become probabilities.

    maps: the module whose output are the maps of `layer`, [N, channels, rows, columns], if one is given. rules: layer
    id → what to do instead. nonlinear: whether pointwise layers and max pools become modules that DeepLift has rules
    for. on_images is told how many images were run; cancel is asked before each layer, and before each slow one on the
    way back. Raises Cancelled, UserError.
    """

    def __init__(
        self,
        program: TracedProgram,
        reading: Reading,
        *,
        layer: str | None = None,
        rules: Mapping[str, Rule] | None = None,
        nonlinear: bool = False,
        on_images: Callable[[int], object] | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> None:
        super().__init__()
        self.program, self.reading = program, reading
        self.on_images = on_images
        self.cancel = cancel or (lambda: False)
        self.maps = nn.Identity()
        self.nonlinearities = nn.ModuleList()
        self.rules: dict[str, Rule] = dict.fromkeys(_SLOW, self._stoppable) | dict(rules or {})
        if nonlinear:
            self.rules |= {each.id: rule for each in program.graph if (rule := self._as_module(each)) is not None}
        if layer is not None:
            rule = self.rules.get(layer) or self.rules.get(program.graph[layer].kind, OpCall.default)
            self.rules[layer] = self._shown(rule, program.graph[layer])

    def forward(self, images: Tensor) -> Tensor:
        found = run(self.program, images, rules=self.rules, cancel=self.cancel, grad=torch.is_grad_enabled())
        if self.on_images is not None:
            self.on_images(len(images))
        return scores(found.output, self.reading, len(images))

    def _stoppable(self, call: OpCall) -> Any:
        """A layer that asks on the way back whether to go on."""
        output = call.default()
        if isinstance(output, Tensor) and output.requires_grad:
            output.register_hook(self._go_on)  # pyright: ignore[reportUnknownMemberType]
        return output

    def _go_on(self, _signal: Tensor) -> None:
        if self.cancel():
            raise Cancelled

    def _shown(self, rule: Rule, layer: Layer) -> Rule:
        """A layer whose output goes through `maps`, and back into its own form and, in place, its own storage."""
        arranged = arrangement(self.program.graph, layer.id)

        def execute(call: OpCall) -> Any:
            target: Any = call.args[0] if call.args else None
            version = target._version if isinstance(target, Tensor) else None
            output = rule(call)
            in_place = isinstance(target, Tensor) and target._version != version
            maps = self.maps(arranged.maps(output.clone() if in_place else output))
            found = _rearranged(maps, arranged, output)
            return output.copy_(found) if in_place else found

        return execute

    def _as_module(self, layer: Layer) -> Rule | None:
        if layer.kind in POINTWISE_KINDS:
            module = nn.ReLU()  # for Captum any pointwise function: its rule reads what goes in and what comes out
            self.nonlinearities.append(module)
            in_place = not _storages(layer).isdisjoint(_storages(self.program.graph[layer.inputs[0]]))
            return lambda call: _pointwise(module, call, in_place)
        if layer.kind == "max_pool" and layer.window is not None:
            window, pool = layer.window, nn.MaxPool2d(layer.window.kernel)
            self.nonlinearities.append(pool)
            size = layer.output_shape[-2], layer.output_shape[-1]
            return lambda call: pool(windows_apart(call.args[0], window, size))
        return None


def _storages(layer: Layer) -> set[int]:
    return {buffer.id for buffer in layer.buffers}


def scores(returned: Any, reading: Reading, images: int) -> Tensor:
    """The values per class, [images, classes], of what a network returns, still to be differentiated."""
    found = next((t for path, t in tensors(returned) if path == reading.path), None)
    values = None if found is None else per_class(found, images)
    if values is None:
        raise UserError(f"the output {reading.tensor or 'of the network'} has no value per class.")
    return values


def _pointwise(module: nn.Module, call: OpCall, in_place: bool) -> Tensor:
    """A pointwise layer through a module that reads a tensor of its own; one in place still writes into its input."""
    x = call.args[0]
    module.forward = call.default
    output = module(x.clone())
    return x.copy_(output) if in_place else output


def windows_apart(x: Tensor, window: Window, size: tuple[int, int]) -> Tensor:
    """The windows of a pool laid side by side, [N, C, rows · kernel, columns · kernel], so that none shares a value.

    What hangs over is filled with a value below all others. size: rows and columns of the pool's output.
    """
    places = [
        (torch.arange(n)[:, None] * stride + torch.arange(kernel) * dilation).flatten().to(x.device)
        for n, kernel, stride, dilation in zip(size, window.kernel, window.stride, window.dilation, strict=True)
    ]
    (top, left), (height, width) = window.padding, x.shape[-2:]
    below, right = (max(0, int(at[-1]) + 1 - before - n) for at, before, n in
                    zip(places, window.padding, (height, width), strict=True))  # fmt: skip
    padded = F.pad(x, (left, right, top, below), value=float(x.detach().min()) - 1)
    return padded[:, :, places[0]][:, :, :, places[1]]


def _rearranged(maps: Tensor, arranged: Arrangement, like: Tensor) -> Tensor:
    """Maps [N, channels, rows, columns] in the form in which the layer gave them."""
    order = [letter for letter in "NCHWT" if letter in arranged.axes]
    sizes = [like.shape[arranged.axes.index(letter)] for letter in order]
    return maps.reshape(sizes).permute([order.index(letter) for letter in arranged.axes])
