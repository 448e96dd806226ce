"""Forward passes of a network, traced or plain, as feature maps and occlusion need them: what it returns, and maps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from explorer.analysis.outputs import tensors
from explorer.errors import TraceError, UserError
from explorer.graph.layers import Layer
from explorer.graph.names import find_layer
from explorer.graph.trace import TracedProgram, trace
from explorer.receptive_field.map_layout import Arrangement, arrangement
from explorer.run.execute import first_tensor, run
from explorer.run.plain import PlainNetwork, kept

BATCH_IMAGES = 32  # more are hardly faster, and the map fills in in larger jumps
BATCH_BYTES = 256 * 2**20
# A layer is never interrupted: on the CPU one batch of it stays under about half a second at 10 GMAC/s.
BATCH_MACS = {"cpu": 5 * 10**9}
BATCH_PLAIN = 8  # of a network whose layers are not known; they are run one by one all the same

Cancel = Callable[[], bool]
Pass = tuple[Any, Tensor | None, int]  # what the network returns, the maps of a layer, how many images
Runnable = TracedProgram | PlainNetwork


class Passes(Protocol):
    """A network that images can be run through."""

    def find(self, layer: str) -> str:
        """The name of a layer with maps. Raises UnknownNameError, UserError."""
        ...

    def batch_size(self, image: Tensor) -> int:
        """How many images [1, C, H, W] are best run at a time."""
        ...

    def forward(self, images: Tensor, layer: str | None, cancel: Cancel | None) -> Iterator[Pass]:
        """Run images [N, C, H, W], in one pass or in several; the maps of a layer, as found, are [N, C, H, W]."""
        ...


def open_network(module: nn.Module, input_size: tuple[int, int, int]) -> Runnable:
    """A module as a traced program; where no trace follows it, as it is. Raises TraceError where it cannot run."""
    if isinstance(module, torch.jit.ScriptModule):
        return PlainNetwork(module)
    try:
        with kept(module):  # what is given up half way may have changed it
            return trace(module, input_size)
    except TraceError as error:
        return PlainNetwork(module, error)


def passes_of(network: Runnable) -> Passes:
    """The passes of a network."""
    return PlainPasses(network) if isinstance(network, PlainNetwork) else TracedPasses(network)


@dataclass(frozen=True, eq=False)
class TracedPasses:
    """The passes of a traced program."""

    program: TracedProgram

    def find(self, layer: str) -> str:
        name = find_layer(self.program.graph, layer).id
        arrangement(self.program.graph, name)
        return name

    def batch_size(self, image: Tensor) -> int:
        """As many, from 1 to BATCH_IMAGES, as keep within BATCH_BYTES and BATCH_MACS."""
        layers = self.program.graph.layers
        bytes_needed = max(sum(prod(s) for s in (*layer.input_shapes, *layer.outputs)) for layer in layers)
        bytes_needed *= image.element_size()
        by_macs = BATCH_MACS.get(image.device.type, 10**12) // max(1, max(_macs(layer) for layer in layers))
        return max(1, min(BATCH_IMAGES, BATCH_BYTES // bytes_needed, by_macs))

    def forward(self, images: Tensor, layer: str | None, cancel: Cancel | None) -> Iterator[Pass]:
        found = run(self.program, self.laid_out(images), capture=[layer] if layer else [], cancel=cancel)
        maps = None
        if layer is not None:
            maps = arrangement(self.program.graph, layer).maps(first_tensor(found.captured[layer]))
        yield found.output, maps, len(images)

    def laid_out(self, images: Tensor) -> Tensor:
        """Images as the network runs fastest on them: channels last on the CPU, where convolutions then take up to half
        the time; not for networks that look at memory as it lies (`view` refuses another layout), or may."""
        as_it_lies = any(layer.kind == "unknown" or layer.op in _VIEWS for layer in self.program.graph)
        usual = as_it_lies or images.device.type != "cpu"
        return images.contiguous(memory_format=torch.contiguous_format if usual else torch.channels_last)


_VIEWS = frozenset(("view", "view_as", "_unsafe_view", "as_strided"))


def _macs(layer: Layer) -> int:
    return prod(layer.output_shape) * int(layer.attributes.get("fan_in", 0))


@dataclass(frozen=True, eq=False)
class PlainPasses:
    """The passes of a module that cannot be traced: one image after the other."""

    network: PlainNetwork

    def find(self, layer: str) -> str:
        return self.network.find_layer(layer)

    def batch_size(self, image: Tensor) -> int:
        del image
        return BATCH_PLAIN

    def forward(self, images: Tensor, layer: str | None, cancel: Cancel | None) -> Iterator[Pass]:
        for i in range(len(images)):
            returned, output = self.network.run(images[i : i + 1], layer, cancel)
            yield returned, None if layer is None else _as_maps(layer, output), 1


def _as_maps(layer: str, output: Any) -> Tensor:
    """Where no graph says how an output is laid out: [N, C, H, W], tokens [N, T, C] or [N, C]."""
    tensor: Tensor | None = next((t for _, t in tensors(output)), None)
    axes = {2: "NC", 3: "NTC", 4: "NCHW"}.get(0 if tensor is None else tensor.dim())
    if tensor is None or axes is None:
        shape = "no tensor" if tensor is None else f"a tensor {list(tensor.shape)}"
        raise UserError(f"layer={layer!r} returns {shape}, which has no channels, rows and columns to show.")
    return Arrangement(axes, (0, 0)).maps(tensor)
