"""Odd modules whose counts differ between tools, their receipts, and the page that shows one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from streamlit.testing.v1 import AppTest
from torch import Tensor, nn
from torch.nn import functional as F

from explorer import analyze
from explorer.analysis.receipt import Receipt, receipt
from tests.support.places import APP


def opened(**link: str) -> AppTest:
    app = AppTest.from_file(str(APP), default_timeout=60)
    for name, text in link.items():
        app.query_params[name] = text
    app.run()
    assert not app.exception
    return app


def counted(module: nn.Module, size: tuple[int, int, int]) -> Receipt:
    """The receipt of a module, whose lines sum to the difference from our MACs under every convention."""
    analysis = analyze(module, size)
    found = receipt(analysis)
    assert found["paper"].total == analysis.macs
    assert found["paper"].lines == ()
    named = {layer.id for layer in (*analysis.graph, *analysis.graph.weight_products)}
    for tally in found.tallies:
        assert tally.total - analysis.macs == tally.difference == sum(n for t in tally.lines for _, n in t.layers)
        assert all(line.why.endswith(".") and all(share for _, share in line.layers) for line in tally.lines)
        assert {name for line in tally.lines for name, _ in line.layers} <= named
    return found


class Hidden(nn.Module):
    """What hooks on modules see and what they miss, at different places."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(3, 4, 3, stride=2)
        self.norm = nn.GroupNorm(2, 4)
        self.twice = nn.Conv2d(4, 4, 3, padding=1)
        self.act = nn.PReLU(4)
        self.kernel = nn.Parameter(torch.zeros(5, 4, 1, 1))
        self.scale = nn.Parameter(torch.zeros(5, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.twice(self.twice(self.norm(self.up(x)))))
        return F.conv2d(x, self.kernel) * self.scale


class Recurrent(nn.Module):
    """A module without modules inside, whose parameters are named like those of a recurrent one."""

    def __init__(self) -> None:
        super().__init__()
        self.weight_ih = nn.Parameter(torch.zeros(6, 12))
        self.rate = nn.Parameter(torch.zeros(6))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.flatten(2), self.weight_ih) * self.rate


class Attentive(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.fc = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(2).transpose(1, 2)
        return self.fc(self.attention(x, x, x, need_weights=False)[0])


MODULES: dict[str, tuple[Callable[[], nn.Module], tuple[int, int, int]]] = {
    "hidden": (Hidden, (3, 7, 5)),
    "recurrent": (lambda: nn.Sequential(Recurrent()), (3, 4, 3)),
    "attentive": (Attentive, (8, 4, 3)),
    "one convolution": (lambda: nn.Conv2d(3, 4, 3), (3, 7, 5)),
    "interpolated": (lambda: nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), nn.AdaptiveAvgPool2d(3),
                                           nn.Upsample(scale_factor=2)), (3, 7, 5)),  # fmt: skip
}  # fmt: skip
