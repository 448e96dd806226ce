"""Small random networks for property tests: everything that moves, merges or resizes maps, with random arguments."""

from __future__ import annotations

import random
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SMALLEST, LARGEST = 4, 60  # rows and columns that a map may have, so that units stay apart and runs short


class RandomNetwork(nn.Module):
    """A chain of random steps, some of which branch; the same seed gives the same network."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        draw = random.Random(seed)
        self.input_size = (draw.choice((1, 3)), draw.randint(18, 40), draw.randint(18, 40))
        self.steps = nn.ModuleList()
        shape = self.input_size
        for _ in range(draw.randint(2, 7)):
            step, shape = _drawn(draw, shape, BLOCKS)
            self.steps.append(step)
        self.output_size = shape

    def forward(self, x: Tensor) -> Tensor:
        for step in self.steps:
            x = step(x)
        return x


Shape = tuple[int, int, int]
Maker = Callable[[random.Random, Shape], nn.Module]


def _drawn(draw: random.Random, shape: Shape, makers: list[Maker]) -> tuple[nn.Module, Shape]:
    """A step that fits maps of the given (C, H, W), and the shape of its output."""
    while True:
        step = draw.choice(makers)(draw, shape)
        try:
            with torch.no_grad():
                found = tuple(step.eval()(torch.zeros(1, *shape)).shape[1:])
        except (RuntimeError, ValueError):
            continue  # arguments that torch refuses for this size
        if len(found) == 3 and all(SMALLEST <= n <= LARGEST for n in found[1:]) and found[0] <= 24:
            return step, (found[0], found[1], found[2])


class Call(nn.Module):
    """A function as a step."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class Branches(nn.Module):
    """Branches of different fields, brought to one size and merged."""

    def __init__(self, branches: list[nn.Module], merge: Callable[[list[Tensor]], Tensor]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.merge = merge

    def forward(self, x: Tensor) -> Tensor:
        return self.merge([branch(x) for branch in self.branches])


class Gate(nn.Module):
    """Channels scaled by what a global pool sees."""

    def __init__(self, channels: int, mean: bool) -> None:
        super().__init__()
        self.pool = Call(lambda x: x.mean((2, 3), keepdim=True)) if mean else nn.AdaptiveAvgPool2d(1)
        self.scale = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale(self.pool(x))


# -- Steps ------------------------------------------------------------------------------------------------------------


def _pair(draw: random.Random, low: int, high: int) -> tuple[int, int]:
    return draw.randint(low, high), draw.randint(low, high)


def _groups(draw: random.Random, channels: int) -> int:
    return draw.choice([g for g in range(1, channels + 1) if channels % g == 0])


def conv(draw: random.Random, shape: Shape) -> nn.Module:
    groups = _groups(draw, shape[0])
    strides, dilations = draw.choice((_pair(draw, 1, 1), _pair(draw, 1, 3))), _pair(draw, 1, 2)
    kernel = _pair(draw, 1, 4)
    explicit = draw.randint(0, min(2, kernel[0] - 1)), draw.randint(0, min(2, kernel[1] - 1))
    padding = draw.choice(("same", explicit)) if strides == (1, 1) else explicit
    return nn.Conv2d(shape[0], groups * draw.randint(1, 3), kernel, strides, padding, dilations, groups)


def conv_transpose(draw: random.Random, shape: Shape) -> nn.Module:
    groups = _groups(draw, shape[0])
    stride = _pair(draw, 1, 3)
    extra = draw.randint(0, stride[0] - 1), draw.randint(0, stride[1] - 1)
    kernel = draw.randint(stride[0], 4), draw.randint(stride[1], 4)  # a smaller one would leave holes
    dilation = draw.choice((1, 2 if stride == (1, 1) else 1))
    return nn.ConvTranspose2d(shape[0], 2 * groups, kernel, stride, _pair(draw, 0, 2), extra, groups, True, dilation)


def pool(draw: random.Random, shape: Shape) -> nn.Module:
    kernel = _pair(draw, 2, 4)
    padding = draw.randint(0, kernel[0] // 2), draw.randint(0, kernel[1] // 2)
    if draw.random() < 0.5:
        return nn.MaxPool2d(kernel, _pair(draw, 1, 3), padding, draw.randint(1, 2), ceil_mode=draw.random() < 0.5)
    inside = draw.random() < 0.5
    return nn.AvgPool2d(kernel, _pair(draw, 1, 3), padding, draw.random() < 0.5, inside)


def adaptive_pool(draw: random.Random, shape: Shape) -> nn.Module:
    size = draw.randint(SMALLEST, shape[1]), draw.choice((None, draw.randint(SMALLEST, shape[2])))
    return nn.AdaptiveAvgPool2d(size) if draw.random() < 0.5 else nn.AdaptiveMaxPool2d(size)


def resize(draw: random.Random, shape: Shape) -> nn.Module:
    mode = draw.choice(("nearest", "nearest-exact", "bilinear", "area"))
    corners = draw.choice((None, True, False)) if mode == "bilinear" else None
    if draw.random() < 0.5:
        factors = draw.choice((0.5, 1.5, 2.0, 2.6)), draw.choice((0.75, 1.0, 1.7, 3.0))
        return Call(lambda x: F.interpolate(x, scale_factor=factors, mode=mode, align_corners=corners))
    size = draw.randint(SMALLEST, 40), draw.randint(SMALLEST, 40)
    return Call(lambda x: F.interpolate(x, size=size, mode=mode, align_corners=corners))


def pad(draw: random.Random, shape: Shape) -> nn.Module:
    sides = [draw.randint(-2, 3) for _ in range(draw.choice((2, 4)))]
    return Call(lambda x: F.pad(x, sides))


def crop(draw: random.Random, shape: Shape) -> nn.Module:
    (top, left), (rows, columns) = _pair(draw, 0, 3), _pair(draw, 1, 2)
    if draw.random() < 0.5:
        return Call(lambda x: x[:, :, top::rows, left:-1:columns])
    return Call(lambda x: x[..., left:].narrow(2, top, shape[1] - top))


def norm(draw: random.Random, shape: Shape) -> nn.Module:
    channels = shape[0]
    return draw.choice(
        (nn.BatchNorm2d(channels), nn.GroupNorm(1, channels), nn.InstanceNorm2d(channels), nn.LocalResponseNorm(3))
    )


def channels_last(draw: random.Random, shape: Shape) -> nn.Module:
    """What ConvNeXt does: norm and linear layers over channels that come last."""
    mlp = nn.Sequential(nn.LayerNorm(shape[0]), nn.Linear(shape[0], 6), nn.GELU(), nn.Linear(6, shape[0]))
    return nn.Sequential(Call(lambda x: x.permute(0, 2, 3, 1)), mlp, Call(lambda x: x.permute(0, 3, 1, 2)))


def shuffle(draw: random.Random, shape: Shape) -> nn.Module:
    channels, rows, columns = shape
    groups = _groups(draw, channels)
    return draw.choice(
        (
            nn.PixelShuffle(2),
            nn.PixelUnshuffle(2),
            nn.ChannelShuffle(groups),
            Call(lambda x: x.view(-1, groups, channels // groups, rows, columns).transpose(1, 2).flatten(1, 2)),
            Call(lambda x: torch.cat(x.chunk(2, dim=1)[::-1], dim=1)),
            Call(lambda x: x.flatten(2).transpose(1, 2).transpose(1, 2).unflatten(2, (rows, columns))),
        )
    )


def gate(draw: random.Random, shape: Shape) -> nn.Module:
    return Gate(shape[0], draw.random() < 0.5)


def joined_pieces(draw: random.Random, shape: Shape) -> nn.Module:
    """Two pieces of the map, side by side."""
    dim = draw.choice((2, 3))
    cut = draw.randint(2, shape[dim - 1] - 1)
    return Call(lambda x: torch.cat((x.narrow(dim, 0, cut), x.narrow(dim, 1, shape[dim - 1] - 1)), dim))


def branches(draw: random.Random, shape: Shape) -> nn.Module:
    """2 or 3 branches of 1 or 2 steps each, resized to the first one's size."""
    found, size = [], (0, 0)
    for k in range(draw.randint(2, 3)):
        chain, inner = nn.Sequential(), shape
        for _ in range(draw.randint(1, 2)):
            step, inner = _drawn(draw, inner, SIMPLE)
            chain.append(step)
        size = size if k else inner[1:]
        if inner[1:] != size:
            chain.append(draw.choice((nn.AdaptiveAvgPool2d(size), nn.Upsample(size))))
        found.append(chain.append(nn.Conv2d(inner[0], 4, 1)))
    return Branches(found, draw.choice((_stacked, _concatenated, _sum, _product)))


def _stacked(maps: list[Tensor]) -> Tensor:
    return torch.stack(maps, 1).flatten(1, 2)


def _concatenated(maps: list[Tensor]) -> Tensor:
    return torch.cat(maps, 1)


def _sum(maps: list[Tensor]) -> Tensor:
    return sum(maps[1:], maps[0])


def _product(maps: list[Tensor]) -> Tensor:
    return maps[0] * maps[-1]


def rectifier(draw: random.Random, shape: Shape) -> nn.Module:
    return draw.choice((nn.ReLU(inplace=True), nn.Hardswish(), nn.PReLU(), Call(F.relu6), Call(torch.tanh)))


SIMPLE: list[Maker] = [conv, conv, conv, pool, conv_transpose, crop, pad, rectifier]
BLOCKS: list[Maker] = [
    conv, conv, conv, pool, pool, conv_transpose, adaptive_pool, resize, pad, crop, norm, channels_last, shuffle, gate,
    joined_pieces, branches, branches, branches, rectifier,
]  # fmt: skip
