"""A small network, and ways to write it that are hard to trace."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Plain(nn.Module):
    """A convolution, a norm and a rectifier, pooled where the map is large."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.relu = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()
        self.fc = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.conv(x)))
        return self.fc(F.max_pool2d(x, 3).mean((2, 3)))


class DecidesBySize(Plain):
    """The same, but torch.fx cannot follow it: it looks at the size of the map."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.conv(x)))
        if x.shape[2] > 8:
            x = F.max_pool2d(x, 3)
        return self.fc(x.mean((2, 3)))


class Constant(Plain):
    """A tensor made in forward, which torch.fx would keep on the module."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * torch.tensor([0.5]))
