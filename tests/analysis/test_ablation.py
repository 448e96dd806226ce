"""Networks with parts switched off against the same networks written without them."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.analysis.ablation import Ablation, branches_of, run_ablated, skip_of
from explorer.errors import UnknownNameError, UserError
from explorer.graph.trace import TracedProgram, trace
from tests.support.toy_networks import forward


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def opened(module: nn.Module, size: int = 16) -> tuple[TracedProgram, Tensor]:
    return trace(module.eval(), (3, size, size)), torch.randn(2, 3, size, size)


class Joined(nn.Module):
    """A residual block, a concat and a gate; `without` names what is left out in plain Python."""

    def __init__(self, style: str = "plain") -> None:
        super().__init__()
        self.a, self.b, self.gate = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 4, 1), nn.Conv2d(7, 7, 1)
        self.style, self.without = style, ""

    def forward(self, x: Tensor) -> Tensor:
        y = self.a(x)
        y = 0 * y if self.without == "a" else y
        skip = 0 * x if self.without == "skip" else x
        if self.style == "in place":
            y += skip
        elif self.style == "unread":
            y.add_(skip)
        else:
            y = y + skip
        if self.without == "channels":
            y = y * torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)
        z = self.b(y)
        z = torch.cat([y, 0 * z if self.without == "b" else z], 1)
        gate = torch.sigmoid(self.gate(z.mean((2, 3), keepdim=True)))
        return z if self.without == "gate" else z * gate


STYLES = ["plain", "in place", "unread"]


def add_of(program: TracedProgram) -> str:
    return next(layer.id for layer in program.graph if layer.kind == "add")


def expected(module: Joined, images: Tensor, without: str) -> Tensor:
    module.without = without
    found = forward(module, images)
    module.without = ""
    return found


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("part", ["skip", "a"])
def test_a_branch_of_a_sum_is_left_out(style: str, part: str) -> None:
    module = Joined(style)
    program, images = opened(module)
    off = Ablation(add_of(program), branches=("input" if part == "skip" else "a",))
    torch.testing.assert_close(run_ablated(program, images, [off]).output, expected(module, images, part))
    torch.testing.assert_close(run_ablated(program, images, []).output, forward(module, images))


@pytest.mark.parametrize("style", STYLES)
def test_channels_become_zero(style: str) -> None:
    module = Joined(style)
    program, images = opened(module)
    found = run_ablated(program, images, [Ablation(add_of(program), channels=(1,)), Ablation(add_of(program), (2,))])
    torch.testing.assert_close(found.output, expected(module, images, "channels"))


def test_a_part_of_a_concat_becomes_zero_and_a_gate_opens() -> None:
    module = Joined()
    program, images = opened(module)
    concat = next(layer.id for layer in program.graph if layer.kind == "concat")
    product = next(layer.id for layer in program.graph if layer.kind == "mul")
    gate = next(layer.id for layer in program.graph if layer.kind == "sigmoid")
    found = run_ablated(program, images, [Ablation(concat, branches=("b",))]).output
    torch.testing.assert_close(found, expected(module, images, "b"))
    found = run_ablated(program, images, [Ablation(product, branches=(gate,))]).output
    torch.testing.assert_close(found, expected(module, images, "gate"))


def test_a_layer_that_views_its_input_leaves_it_to_the_others() -> None:
    class Viewed(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.dropout(x, 0.5, self.training) + 2 * x

    program, images = opened(Viewed())
    dropout = next(layer.id for layer in program.graph if layer.kind == "dropout")
    found = run_ablated(program, images, [Ablation(dropout, channels=(0, 1, 2))]).output
    torch.testing.assert_close(found, 2 * images)


def test_channels_last_maps_and_one_output_of_several_can_be_switched_off() -> None:
    class Cut(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            first, second = torch.cat([x, x.flip(3)], 1).permute(0, 2, 3, 1).chunk(2, 3)
            return torch.cat([first.exp(), second], 3)

    program, images = opened(Cut())
    exp = next(layer.id for layer in program.graph if layer.kind == "exp")
    found = run_ablated(program, images, [Ablation(exp, channels=(2,))]).output
    assert not found[..., 2].any()
    torch.testing.assert_close(found[..., :2], images.permute(0, 2, 3, 1)[..., :2].exp())


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_skips_are_found_and_make_a_difference(name: str) -> None:
    module = torchvision.models.get_model(name, weights=None, num_classes=5)
    program, images = opened(module, 32)
    adds = [layer.id for layer in program.graph if layer.kind == "add"]
    skips = {add: skip_of(program.graph, add) for add in adds}
    assert len(adds) > 5
    for add, skip in skips.items():
        main = next(branch for branch in branches_of(program.graph[add]) if branch != skip)
        assert "conv" in main or "bn2" in main, (add, main)
        assert skip is not None
        assert "bn2" not in skip
    clean = forward(module, images)
    for add in adds[:3]:
        skip = skips[add]
        assert skip is not None
        without = run_ablated(program, images, [Ablation(add, branches=(skip,))]).output
        assert float((without - clean).abs().max()) > 0.01 * float(clean.abs().max())


def test_two_branches_of_equal_length_have_no_skip() -> None:
    class Even(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.a(x) + self.b(x)

    program, _ = opened(Even())
    assert skip_of(program.graph, "add") is None
    assert branches_of(program.graph["add"]) == ("a", "b")
    assert branches_of(program.graph["a"]) == ()


def test_what_is_not_there_cannot_be_switched_off() -> None:
    program, images = opened(Joined())
    with pytest.raises(UserError, match="channels=4, -1: layer 'b' has channels 0 to 3"):
        run_ablated(program, images, [Ablation("b", channels=(4, -1))])
    with pytest.raises(UserError, match="branches='b': layer 'add' joins a, input"):
        run_ablated(program, images, [Ablation("add", branches=("b",))])
    with pytest.raises(UserError, match="branches='a': layer 'b' joins nothing"):
        run_ablated(program, images, [Ablation("b", branches=("a",))])
    with pytest.raises(UnknownNameError, match="layer='c'"):
        run_ablated(program, images, [Ablation("c", channels=(0,))])


def test_the_images_and_the_module_are_left_as_they_were() -> None:
    module = Joined("in place")
    program, images = opened(module)
    before, weights = images.clone(), {name: value.clone() for name, value in module.state_dict().items()}
    run_ablated(program, images, [Ablation("input", channels=(0,)), Ablation("a", channels=(1,))])
    assert torch.equal(images, before)
    assert all(torch.equal(value, weights[name]) for name, value in module.state_dict().items())
