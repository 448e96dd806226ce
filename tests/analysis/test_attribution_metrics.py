"""The judges of attributions: each on networks where the right answer can be said by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from explorer.analysis.attribution import Attribution, attribute
from explorer.analysis.attribution_metrics import infidelity, pixel_curve, sensitivity, share_on_mask
from explorer.analysis.attribution_settings import AttributionMethod, AttributionSettings
from explorer.analysis.occluder import fill_values
from explorer.errors import Cancelled, UserError
from explorer.graph.trace import TracedProgram, trace


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


class Corner(nn.Module):
    """Two scores that are linear in the pixels of the upper left corner alone."""

    def forward(self, x: Tensor) -> Tensor:
        seen = x[:, :, :4, :4].mean((1, 2, 3))
        return torch.stack([seen, -seen], 1)


def opened(module: nn.Module) -> tuple[TracedProgram, Tensor]:
    return trace(module.eval(), (3, 16, 16)), torch.randn(1, 3, 16, 16).abs() + 1


def given(values: np.ndarray, method: AttributionMethod = "occlusion") -> Attribution:
    tensor = torch.as_tensor(values, dtype=torch.float32).expand(3, -1, -1) / 3
    return Attribution(method, tensor, values.astype(np.float32), 0, 0.5)


RIGHT = np.zeros((16, 16))
RIGHT[:4, :4] = 1
WRONG = 1 - RIGHT


# -- curves -----------------------------------------------------------------------------------------------------------


def test_the_curves_start_and_end_at_the_picture_and_its_absence() -> None:
    program, image = opened(Corner())
    picture, gray, blurred = (
        float(Corner()(x).softmax(1)[0, 0])
        for x in (image, fill_values(image, "gray").expand_as(image), fill_values(image, "blur"))
    )
    deletion = pixel_curve(program, image, given(RIGHT), "deletion", steps=16)
    insertion = pixel_curve(program, image, given(RIGHT), "insertion", steps=16)
    assert deletion.probabilities[[0, -1]] == pytest.approx([picture, gray])
    assert insertion.probabilities[[0, -1]] == pytest.approx([blurred, picture])
    assert deletion.shares.tolist() == pytest.approx([i / 16 for i in range(17)])


def test_a_right_map_falls_at_once_and_a_wrong_one_at_the_end() -> None:
    program, image = opened(Corner())
    right, wrong = (pixel_curve(program, image, given(each), "deletion", steps=16) for each in (RIGHT, WRONG))
    assert right.probabilities[1:] == pytest.approx([right.probabilities[-1]] * 16)  # 1/16 of the pixels are the corner
    assert wrong.probabilities[:-1] == pytest.approx([wrong.probabilities[0]] * 16)
    assert right.area < wrong.area
    assert right.area == pytest.approx(np.mean((right.probabilities[1:] + right.probabilities[:-1]) / 2))


def test_pixels_of_equal_value_go_in_no_order_of_rows_and_the_same_each_time() -> None:
    program, image = opened(Corner())
    level = np.ones((16, 16))
    first, again = (pixel_curve(program, image, given(level), "deletion", steps=8) for _ in range(2))
    assert (first.probabilities == again.probabilities).all()
    assert len(set(first.probabilities.round(6))) > 4, "the corner goes little by little, not with the first rows"


def test_the_most_important_pixels_go_first() -> None:
    program, image = opened(Corner())
    values = np.arange(256.0).reshape(16, 16)
    curve = pixel_curve(program, image, given(values), "deletion", steps=4)
    hidden = image.clone()
    hidden[:, :, 12:] = fill_values(image, "gray")
    assert curve.probabilities[1] == pytest.approx(float(Corner()(hidden).softmax(1)[0, 0]))


def test_a_curve_tells_how_far_it_is_and_stops() -> None:
    program, image = opened(Corner())
    told = list[tuple[int, int]]()
    pixel_curve(program, image, given(RIGHT), "insertion", progress=lambda done, total, _: told.append((done, total)))
    assert told[-1] == (33, 33)
    with pytest.raises(Cancelled):
        pixel_curve(program, image, given(RIGHT), "insertion", cancel=lambda: True)
    with pytest.raises(UserError, match="steps=0"):
        pixel_curve(program, image, given(RIGHT), "insertion", steps=0)


# -- Captum's ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["saliency", "integrated_gradients", "deeplift", "gradient_shap"])
def test_on_a_linear_network_what_hiding_does_is_told_wholly(method: AttributionMethod) -> None:
    program, image = opened(nn.Sequential(nn.Flatten(), nn.Linear(3 * 256, 2)))
    settings = AttributionSettings(samples=8, noise=0.0, steps=8)
    found = attribute(program, image, method, 1, settings)
    told = infidelity(program, image, found, settings)
    assert told < (0.5 if method == "gradient_shap" else 1e-4)  # whose baselines are three


def test_values_beside_what_matters_tell_nothing() -> None:
    program, image = opened(Corner())
    assert infidelity(program, image, given(RIGHT)) < 0.2
    beside = np.zeros((16, 16))
    beside[-4:, -4:] = 1
    assert infidelity(program, image, given(beside)) == pytest.approx(1, abs=0.05)
    assert infidelity(program, image, given(RIGHT * 7)) == pytest.approx(
        infidelity(program, image, given(RIGHT)), rel=1e-3
    )


def test_a_gradient_that_does_not_change_is_not_sensitive_and_one_that_does_is() -> None:
    linear, image = opened(nn.Sequential(nn.Flatten(), nn.Linear(3 * 256, 2)))
    found = attribute(linear, image, "saliency", 1)
    told: list[tuple[int, int]] = []
    steady = sensitivity(linear, image, found, samples=4, progress=lambda done, of, _left: told.append((done, of)))
    assert steady == pytest.approx(0, abs=1e-6)
    assert told == [(done, 5) for done in range(1, 6)]

    class Squares(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x * x).sum(3).sum(1)[:, :2]

    squares, image = opened(Squares())
    image = torch.ones_like(image)
    found = attribute(squares, image, "saliency", 1)
    most = sensitivity(squares, image, found, radius=0.1)
    assert 0.03 < most <= 0.1  # the gradient is 2x, and each x changes by at most 0.1 of it


# -- masks ------------------------------------------------------------------------------------------------------------


def test_the_share_on_a_mask_counts_what_is_positive() -> None:
    values = np.array([[3.0, -5.0], [1.0, 0.0]])
    assert share_on_mask(values, np.array([[True, True], [False, False]])) == pytest.approx(0.75)
    assert np.isnan(share_on_mask(-np.abs(values), np.ones((2, 2), bool)))
    with pytest.raises(UserError, match=r"mask of 1×2 pixels does not fit a map of 2×2"):
        share_on_mask(values, np.ones((1, 2), bool))


def test_outputs_that_are_not_finite_are_refused() -> None:
    class Dividing(nn.Module):
        gray: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("gray", fill_values(torch.zeros(3, 1, 1), "gray"))

        def forward(self, x: Tensor) -> Tensor:
            return (1 / (x - self.gray)).mean((2, 3))

    program, image = opened(Dividing())
    calls: list[Any] = [lambda: pixel_curve(program, image, given(RIGHT), "deletion"),
                        lambda: infidelity(program, image, given(RIGHT))]  # fmt: skip
    for call in calls:
        with pytest.raises(UserError, match="not finite"):
            call()
