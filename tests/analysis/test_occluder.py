"""The squares of an occlusion: they cover the image, and are filled with what was asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from explorer.analysis.occluder import fill_values, occlude, square_boxes

# -- Squares ----------------------------------------------------------------------------------------------------------


@given(st.data())
def test_the_squares_cover_the_image_and_stay_inside(data: Any) -> None:
    height, width = data.draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    window = (data.draw(st.integers(1, height)), data.draw(st.integers(1, width)))
    stride = (data.draw(st.integers(1, window[0])), data.draw(st.integers(1, window[1])))
    boxes = square_boxes((height, width), window, stride)
    covered = np.zeros((height, width), bool)
    for top, left, bottom, right in boxes.reshape(-1, 4):
        assert 0 <= top < bottom <= height
        assert 0 <= left < right <= width
        assert (bottom - top, right - left) == window
        covered[top:bottom, left:right] = True
    assert covered.all()
    steps = np.diff(boxes[:, 0, 0])
    assert (steps[:-1] == stride[0]).all()
    assert (steps <= stride[0]).all()
    assert (steps > 0).all()
    assert (np.diff(boxes[0, :, 1]) > 0).all()


def test_the_squares_of_the_paper() -> None:
    boxes = square_boxes((224, 224), 32, 16)
    assert boxes.shape == (13, 13, 4)
    assert boxes[0, 1].tolist() == [0, 16, 32, 48]
    assert boxes[12, 12].tolist() == [192, 192, 224, 224]


# -- Fills ------------------------------------------------------------------------------------------------------------


def test_fills() -> None:
    image = torch.rand(1, 3, 30, 40)
    gray = fill_values(image, "gray", torch.tensor([0.5, 0.4, 0.3]), torch.tensor([1.0, 0.5, 0.1]))
    torch.testing.assert_close(gray.flatten(), torch.tensor([0.0, 0.2, 2.0]))
    torch.testing.assert_close(fill_values(image, "gray")[0, :, 0, 0] * torch.tensor([0.229, 0.224, 0.225])
                               + torch.tensor([0.485, 0.456, 0.406]), torch.full((3,), 0.5))  # fmt: skip
    torch.testing.assert_close(fill_values(image, "mean").flatten(), image.mean((0, 2, 3)))
    blurred = fill_values(image, "blur")
    assert blurred.shape == image.shape
    assert blurred.std() < 0.3 * image.std()
    torch.testing.assert_close(fill_values(torch.full((1, 1, 9, 9), 0.7), "blur"), torch.full((1, 1, 9, 9), 0.7))


def test_occlude_fills_the_box_and_nothing_else() -> None:
    image = torch.randn(3, 12, 10)
    before = image.clone()
    for value in (torch.tensor([1.0, 2.0, 3.0]), torch.randn(1, 3, 12, 10), torch.randn(1, 3, 1, 1)):
        found = occlude(image, (2, 3, 7, 10), fill_value=value)
        expected = image.clone()
        expected[:, 2:7, 3:10] = value.view(1, 3, *([1, 1] if value.numel() == 3 else [12, 10])).expand(
            1, 3, 12, 10
        )[0, :, 2:7, 3:10]  # fmt: skip
        assert torch.equal(found, expected)
    assert torch.equal(image, before)
