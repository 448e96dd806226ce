"""Pictures moved, against torchvision's transforms."""

from __future__ import annotations

import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as transforms

from explorer.analysis.moving import MOVES, amounts, moved

IMAGES = torch.rand(2, 3, 40, 48, generator=torch.Generator().manual_seed(0))
INSIDE = (..., slice(14, 26), slice(18, 30))  # that no border comes near


@pytest.mark.parametrize("amount", [-5, 0, 3])
def test_shifts_by_whole_pixels_move_them(amount: int) -> None:
    assert torch.allclose(moved(IMAGES, "vertical", amount)[INSIDE], IMAGES.roll(amount, 2)[INSIDE], atol=1e-5)
    assert torch.allclose(moved(IMAGES, "horizontal", amount)[INSIDE], IMAGES.roll(amount, 3)[INSIDE], atol=1e-5)


@pytest.mark.parametrize(
    ("scale", "turn"), [(1.0, 0.0), (1.3, 0.0), (1.8, 0.0), (1.0, 30.0), (1.0, 90.0), (1.0, 200.0)]
)
def test_what_is_enlarged_or_turned_is_torchvisions(scale: float, turn: float) -> None:
    """torchvision turns clockwise."""
    expected = transforms.affine(IMAGES, -turn, [0, 0], scale, [0.0, 0.0], interpolation=InterpolationMode.BILINEAR)
    found = moved(IMAGES, "rotation", turn) if turn else moved(IMAGES, "scale", scale)
    assert torch.allclose(found[INSIDE], expected[INSIDE], atol=1e-4)


def test_nothing_of_a_picture_is_empty() -> None:
    ones = torch.ones(1, 1, 24, 24)
    for move in MOVES:
        for amount in amounts(move, 24):
            assert torch.allclose(moved(ones, move, amount), ones, atol=1e-5)


def test_the_amounts_are_the_papers() -> None:
    assert (min(amounts("vertical", 224)), max(amounts("vertical", 224))) == (-60, 60)
    assert amounts("scale", 64)[0::8] == (1.0, 1.8)
    assert all(amount.is_integer() for amount in amounts("horizontal", 64))
    assert [0.0 in amounts(move, 64) for move in MOVES] == [True, True, False, True]
