"""Depth counts every kind of layer with weights."""

from __future__ import annotations

from torch import Tensor, nn

from explorer import analyze
from explorer.analysis.depth import depth


class Volume(nn.Module):
    """One convolution of each dimension, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.volume = nn.Conv3d(3, 4, 3, padding=1)
        self.plane = nn.Conv2d(4, 5, 3)
        self.line = nn.Conv1d(5, 6, 3)
        self.head = nn.Linear(6 * 34, 2)

    def forward(self, x: Tensor) -> Tensor:
        plane = self.plane(self.volume(x.unsqueeze(2)).squeeze(2))
        return self.head(self.line(plane.flatten(2)).flatten(1))


def test_convolutions_of_one_two_and_three_dimensions_count() -> None:
    assert depth(analyze(Volume(), (3, 8, 8)).graph) == 4


def test_transposed_convolutions_of_one_two_and_three_dimensions_count() -> None:
    network = nn.Sequential(
        nn.Unflatten(1, (1, 3)), nn.ConvTranspose3d(1, 2, 3), nn.Flatten(1, 2), nn.ConvTranspose2d(10, 4, 3),
        nn.Flatten(2), nn.ConvTranspose1d(4, 4, 3), nn.Flatten(), nn.Linear(4 * 146, 5),
    )  # fmt: skip
    assert depth(analyze(network, (3, 8, 8)).graph) == 4
