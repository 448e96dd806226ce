"""The table of ways back: what each rule does, by formulas of its own, and what the table refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.analysis.deconvnet import project
from explorer.analysis.deconvnet_rules import CHOICES, MEANINGS, BackwardMethod, BackwardSettings, rule_table
from explorer.errors import UserError
from explorer.graph.trace import trace


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def signal(module: nn.Module, image: Tensor, method: BackwardMethod = "deconvnet", /, **rules: Any) -> Tensor:
    """The signal at the image from channel 1 of the last layer at (2, 2)."""
    program = trace(module.eval(), (image.shape[1], image.shape[2], image.shape[3]))
    last = program.graph.outputs[0]
    return project(program, image, last, 1, (2, 2), BackwardSettings(method, rules)).signal


def gradient(module: nn.Module, image: Tensor) -> Tensor:
    given = image.clone().requires_grad_()
    (found,) = torch.autograd.grad(module(given)[0, 1, 2, 2], given)
    return found[0]


# -- norms ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["module", "functional"])
def test_the_divisor_of_a_contrast_normalisation_is_held(form: str) -> None:
    class Normalised(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.LocalResponseNorm(3, alpha=2.0, beta=0.6, k=1.5)

        def forward(self, x: Tensor) -> Tensor:
            return self.norm(x) if form == "module" else F.local_response_norm(x, 3, 2.0, 0.6, 1.5)

    image = torch.randn(1, 4, 5, 5)
    image[0, 1, 2, 2] = 0  # where output / input says nothing
    squares = image[0, 0:3, 2, 2].square().sum()
    expected = torch.zeros(4, 5, 5)
    expected[1, 2, 2] = (1.5 + 2.0 * squares / 3) ** -0.6
    torch.testing.assert_close(signal(Normalised(), image), expected)
    image[0, 1, 2, 2] = 0.7
    assert not torch.allclose(signal(Normalised(), image), gradient(Normalised(), image))
    found = signal(Normalised(), image, local_response_norm="gradient")
    torch.testing.assert_close(found, gradient(Normalised(), image))


def test_a_batch_norm_scales_the_signal_or_passes_it() -> None:
    norm = nn.BatchNorm2d(3).eval()
    nn.init.uniform_(norm.weight, 2, 3)
    assert norm.running_var is not None
    norm.running_var.fill_(4.0)
    image = torch.randn(1, 3, 5, 5)
    seen = torch.zeros(3, 5, 5)
    seen[1, 2, 2] = 1
    torch.testing.assert_close(signal(norm, image), seen * norm.weight[1].detach() / (4 + norm.eps) ** 0.5)
    assert torch.equal(signal(norm, image, batch_norm="pass"), seen)


# -- gates ------------------------------------------------------------------------------------------------------------


class Gated(nn.Module):
    """Maps scaled by a gate of their own means, as squeeze and excitation does; spread, or as large as the maps."""

    def __init__(self, order: str) -> None:
        super().__init__()
        self.order, self.conv, self.squeeze = order, nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 1)

    def gate(self, maps: Tensor) -> Tensor:
        return torch.sigmoid(self.squeeze(maps if self.order == "pixelwise" else maps.mean((2, 3), keepdim=True)))

    def forward(self, x: Tensor) -> Tensor:
        maps = self.conv(x)
        gate = self.gate(maps)
        if self.order == "in place":
            return maps.mul_(gate)
        return gate * maps if self.order == "gate first" else maps * gate


@pytest.mark.parametrize("order", ["maps first", "gate first", "in place", "pixelwise"])
def test_a_gate_counts_as_a_constant(order: str) -> None:
    module, image = Gated(order), torch.randn(1, 3, 6, 6)
    with torch.no_grad():
        gate = module.gate(module.conv(image)).expand(1, 4, 6, 6)[0, 1, 2, 2]
        expected = torch.zeros(3, 6, 6)
        expected[:, 1:4, 1:4] = module.conv.weight[1] * gate
    torch.testing.assert_close(signal(module, image), expected)
    whole = gradient(module, image)
    assert not torch.allclose(whole, expected)
    torch.testing.assert_close(signal(module, image, mul="gradient"), whole)
    torch.testing.assert_close(signal(module, image, "guided"), whole)


def test_a_product_without_a_gate_keeps_both_factors() -> None:
    class Product(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * (x + 2)

    image = torch.randn(1, 3, 5, 5)
    torch.testing.assert_close(signal(Product(), image), gradient(Product(), image))


# -- the table --------------------------------------------------------------------------------------------------------


def test_a_rule_can_be_changed_for_a_kind_and_for_one_layer() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.ReLU())
    image = torch.randn(1, 3, 5, 5)
    plain = signal(module, image, "gradient")
    assert torch.equal(signal(module, image, relu="gradient"), plain)
    assert torch.equal(signal(module, image, "gradient", relu="rectify"), signal(module, image))
    one_layer: dict[str, Any] = {"1": "pass"}
    first_alone = signal(module, image, "gradient", **one_layer)
    with torch.no_grad():
        shut = (module(image)[0, 1, 2, 2] > 0).float()
        expected = shut * module[2].weight[1, :, 0, 0] @ module[0].weight[:, :, 0, 0]  # pyright: ignore
    torch.testing.assert_close(first_alone[:, 2, 2], expected)


def test_the_table_names_what_a_network_has() -> None:
    module = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.SiLU(), nn.LocalResponseNorm(2), nn.SiLU(), nn.Sigmoid()
    )
    rows = rule_table(trace(module, (3, 5, 5)).graph, BackwardSettings("deconvnet", {"silu": "pass"}))
    assert [(row.kind, row.layers, row.rule) for row in rows] == [
        ("batch_norm", 1, "gradient"),
        ("silu", 2, "pass"),
        ("local_response_norm", 1, "hold"),
        ("sigmoid", 1, "gradient"),
    ]
    assert all(row.choices == CHOICES[row.kind] for row in rows)


def test_every_rule_that_can_be_chosen_says_what_it_does() -> None:
    assert {rule for choices in CHOICES.values() for rule in choices} == MEANINGS.keys()


def test_rules_that_do_not_fit_are_refused() -> None:
    module, image = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()), torch.randn(1, 3, 5, 5)
    with pytest.raises(UserError, match="'conv' is no layer with a choice"):
        signal(module, image, conv="pass")
    with pytest.raises(UserError, match="'relu' cannot have 'hold', but rectify, guided, gradient, pass"):
        signal(module, image, relu="hold")
    with pytest.raises(UserError, match="'1' cannot have 'magic'"):
        signal(module, image, "deconvnet", **dict[str, Any]({"1": "magic"}))
