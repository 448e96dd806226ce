"""The effective field: against binomial coefficients, gradients by hand, the theoretical field, and the paper's law."""

from __future__ import annotations

from math import comb, nan

import numpy as np
import pytest
import torch
from torch import nn

import models
from explorer.analysis.effective_field import (
    MASS_SHARES,
    EffectiveField,
    Unit,
    centre_of,
    effective_field_steps,
    gradient_bytes,
    noise,
)
from explorer.analysis.structure import analyze
from explorer.errors import Cancelled, MemoryLimitError, UnknownNameError, UserError
from explorer.graph.trace import trace
from explorer.receptive_field.report import ReceptiveField
from tests.support.preset_sizes import input_size


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def ones(layers: int, kernel: int = 3) -> nn.Sequential:
    """Linear convolutions whose weights are all 1."""
    stack = [nn.Conv2d(1, 1, kernel, padding=kernel // 2, bias=False) for _ in range(layers)]
    for layer in stack:
        nn.init.ones_(layer.weight)
    return nn.Sequential(*stack).eval()


def field_of(
    network: nn.Module, size: tuple[int, int, int], unit: Unit, inputs: int = 1
) -> tuple[EffectiveField, ReceptiveField]:
    analysis = analyze(network, size)
    field = analysis[unit.layer].local_receptive_field
    rows, columns = analysis[unit.layer].output_shape[2:]
    centre = centre_of(field, (unit.row, unit.column), (rows, columns))
    *_, found = effective_field_steps(analysis.program, unit, centre, noise(size, inputs))
    return found, field


def trinomial(power: int) -> list[int]:
    """Coefficients of (1 + x + x²)^power, by hand: choose which factors give x, and which of the others x²."""

    def coefficient(at: int) -> int:
        counts = range(at % 2, min(at, power) + 1, 2)  # how many factors give x
        return sum(comb(power, once) * comb(power - once, (at - once) // 2) for once in counts)

    return [coefficient(at) for at in range(2 * power + 1)]


# -- Known masses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [1, 4, 9])
def test_kernels_of_ones_make_the_trinomial_coefficients(layers: int) -> None:
    """Luo et al., §2.2: the coefficients of the polynomial that the kernels convolve to, which tends to a Gaussian."""
    found, field = field_of(ones(layers), (1, 25, 25), Unit(str(layers - 1), 12, 12))
    row = np.array(trinomial(layers), float) / 3**layers
    assert field.size == (2 * layers + 1, 2 * layers + 1)
    expected = np.zeros((25, 25))
    expected[12 - layers : 13 + layers, 12 - layers : 13 + layers] = np.outer(row, row)
    np.testing.assert_allclose(found.mass, expected, atol=1e-6)
    assert found.centre == (12.5, 12.5)


def test_two_taps_make_binomial_coefficients_and_lie_between_pixels() -> None:
    network = nn.Sequential(*[nn.Conv2d(1, 1, (1, 2), bias=False) for _ in range(4)]).eval()
    for weight in network.parameters():
        nn.init.ones_(weight)
    found, _ = field_of(network, (1, 3, 12), Unit("3", 1, 2))
    np.testing.assert_allclose(found.mass[1, 2:7], np.array([1, 4, 6, 4, 1]) / 16, atol=1e-6)
    assert found.centre == (1.5, 4.5)
    assert found.within((1, 3, 2, 6)) == pytest.approx(14 / 16)


def test_radii_are_half_sides_of_squares_of_whole_pixels() -> None:
    """Nine equal pixels: 1 of 9 lies within half a pixel of the centre, all within one and a half."""
    found, _ = field_of(ones(1), (1, 9, 9), Unit("0", 4, 4))
    assert found.radius(1 / 9) == 0.5
    assert found.radius(0.12) == 1.5
    assert [found.radius(share) for share in (*MASS_SHARES, 1.0)] == [1.5] * 4


def test_radii_by_a_plain_loop() -> None:
    values = np.random.default_rng(0).random((11, 14)) ** 4
    found = EffectiveField(values / values.sum(), (3.0, 8.5), 1)
    for share in MASS_SHARES:
        side = 0.0
        while True:  # squares that grow by half a pixel at each side
            side += 0.5
            inside = sum(
                values[row, column]
                for row in range(11)
                for column in range(14)
                if row >= 3.0 - side and row + 1 <= 3.0 + side and column >= 8.5 - side and column + 1 <= 8.5 + side
            )
            if inside / values.sum() >= share:
                break
        assert found.radius(share) == side


def test_a_unit_without_gradient_has_no_radius() -> None:
    conv = nn.Conv2d(1, 1, 3)
    for parameter, value in zip(conv.parameters(), (0, -1), strict=True):
        nn.init.constant_(parameter, value)
    network = nn.Sequential(conv, nn.ReLU()).eval()
    found, _ = field_of(network, (1, 8, 8), Unit("1", 2, 2), inputs=3)
    assert found.is_zero
    assert str(found.radius(0.5)) == str(nan)
    assert found.within((0, 0, 8, 8)) == 0


# -- Gradients ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channel", [None, 3])
def test_the_mass_is_the_mean_absolute_gradient_by_autograd(channel: int | None) -> None:
    network = nn.Sequential(nn.Conv2d(3, 6, 3, 2), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 5, 3, padding=1)).eval()
    found, _ = field_of(network, (3, 20, 24), Unit("3", 4, 7, channel), inputs=5)
    total = np.zeros((20, 24))
    for image in noise((3, 20, 24), 5):
        leaf = image.requires_grad_()
        unit = network(leaf)[0, :, 4, 7]
        (unit.sum() if channel is None else unit[channel]).backward()
        assert leaf.grad is not None
        total += leaf.grad[0].abs().sum(0).numpy()
    np.testing.assert_allclose(found.mass, total / total.sum(), rtol=1e-5, atol=1e-12)
    assert found.inputs == 5


def test_the_mean_so_far_comes_after_each_input_and_the_same_seed_gives_the_same() -> None:
    program = trace(ones(2), (1, 9, 9))
    steps = list(effective_field_steps(program, Unit("1", 4, 4), (4.5, 4.5), noise((1, 9, 9), 3, seed=7)))
    assert [step.inputs for step in steps] == [1, 2, 3]
    assert all(step.mass.sum() == pytest.approx(1) for step in steps)
    again = list(noise((1, 9, 9), 3, seed=7))
    assert all(torch.equal(a, b) for a, b in zip(again, noise((1, 9, 9), 3, seed=7), strict=True))
    assert not torch.equal(again[0], again[1])


PRESETS = ["lenet_mini", "resnet_mini", "densenet_mini", "mobilenet_v3_mini", "convnext_mini", "googlenet_mini"]


@pytest.mark.parametrize("name", PRESETS)
def test_all_of_the_mass_lies_in_the_theoretical_field(name: str) -> None:
    network = models.build(name)
    size = input_size(name, 64)
    analysis = analyze(network, size)
    maps = [layer for layer in analysis.layers if layer.is_map and not layer.local_receptive_field.is_global]
    for layer in maps[3 :: max(1, len(maps) // 4)]:
        rows, columns = layer.output_shape[2:]
        for cell in ((0, 0), (rows // 2, columns // 3)):
            centre = centre_of(layer.local_receptive_field, cell, (rows, columns))
            *_, found = effective_field_steps(analysis.program, Unit(layer.id, *cell), centre, noise(size, 2))
            assert found.is_zero or found.within(layer.receptive_field.box(*cell)) == pytest.approx(1, abs=1e-12)


def test_the_share_of_the_theoretical_field_falls_with_the_root_of_depth() -> None:
    """Luo et al., §2.2 and figure 1: plain convolutions, random weights; the ratio of the fields goes as 1/√n."""
    torch.manual_seed(0)
    depths, shares = (4, 8, 16, 32), []
    for depth in depths:
        side = 2 * depth + 9
        stack = [nn.Conv2d(8 if i else 1, 8, 3, padding=1, bias=False) for i in range(depth)]
        for layer in stack:
            nn.init.uniform_(layer.weight, 0, 2 / layer.weight[0].numel())
        unit = Unit(str(depth - 1), side // 2, side // 2)
        found, field = field_of(nn.Sequential(*stack).eval(), (1, side, side), unit)
        shares.append(2 * found.radius(0.9) / field.size[0])
    slope = np.polyfit(np.log(depths), np.log(shares), 1)[0]
    assert shares == sorted(shares, reverse=True)
    assert slope == pytest.approx(-0.5, abs=0.06)


# -- Bounds and errors -------------------------------------------------------------------------------------------------


def test_a_cancel_stops_on_the_way_back_as_well() -> None:
    program, asked = trace(ones(6), (1, 16, 16)), []

    def cancel() -> bool:
        asked.append(1)
        return len(asked) > 9  # seven layers are asked on the way forth

    with pytest.raises(Cancelled):
        list(effective_field_steps(program, Unit("5", 8, 8), (8.5, 8.5), noise((1, 16, 16), 1), cancel))
    assert len(asked) == 10


@pytest.mark.parametrize(
    ("unit", "sentence"),
    [(Unit("1", 9, 0), "row=9"), (Unit("1", 0, -1), "column=-1"), (Unit("1", 0, 0, 4), "channel=4")],
)
def test_a_unit_that_is_not_there_is_named(unit: Unit, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        list(effective_field_steps(trace(ones(2), (1, 9, 9)), unit, (0, 0), noise((1, 9, 9), 1)))


def test_a_layer_that_is_not_there_is_named() -> None:
    with pytest.raises(UnknownNameError, match="conv9"):
        list(effective_field_steps(trace(ones(2), (1, 9, 9)), Unit("conv9", 0, 0), (0, 0), noise((1, 9, 9), 1)))


def test_a_gradient_that_is_not_finite_is_refused() -> None:
    network = ones(2)
    nn.init.constant_(next(network.parameters()), torch.nan)
    with pytest.raises(UserError, match="not finite"):
        field_of(network, (1, 9, 9), Unit("1", 4, 4))


def test_what_does_not_fit_is_refused_before_it_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    program = trace(models.build("resnet_mini"), (3, 64, 64))
    head = program.graph.layers[-4].id
    first, last = gradient_bytes(program.graph, program.graph.layers[1].id), gradient_bytes(program.graph, head)
    assert first < last
    monkeypatch.setattr("explorer.run.device.free_bytes", lambda _: last - 1)
    with pytest.raises(MemoryLimitError, match="gradient of"):
        list(effective_field_steps(program, Unit(head, 0, 0), (0, 0), noise((3, 64, 64), 1)))
