"""Small random networks that move elements about as people do: views, permutations, windows, patches, attention."""

from __future__ import annotations

import random
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Step = Callable[["Mover", Tensor], Tensor]
CHANNELS, SIDE = 4, 8  # of every map on the way: all steps keep to it, so that any can follow any


class Mover(nn.Module):
    """One step on maps of 4×8×8, with weights to draw on."""

    def __init__(self, step: Step) -> None:
        super().__init__()
        self.step = step
        self.conv = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.wide = nn.Conv2d(CHANNELS, CHANNELS, (3, 1), padding=(1, 0))
        self.tall = nn.Conv2d(4 * CHANNELS, CHANNELS, 1)
        self.norm = nn.LayerNorm(CHANNELS)
        self.square = nn.Parameter(torch.randn(CHANNELS, CHANNELS))
        self.kernel = nn.Parameter(torch.randn(CHANNELS, 9 * CHANNELS))

    def forward(self, x: Tensor) -> Tensor:
        return self.step(self, x)


class MovingNetwork(nn.Module):
    """A stem, then a chain of random steps, some of them beside each other; the same seed gives the same network."""

    input_size = (3, 16, 16)

    def __init__(self, seed: int, steps: int = 4) -> None:
        super().__init__()
        draw = random.Random(seed)
        torch.manual_seed(seed)
        self.stem = nn.Conv2d(3, CHANNELS, 2, 2)
        self.names = [draw.choice(list(STEPS)) for _ in range(draw.randint(1, steps))]
        self.steps = nn.ModuleList(Mover(STEPS[name]) for name in self.names)
        self.side = nn.ModuleList(
            Mover(STEPS[draw.choice(list(STEPS))]) if draw.random() < 0.25 else nn.Identity() for _ in self.names
        )
        self.merges = [draw.choice(("add", "mul", "cat", "none", "none")) for _ in self.names]

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for step, side, merge in zip(self.steps, self.side, self.merges, strict=True):
            x = merged(merge, step(x), side(x))
        return x


def merged(how: str, a: Tensor, b: Tensor) -> Tensor:
    if how == "add":
        return a + b
    if how == "mul":
        return a * torch.tanh(b)
    return torch.cat([a[:, :2], b[:, 2:]], 1) if how == "cat" else a


def windows(x: Tensor, size: int) -> Tensor:
    """[N, C, H, W] to [N·windows, size², C]."""
    n, c, h, w = x.shape
    x = x.view(n, c, h // size, size, w // size, size).permute(0, 2, 4, 3, 5, 1)
    return x.reshape(-1, size * size, c)


def out_of_windows(x: Tensor, size: int, shape: torch.Size) -> Tensor:
    n, c, h, w = shape
    x = x.view(n, h // size, w // size, size, size, c).permute(0, 5, 1, 3, 2, 4)
    return x.reshape(n, c, h, w)


def attention(m: Mover, tokens: Tensor) -> Tensor:
    scores = (tokens @ m.square) @ tokens.transpose(-2, -1)
    return scores.softmax(-1) @ tokens


def window_attention(m: Mover, x: Tensor) -> Tensor:
    return out_of_windows(attention(m, windows(x, 4)), 4, x.shape)


def shifted_window_attention(m: Mover, x: Tensor) -> Tensor:
    return window_attention(m, x.roll((-2, -2), (2, 3))).roll((2, 2), (2, 3))


def fused_window_attention(_: Mover, x: Tensor) -> Tensor:
    tokens = windows(x, 2)
    return out_of_windows(F.scaled_dot_product_attention(tokens, tokens, tokens), 2, x.shape)


def global_attention(m: Mover, x: Tensor) -> Tensor:
    return attention(m, x.flatten(2).transpose(1, 2)).transpose(1, 2).unflatten(2, x.shape[2:])


def attention_over_channels(_: Mover, x: Tensor) -> Tensor:
    tokens = x.flatten(2)
    return ((tokens @ tokens.transpose(1, 2)).softmax(-1) @ tokens).view(x.shape)


def space_to_depth_and_back(m: Mover, x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    deep = x.view(n, c, h // 2, 2, w // 2, 2).permute(0, 3, 5, 1, 2, 4).reshape(n, c * 4, h // 2, w // 2)
    return F.interpolate(m.tall(deep), scale_factor=2)


def depth_to_space(_: Mover, x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    wide = x.view(n, 2, 2, c // 4, h, w).permute(0, 3, 4, 1, 5, 2).reshape(n, c // 4, h * 2, w * 2)
    return F.pixel_unshuffle(wide, 2)


def up_by_expand(_: Mover, x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    wide = x[:, :, :, None, :, None].expand(-1, -1, -1, 2, -1, 2).reshape(n, c, h * 2, w * 2)
    return wide[:, :, 3:11, 1::2]


def mean_of_blocks(_: Mover, x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    return x.view(n, c, h // 2, 2, w // 2, 2).mean((3, 5)).repeat_interleave(2, 2).repeat_interleave(2, 3)


def conv_by_unfold(m: Mover, x: Tensor) -> Tensor:
    return (m.kernel @ F.unfold(x, 3, padding=1)).view(x.shape)


def folded(_: Mover, x: Tensor) -> Tensor:
    return F.fold(F.unfold(x, 3, padding=1, stride=2).tanh(), x.shape[2:], 3, padding=1, stride=2)


def sliding_windows(_: Mover, x: Tensor) -> Tensor:
    return F.pad(x, (1, 1, 0, 2)).unfold(2, 3, 1).unfold(3, 3, 1).sum((-2, -1))


def halo(_: Mover, x: Tensor) -> Tensor:
    around = F.pad(x, (1, 1, 1, 1)).unfold(2, 6, 4).unfold(3, 6, 4).mean((-1, -2), keepdim=True)
    return x + around.expand(-1, -1, -1, -1, 4, 4).permute(0, 1, 2, 4, 3, 5).reshape(x.shape)


def pieces_apart(m: Mover, x: Tensor) -> Tensor:
    a, b = x.chunk(2, 1)
    return torch.cat([b, m.wide(torch.cat([a, a], 1))[:, :2]], 1)


def split_and_joined(m: Mover, x: Tensor) -> Tensor:
    a, b, c = m.conv(x).split((1, 1, 2), 1)
    return torch.cat([x[:, :1], a * b, c], 1)


def shuffled(m: Mover, x: Tensor) -> Tensor:
    joined = torch.cat([x[:, :2], m.conv(x)[:, 2:]], 1)
    return joined.view(-1, 2, 2, SIDE, SIDE).transpose(1, 2).reshape(x.shape)


def grouped(m: Mover, x: Tensor) -> Tensor:
    joined = torch.cat([x[:, :2], m.conv(x)[:, 2:]], 1)
    return F.conv2d(joined, m.kernel[:, :2].reshape(4, 2, 1, 1), groups=2)


def rows_by_weights(m: Mover, x: Tensor) -> Tensor:
    return torch.einsum("nchw,oc->nohw", x, m.square)


def outer_gate(_: Mover, x: Tensor) -> Tensor:
    return torch.einsum("nch,ncw->nchw", x.mean(3), x.mean(2)) + x


def by_indices(_: Mover, x: Tensor) -> Tensor:
    return x[:, :, [1, 0, 3, 2, 5, 4, 7, 6]]


def tokens_with_a_class(m: Mover, x: Tensor) -> Tensor:
    tokens = x.flatten(2).transpose(1, 2)
    tokens = torch.cat([m.square[:1].expand(x.shape[0], 1, -1), tokens], 1)
    return tokens.tanh()[:, 1:].transpose(1, 2).unflatten(2, x.shape[2:])


def conv_of_tokens(m: Mover, x: Tensor) -> Tensor:
    return F.conv1d(x.flatten(2), m.kernel[:, :12].view(4, 4, 3), padding=1).view(x.shape)


def conv_through_channels(m: Mover, x: Tensor) -> Tensor:
    return F.conv3d(x[:, None], m.kernel[:1, :27].view(1, 1, 3, 3, 3), padding=1)[:, 0]


def kernel_of_the_picture(m: Mover, x: Tensor) -> Tensor:
    kernels = (x.mean((2, 3)) @ m.square).view(-1, 1, 1, 1) + m.kernel[:, :9].reshape(4, 1, 3, 3)
    return F.conv2d(x, kernels, padding=1, groups=4)


def power(m: Mover, x: Tensor) -> Tensor:
    return (x.abs() + 1) ** torch.tanh(m.wide(x))


def chosen(m: Mover, x: Tensor) -> Tensor:
    return torch.where(x > 0, m.wide(x), x)


def strongest_channels(_: Mover, x: Tensor) -> Tensor:
    return x.topk(2, 1).values.repeat(1, 2, 1, 1) + x.max(1, keepdim=True).values


def channels_last(m: Mover, x: Tensor) -> Tensor:
    return m.norm(x.movedim(1, -1)).movedim(-1, 1) + F.rms_norm(x.permute(0, 2, 3, 1), (4,)).permute(0, 3, 1, 2)


def stripes(_: Mover, x: Tensor) -> Tensor:
    rows = torch.stack([x[:, :, ::2], x[:, :, 1::2]], 3)
    return torch.cat([rows[:, :, :, 1], rows[:, :, :, 0]], 2)


STEPS: dict[str, Step] = {
    "conv": lambda m, x: m.conv(x),
    "wide": lambda m, x: m.wide(x).tanh(),
    "roll": lambda _, x: x.roll((1, -2), (2, 3)),
    "roll rows": lambda _, x: x.roll(3, 2),
    "flip": lambda _, x: x.flip(3),
    "with itself flipped": lambda _, x: x + x.flip(2).tanh(),
    "transposed": lambda m, x: m.wide(x.transpose(2, 3)).transpose(2, 3),
    "with itself transposed": lambda _, x: x * x.transpose(2, 3).sigmoid(),
    "repeat": lambda _, x: x.repeat(1, 1, 2, 1)[:, :, 3:11],
    "average": lambda _, x: F.avg_pool2d(x, 3, 1, 1),
    "unbind": lambda _, x: torch.stack([*x.unbind(2)][::-1], 2),
    "gate": lambda _, x: x * x.mean((2, 3), keepdim=True).sigmoid(),
    "softmax of columns": lambda _, x: x.softmax(3),
    "group norm": lambda _, x: F.group_norm(x, 2),
    "circular": lambda m, x: F.conv2d(F.pad(x, (1, 1, 1, 1), mode="circular"), m.conv.weight),
    "reflected": lambda _, x: F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), 3, 1),
    "bilinear": lambda _, x: F.interpolate(F.avg_pool2d(x, 2), scale_factor=2, mode="bilinear"),
    "transposed conv": lambda m, x: F.conv_transpose2d(x, m.conv.weight, padding=1),
    "shuffle": lambda _, x: F.channel_shuffle(x, 2),
    "pixel shuffle": lambda _, x: F.pixel_unshuffle(F.pixel_shuffle(x, 2).roll(1, 3), 2),
    "sum of channels so far": lambda _, x: x.cumsum(1),
    "narrow": lambda _, x: F.pad(x.narrow(2, 1, 6), (0, 0, 2, 0)),
    "window attention": window_attention,
    "shifted window attention": shifted_window_attention,
    "fused window attention": fused_window_attention,
    "global attention": global_attention,
    "attention over channels": attention_over_channels,
    "space to depth": space_to_depth_and_back,
    "depth to space": depth_to_space,
    "up by expand": up_by_expand,
    "mean of blocks": mean_of_blocks,
    "conv by unfold": conv_by_unfold,
    "folded": folded,
    "sliding windows": sliding_windows,
    "halo": halo,
    "pieces apart": pieces_apart,
    "split and joined": split_and_joined,
    "shuffled": shuffled,
    "grouped": grouped,
    "einsum": rows_by_weights,
    "outer gate": outer_gate,
    "by indices": by_indices,
    "tokens with a class": tokens_with_a_class,
    "conv of tokens": conv_of_tokens,
    "conv through channels": conv_through_channels,
    "kernel of the picture": kernel_of_the_picture,
    "power": power,
    "chosen": chosen,
    "strongest channels": strongest_channels,
    "channels last": channels_last,
    "stripes": stripes,
}
